package rtc

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// paths finds the session of who has sent a datagram: by the node's name in ICE, which a client's checks carry, and then by where they came from.
type paths struct {
	mu    sync.RWMutex
	by    map[netip.AddrPort]*session
	named map[string]*session
}

// path is what paths knows of a session; its lock guards that.
type path struct {
	own    credentials
	places []netip.AddrPort // that are its own, over UDP, the oldest first
	over   bool             // the session has ended
}

// maxPlaces is how many addresses a client has at once: those of its networks, through each of which it looks for the best way.
const maxPlaces = 16

func newPaths() paths {
	return paths{by: map[netip.AddrPort]*session{}, named: map[string]*session{}}
}

// at is the session whose client has shown that it is there, or nil.
func (ps *paths) at(from netip.AddrPort) *session {
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	return ps.by[from]
}

// called is the session that a check's user name calls, which is the node's name, a colon and the client's.
func (ps *paths) called(name string) (*session, credentials) {
	own, _, _ := strings.Cut(name, ":")
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	s := ps.named[own]
	if s == nil {
		return nil, credentials{}
	}
	return s, s.path.own
}

// name has a session known by the node's credentials of now.
func (ps *paths) name(s *session, own credentials) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if s.path.over {
		return
	}
	delete(ps.named, s.path.own.name)
	s.path.own = own
	ps.named[own.name] = s
}

// place notes that a session's client has got through on a lane. It is written to on the first, and then on the one that it has named last. ok is false
// where another client is: who gives that address out as its own takes nothing from it, unless it is silent there.
func (ps *paths) place(s *session, l *lane, named bool, now time.Time) (ok bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if s.path.over {
		return false
	}
	if l.socket != nil && ps.by[l.at] != s && !ps.settle(s, l.at, now) {
		return false
	}
	s.heard.Store(now.UnixNano())
	if is := s.lane.Load(); is == nil || is.over() || named && !l.same(is) {
		s.lane.Store(l)
	}
	return true
}

// settle gives a session an address.
func (ps *paths) settle(s *session, at netip.AddrPort, now time.Time) (ok bool) {
	if other := ps.by[at]; other != nil {
		if now.UnixNano()-other.heard.Load() < int64(s.server.cfg.Silence)/2 {
			return false
		}
		other.path.places = slices.DeleteFunc(other.path.places, func(a netip.AddrPort) bool { return a == at })
	}
	if p := &s.path; len(p.places) == maxPlaces {
		oldest := 0
		if is := s.lane.Load(); is != nil && is.at == p.places[0] {
			oldest = 1 // it is there
		}
		delete(ps.by, p.places[oldest])
		p.places = slices.Delete(p.places, oldest, oldest+1)
	}
	s.path.places = append(s.path.places, at)
	ps.by[at] = s
	return true
}

// end forgets a session.
func (ps *paths) end(s *session) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, at := range s.path.places {
		delete(ps.by, at)
	}
	if ps.named[s.path.own.name] == s {
		delete(ps.named, s.path.own.name)
	}
	s.path.places, s.path.over = nil, true
	s.lane.Store(nil)
}
