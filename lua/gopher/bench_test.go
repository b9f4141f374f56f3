package gopher_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// onEach runs a benchmark on the default engine and on this one.
func onEach(b *testing.B, f func(b *testing.B, e vm.Engine)) {
	b.Helper()
	for _, e := range []vm.Engine{lua54.Engine{}, engine(b)} {
		b.Run(e.Name(), func(b *testing.B) { f(b, e) })
	}
}

func idle() error { return nil }

// chunk runs a chunk that gets how often it has to do what is measured.
func chunk(b *testing.B, source string) {
	b.Helper()
	onEach(b, func(b *testing.B, e vm.Engine) {
		m := e.New(vm.Options{Tick: idle})
		defer m.Close()
		main := m.Main()
		main.PushFunc("add", func(s vm.State) int {
			x, _ := s.Int(1)
			y, _ := s.Int(2)
			s.PushInt(x + y)
			return 1
		})
		main.SetGlobal("add")
		main.PushFunc("wait", func(s vm.State) int { return s.Yield(0) })
		main.SetGlobal("wait")
		th := load(b, m, source)
		th.PushInt(int64(b.N))
		b.ReportAllocs()
		b.ResetTimer()
		status := th.Resume(1)
		for status == vm.Yielded {
			th.SetTop(0)
			status = th.Resume(0)
		}
		if status == vm.Failed {
			b.Fatal(th.Text(-1))
		}
	})
}

func BenchmarkWhatDoesATraversalCost(b *testing.B) {
	chunk(b, `local n, t, s = ..., {}, 0 for i = 1, 100 do t["k" .. i] = i end for i = 1, n / 100 + 1 do for k, v in pairs(t) do s = s + v end end`)
}

func BenchmarkWhatDoesAnIteratorOfLuaCost(b *testing.B) {
	chunk(b, `local function it(n, i) if i < n then return i + 1 end end for i in it, ..., 0 do end`)
}

func BenchmarkWhatDoesACallOfGoCost(b *testing.B) {
	chunk(b, `local add = add for i = 1, ... do add(i, 1) end`)
}

func BenchmarkWhatDoesAPCallCost(b *testing.B) {
	chunk(b, `local function f() end for i = 1, ... do pcall(f) end`)
}

func BenchmarkWhatDoesACaughtErrorCost(b *testing.B) {
	chunk(b, `for i = 1, ... do pcall(error, "x") end`)
}

func BenchmarkWhatDoesAWaitCost(b *testing.B) {
	chunk(b, `local wait = wait for i = 1, ... do wait() end`)
}

func BenchmarkWhatDoesAWaitInPCallCost(b *testing.B) {
	chunk(b, `local wait = wait for i = 1, ... do pcall(wait) end`)
}

func BenchmarkWhatDoesAWaitInALuaCoroutineCost(b *testing.B) {
	chunk(b, `local next = coroutine.wrap(function() while true do coroutine.yield() end end) for i = 1, ... do next() end`)
}

func BenchmarkWhatDoComputationsCost(b *testing.B) {
	chunk(b, `local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end for i = 1, ... do fib(15) end`)
}

// script is 300 lines of functions.
func script() string {
	var b strings.Builder
	for i := range 150 {
		fmt.Fprintf(&b, "function f%d(a, b) local t = { a, b, x = a }\n if a then return t.x + %d end return t[1] .. \"s%d\" end\n", i, i, i)
	}
	return b.String()
}

func BenchmarkWhatDoesAVMOfAScriptCost(b *testing.B) {
	source := script()
	onEach(b, func(b *testing.B, e vm.Engine) {
		b.ReportAllocs()
		for b.Loop() {
			m := e.New(vm.Options{Tick: idle})
			if status := load(b, m, source).Resume(0); status != vm.Finished {
				b.Fatal(status)
			}
			m.Close()
		}
	})
}

func BenchmarkHowMuchMemoryDoesAnIdleVMTake(b *testing.B) {
	for name, source := range map[string]string{"empty": "", "script": script()} {
		b.Run(name, func(b *testing.B) {
			onEach(b, func(b *testing.B, e vm.Engine) {
				const many = 200
				begin := func() vm.VM {
					m := e.New(vm.Options{Tick: idle})
					if status := load(b, m, source).Resume(0); status != vm.Finished {
						b.Fatal(status)
					}
					return m
				}
				first := begin()
				for b.Loop() {
					before := heap()
					vms := make([]vm.VM, many)
					for i := range vms {
						vms[i] = begin()
					}
					b.ReportMetric(float64(heap()-before)/many, "B/vm")
					runtime.KeepAlive(vms)
				}
				runtime.KeepAlive(first)
			})
		})
	}
}

func BenchmarkWhatDoesSettingAFieldCost(b *testing.B) {
	chunk(b, `local t = { n = 0 } for i = 1, ... do t.n = i end`)
}

func BenchmarkWhatDoesReadingAnItemCost(b *testing.B) {
	chunk(b, `local t, s = {}, 0 for i = 1, 100 do t[i] = i end for i = 1, ... do s = t[i % 100 + 1] end`)
}

func BenchmarkWhatDoesASmallTableCost(b *testing.B) {
	chunk(b, `for i = 1, ... do local t = {} t.x = i t.y = i end`)
}
