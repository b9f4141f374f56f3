package documents_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/lua"
)

// character is a document of a game with 50 fields, of about 4 KB.
type character struct {
	Name  string           `bson:"name"`
	Bag   []thing          `bson:"bag"`
	Stats map[string]int64 `bson:"stats"`
}

type thing struct {
	ID    int64  `bson:"id"`
	Kind  string `bson:"kind"`
	Count int64  `bson:"count"`
}

func newCharacter() character {
	c := character{Name: "Somebody", Stats: map[string]int64{}}
	for i := range 60 {
		c.Bag = append(c.Bag, thing{int64(100000 + i), "potion of healing", int64(i)})
	}
	for i := range 50 {
		c.Stats[fmt.Sprintf("stat_%d", i)] = int64(i)
	}
	return c
}

const benchScript = `
function M.load_many(self, n) for _ = 1, n do store.load("player", "p", { fresh = true }) end return true end
function M.commit_many(self, n)
  local p = store.open("player", "p")
  for i = 1, n do p.stats.stat_7 = i p:commit() end
  return true
end
function M.access(self, n, opened)
  local p = opened and store.open("player", "p") or { gold = 5, stats = { stat_7 = 1 } }
  p.gold = 5
  local sum = 0
  while n > 0 do
    for i = 1, math.min(n, 100000) do
      sum = sum + p.gold + p.stats.stat_7
      p.gold = i
    end
    n = n - 100000
    skynet.sleep(0) -- the CPU budget is for what comes between two waits
  end
  return sum
end`

// processor reports what a benchmark takes of all processors, which a machine that is busy with other things does not change much.
func processor(b *testing.B) (done func()) {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	began := used()
	return func() { b.ReportMetric(float64(used()-began)/float64(b.N), "cpu-ns/op") }
}

// How long does a script wait for a document of 4 KB, beside a Go program that reads and decodes it without a service?
func BenchmarkALoadOf4KB(b *testing.B) {
	for name, engine := range engines(b) {
		r := newRig(b, engine, benchScript)
		r.put("p", newCharacter())
		a := r.service()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer processor(b)()
			r.want("true", a, "load_many", b.N)
		})
		if name != "lua54" {
			r.stop()
			continue
		}
		b.Run("bare", func(b *testing.B) {
			b.ReportAllocs()
			defer processor(b)()
			for b.Loop() {
				doc, err := r.db.Load(context.Background(), "player", "p")
				if err != nil {
					b.Fatal(err)
				}
				var c character
				if err := bson.Unmarshal(doc.Body, &c); err != nil {
					b.Fatal(err)
				}
			}
		})
		r.stop()
	}
}

// What does reading and writing an open document's table cost, beside a table that is none?
func BenchmarkAccess(b *testing.B) {
	for name, engine := range engines(b) {
		r := newRig(b, engine, benchScript)
		r.put("p", newCharacter())
		a := r.service()
		for _, opened := range []bool{false, true} {
			what := map[bool]string{false: "plain", true: "document"}[opened]
			b.Run(name+"/"+what, func(b *testing.B) {
				defer processor(b)()
				if _, err := r.sys.Ask(context.Background(), a, lua.Command("access", b.N, opened)); err != nil {
					b.Fatal(err)
				}
			})
		}
		r.stop()
	}
}

// What does it cost to change one of 50 fields durably?
func BenchmarkACommitOfOneFieldOf50(b *testing.B) {
	for name, engine := range engines(b) {
		r := newRig(b, engine, benchScript)
		r.put("p", newCharacter())
		a := r.service()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer processor(b)()
			r.want("true", a, "commit_many", b.N)
		})
		r.stop()
	}
}
