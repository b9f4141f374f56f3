package gate

import "github.com/skua-go/skua/net/transport"

// Class is how a push is delivered.
type Class uint8

// The classes.
const (
	Reliable  Class = iota // once, and in the order sent
	Latest                 // like Reliable while the connection keeps up; else only the newest of a route and key
	Droppable              // like Reliable while the connection keeps up; else not at all
)

// Delivery is how a push is delivered. The zero Delivery is Reliable.
type Delivery struct {
	Class Class
	Key   string // tells apart, for Latest, what does not replace each other
}

// behindBytes is how much may wait to be written before a connection counts as behind.
const behindBytes = 4 << 10

// send delivers a push, whose frame nobody may change from now on: many sessions may have it. It tells whether the session has to be ended, by a caller
// without locks, because it waits for its client and can't hold more. in is the burst that it is part of, nil if it is none.
func (s *Session) send(route string, frame []byte, d Delivery, in *transport.Burst) (full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage == over || len(frame) == 0 {
		return false
	}
	s.gate.cfg.Metrics.pushes.Inc()
	if s.stage >= leaving {
		_, full := s.pass(relay{Frame: frame, Route: route, Class: d.Class, Key: d.Key})
		return full
	}
	if d.Class != Reliable {
		if s.behind() {
			s.later(route, frame, d)
			return false
		}
		s.flushLate(in) // an older one must not come behind this one
	}
	return s.emit(frame, in)
}

// inflates tells whether what the session is sent may be compressed.
func (s *Session) inflates() bool { return s.state.inflates && s.gate.cfg.GzipFrom > 0 }

// The ring of a session whose client has not logged in is no larger than this. It does not wait for its client, so it needs one only for a client that
// changes its connection on the way; and nobody knows who fills it.
const (
	strangerPackages = 32
	strangerBytes    = 8 << 10
)

// behind tells whether what is sent now would have to wait. The lock is held, here and below.
func (s *Session) behind() bool { return s.link == nil || s.link.conn.Queued() > behindBytes }

// later does with a push what its class says when it can't go out now.
func (s *Session) later(route string, frame []byte, d Delivery) {
	m := s.gate.cfg.Metrics
	if d.Class == Droppable {
		m.dropped.Inc()
		return
	}
	if s.state.late == nil {
		s.state.late = &late{}
		if s.link != nil {
			s.link.conn.NotifyDrained()
		}
	}
	replaced, dropped := s.state.late.put(slot{route, d.Key}, frame, s.gate.cfg.MaxKeys)
	if replaced {
		m.coalesced.Inc()
	}
	if dropped {
		m.dropped.Inc()
	}
}

// flushLate sends what has waited for the connection, as far as that can take it.
func (s *Session) flushLate(in *transport.Burst) {
	late := s.state.late
	if late == nil {
		return
	}
	for len(late.frames) > 0 {
		if s.behind() {
			if s.link != nil {
				s.link.conn.NotifyDrained()
			}
			return
		}
		_ = s.emit(late.take(), in) // there is a connection, so the ring can't be too small
	}
	s.state.late = nil
}

// drained goes on with what has waited for a connection that was behind.
func (s *Session) drained(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == l {
		s.flushLate(nil)
	}
}

// emit gives a frame its number and sends it. It tells whether the session has to end, because it waits for its client and the ring is full, or because its client
// does not read. While there is a connection the ring forgets the oldest instead: they have been sent, and are needed only if the connection is lost before they
// arrive.
func (s *Session) emit(frame []byte, in *transport.Burst) (full bool) {
	cfg := &s.gate.cfg
	if s.state.resumes {
		r := &s.state.ring
		was := r.bytes
		s.state.sent++
		r.push(frame)
		packages, bytes := cfg.RingPackages, cfg.RingBytes
		if !s.state.in {
			packages, bytes = min(packages, strangerPackages), min(bytes, strangerBytes)
		}
		rings := cfg.Metrics.ringBytes.Load() - int64(was) // of all others
		for r.count > packages || r.bytes > bytes || r.count > 0 && rings+int64(r.bytes) > cfg.AllRingBytes {
			if s.link == nil {
				full = true
				break
			}
			r.drop(1)
		}
		cfg.Metrics.ringBytes.Add(int64(r.bytes - was))
	}
	if s.link != nil && s.link.send(frame, in) {
		full = true
	}
	return full
}

// send hands a frame to the connection, which copies it. A client for which too much waits is told so, and its connection closed; its session has to end then, at
// once: who reads that connection may be in the handler that sends, and would not notice before it has sent, and had encoded, all the rest.
func (l *link) send(frame []byte, in *transport.Burst) (tooSlow bool) {
	limit := l.gate.backlog(l.resumes)
	if l.ahead += len(frame); l.ahead > limit/2 { // it is not looked for each frame how much of that has gone
		l.ahead = l.conn.Queued() + len(frame)
		if l.ahead > limit && l.ahead > len(frame) {
			l.gate.cfg.Metrics.tooSlow.Inc()
			l.conn.CloseWith(errBacklog, l.gate.farewell(errBacklog))
			return true
		}
	}
	_ = in.Send(l.conn, frame) // of one that is closing already the session hears otherwise
	return false
}
