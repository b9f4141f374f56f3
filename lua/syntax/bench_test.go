package syntax_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/syntax"
)

// BenchmarkHowFastScriptsAreRead reads all scripts of the repository as one source.
func BenchmarkHowFastScriptsAreRead(b *testing.B) {
	var all strings.Builder
	for _, s := range scripts(b) {
		if strings.HasPrefix(s, "#") {
			s = "--" + s
		}
		all.WriteString("do local _ = function(...)\n" + s + "\nend end\n")
	}
	benchmark(b, all.String())
}

// BenchmarkHowFastDataIsRead reads 10 MB of tables, as tools of designers write them.
func BenchmarkHowFastDataIsRead(b *testing.B) {
	row := "  [1001] = {id = 1001, name = 'Sword of \\'Dawn\\'', price = 12.5, tags = {\"weapon\", \"rare\"}, drop = {rate = 0.25, from = {17, 18, 19}}, on = true},\n"
	benchmark(b, "return {\n"+strings.Repeat(row, 10<<20/len(row))+"}\n")
}

func benchmark(b *testing.B, source string) {
	b.Helper()
	b.SetBytes(int64(len(source)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := syntax.Parse("bench.lua", source); err != nil {
			b.Fatal(err)
		}
	}
}
