package gate

import (
	"context"
	"errors"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/net/packet"
)

// fetchTimeout bounds how long a client waits for its session from another gate, in its handshake.
const fetchTimeout = 8 * time.Second

// fetchHops is how many gates are asked, each of which names the next.
const fetchHops = 8

// errNotNow closes a connection whose client should come again for its session: what it has asked for was not answered, or another connection has been faster.
var errNotNow = &refusal{packet.Reason{Code: kickUnavailable, Msg: "the session is on its way from another server; come again"}}

// arrive asks the gate's actor to take a session in: answered by it when it is here, and no more where it was.
type arrive struct{ *parcel }

// fetch has the session of a pass come from another gate, so that it waits here for its client. A code tells why there is none, an error that it may be had a moment later.
func (g *Gate) fetch(p pass, node string, received uint64) (s *Session, code string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	for hop := range fetchHops {
		if node == g.others.own() { // it has come meanwhile, or come and ended
			s, code := g.tokens.find(p.token)
			return s, code, onTheWay(hop, code)
		}
		m, known := g.others.Members.Find(node)
		if !known || !m.State.Reachable() {
			return nil, packet.ResumeLost, nil
		}
		v, err := g.ask(ctx, m, take{Token: p.token, Received: received, Print: g.others.prints})
		switch {
		case errors.Is(err, actor.ErrUnreachable):
			return nil, packet.ResumeLost, nil
		case errors.Is(err, actor.ErrNoActor), errors.Is(err, actor.ErrStopped):
			return nil, packet.ResumeUnknown, onTheWay(hop, packet.ResumeUnknown)
		case err != nil:
			g.cfg.Log.Warn("a session can't be had from another node", "node", node, "error", err)
			return nil, "", errNotNow
		}
		switch v := v.(type) {
		case *parcel:
			return g.admit(ctx, v)
		case refused:
			if v.Node == "" {
				return nil, lostFor(v.Code, m, p), onTheWay(hop, v.Code)
			}
			node = v.Node
		}
	}
	return nil, "", errNotNow
}

// onTheWay tells the client to come again if the gate that is said to have its session does not know it yet.
func onTheWay(hop int, code string) error {
	if hop > 0 && code == packet.ResumeUnknown {
		return errNotNow
	}
	return nil
}

// lostFor is the code of a refusal: a node that knows nothing of a pass of its former incarnation has lost it.
func lostFor(code string, m cluster.Member, p pass) string {
	if code == packet.ResumeUnknown && m.Name == p.node && m.Incarnation != p.incarnation {
		return packet.ResumeLost
	}
	return code
}

func (g *Gate) ask(ctx context.Context, m cluster.Member, msg any) (any, error) {
	gate, err := g.others.gate(ctx, m)
	if err != nil {
		return nil, err
	}
	return g.sys.Ask(ctx, gate, msg)
}

// admit has a session live here.
func (g *Gate) admit(ctx context.Context, p *parcel) (*Session, string, error) {
	players, ok := g.sys.Lookup(g.cfg.Name)
	if !ok {
		return nil, packet.ResumeEnded, nil
	}
	v, err := g.sys.Ask(ctx, players, arrive{p})
	if err != nil {
		g.cfg.Log.Debug("a session has not come", "player", p.UID, "error", err)
		return nil, "", errNotNow
	}
	return v.(*Session), "", nil //nolint:forcetypeassert // what arrive is answered by
}

// arrive makes the session of a parcel.
func (p *players) arrive(c *actor.Context, m arrive) {
	g := p.gate
	place := &Session{
		gate: g, opened: c.Promise(), stage: away, why: errTaken,
		state: state{
			resumes: true, inflates: m.Inflates, in: true, uid: m.UID, name: m.Name, turn: m.Turn, keys: &keys{known: m.Known, offered: m.Offered},
			received: m.Received, sent: m.Sent, buckets: m.Buckets,
		},
	}
	if g.cfg.UnpackData != nil && m.Data != nil {
		data, err := g.cfg.UnpackData(m.Data)
		if err != nil {
			c.Log().Error("a session's data can't be read", "player", m.UID, "error", err)
			c.Reply(nil, err)
			return
		}
		place.Data = data
	}
	ref, err := c.Spawn(actor.Spec{
		Kind: sessionKind, New: func() actor.Actor { return &session{Session: place, from: m.parcel} }, Supervision: actor.Supervision{Limit: -1},
	})
	if err != nil {
		c.Reply(nil, err)
		return
	}
	c.Watch(ref)
}

// unpack has the session be what the parcel says; its actor has begun.
func (s *session) unpack() {
	p := s.from
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.state
	for _, frame := range p.Ring {
		st.ring.push(frame)
	}
	s.gate.cfg.Metrics.ringBytes.Add(int64(st.ring.bytes))
	for _, l := range p.Late {
		if st.late == nil {
			st.late = &late{}
		}
		st.late.put(l.slot, l.frame, s.gate.cfg.MaxKeys)
	}
	for i := range p.Queue {
		m := &p.Queue[i]
		if st.queue.tail == nil {
			st.queue.head = m
		} else {
			st.queue.tail.next = m
		}
		st.queue.tail = m
		st.queue.open++
		st.queue.bytes += m.size()
	}
	s.told, s.welcome, s.trail = p.Told, true, p.Trail
	s.alias, s.stamp, s.hop = p.Handle, p.Stamp, p.Hop+1
	if p.Open {
		s.now, s.abroad = &p.Now, p.Place
		st.queue.open++
		st.queue.bytes += s.now.size()
	}
}

// start tells the former place that the session is here. Until that has agreed nothing is done, but to take what it passes on.
func (s *session) start(c *actor.Context) {
	s.unpack()
	p := s.from
	s.from, s.coming, s.claimed = nil, true, true
	c.Watch(p.Place)
	c.AskFor(p.Place, commit{p.Claim}, commitTimeout, func(v any, err error) {
		if err == nil && v != true {
			err = errNotNow
		}
		if err != nil {
			s.undo(err)
			return
		}
		s.settle(p)
	})
}

// undo ends a session that was not to come.
func (s *session) undo(why error) {
	s.mu.Lock()
	s.stage, s.why = over, why
	s.gate.cfg.Metrics.ringBytes.Add(-int64(s.state.ring.bytes))
	s.state.ring, s.state.late, s.state.queue = ring{}, nil, queue{}
	opened := s.opened
	s.mu.Unlock()
	s.closed = true
	opened.Reply(nil, why)
	s.c.Stop(s.c.Self(), nil)
}

// settle begins the session's life here.
func (s *session) settle(p *parcel) {
	g := s.gate
	s.claimed = false
	s.mu.Lock()
	s.ref = s.c.Self()
	g.cfg.Sessions.add(s.Session)
	for _, key := range s.state.keys.all() {
		g.tokens.add(key, s.Session)
	}
	opened := s.opened
	s.opened = actor.Promise{}
	s.mu.Unlock()
	g.cfg.Metrics.sessions.Inc()
	g.cfg.Metrics.moves.WithLabelValues("in").Inc()
	for _, at := range s.interested() {
		if at != s.alias {
			s.c.Send(at, nowAt{s.hop})
		}
	}
	s.lodge(p)
	s.awaited()
	opened.Reply(s.Session, nil)
	if why := g.outs.concern(p.UID, p.Turn); why != nil {
		s.end(why)
		return
	}
	s.turn()
}

// turn has what stands in for the session send here, not by way of where it was, before the agent is asked anything: so what it pushes is here before its answers are. A request that is being handled is answered by that way,
// too, so the turn is behind it.
func (s *session) turn() {
	switch {
	case !s.coming || s.claimed || !s.abroad.IsZero() || s.stands: // the answer from there comes before its agreement
		return
	case s.alias.IsZero() || s.alias == s.ref:
		s.coming = false
		s.next()
		return
	}
	s.c.Detached(func() {
		s.c.AskFor(s.alias, nowAt{s.hop}, commitTimeout, func(any, error) { // it may have died, of which we hear otherwise
			s.coming = false
			s.next()
		})
	})
}

// lodge finds who handles the requests of a session that has come.
func (s *session) lodge(p *parcel) {
	g := s.gate
	switch {
	case g.cfg.Agent != "":
		s.housed(attached{p.Agent, p.Handle})
		return
	case g.cfg.Handle == nil:
		s.aim(g.cfg.First())
	}
	if g.cfg.Login != LoginNone {
		if before := g.newest.come(p.UID, s.Session, p.Stamp); before != nil && before != s.Session {
			before.end(&refusal{loggedInElsewhere})
		}
	}
	s.tell(Arrived, "moved")
}
