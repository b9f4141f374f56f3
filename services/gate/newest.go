package gate

import (
	"sync"
	"time"
)

// newest are the sessions of the players of a gate without agents, where nobody else knows who is in: a player's next login ends the session before. Its methods
// may be called from any goroutine.
type newest struct {
	mu       sync.Mutex
	sessions map[string]entrant
}

// entrant is a player's session, and when its player has logged in.
type entrant struct {
	*Session
	stamp stamp
	came  time.Time // by this node's clock
}

// meanwhile is how long ago a login was at the same time as one of another node's: only then the stamps tell which is the later one, for clocks differ.
const meanwhile = 5 * time.Second

// come makes a session the player's, and gives the one before.
func (n *newest) come(uid string, s *Session, at stamp) (before *Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions == nil {
		n.sessions = map[string]entrant{}
	}
	before = n.sessions[uid].Session
	n.sessions[uid] = entrant{s, at, s.gate.sys.Now()}
	return before
}

// find is the session of a player; nil if there is none.
func (n *newest) find(uid string) entrant {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sessions[uid]
}

// leave forgets a session that has ended.
func (n *newest) leave(uid string, s *Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions[uid].Session == s {
		delete(n.sessions, uid)
	}
}

// replace ends the session that the player has had until now.
func (s *Session) replace(uid string, at stamp) {
	g := s.gate
	if before := g.newest.come(uid, s, at); before != nil && before != s {
		g.cfg.Metrics.replaced.Inc()
		before.end(&refusal{loggedInElsewhere})
	}
	s.mu.Lock()
	ended := s.stage == over
	s.mu.Unlock()
	if ended { // perhaps before it was there to be forgotten
		g.newest.leave(uid, s)
	}
}
