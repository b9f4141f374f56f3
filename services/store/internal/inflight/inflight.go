// Package inflight counts the calls into something that can be closed.
package inflight

import "sync"

// Calls lets calls in until it is closed, and lets Close wait for those that are in. The zero value is open.
type Calls struct {
	mu     sync.Mutex
	closed bool
	in     sync.WaitGroup
}

// Enter reports whether the call may go on; then Leave must follow it.
func (c *Calls) Enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.in.Add(1)
	return true
}

// Leave ends a call.
func (c *Calls) Leave() { c.in.Done() }

// Close lets no further call in and returns when the last one has left.
func (c *Calls) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.in.Wait()
}
