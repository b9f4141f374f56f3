package gate

import (
	"errors"
	"fmt"
	"sync"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/transport"
)

// Group is a set of sessions that get the same pushes, of one gate or of several that share their Sessions. A session that ends leaves it. Its methods may
// be called from any goroutine and do not block.
type Group struct {
	mu      sync.Mutex // taken before that of a session
	members []*Session
	at      map[*Session]int
	closed  bool
}

// maxGroups is how many groups a session may be in.
const maxGroups = 1024

// Errors of groups.
var (
	ErrGroupClosed   = errors.New("gate: the group is closed")
	ErrTooManyGroups = errors.New("gate: the session is in too many groups")
)

// NewGroup makes an empty group.
func NewGroup() *Group { return &Group{at: map[*Session]int{}} }

// Add takes a session in, and tells whether it was not in yet; false, too, for one that has ended.
func (g *Group) Add(s *Session) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false, ErrGroupClosed
	}
	if _, in := g.at[s]; in {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage == over {
		return false, nil
	}
	if n := len(s.state.groups); n >= maxGroups {
		return false, fmt.Errorf("%w: %d", ErrTooManyGroups, n)
	}
	s.state.groups = append(s.state.groups, g)
	g.at[s] = len(g.members)
	g.members = append(g.members, s)
	return true, nil
}

// Remove takes a session out, and tells whether it was in.
func (g *Group) Remove(s *Session) bool {
	if !g.forget(s) {
		return false
	}
	s.leaveGroup(g)
	return true
}

// forget takes a session out that knows already.
func (g *Group) forget(s *Session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, in := g.at[s]
	if !in {
		return false
	}
	last := len(g.members) - 1
	g.members[at] = g.members[last]
	g.at[g.members[at]] = at
	g.members[last] = nil
	g.members = g.members[:last]
	delete(g.at, s)
	return true
}

func (s *Session) leaveGroup(g *Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	groups := s.state.groups
	for i := range groups {
		if groups[i] == g {
			groups[i] = groups[len(groups)-1]
			groups[len(groups)-1] = nil
			s.state.groups = groups[:len(groups)-1]
			return
		}
	}
}

// Count is how many sessions are in.
func (g *Group) Count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.members)
}

// Close takes all sessions out. Nothing can be added or pushed any more.
func (g *Group) Close() {
	g.mu.Lock()
	members := g.members
	g.members, g.at, g.closed = nil, nil, true
	g.mu.Unlock()
	for _, s := range members {
		s.leaveGroup(g)
	}
}

// Push sends a value to all members. It is encoded once for each gate.
func (g *Group) Push(route string, v value.Value, d Delivery) error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return ErrGroupClosed
	}
	full, err := push(g.members, route, v, d)
	g.mu.Unlock()
	for _, s := range full {
		s.end(errOverflow)
	}
	return err
}

// push sends a value to sessions, encoded once for each gate: to all of them or, should it not be encodable, to none. It returns those
// that have to be ended by a caller without locks.
func push(to []*Session, route string, v value.Value, d Delivery) (full []*Session, err error) {
	var all encoded
	for _, s := range to {
		if err := all.prepare(s, route, v); err != nil {
			s.gate.cfg.Metrics.pushErr.Inc()
			return nil, err
		}
	}
	var burst *transport.Burst
	if len(to) > 1 {
		burst = bursts.Get().(*transport.Burst) //nolint:forcetypeassert // what the pool makes
		defer func() {
			burst.Flush()
			bursts.Put(burst)
		}()
	}
	for _, s := range to {
		if s.send(route, all.frameFor(s), d, burst) {
			full = append(full, s)
		}
	}
	return full, nil
}

// bursts lends what many are sent to with.
var bursts = sync.Pool{New: func() any { return new(transport.Burst) }} //nolint:gochecknoglobals // a cache

// encoded are the forms of a push: one for each gate, or two where some of its clients take compressed bodies.
type encoded []form

type form struct {
	gate     *Gate
	inflates bool
	body     []byte
	frame    []byte
}

// prepare makes the form of a session, if none before it has had it.
func (e *encoded) prepare(s *Session, route string, v value.Value) (err error) {
	f := form{gate: s.gate, inflates: s.inflates()}
	written := false
	for i := range *e {
		switch other := &(*e)[i]; {
		case other.gate != f.gate:
		case other.inflates == f.inflates:
			return nil
		default:
			f.body, written = other.body, true
		}
	}
	if !written {
		if f.body, err = f.gate.cfg.Bodies.Append(nil, route, codec.Push, v); err != nil {
			return err
		}
	}
	if f.frame, err = f.gate.framePush(route, f.body, f.inflates); err != nil {
		return err
	}
	*e = append(*e, f)
	return nil
}

// frameFor is what the session is sent.
func (e encoded) frameFor(s *Session) []byte {
	for i := range e {
		if e[i].gate == s.gate && e[i].inflates == s.inflates() {
			return e[i].frame
		}
	}
	return nil
}
