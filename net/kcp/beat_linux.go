package kcp

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"
)

// beat reads for the readers that rest, now and then. A reader may rest when nobody minds and it pays: the last datagrams were of sessions at rest, and there are so many of
// them that the next ones come soon. Who wakes for each heartbeat of thousands of sessions spends its time on waking threads. So these wait for the next beat, as all wait
// for the clock in ikcp; those of sessions at play never do. All sockets are read, and all wheels turned, by one goroutine: each further one would have more threads woken.
type beat struct {
	l      *listener
	ticker *ticker

	mu      sync.Mutex
	resting []*receiver
	over    bool
	lend    func(tell func()) (left bool) // nil: nobody has use for it
	spare   []func() // of who strikes
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

func newBeat(l *listener) (*beat, error) {
	t, err := newTicker()
	return &beat{l: l, ticker: t}, err
}

// run beats until the ticker is closed.
func (b *beat) run() {
	for b.ticker.wait() == nil {
		b.strike()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.raise(func(*receiver) bool { return true })
}

// close ends run, and all rests.
func (b *beat) close() error { return b.ticker.close() }

// rest is called by a reader, and returns when it is time to read again.
func (b *beat) rest(r *receiver) error {
	sh := r.from
	if err := sh.socket.listen(false); err != nil {
		return err
	}
	sh.mind(true)
	r.resting = true
	err := b.enter(r)
	if err == nil {
		<-r.risen
	}
	r.resting = false
	sh.mind(false)
	return errors.Join(err, sh.socket.listen(true))
}

// lendTo has f called with what tells those whom datagrams were for.
func (b *beat) lendTo(f func(tell func()) (left bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lend = f
}

func (b *beat) enter(r *receiver) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return net.ErrClosed
	}
	if len(b.resting) == 0 {
		if err := b.ticker.set(beatEvery); err != nil {
			return err
		}
	}
	b.resting = append(b.resting, r)
	return nil
}

// raise ends the rest of those of whom f says so. The lock is held.
func (b *beat) raise(f func(r *receiver) bool) {
	if len(b.resting) == 0 {
		return
	}
	b.resting = slices.DeleteFunc(b.resting, func(r *receiver) bool {
		up := f(r)
		if up {
			r.risen <- struct{}{}
		}
		return up
	})
	if len(b.resting) == 0 {
		_ = b.ticker.set(0) // else it ticks for nobody
	}
}

// strike reads for all who rest.
func (b *beat) strike() {
	b.mu.Lock()
	b.raise(func(r *receiver) bool { return !r.serve() })
	lend := b.lend
	b.mu.Unlock()
	b.answer(lend)
}

// answer turns the wheels, tells those whom datagrams or the time were for, and sends what they answer at once together with everything else.
func (b *beat) answer(lend func(tell func()) (left bool)) {
	told, now := false, b.l.now()
	for _, sh := range b.l.shards {
		sh.mu.Lock()
		if !sh.sending {
			sh.sending, sh.held = true, true
		}
		if sh.minded {
			sh.advance(now)
		}
		told = told || len(sh.wakes) > 0
		sh.mu.Unlock()
	}
	switch {
	case !told:
	case lend == nil:
		b.tell()
		runtime.Gosched() // now they run
	case lend(b.tell):
		runtime.Gosched()
	}
	for _, sh := range b.l.shards {
		sh.mu.Lock()
		if sh.held {
			sh.sending, sh.held = false, false
		}
		sh.release(&b.spare)
	}
}

// tell calls those who wait.
func (b *beat) tell() {
	for _, sh := range b.l.shards {
		sh.mu.Lock()
		sh.wake(&b.spare)
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
