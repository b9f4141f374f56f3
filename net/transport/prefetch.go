package transport

import "github.com/skua-go/skua/internal/prefetch"

// prefetcher is a Receiver that knows what its next frame will need, see package prefetch. Prefetch is called for several connections before the first of them
// gets its frame, with depth 0 for all of them, then with 1 and so on, while any of them says that there is more: what one depth has loaded tells
// where to look for the next one's. It is called by whoever calls Frame, and must not wait.
type prefetcher interface {
	Prefetch(depth int) (more bool)
}

// foresight is what is loaded of a connection before it is read from, and who knows what comes then.
type foresight struct {
	socket, recv prefetch.Object
	more         prefetcher // nil: recv knows nothing
}

// foresee is called when the connection has its Receiver.
func (c *Conn) foresee() {
	c.near = foresight{socket: prefetch.Of(c.nc), recv: prefetch.Of(c.recv)}
	c.near.more, _ = c.recv.(prefetcher)
}

// load loads what it takes to read from all connections of the share, and from the one before.
func (s *share) load(first job) {
	for c := range s.readers(first) {
		prefetch.One(c)
	}
	for c := range s.readers(first) {
		c.near.socket.Load()
		c.near.recv.Load()
		prefetch.One(c.steps)
	}
}

// loadMore loads what their frames need.
func (s *share) loadMore(first job) {
	for depth, more := 0, true; more; depth++ {
		more = false
		for c := range s.readers(first) {
			if c.near.more != nil && c.near.more.Prefetch(depth) {
				more = true
			}
		}
	}
}

// readers are the connections that are to be read from.
func (s *share) readers(first job) func(yield func(*Conn) bool) {
	return func(yield func(*Conn) bool) {
		if first.read && !yield(first.conn) {
			return
		}
		for i := range s.n {
			if j := &s.jobs[i]; j.read && !yield(j.conn) {
				return
			}
		}
	}
}
