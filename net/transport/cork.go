package transport

import (
	"sync/atomic"
	"time"
)

const (
	// corkSlots is how many connections may keep back what they send at one time; others have it written at once. More than that are in a step, or left for later
	// by a worker, only if handlers block.
	corkSlots = 256
	// corkTries is how many slots a connection looks at.
	corkTries = 4
	// watchEvery is how often the watch looks; what has been kept back at two looks is kept back no longer.
	watchEvery = 2 * time.Millisecond
	// watchSlow is how often it looks at the least: each look that finds nothing to watch over doubles the time to the next one, because looking is the dearest thing
	// that a server at rest does.
	watchSlow = 32 * watchEvery
	// watchRest is how many such looks end the watch.
	watchRest = 25
)

// corkSlot is where the watch finds a connection that keeps back what it sends. Each has a cache line of its own.
type corkSlot struct {
	conn atomic.Pointer[Conn]
	_    [56]byte
}

// cork keeps back what is sent until flush writes all of it at once. Others may send too while the goroutine that reads is in a handler, and that may block; so
// the watch takes the cork out of those that are in one step for long.
func (c *Conn) cork() {
	s := c.srv
	if s.corks[c.slot%corkSlots].conn.Load() == c && c.recork() {
		return
	}
	for i := range uint32(corkTries) {
		slot := &s.corks[(c.slot+i)%corkSlots]
		if slot.conn.Load() != nil || !slot.conn.CompareAndSwap(nil, c) {
			continue
		}
		c.slot += i
		c.mu.Lock()
		c.out.cork, c.out.corked = slot, !c.out.running
		c.out.step++
		c.mu.Unlock()
		return
	}
}

// recork tells whether the cork of an earlier step is still in, because the worker has not written yet. This is a new step for the watch.
func (c *Conn) recork() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.cork == nil {
		return false
	}
	c.out.step++
	return true
}

// uncork takes the cork out; c.mu is held.
func (c *Conn) uncork() {
	c.out.corked = false
	if c.out.cork != nil {
		c.out.cork.conn.Store(nil)
		c.out.cork = nil
	}
}

// flush ends a step: it writes what was kept back, on the calling goroutine, which may wait for the client. It holds back only that client, and others go on sending.
func (c *Conn) flush(now int64) {
	if c.settle(now) {
		c.writeCorked(now, false)
	}
}

// settle ends a step but for the writing, and tells whether something is to be written.
func (c *Conn) settle(now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.rearm(now)
	}
	if c.out.running || !c.more() {
		c.uncork()
		return false
	}
	return true
}

// writeCorked takes the cork out and writes what was kept back; late as with writeRounds.
func (c *Conn) writeCorked(now int64, late bool) {
	c.mu.Lock()
	c.uncork()
	if c.out.running || !c.more() {
		c.mu.Unlock()
		return
	}
	c.out.running = true
	c.writeRounds(now, ownRounds, late)
}

// watch looks after what is kept back and after those who wait for a blocked worker of the crew.
func (s *server) watch() {
	if w := &s.crew; !w.watched.Load() && w.watched.CompareAndSwap(false, true) {
		w.running.Go(s.look)
	}
}

func (s *server) look() {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	var seen [corkSlots]corked
	for quiet, every := 0, watchEvery; ; timer.Reset(every) {
		s.crew.slow.Store(every > watchEvery)
		select {
		case <-timer.C:
			quiet, every = quiet+1, min(2*every, watchSlow)
			if !s.lookOnce(&seen) {
				break
			}
			quiet, every = 0, watchEvery
			s.poll()
		case <-s.crew.crowded:
			quiet, every = 0, watchEvery
		case <-s.crew.done:
			return
		}
		if quiet < watchRest {
			continue
		}
		s.crew.watched.Store(false)
		// Whoever has made something wait before it could see that nobody watches any more is seen now.
		if !s.lookOnce(&seen) || !s.crew.watched.CompareAndSwap(false, true) {
			return
		}
		quiet, every = 0, watchEvery
	}
}

// corked is what a look has found in a slot.
type corked struct {
	conn *Conn
	step uint32
}

// lookOnce tells whether anything waits.
func (s *server) lookOnce(seen *[corkSlots]corked) (waiting bool) {
	for i := range s.corks {
		c := s.corks[i].conn.Load()
		if c == nil {
			seen[i] = corked{}
			continue
		}
		c.mu.Lock()
		step := c.out.step
		if c.out.corked && c.more() {
			waiting = true
			if seen[i] == (corked{c, step}) {
				c.out.corked = false
				c.startWriting(nil)
			}
		}
		c.mu.Unlock()
		seen[i] = corked{c, step}
	}
	return s.crew.rescue() || waiting
}
