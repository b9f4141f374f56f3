package token_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/token"
)

func TestSourcesAreCutAsTheManualSays(t *testing.T) {
	tests := map[string]string{
		"a.b.c = 1 .. 2":             "a . b . c = 1 .. 2",
		"x=0x1p-4+1e+5-.5":           "x = 0x1p-4 + 1e+5 - .5",
		"--[==[ long ]] ]==]y":       "y",
		"-- short\n#t":               "# t",
		"s = [==[\na]]b]==] 'q\\'' ": "s = \na]]b q\\'",
		`"a\z   b" ~= nil`:           `a\z   b ~= nil`,
		"#!/usr/bin/lua\nreturn":     "return",
		"a//b>>c::d::...":            "a // b >> c :: d :: ...",
		"[[open":                     "open",
		`"open`:                      "open",
		`"\`:                         `\`,
		"3..2":                       "3..2",
	}
	for source, want := range tests {
		var got []string
		for _, tok := range token.Scan(source) {
			got = append(got, tok.Text)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%q: got %q, want %q", source, s, want)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{"", "#", "a = 'x\\", "[==[", "--[[", "0x", "1e+", `"\z`, "local function f(...) return f(...) end", "require('x'", "::", "\xff\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 2000 {
			return // lines are counted anew for each token
		}
		end := 0
		for _, tok := range token.Scan(source) {
			if tok.Offset < end || tok.Offset >= len(source) || tok.Line < 1 || tok.Column < 1 {
				t.Fatalf("token %+v of %q", tok, source)
			}
			if !strings.Contains(source[tok.Offset:], tok.Text) {
				t.Fatalf("token %+v is not in %q", tok, source)
			}
			end = tok.Offset + 1
			if tok.Line != 1+strings.Count(source[:tok.Offset], "\n") {
				t.Fatalf("token %+v of %q is not in that line", tok, source)
			}
		}
	})
}
