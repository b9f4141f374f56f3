package transport

// lender is a listener with a goroutine that lends itself; the package comment has its contract.
type lender interface {
	Lend(f func(tell func()) (left bool))
}

// roomyConn is a connection that tells how much can be written without waiting.
type roomyConn interface{ Room() int }

// briefReceiver is a Receiver some of whose frames take so little that they may be handled by a goroutine that many connections wait for.
type briefReceiver interface {
	// Brief tells whether Frame would do with this frame what neither waits nor takes long, and would return; nor may Drained or Prefetch wait then. It is called
	// by whoever calls Frame, and must not wait either.
	Brief(frame []byte) bool
}

// lend calls tell, which calls what connections have set by Notify, and does then on the goroutine that lends itself what is brief of what came: reads, handles and
// answers it. All else is left to the workers. When thousands of connections say no more than that they are there, waking workers for it would be most
// of what it costs.
// It is called by one goroutine at a time.
func (w *crew) lend(tell func()) (left bool) {
	w.mu.Lock()
	w.lent = w.waits == 0 // else the workers are awake
	w.mu.Unlock()
	tell()
	w.mu.Lock()
	if !w.lent {
		w.mu.Unlock()
		return true
	}
	w.lent = false
	for most := w.waits; w.takeReads(most); {
		most -= w.guest.share.n
		w.mu.Unlock()
		left = w.readBrief() || left
		w.mu.Lock()
	}
	if w.waits == 0 {
		w.mu.Unlock()
		return left
	}
	w.call()
	return true
}

// takeReads takes a share of the jobs at the head of the ring, at most so many, as far as they read. The lock is held.
func (w *crew) takeReads(most int) bool {
	s := &w.guest.share
	for s.n = 0; s.n < min(most, shareJobs) && w.waits > 0 && w.jobs[w.head].read; s.n++ {
		s.jobs[s.n] = w.pop()
	}
	return s.n > 0
}

// readBrief does what is brief of a share, and hands over the rest.
func (w *crew) readBrief() (left bool) {
	me := &w.guest
	s := &me.share
	s.load(job{})
	for c := range s.readers(job{}) {
		if c.isLendable() {
			c.readAhead()
		}
	}
	s.loadMore(job{})
	for i := range s.n {
		c := s.jobs[i].conn
		s.jobs[i] = job{}
		if !c.readStepsNow(me) {
			left = true
			w.submitRead(c)
		}
	}
	return left
}

// isLendable tells whether a goroutine that lends itself can do anything for the connection.
func (c *Conn) isLendable() bool {
	if _, ok := c.recv.(briefReceiver); !ok {
		return false
	}
	_, ok := c.nc.(roomyConn)
	return ok && c.frames == nil
}

// readStepsNow is readSteps for what is brief. false: a worker has to go on.
func (c *Conn) readStepsNow(me *worker) bool {
	if !c.isLendable() {
		return false
	}
	for range shareBrief {
		if c.closing.Load() {
			return false
		}
		c.readAhead()
		rd := &c.in
		n, err := rd.ahead.n, rd.ahead.err
		switch {
		case n == 0 && err == nil:
			rd.ahead = ahead{}
			rd.shrink(c)
			if c.steps.state.CompareAndSwap(stepping, resting) {
				return true
			}
		case n == 0 && isTimeout(err):
			if c.await(c.srv.now()) != nil {
				return false // which the worker finds out again
			}
			rd.ahead = ahead{}
		case err != nil || n < 0 || n > len(rd.buf) || rd.end > 0 || !c.isBrief(rd.buf[:n]):
			return false
		default:
			rd.ahead = ahead{}
			if err := c.step(n, nil, me); err != nil {
				c.endSteps(err)
				return true
			}
			rd.fit(c, n)
		}
	}
	return false
}

// shareBrief is how many reads are made for one connection by a goroutine that lends itself: one that finds something, one that finds nothing more, and one for news.
const shareBrief = 3

// isBrief tells whether bytes that have been read are whole frames, all of them brief ones.
func (c *Conn) isBrief(bytes []byte) bool {
	recv, ok := c.recv.(briefReceiver)
	for ok && len(bytes) > 0 {
		advance, frame, err := c.srv.cfg.Split(bytes)
		ok = err == nil && advance > 0 && advance <= len(bytes) && (frame == nil || recv.Brief(frame))
		if ok {
			bytes = bytes[advance:]
		}
	}
	return ok
}

// hold is cork for a step that takes no time: nobody need watch over it.
func (c *Conn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.corked = !c.out.running
}

// flushNow is flush that never waits.
func (c *Conn) flushNow(now int64) {
	if !c.settle(now) {
		return
	}
	c.mu.Lock()
	c.uncork()
	if c.out.running || !c.more() {
		c.mu.Unlock()
		return
	}
	room, ok := c.nc.(roomyConn)
	if !ok || c.reason != nil || c.out.batch == nil || c.out.wanted > 0 || len(c.out.batch.bytes) > room.Room() {
		c.startWriting(nil)
		c.mu.Unlock()
		return
	}
	c.out.running = true // who else writes waits for us, so there will not be less room
	c.writeRounds(now, 1, false)
}
