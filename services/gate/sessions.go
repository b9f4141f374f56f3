package gate

import "sync"

// Sessions finds sessions by their number: those of all gates that share it. Its methods may be called from any goroutine.
type Sessions struct {
	mu   sync.RWMutex
	byID map[uint64]*Session
}

// NewSessions makes an empty one, see Config.Sessions.
func NewSessions() *Sessions { return &Sessions{byID: map[uint64]*Session{}} }

// Find gives the session with that number; nil if there is none, or if it has ended.
func (s *Sessions) Find(id uint64) *Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byID[id]
}

// Count is how many sessions there are, those that wait for their clients among them.
func (s *Sessions) Count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.byID)
}

// of are the sessions of one gate.
func (s *Sessions) of(g *Gate) []*Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []*Session
	for _, one := range s.byID {
		if one.gate == g {
			found = append(found, one)
		}
	}
	return found
}

func (s *Sessions) add(one *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[one.ref.ID()] = one
}

func (s *Sessions) remove(one *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, one.ref.ID())
}
