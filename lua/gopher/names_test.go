package gopher_test

import (
	"testing"

	"github.com/skua-go/skua/lua/vm/vmtest"
)

func TestErrorsNameTheFunctionAsTheScriptDid(t *testing.T) {
	for source, want := range map[string]string{
		`return ("x"):rep({})`:                                       "error: test.lua:1: bad argument #1 to 'rep' (number expected, got table)",
		`return string.rep("x", {})`:                                 "error: test.lua:1: bad argument #2 to 'rep' (number expected, got table)",
		`local s = "x" local r = s:rep(1):rep(s:len(), {}) return r`: "error: test.lua:1: bad argument #2 to 'rep' (string expected, got table)",
		`local f = string.rep local r = f({}) return r`:              "error: test.lua:1: bad argument #1 to 'f' (string expected, got table)",
		`local t = { rep = string.rep } local r = t:rep()`:           "error: test.lua:1: calling 'rep' on bad self (string expected, got table)",
		`return pcall(string.rep)`:                                   "false | bad argument #1 to 'string.rep' (string expected, got no value)",
	} {
		if got := vmtest.Eval(engine(t), source); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", source, got, want)
		}
	}
}
