package rtc

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v3"
)

// paths finds the session of who has sent a datagram: by the node's name in ICE, which a client's checks carry, and then by where they came from.
type paths struct {
	mu    sync.RWMutex
	by    map[netip.AddrPort]*place
	named map[string]*session
}

// path is what paths knows of a session; its lock guards that.
type path struct {
	own    credentials
	theirs credentials
	places []*place // that are its own, over UDP, the oldest first
	asks   question
	over   bool // the session has ended
}

// place is an address over UDP from which a client has sent a check of its own. That the client gets there what is sent to it is another matter, see question.
type place struct {
	*session
	at     netip.AddrPort
	heard  atomic.Int64 // when it was heard there last, in Unix nanoseconds
	proven bool         // it has answered there; the lock of paths guards it
}

// question is what is asked of a client at an address that it has named, before what it gets goes there: who has been admitted could name somebody else's, and check from there by forged datagrams.
type question struct {
	lane *lane // nil while there is none
	id   [stun.TransactionIDSize]byte
}

// maxPlaces is how many addresses a client has at once: those of its networks, through each of which it looks for the best way.
const maxPlaces = 16

func newPaths() paths {
	return paths{by: map[netip.AddrPort]*place{}, named: map[string]*session{}}
}

// at is where a client has shown that it is, or nil.
func (ps *paths) at(from netip.AddrPort) *place {
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	return ps.by[from]
}

// called is the session that a check's user name calls, which is the node's name, a colon and the client's.
func (ps *paths) called(name string) (s *session, own credentials) {
	name, _, _ = strings.Cut(name, ":")
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	if s = ps.named[name]; s == nil {
		return nil, credentials{}
	}
	return s, s.path.own
}

// name has a session known by the credentials of now, the node's and its client's.
func (ps *paths) name(s *session, own, theirs credentials) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if s.path.over {
		return
	}
	delete(ps.named, s.path.own.name)
	s.path.own, s.path.theirs = own, theirs
	ps.named[own.name] = s
}

// place notes that a session's client has got through on a lane. It is written to on the first, and then on the one that it has named last or, when it is silent on that, on one that it is heard on: if that is to another address,
// when it has answered the question there that is returned with its credentials of now. ok is false where another client is: who gives that address out as its own takes nothing from it, unless it is silent there.
func (ps *paths) place(s *session, l *lane, named bool, now time.Time) (ask question, who path, ok bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if s.path.over {
		return ask, who, false
	}
	var at *place
	if l.socket != nil {
		if at = ps.settle(s, l.at, now); at == nil {
			return ask, who, false
		}
		at.heard.Store(now.UnixNano())
	}
	s.heard.Store(now.UnixNano())
	is := s.lane.Load()
	switch {
	case is == nil: // the handshake does not get on unless the client is there
		s.lane.Store(l)
	case !named && !is.over() && !ps.silent(s, is, now): // it only tries this one
	case l.same(is):
		s.path.asks = question{} // it has changed its mind
	case at == nil || at.proven || is.socket != nil && l.at == is.at:
		s.lane.Store(l)
		s.path.asks = question{}
	default:
		if !l.same(s.path.asks.lane) { // else it is asked once more
			s.path.asks = question{lane: l, id: stun.NewTransactionID()}
		}
		ask = s.path.asks
	}
	return ask, path{own: s.path.own, theirs: s.path.theirs}, true
}

// answered moves a session to where its client has answered. It returns the session, or nil if nobody was asked that.
func (ps *paths) answered(l *lane, m *stun.Message, now time.Time) *session {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	at := ps.by[l.at]
	if at == nil || !l.same(at.path.asks.lane) || at.path.asks.id != m.TransactionID || stun.NewShortTermIntegrity(at.path.theirs.key).Check(m) != nil {
		return nil
	}
	at.proven = true
	at.lane.Store(at.path.asks.lane)
	at.path.asks = question{}
	at.heard.Store(now.UnixNano())
	at.session.heard.Store(now.UnixNano())
	return at.session
}

// silent tells that a client has not been heard for a while where it is written to.
func (ps *paths) silent(s *session, l *lane, now time.Time) bool {
	if l.socket == nil {
		return false
	}
	at := ps.by[l.at]
	return at == nil || at.session != s || at.silent(now)
}

func (p *place) silent(now time.Time) bool {
	return now.UnixNano()-p.heard.Load() >= int64(p.server.cfg.Silence)/2
}

// settle is a session's place at an address, or nil where somebody else is.
func (ps *paths) settle(s *session, at netip.AddrPort, now time.Time) *place {
	switch other := ps.by[at]; {
	case other == nil:
	case other.session == s:
		return other
	case !other.silent(now):
		return nil
	default:
		other.path.places = slices.DeleteFunc(other.path.places, func(p *place) bool { return p == other })
	}
	if p := &s.path; len(p.places) == maxPlaces {
		oldest := 0
		if is := s.lane.Load(); is != nil && is.at == p.places[0].at {
			oldest = 1 // it is there
		}
		delete(ps.by, p.places[oldest].at)
		p.places = slices.Delete(p.places, oldest, oldest+1)
	}
	p := &place{session: s, at: at}
	s.path.places = append(s.path.places, p)
	ps.by[at] = p
	return p
}

// end forgets a session.
func (ps *paths) end(s *session) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range s.path.places {
		delete(ps.by, p.at)
	}
	if ps.named[s.path.own.name] == s {
		delete(ps.named, s.path.own.name)
	}
	s.path.places, s.path.asks, s.path.over = nil, question{}, true
	s.lane.Store(nil)
}
