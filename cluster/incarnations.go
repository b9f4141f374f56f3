package cluster

import (
	"slices"
	"sync"
)

// incarnations are those who hear of the node's incarnations.
type incarnations struct {
	mu        sync.Mutex
	listeners []*listener
}

type listener struct{ f func(uint64) }

// Incarnations has f called with the node's incarnation, before it returns, and with each further one that the node gets when it had lost its lease, until
// cancel is called. Calls are in order, one at a time, and must not wait.
func (n *Node) Incarnations(f func(incarnation uint64)) (cancel func()) {
	l := &listener{f}
	c := &n.news
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, l)
	f(n.Lease().Incarnation)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.listeners = slices.DeleteFunc(c.listeners, func(o *listener) bool { return o == l })
	}
}

func (c *incarnations) tell(incarnation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.listeners {
		l.f(incarnation)
	}
}
