package lua54_test

import (
	"strings"
	"testing"
)

// FuzzRun runs any source with little time and memory: whatever it is, it ends, with a result or an error of the script.
func FuzzRun(f *testing.F) {
	for seed := range uint64(20) {
		f.Add("local P, T, I, F, C = print or function() end, pcall, tostring, tonumber, function() return 'c' end\n" + generate(seed))
	}
	for _, c := range edges {
		f.Add(c.source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		m := newVM(limits{steps: 3, memory: 16 << 20})
		defer m.Close()
		if got := result(m, source); strings.Contains(got, "panic: ") && !strings.Contains(source, "panic") {
			t.Error(got)
		}
	})
}
