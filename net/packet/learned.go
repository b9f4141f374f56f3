package packet

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// The table of learned routes: a game has some hundreds, and a place that many fight for is not worth more looks.
const (
	learnedSlots = 1024 // a power of two
	learnedLooks = 4
)

// learned is a table of routes whose strings exist already, so that decoding one of them allocates nothing. It has a fixed size: once the places for
// a route are taken, that route is just not learned. Any goroutine may read it and write to it. The nil table is empty.
type learned struct {
	seed  maphash.Seed // random, so that nobody outside knows which routes share a place
	slots [learnedSlots]atomic.Pointer[string]
}

func newLearned() *learned { return &learned{seed: maphash.MakeSeed()} }

// find returns the string of a route that has been learned.
func (l *learned) find(route []byte) (string, bool) {
	if l == nil {
		return "", false
	}
	at := maphash.Bytes(l.seed, route)
	for look := range uint64(learnedLooks) {
		s := l.slots[(at+look)%learnedSlots].Load()
		if s == nil {
			return "", false
		}
		if *s == string(route) {
			return *s, true
		}
	}
	return "", false
}

// learn keeps a route, if there is a place for it.
func (l *learned) learn(route string) {
	if route == "" || len(route) > MaxRoute {
		return
	}
	at := maphash.String(l.seed, route)
	var own *string
	for look := range uint64(learnedLooks) {
		slot := &l.slots[(at+look)%learnedSlots]
		s := slot.Load()
		if s == nil {
			if own == nil {
				kept := strings.Clone(route) // it may be a piece of something larger
				own = &kept
			}
			if slot.CompareAndSwap(nil, own) {
				return
			}
			s = slot.Load()
		}
		if *s == route {
			return
		}
	}
}
