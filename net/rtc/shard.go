package rtc

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shard is a part of a source's slots. The first is served by the goroutine that reads from the publisher, each further one by one of its own, so that many viewers are
// written to on all cores. What wakes it is no queue: each slot knows how far it is, and takes the rest from the source's cache.
type shard struct {
	mu    sync.Mutex // of changes
	slots atomic.Pointer[[]*slot]
	wake  chan struct{}
}

// maxShards is how many goroutines may write for one source besides its own.
func maxShards() int { return min(runtime.GOMAXPROCS(0), 8) }

func newShard() *shard {
	sh := &shard{wake: make(chan struct{}, 1)}
	sh.slots.Store(new([]*slot))
	return sh
}

func (sh *shard) len() int { return len(*sh.slots.Load()) }

func (sh *shard) add(sl *slot) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.slots.Store(new(append(slices.Clone(*sh.slots.Load()), sl)))
}

func (sh *shard) remove(sl *slot) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if at := slices.Index(*sh.slots.Load(), sl); at >= 0 {
		sh.slots.Store(new(slices.Delete(slices.Clone(*sh.slots.Load()), at, at+1)))
	}
}

func (sh *shard) ring() {
	select {
	case sh.wake <- struct{}{}:
	default: // it will look anyhow
	}
}

// serve writes to the slots until the source ends.
func (sh *shard) serve(s *source) {
	for {
		select {
		case <-sh.wake:
			s.server.turn(func(out *outbox) {
				if sh.pump(s, time.Now(), out) {
					sh.ring()
				}
			})
		case <-s.stop:
			return
		}
	}
}

// pump sends what the slots have not had yet. more tells that a slot is still behind.
func (sh *shard) pump(s *source, now time.Time, out *outbox) (more bool) {
	for _, sl := range *sh.slots.Load() {
		more = sl.pump(s, now, out) || more
	}
	return more
}

func (sh *shard) late(s *source, p *packet, out *outbox) {
	for _, sl := range *sh.slots.Load() {
		sl.late(s, p, out)
	}
}
