package gate

import "sync"

// newest are the sessions of the players of a gate without agents, where nobody else knows who is in: a player's next login ends the session before. Its methods
// may be called from any goroutine.
type newest struct {
	mu       sync.Mutex
	sessions map[string]*Session
}

// come makes a session the player's, and gives the one before.
func (n *newest) come(uid string, s *Session) (before *Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions == nil {
		n.sessions = map[string]*Session{}
	}
	before = n.sessions[uid]
	n.sessions[uid] = s
	return before
}

// find is the session of a player; nil if there is none.
func (n *newest) find(uid string) *Session {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sessions[uid]
}

// leave forgets a session that has ended.
func (n *newest) leave(uid string, s *Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions[uid] == s {
		delete(n.sessions, uid)
	}
}

// replace ends the session that the player has had until now.
func (s *Session) replace(uid string) {
	g := s.gate
	if before := g.newest.come(uid, s); before != nil && before != s {
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
