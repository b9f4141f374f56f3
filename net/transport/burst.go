package transport

// Burst sends to many connections. They are handed over to those who write some hundred at a time, because all of these take the lock for that, too. What it has
// sent may be written only when Flush is called, so that must be soon, and whatever happens: defer it. Connections of several servers may be in one. The zero Burst
// is empty; it may be used again after Flush, and by one goroutine at a time. None of it blocks.
type Burst struct{ parts []part }

// part is what a burst holds of one server.
type part struct {
	srv   *server
	conns []*Conn // their outboxes are marked as running
}

// burstShare is how many connections a burst holds of a server before it hands them over: so many that the lock is cheap, so
// few that nobody waits for long.
const burstShare = 256

// Send is c.Send. A nil Burst sends as that does.
func (b *Burst) Send(c *Conn, frame []byte) error { return c.send(frame, b) }

// Flush has written what is not yet.
func (b *Burst) Flush() {
	for i := range b.parts {
		b.parts[i].flush()
	}
	clear(b.parts)
	b.parts = b.parts[:0]
}

// add takes a connection that wants to be written; its lock is held.
func (b *Burst) add(c *Conn) {
	p := b.of(c.srv)
	if p.conns = append(p.conns, c); len(p.conns) == burstShare {
		p.flush()
	}
}

func (b *Burst) of(s *server) *part {
	for i := range b.parts {
		if b.parts[i].srv == s {
			return &b.parts[i]
		}
	}
	b.parts = append(b.parts, part{srv: s})
	return &b.parts[len(b.parts)-1]
}

func (p *part) flush() {
	if len(p.conns) == 0 {
		return
	}
	p.srv.crew.submitAll(p.conns, (*Conn).write)
	clear(p.conns)
	p.conns = p.conns[:0]
}
