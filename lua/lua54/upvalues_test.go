package lua54_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// TestClosuresOverSeveralLocalsStayCheap makes many in one long-lived coroutine, as a pooled handler does, and in one long loop: the engine by itself needs
// 700 µs for the 40,000th and never gives its memory back.
func TestClosuresOverSeveralLocalsStayCheap(t *testing.T) {
	machine := lua54.Engine{}.New(vm.Options{Tick: func() error { return nil }})
	defer machine.Close()
	th := machine.Main().NewThread()
	err := th.Load("=closures", `
local function make(n)
  local sum = 0
  for i = 1, n do
    local a, b, c = i, 2, {}
    local f = function() sum = sum + a + b; return c end
    f()
  end
  return sum
end
local n = ...
while true do n = coroutine.yield(make(n)) end`)
	if err != nil {
		t.Fatal(err)
	}
	resume := func(n int64) time.Duration {
		begin := time.Now()
		th.PushInt(n)
		args := 1
		if status := th.Resume(args); status != vm.Yielded {
			t.Fatalf("status %v: %s", status, th.Text(-1))
		}
		sum, _ := th.Int(-1)
		if want := n*(n+1)/2 + 2*n; sum != want {
			t.Fatalf("%d closures sum up to %d, expected %d", n, sum, want)
		}
		th.SetTop(0)
		return time.Since(begin)
	}
	resume(100)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	// Ratios, because machines are slow at times: what is quadratic takes a hundred times as long for ten times as much.
	handlers := func(n int) (took time.Duration) {
		for range n {
			took += resume(20)
		}
		return took
	}
	if few, many := handlers(300), handlers(3000); many > 40*few {
		t.Errorf("6,000 closures in 300 handlers took %v, 60,000 in 3,000 %v", few, many)
	}
	if few, many := resume(10_000), resume(100_000); many > 40*few {
		t.Errorf("10,000 closures in one handler took %v, 100,000 %v", few, many)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d KiB stay behind", grown>>10)
	}
}

func TestUpvaluesAreStillSharedWhileTheyAreOpen(t *testing.T) {
	machine := lua54.Engine{}.New(vm.Options{Tick: func() error { return nil }})
	defer machine.Close()
	th := machine.Main().NewThread()
	err := th.Load("=shared", `
local x, y = 1, 2
local function both() return x + y end
local function setx(v) x = v end
coroutine.yield(both())      -- x and y are open while the coroutine waits
setx(10)
y = 20
coroutine.yield(both())
for i = 1, 30000 do local p, q = i, i; local f = function() return p + q end end
local function third() return x * y end
x = 5
coroutine.yield(both() + third())`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{3, 30, 125} {
		if status := th.Resume(0); status != vm.Yielded {
			t.Fatalf("status %v: %s", status, th.Text(-1))
		}
		if got, _ := th.Int(-1); got != want {
			t.Fatalf("got %d, expected %d", got, want)
		}
		th.SetTop(0)
	}
}
