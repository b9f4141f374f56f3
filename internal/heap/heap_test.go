package heap_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/skua-go/skua/internal/heap"
)

func TestTheCollectorRunsAtTheFloorOrWhenTheHeapHasDoubled(t *testing.T) {
	const floor = 64 << 20
	for live, want := range map[uint64]int{
		0: 3200, 1 << 20: 3200, 4 << 20: 1600, 10 << 20: 400, 20 << 20: 200, 40 << 20: 100, 64 << 20: 100, 1 << 30: 100,
	} {
		got := heap.Percent(live, floor)
		if got != want {
			t.Errorf("%d MB alive: GOGC %d, want %d", live>>20, got, want)
		}
		if more := live * uint64(got) / 100; got > 100 && more > floor {
			t.Errorf("%d MB alive: the collector runs after %d MB more, which is beyond the floor", live>>20, more>>20)
		}
	}
}

func TestTheFloorIsKept(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(100)
	heap.KeepFloor(heap.DefaultFloor)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var keep []byte
	for range 256 { // 16 MB of garbage are four collections and more without a floor
		keep = make([]byte, 64<<10)
	}
	runtime.KeepAlive(keep)
	runtime.ReadMemStats(&after)
	if n := after.NumGC - before.NumGC; n > 1 {
		t.Errorf("%d collections", n)
	}
}
