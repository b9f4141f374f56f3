package transport_test

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/net/transport"
)

func TestWorkersLetOthersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that this goroutine has no core of its own
	const conns, frames = 64, 100
	var handled atomic.Int64
	_, m := inMemory(t, false, transport.Config{}, func(*session, string) error {
		for begun := time.Now(); time.Since(begun) < 20*time.Microsecond; {
		}
		handled.Add(1)
		return nil
	}, nil)
	for range conns {
		c := m.dial("1")
		c.mu.Lock()
		for range frames {
			c.in = append(c.in, frame("x"))
		}
		c.mu.Unlock()
		c.news()
	}
	var between []int64 // how many are handled from one turn of this goroutine to the next
	for last := int64(0); last < conns*frames; {
		runtime.Gosched()
		now := handled.Load()
		if now > last {
			between = append(between, now-last)
		}
		last = now
	}
	slices.Sort(between)
	// Four workers, each for half a millisecond or so, are 100 to 130 of them, and up to 300 where other programs take the processor. Go would let each go on for
	// 10 ms, which is 2,000.
	if median := between[len(between)/2]; median > 600 {
		t.Errorf("%d frames were handled from one turn of another goroutine to the next", median)
	}
}
