package transport

import "time"

const (
	// lateConns is how many connections a worker lets wait for what they are to be sent, and lateTime how long: it then writes to all of them. To handle what several
	// have sent, and then to answer them all, costs a tenth less than to go from one to the other: the code and the memory of the kernel's way out, and those of the
	// handlers, stay in the processor's caches. While there is nothing else to do nobody waits.
	lateConns = 32
	lateTime  = int64(100 * time.Microsecond)
)

// late is the corked connections whose steps are over, and which their worker has not written to. The watch looks after them if the worker is held up.
type late struct {
	srv   *server
	conns []*Conn
	since int64
}

// flush is Conn.flush, but for the writing, which it may put off.
func (l *late) flush(c *Conn, now int64) {
	if !c.settle(now) {
		return
	}
	if len(l.conns) == 0 {
		l.since = now
	}
	l.conns = append(l.conns, c)
	if len(l.conns) == lateConns || now-l.since >= lateTime {
		l.write()
	}
}

// write writes to all of them, and has it leave together where the listener can do that.
func (l *late) write() {
	for i, c := range l.conns {
		l.conns[i] = nil
		c.writeCorked(c.srv.now(), true) // the one before may have taken its time
	}
	l.conns = l.conns[:0]
	l.srv.sendLate()
}

// lateWriter is a connection whose listener can send at once what several have written; the package comment has its contract.
type lateWriter interface {
	WriteLate(p []byte) (n int, err error)
}

// abandon leaves them to other workers: this one's goroutine ends.
func (l *late) abandon() {
	l.srv.sendLate()
	for _, c := range l.conns {
		if c == nil {
			continue
		}
		c.mu.Lock()
		if c.uncork(); c.more() {
			c.startWriting(nil)
		}
		c.mu.Unlock()
	}
	l.conns = nil
}

// writeLate is a worker's job when it has no other.
func writeLate(_ *Conn, me *worker) { me.late.write() }
