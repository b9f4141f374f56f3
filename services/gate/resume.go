package gate

import (
	"fmt"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// Why sessions of clients that know resume end, beside what connections and scripts end for.
var (
	errTaken    = &refusal{packet.Reason{Code: kickResumed, Msg: "the session goes on over another connection"}}
	errExpired  = &refusal{packet.Reason{Code: kickExpired, Msg: "the client did not come back in time"}}
	errCrowded  = &refusal{packet.Reason{Code: kickExpired, Msg: "too many sessions waited for their clients"}}
	errBacklog  = &refusal{packet.Reason{Code: kickTooSlow, Msg: "too much waited to be read"}}
	errOverflow = &refusal{packet.Reason{Code: kickTooSlow, Msg: "more waited for the client than the session holds"}}
)

// greet answers the handshake of a client that knows resume, and gives it its session if it has one.
func (l *link) greet(r *packet.ResumeRequest) error {
	g := l.gate
	answer := packet.ResumeAnswer{
		Window: int((g.cfg.ResumeWindow + time.Second - 1) / time.Second), Ring: packet.Ring{Packages: g.cfg.RingPackages, Bytes: g.cfg.RingBytes},
		Addresses: g.others.addressesFor(),
	}
	l.resumes = true
	if r.Token != "" {
		code, err := g.resume(l, r, &answer)
		if err != nil {
			return err
		}
		g.cfg.Metrics.resume(code)
		if code != "" {
			g.cfg.Log.Debug("a client can't go on with its session", "code", code, "remote", l.conn.RemoteAddr())
			answer.Refused = &packet.Reason{Code: code, Msg: refusals[code]}
		}
	}
	if !answer.Resumed {
		l.token = newToken()
		answer.Token = g.passFor(l.token)
	}
	frame, err := g.welcome.Append(nil, &answer)
	if err != nil {
		return fmt.Errorf("gate: handshake: %w", err)
	}
	return l.conn.Send(frame)
}

// refusals are what people read of the codes of refused resumes.
var refusals = map[string]string{ //nolint:gochecknoglobals // a constant
	packet.ResumeUnknown:  "there is no such session here any more",
	packet.ResumeOverflow: "too much was missed for the session to go on",
	packet.ResumeReplaced: "the player has logged in elsewhere",
	packet.ResumeEnded:    "the session has been ended",
	packet.ResumeLost:     "the server that had the session is out of reach",
}

// resume takes a session from its older connection for a new one, which will be its own with its ack; or tells by a code why not.
//
// Who comes first wins, and the next one wins over that: a client that has given up a connection does not wait for the server to notice.
// A session of another gate comes here first, which the caller waits for. An error closes the connection, for the client to come again.
func (g *Gate) resume(l *link, r *packet.ResumeRequest, answer *packet.ResumeAnswer) (refused string, err error) {
	p, ok := g.parsePass(r.Token)
	if !ok {
		return packet.ResumeUnknown, nil
	}
	key := p.token
	s, code := g.tokens.find(key)
	if node, settled := g.whereIs(s, code, p); node != "" {
		if s, code, err = g.fetch(p, node, r.Received); err != nil {
			return "", err
		}
		if code == packet.ResumeUnknown && !settled {
			return "", errNotNow // it was asked before it knew that the session is its own
		}
	}
	if s == nil {
		return code, nil
	}
	s.mu.Lock()
	st := &s.state
	full := s.stage == leaving && s.stay()
	switch {
	case s.stage == elsewhere: // it has just gone
		s.mu.Unlock()
		return "", errNotNow
	case s.stage == over:
		code = refusedFor(s.why)
	case full:
		code = packet.ResumeOverflow
	case !st.keys.has(key): // used up since it was found
		code = packet.ResumeUnknown
	case r.Received > st.sent:
		code = packet.ResumeUnknown // whoever counts so has another session in mind
	case r.Received < st.base():
		code = packet.ResumeOverflow
	}
	if code != "" {
		s.mu.Unlock()
		if code == packet.ResumeOverflow {
			s.end(errOverflow)
		} else {
			s.awaited() // if it was leaving
		}
		return code, nil
	}
	old, before := s.link, s.next
	s.link, s.next = nil, l
	l.token, l.claimed = g.tokens.offer(s, key), r.Received
	answer.Token, answer.Received, answer.Resumed = g.passFor(l.token), st.received, true
	l.place.Store(s)
	g.waiting.remove(s) // what ends l puts it back
	s.mu.Unlock()
	for _, taken := range []*link{old, before} {
		if taken != nil {
			taken.conn.CloseWith(errTaken, g.farewell(errTaken))
		}
	}
	return "", nil
}

// whereIs is the node that a session has to come from; empty if it is here, or nowhere. One where it has settled knows it until it ends.
func (g *Gate) whereIs(s *Session, code string, p pass) (node string, settled bool) {
	switch {
	case g.others == nil || p.node == "":
		return "", false
	case s == nil && code == packet.ResumeUnknown && p.node != g.others.own():
		return p.node, true // it has given the pass
	case s != nil:
		at, settled := s.bound()
		return at.Node(), settled
	}
	return "", false
}

// resumed gives the session the connection that has acknowledged its handshake: what the client lacks goes out first.
func (s *Session) resumed(l *link) error {
	g := s.gate
	s.mu.Lock()
	switch {
	case s.stage == over:
		why := s.why
		s.mu.Unlock()
		return why
	case s.next != l:
		s.mu.Unlock()
		return errTaken
	}
	s.stage, s.link, s.next, s.why = present, l, nil, nil
	g.tokens.accept(&s.state, l.token)
	s.acknowledged(l.claimed)
	l.conn.Ready()
	for frame := range s.state.ring.all {
		l.send(frame, nil)
	}
	s.flushLate(nil)
	s.mu.Unlock()
	g.cfg.Log.Debug("a session goes on", "session", s.ref.String(), "transport", l.conn.Transport(), "remote", l.conn.RemoteAddr())
	g.sys.Send(s.ref, look{})
	return nil
}

// ack takes a client's word for what it has received.
func (s *Session) ack(l *link, number uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.link != l:
		return errTaken
	case number > s.state.sent:
		return fmt.Errorf("%w: %d are acknowledged, %d were sent", packet.ErrAck, number, s.state.sent)
	}
	s.acknowledged(number)
	return nil
}
