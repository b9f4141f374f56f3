package gate

import "sync"

// Sessions finds sessions by their number: those of all gates that share it. Its methods may be called from any goroutine.
type Sessions struct {
	mu    sync.RWMutex
	byID  map[uint64]*Session
	gates []*Gate
	far   int // how many of them stand in for sessions of other nodes
}

// NewSessions makes an empty one, see Config.Sessions.
func NewSessions() *Sessions { return &Sessions{byID: map[uint64]*Session{}} }

// join notes a gate whose sessions these are.
func (s *Sessions) join(g *Gate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates = append(s.gates[:len(s.gates):len(s.gates)], g)
}

// all are the gates.
func (s *Sessions) all() []*Gate {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.gates
}

// Find gives the session with that number; nil if there is none, or if it has ended.
func (s *Sessions) Find(id uint64) *Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byID[id]
}

// Count is how many sessions are on this node, those that wait for their clients among them.
func (s *Sessions) Count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.byID) - s.far
}

// of are the sessions of one gate.
func (s *Sessions) of(g *Gate) []*Session {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []*Session
	for _, one := range s.byID {
		if one.gate == g && !one.isFar {
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
	if s.byID[one.ref.ID()] != one {
		return
	}
	delete(s.byID, one.ref.ID())
	if one.isFar {
		s.far--
	}
}

// open is how many sessions of a gate are on another node, but have something to answer that was asked here.
func (s *Sessions) open(g *Gate) (n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, one := range s.byID {
		if one.gate == g && one.isFar && one.answering.Load() {
			n++
		}
	}
	return n
}

// went notes that a session is on another node now.
func (s *Sessions) went(one *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[one.ref.ID()] == one && !one.isFar {
		one.isFar = true
		s.far++
	}
}
