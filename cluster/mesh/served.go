package mesh

import (
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// served are the requests of another node that actors of this one have.
type served struct {
	p *peer

	mu   sync.Mutex
	byID map[uint64]*actor.Served
}

// late is how long after its deadline a request is given up whose asker has forgotten to.
const late = time.Second

// add keeps a request until it is answered.
func (s *served) add(call uint64, v *actor.Served) {
	if v.Done() {
		return
	}
	s.mu.Lock()
	if s.byID == nil {
		s.byID = map[uint64]*actor.Served{}
	}
	s.byID[call] = v
	s.mu.Unlock()
	if v.Done() { // before it was there to be removed
		s.remove(call)
	}
	s.p.arm()
}

func (s *served) remove(call uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, call)
}

func (s *served) take(call uint64) *actor.Served {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.byID[call]
	delete(s.byID, call)
	return v
}

// full tells whether the node has more requests here than it can have.
func (s *served) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID) >= 1<<slotBits
}

func (s *served) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID) > 0
}

// giveUp ends all: their asker is out of reach.
func (s *served) giveUp() {
	s.mu.Lock()
	all := s.byID
	s.byID = nil
	s.mu.Unlock()
	for _, v := range all {
		v.GiveUp(false)
	}
}

// sweep ends those whose deadline was long ago.
func (s *served) sweep(now time.Time) {
	var old []*actor.Served
	s.mu.Lock()
	for call, v := range s.byID {
		if now.Sub(v.Deadline()) > late {
			old = append(old, v)
			delete(s.byID, call)
		}
	}
	s.mu.Unlock()
	for _, v := range old {
		v.GiveUp(true)
	}
}
