package lua54_test

import (
	"testing"

	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

func runIt(b *testing.B, source string) {
	b.Helper()
	s := lua54.Engine{}.New(vm.Options{Tick: func() error { return nil }}).Main()
	if err := s.Load("bench", source); err != nil {
		b.Fatal(err)
	}
	s.PushInt(int64(b.N))
	b.ResetTimer()
	if err := s.PCall(1, 0); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkFib(b *testing.B) {
	runIt(b, `local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end for i = 1, ... do fib(20) end`)
}

func BenchmarkLoop(b *testing.B) {
	runIt(b, `local t = {} for i = 1, 100 do t[i] = i end for n = 1, ... do local s = 0 for i = 1, #t do s = s + t[i] * 2 end end`)
}

func BenchmarkMethods(b *testing.B) {
	runIt(b, `local C = {} C.__index = C function C:add(n) self.n = self.n + n return self end local o = setmetatable({n=0}, C) for i = 1, ... do o:add(1) end`)
}

func BenchmarkTable4(b *testing.B) {
	runIt(b, `local t for i = 1, ... do t = { id = i, name = "x", hp = 10, pos = 1.5 } end`)
}

func BenchmarkConcat(b *testing.B) {
	runIt(b, `local s for i = 1, ... do s = "player:" .. i .. ":x" end`)
}

func BenchmarkPairs(b *testing.B) {
	runIt(b, `local t = {} for i = 1, 100 do t["k" .. i] = i end for n = 1, ... do local s = 0 for k, v in pairs(t) do s = s + v end end`)
}

func BenchmarkPCall(b *testing.B) {
	runIt(b, `local f = function(a) return a end for n = 1, ... do pcall(f, n) end`)
}

func BenchmarkSwitchInLua(b *testing.B) {
	runIt(b, `local co = coroutine.wrap(function() while true do coroutine.yield() end end) for n = 1, ... do co() end`)
}

func BenchmarkSwitchFromGo(b *testing.B) {
	e := lua54.Engine{}
	s := e.New(vm.Options{}).Main()
	th := s.NewThread()
	s.PushFunc("wait", func(s vm.State) int { return s.Yield(0) })
	s.SetGlobal("wait")
	if err := s.Load("x", `local wait = wait while true do wait() end`); err != nil {
		b.Fatal(err)
	}
	s.Move(th, 1)
	b.ReportAllocs()
	for range b.N {
		th.Resume(0)
	}
}
