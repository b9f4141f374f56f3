package kcp

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// beat reads for the readers that rest, now and then. A reader may rest when nobody minds and it pays: the last datagrams were of sessions at rest, and there are so many of
// them that the next ones come soon. Who wakes for each heartbeat of thousands of sessions spends its time on waking threads. So these wait for the next beat, as all wait
// for the clock in ikcp; those of sessions at play never do. All sockets are read, and all wheels turned, by one goroutine, with one timer: each further one would have more
// threads woken.
type beat struct {
	l *listener

	mu      sync.Mutex
	timer   *time.Timer
	resting []*receiver
	spare   []func()
}

const (
	// beatEvery is the longest that a datagram waits. What a beat costs hardly depends on how many it finds. A client that has been at play may have a timeout of only
	// 30 ms: it sends its first heartbeat twice, and from then on allows for the beats, which are in the round trips that it measures.
	beatEvery = 36 * time.Millisecond
	// often is how many milliseconds may lie between datagrams for rests to pay.
	often = int64(2 * beatEvery / time.Millisecond)
	// playing is for how many milliseconds behind a datagram of a session at play a reader does not rest.
	playing = 250
	// beatBatches is how many full batches end a reader's rest: it has enough to do.
	beatBatches = 4
)

func newBeat(l *listener) *beat {
	b := &beat{l: l}
	b.timer = time.AfterFunc(time.Hour, b.strike)
	b.timer.Stop()
	return b
}

// rest is called by a reader, and returns when it is time to read again.
func (b *beat) rest(r *receiver) error {
	sh := r.from
	if err := sh.socket.listen(false); err != nil {
		return err
	}
	sh.mind(true)
	r.resting = true
	b.mu.Lock()
	if b.resting = append(b.resting, r); len(b.resting) == 1 {
		b.timer.Reset(beatEvery)
	}
	b.mu.Unlock()
	select {
	case <-r.risen:
	case <-b.l.over:
		b.leave(r)
	}
	r.resting = false
	sh.mind(false)
	return sh.socket.listen(true)
}

func (b *beat) leave(r *receiver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resting = slices.DeleteFunc(b.resting, func(other *receiver) bool { return other == r })
	b.stopIfOver()
}

func (b *beat) stopIfOver() {
	if len(b.resting) == 0 {
		b.timer.Stop()
	}
}

// strike reads for all who rest, on a goroutine of the timer's.
func (b *beat) strike() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer.Reset(beatEvery) // at once: a thread that goes to sleep meanwhile would be woken to hear of it later
	b.resting = slices.DeleteFunc(b.resting, func(r *receiver) bool {
		if r.serve() {
			return false
		}
		r.risen <- struct{}{}
		return true
	})
	b.stopIfOver()
	b.answer()
}

// answer wakes those whom the datagrams were for, and sends what they answer at once together with everything else.
func (b *beat) answer() {
	for _, sh := range b.l.shards {
		sh.mu.Lock()
		if !sh.sending {
			sh.sending, sh.held = true, true
		}
		sh.wake(&b.spare)
	}
	runtime.Gosched() // now they run
	for _, sh := range b.l.shards {
		sh.mu.Lock()
		if sh.held {
			sh.sending, sh.held = false, false
		}
		if sh.minded {
			sh.turn()
		}
		sh.release(&b.spare)
	}
}

// serve takes what has come while the reader rests, and says whether it may go on resting.
func (r *receiver) serve() bool {
	for range beatBatches {
		ds, err := r.from.socket.read()
		if len(ds) > 0 {
			r.batch(ds)
		}
		switch {
		case err != nil || !r.mayRest() || r.l.now()-r.before > often:
			return false
		case len(ds) < batchSize:
			return true
		}
	}
	return false
}

// mayRest says whether the next datagrams may wait.
func (r *receiver) mayRest() bool { return !r.active && r.now-r.played >= playing }
