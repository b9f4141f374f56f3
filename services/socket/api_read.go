package socket

import (
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// apiRead gives so many bytes, or whatever there is, at least one: false and the rest at the end.
func (u *user) apiRead(s vm.State) int {
	if absent(s, 2) {
		return u.read(s, "socket.read", need{kind: needSome})
	}
	n, ok := s.Int(2)
	if !ok || n < 0 {
		s.Errorf("socket.read: a number of bytes is expected as argument 2, got %s", s.Text(2))
	}
	if n > int64(u.node.cfg.MaxUnread) {
		s.Errorf("socket.read: %d bytes at a time are too many, a socket holds at most %d", n, u.node.cfg.MaxUnread)
	}
	return u.read(s, "socket.read", need{kind: needBytes, bytes: int(n)})
}

// apiReadLine gives what is before the next separator, "\n" by default: false and the rest at the end.
func (u *user) apiReadLine(s vm.State) int {
	sep := "\n"
	if !absent(s, 2) {
		sep = argText(s, 2, "socket.readline", "argument 2")
	}
	if sep == "" {
		s.Errorf("socket.readline: the separator is empty")
	}
	return u.read(s, "socket.readline", need{kind: needLine, sep: sep})
}

// apiReadAll waits for the end and gives all that came before; false if there is nothing and the end was there already.
func (u *user) apiReadAll(s vm.State) int { return u.read(s, "socket.readall", need{kind: needAll}) }

// apiBlock waits until there is something to read: true, or false at the end.
func (u *user) apiBlock(s vm.State) int {
	if e := u.entry(s, argID(s, "socket.block")); e == nil {
		s.PushBool(false)
		return 1
	}
	return u.read(s, "socket.block", need{kind: needBlock})
}

// read gives what is needed at once, or waits for it.
func (u *user) read(s vm.State, what string, n need) int {
	c := u.connection(s, what)
	c.mu.Lock()
	switch {
	case c.need.kind != needNone && c.wait.Open():
		c.mu.Unlock()
		s.Errorf("%s: another coroutine is reading socket %d", what, c.id)
	case n.met(&c.in) || c.ended != nil:
		defer c.mu.Unlock()
		return c.give(s, n, false)
	}
	c.mu.Unlock()
	w := u.h.Wait(s, what, func(s vm.State) int {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.owner != u { // it has been abandoned or taken over meanwhile
			return pushEnd(s, n, "")
		}
		c.taking = false
		return c.give(s, n, true)
	})
	c.expect(n, w)
	return s.Yield(0)
}

// expect has the owner woken when the need is met.
func (c *conn) expect(n need, w lua.Wait) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.need, c.wait, c.paused = n, w, false
	if n.met(&c.in) || c.ended != nil { // since the look before
		c.wake()
	}
	c.room.Broadcast()
}

// give pushes what the need asks for, or what there is at the end.
func (c *conn) give(s vm.State, n need, waited bool) int {
	before := c.in.size
	results := c.push(s, n, waited)
	c.took(before - c.in.size)
	if c.closing {
		c.forget() // this was the last read
	}
	return results
}

func (c *conn) push(s vm.State, n need, waited bool) int {
	switch {
	case n.kind == needBlock:
		s.PushBool(c.ended == nil)
	case n.kind == needAll:
		if all := c.in.takeAll(); all != "" || waited {
			s.PushString(all)
		} else {
			s.PushBool(false)
		}
	case !n.met(&c.in):
		return pushEnd(s, n, c.in.takeAll())
	case n.kind == needBytes:
		s.PushString(c.in.take(n.bytes, 0))
	case n.kind == needLine:
		s.PushString(c.in.take(c.in.index(n.sep), len(n.sep)))
	default:
		s.PushString(c.in.takeAll())
	}
	return 1
}

// pushEnd pushes what a read gives at the end of a connection.
func pushEnd(s vm.State, n need, rest string) int {
	if n.kind == needBlock {
		s.PushBool(false)
		return 1
	}
	s.PushBool(false)
	s.PushString(rest)
	return 2
}

// apiPause stops reading from the peer until the service reads the socket again.
func (u *user) apiPause(s vm.State) int {
	e := u.entry(s, argID(s, "socket.pause"))
	if e == nil {
		return 0
	}
	if c, ok := e.sock.(*conn); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.paused = true
	}
	return 0
}
