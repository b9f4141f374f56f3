package lua54_test

import (
	"testing"

	"github.com/skua-go/skua/lua/lua54"
)

// What is mended is what stands in a project's scripts: whatever that is, the answer is an error or nil.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"", "a, b = 1, 2", "return f(...)", "function f(...) return g(...) end", "x = #t", "#!x\na.b, c = 1", "end end", "(", "a, (b).c = {"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 10_000 {
			return
		}
		_ = lua54.Engine{}.Check("fuzz", source)
	})
}
