package mesh

import (
	"sync"
)

// answerer is who waits for an answer: an actor.Promise, or somebody in this package.
type answerer interface{ Reply(v any, err error) bool }

// slotBits bounds the calls that wait for one node at a time: a million.
const slotBits = 20

// calls are those that wait for answers of one node. A call's number is the place of its answerer and, above it, how often that place was taken, so that an answer that
// comes late, or from a liar, finds nobody.
type calls struct {
	mu    sync.Mutex
	slots []call
	free  []uint32
}

type call struct {
	number uint64 // 0 for a free place
	turn   uint64
	who    answerer
}

// add is the number of a new call; 0 if there are too many.
func (c *calls) add(who answerer) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var slot uint32
	switch n := len(c.free); {
	case n > 0:
		slot = c.free[n-1]
		c.free = c.free[:n-1]
	case len(c.slots) >= 1<<slotBits:
		return 0
	default:
		slot = uint32(len(c.slots))
		c.slots = append(c.slots, call{})
	}
	s := &c.slots[slot]
	s.turn++
	s.number, s.who = s.turn<<slotBits|uint64(slot), who
	return s.number
}

// take ends a call, and tells who waits for it; nil if nobody does.
func (c *calls) take(number uint64) answerer {
	slot := uint32(number & (1<<slotBits - 1))
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(slot) >= len(c.slots) || c.slots[slot].number != number || number == 0 {
		return nil
	}
	s := &c.slots[slot]
	who := s.who
	s.number, s.who = 0, nil
	c.free = append(c.free, slot)
	return who
}

// takeAll ends all calls.
func (c *calls) takeAll() []answerer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []answerer
	c.free = c.free[:0]
	for i := range c.slots {
		s := &c.slots[i]
		if s.number != 0 {
			all = append(all, s.who)
		}
		s.number, s.who = 0, nil
		c.free = append(c.free, uint32(i))
	}
	return all
}

func (c *calls) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.slots) - len(c.free)
}
