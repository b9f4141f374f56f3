package sharedata_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/services/sharedata"
)

// readLoops are ways to read: a chunk that is given n and a table like row, and reads it n times.
var readLoops = []struct{ name, chunk string }{
	{"field", `local row = t.rows[500] local s = 0 for i = 1, n do s = s + row.price end`},
	{"path", `local s = 0 for i = 1, n do s = s + t.rows[500].price end`},
	{"rows", `local s, rows = 0, t.rows for i = 1, n do s = s + rows[i % 1000 + 1].price end`},
	{"pairs", `local s, row = 0, t.rows[500] for i = 1, n / 10 do for k, v in pairs(row) do s = s + 1 end end`},
	{"missing", `local s, row = 0, t.rows[500] for i = 1, n do if row.nothing then s = 1 end end`},
}

// BenchmarkRead answers: what does a read of a shared table cost, beside one of a table of the VM?
func BenchmarkRead(b *testing.B) {
	for _, engine := range luatest.Engines(b) {
		for _, table := range []string{"plain", "sharedata", "sharetable"} {
			for _, loop := range readLoops {
				b.Run(fmt.Sprintf("%s/%s/%s", engine.Name(), loop.name, table), func(b *testing.B) {
					r := newRig(b, engine, sharedata.Config{})
					a := r.Start("runner")
					r.Call(a, "run", `plain = (loadstring or load)([[`+bigConf+`]])() sharedata.new("conf", plain) sharetable.loadtable("conf", plain)`)
					from := map[string]string{"plain": "plain", "sharedata": `sharedata.query "conf"`, "sharetable": `sharetable.query "conf"`}[table]
					b.ReportAllocs()
					b.ResetTimer()
					var spent time.Duration
					for left := b.N; left > 0; left -= 100_000 { // a handler has a budget
						began := time.Now()
						if got := r.Call(a, "run", fmt.Sprintf(`local n, t = %d, %s %s return "done"`, min(left, 100_000), from, loop.chunk)); got != `"done"` {
							b.Fatal(got, r.Logged)
						}
						spent += time.Since(began)
					}
					b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/read")
				})
			}
		}
	}
}

// BenchmarkPublish answers: what does an update of a table with 10,000 rows of 10 fields cost?
func BenchmarkPublish(b *testing.B) {
	for _, engine := range luatest.Engines(b) {
		b.Run(engine.Name(), func(b *testing.B) {
			r := newRig(b, engine, sharedata.Config{})
			a := r.Start("runner")
			r.Call(a, "run", `plain = (loadstring or load)([[`+bigConf+`]])()`)
			b.ReportAllocs()
			for b.Loop() {
				if got := r.Call(a, "run", `sharedata.update("conf", plain) return 1`); got != "1" {
					b.Fatal(got, r.Logged)
				}
			}
		})
	}
}
