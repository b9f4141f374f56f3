package lua_test

import (
	"bytes"
	"log"
	"testing"
)

func TestCaughtErrorsWriteNothingToTheStandardLogger(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		var written bytes.Buffer
		was := log.Writer()
		log.SetOutput(&written)
		t.Cleanup(func() { log.SetOutput(was) })
		for body, want := range map[string]string{
			`pcall(error, "x") pcall(error, "y") return select(2, pcall(error, "z"))`:                                  `"z"`,
			`pcall(error, "x") return select(2, pcall(error, { code = "z" })).code`:                                    `"z"`,
			`pcall(error, "x") return select(2, pcall(error, 7)) + 1`:                                                  `8`,
			`pcall(error, "x") return type(select(2, pcall(error)))`:                                                   `"nil"`,
			`pcall(error, "x") skynet.sleep(0) return (pcall(skynet.send, "nobody", "lua"))`:                           `false`,
			`pcall(error, "x") return select(2, xpcall(function() local t; t.x = 1 end, function() return 5 end))`:     `5`,
			`pcall(error, "x") return select(2, coroutine.resume(coroutine.create(function() error("inner", 0) end)))`: `"inner"`,
		} {
			if got := eval(t, body); got != want {
				t.Errorf("%s is %s, want %s", body, got, want)
			}
		}
		if written.Len() > 0 {
			t.Errorf("the standard logger got %q", written.String())
		}
	})
}
