package transport

import (
	"fmt"
	"net"
	"sync/atomic"
)

// stepConn is a connection that tells when there is something to read, so that no goroutine has to wait for it; the package comment has its contract.
type stepConn interface {
	net.Conn
	ReadNow(p []byte) (n int, err error)
	Notify(f func())
}

// steps is how such a connection is read: in steps, which the crew's workers take, one at a time.
type steps struct {
	nc    stepConn
	state atomic.Uint32
}

func stepsOf(nc net.Conn) *steps {
	if sc, ok := nc.(stepConn); ok {
		return &steps{nc: sc}
	}
	return nil
}

// States of steps.
const (
	stepping uint32 = iota // a worker is about to read, or does
	again                  // the same, and there is news since it began
	resting                // nothing is there to read
	ended                  // nothing more is read
)

// stepShare is how many reads a worker makes for one connection while others may wait.
const stepShare = 16

// notified is called when there is something to read, or something to see for who reads. It never blocks.
func (c *Conn) notified() {
	for s := &c.steps.state; ; {
		switch now := s.Load(); now {
		case resting:
			if s.CompareAndSwap(resting, stepping) {
				c.srv.crew.submitRead(c)
				return
			}
		case stepping:
			if s.CompareAndSwap(stepping, again) {
				return
			}
		default:
			return
		}
	}
}

// beginSteps opens the connection.
func (c *Conn) beginSteps(me *worker) {
	returned := false
	defer func() {
		if !returned {
			c.endSteps(errGoexit)
		}
	}()
	err := c.open()
	returned = true
	if err != nil {
		c.steps.state.Store(ended)
		go c.refused(err) // it may wait for the client
		return
	}
	if err := c.await(c.srv.now()); err != nil {
		c.endSteps(err)
		return
	}
	c.steps.nc.Notify(c.notified)
	c.readSteps(me)
}

// readSteps reads what there is.
func (c *Conn) readSteps(me *worker) {
	err, returned := errGoexit, false
	defer func() {
		if !returned {
			c.endSteps(err)
		}
	}()
	var more bool
	more, err = c.readSome(me)
	returned = true
	switch {
	case err != nil:
		c.endSteps(err)
	case more:
		c.srv.crew.submitRead(c) // behind those that wait
	}
}

// readSome reads until there is nothing, or it is the turn of others: then there may be more.
func (c *Conn) readSome(me *worker) (more bool, err error) {
	rd, st := &c.in, c.steps
	for range stepShare {
		if err := c.end(); err != nil {
			return false, err
		}
		c.readAhead()
		n, err := rd.ahead.n, rd.ahead.err
		rd.ahead = ahead{}
		if n < 0 || n > len(rd.buf)-rd.end {
			return false, fmt.Errorf("%w: ReadNow returned %d bytes for a buffer of %d", ErrRead, n, len(rd.buf)-rd.end)
		}
		switch {
		case n > 0:
			if err := c.step(n, err, me); err != nil {
				return false, err
			}
			rd.fit(c, n)
		case err == nil:
			rd.shrink(c)
			if st.state.CompareAndSwap(stepping, resting) {
				return false, nil
			}
		case !isTimeout(err):
			return false, readError(err)
		default:
			if err := c.await(c.srv.now()); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// ahead is what a read has found that has not been looked at.
type ahead struct {
	done bool
	n    int
	err  error
}

// readAhead makes the next read, unless it has been made. News from before it is seen by it.
func (c *Conn) readAhead() {
	rd := &c.in
	if rd.ahead.done {
		return
	}
	c.steps.state.Store(stepping)
	if rd.buf == nil {
		rd.borrow(c)
	}
	n, err := c.steps.nc.ReadNow(rd.buf[rd.end:])
	rd.ahead = ahead{true, n, err}
}

// endSteps ends the connection on a goroutine of its own, because that may wait for the client.
func (c *Conn) endSteps(err error) {
	c.steps.state.Store(ended)
	go c.conclude(err)
}
