package gate

import (
	"cmp"
	"slices"
	"time"

	"github.com/skua-go/skua/net/transport"
)

// Sight is a session as somebody sees it who looks at the node.
type Sight struct {
	ID    uint64
	Gate  string // Config.Name of its gate
	UID   string // empty until its client has logged in
	State string // present, away (it waits for its client) or leaving (for another node)
	// Transport, Address, Opened, BytesIn and BytesOut are of its connection; empty while it has none.
	Transport, Address string
	Opened             time.Time
	BytesIn, BytesOut  uint64
	// Backlog is how many bytes wait to be written, Unacked how many data packages its client has not acknowledged.
	Backlog, Unacked int
	// Way is what its connection knows of the way to its client.
	Way transport.Way
}

// Look gives up to limit of the sessions of a user, or of all if uid is empty, whose number is beyond after, by their numbers; and how many there are of them in all. Sessions that have gone to other nodes are
// not among them. It may be called from any goroutine.
func (s *Sessions) Look(uid string, after uint64, limit int) (seen []Sight, total int) {
	s.mu.RLock()
	all := make([]*Session, 0, len(s.byID))
	for _, one := range s.byID {
		if !one.isFar {
			all = append(all, one)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Session) int { return cmp.Compare(a.ID(), b.ID()) })
	for _, one := range all {
		if uid != "" && one.UID() != uid {
			continue
		}
		total++
		if one.ID() <= after || len(seen) >= limit {
			continue
		}
		if sight, ok := one.sight(); ok {
			seen = append(seen, sight)
		}
	}
	return seen, total
}

// sight is false for a session that has ended, or gone.
func (s *Session) sight() (Sight, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := Sight{ID: s.ID(), Gate: s.gate.cfg.Name, UID: s.state.uid, Unacked: s.state.ring.count}
	switch s.stage {
	case present:
		v.State = "present"
	case away:
		v.State = "away"
	case leaving:
		v.State = "leaving"
	default:
		return v, false
	}
	if s.link == nil {
		return v, true
	}
	conn := s.link.conn
	c := conn.Counters()
	v.Transport, v.Address, v.Opened = conn.Transport(), conn.RemoteAddr().String(), conn.Opened()
	v.BytesIn, v.BytesOut, v.Backlog = c.BytesIn, c.BytesOut, c.Queued
	v.Way, _ = conn.Way()
	return v, true
}
