package kcp

import (
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
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
	spare   []func()                      // of who strikes
}

// beatBatches is how many full batches end a reader's rest: it has enough to do.
const beatBatches = 4

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
