package gopher_test

import (
	"testing"

	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

func engines(b *testing.B) []vm.Engine { return []vm.Engine{lua54.Engine{}, engine(b)} }

// on runs a chunk once in each engine, and then what it returns, over and over.
func benchmarkLua(b *testing.B, source string) {
	for _, e := range engines(b) {
		b.Run(e.Name(), func(b *testing.B) {
			m := e.New(vm.Options{Tick: func() error { return nil }})
			defer m.Close()
			main := m.Main()
			main.PushFunc("add", func(s vm.State) int {
				x, _ := s.Int(1)
				y, _ := s.Int(2)
				s.PushInt(x + y)
				return 1
			})
			main.SetGlobal("add")
			th := main.NewThread()
			if err := th.Load("bench.lua", source); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			th.PushInt(int64(b.N))
			if th.Resume(1) == vm.Failed {
				b.Fatal(th.Text(-1))
			}
		})
	}
}

func BenchmarkWhatDoesATraversalCost(b *testing.B) {
	benchmarkLua(b, `local t = {} for i = 1, 100 do t["k" .. i] = i end
	local n, s = ..., 0 for i = 1, n / 100 + 1 do for k, v in pairs(t) do s = s + v end end`)
}

func BenchmarkWhatDoesAnIteratorOfLuaCost(b *testing.B) {
	benchmarkLua(b, `local function it(n, i) if i < n then return i + 1 end end for i in it, ..., 0 do end`)
}
