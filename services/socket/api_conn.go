package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/skua-go/skua/lua/vm"
)

// apiOpen connects: a number, or nil and why not.
func (u *user) apiOpen(s vm.State) int {
	host, port := argAddress(s, 1, "socket.open")
	u.watch(s, "socket.open")
	var c *conn
	var failure error
	w := u.h.Wait(s, "socket.open", func(s vm.State) int {
		if failure == nil && !c.owned(u) {
			failure = ErrStopped // the node stops
		}
		if failure != nil {
			return failed(s, failure)
		}
		u.keep(c)
		s.PushInt(c.id)
		return 1
	})
	id, err := u.node.reserve()
	if err != nil {
		failure = err
		w.Wake()
		return s.Yield(0)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if !u.dialing(id, cancel) {
		cancel()
	}
	u.node.tasks.Go(func() {
		defer cancel()
		c, failure = u.dial(ctx, id, host, port)
		w.Wake()
	})
	return s.Yield(0)
}

// dial connects for the service. It blocks.
func (u *user) dial(ctx context.Context, id int64, host string, port uint16) (*conn, error) {
	defer u.dialed(id)
	tcp, err := u.node.dial(ctx, host, port)
	if err != nil {
		u.node.remove(id)
		return nil, err
	}
	c := newConn(u.node, id, tcp)
	if !u.node.set(id, c) || !c.setOwner(u) {
		c.abort(net.ErrClosed)
		return nil, ErrStopped
	}
	return c, nil
}

// dialing notes how to give a connect up when the service ends; false if it has.
func (u *user) dialing(id int64, cancel context.CancelFunc) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return false
	}
	u.dials[id] = cancel
	return true
}

func (u *user) dialed(id int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.dials, id)
}

// resolved calls use with the addresses of a host: at once if it is an address, else the coroutine waits. use must not raise an error.
func (u *user) resolved(s vm.State, what, host string, use func(s vm.State, addrs []netip.Addr, err error) int) int {
	if addr, ok := literal(host); ok {
		return use(s, []netip.Addr{addr}, nil)
	}
	var addrs []netip.Addr
	var failure error
	w := u.h.Wait(s, what, func(s vm.State) int { return use(s, addrs, failure) })
	u.h.Context().Go(func(ctx context.Context) (any, error) { return u.node.lookup(ctx, host) }, func(v any, err error) {
		addrs, _ = v.([]netip.Addr)
		if failure = err; err == nil && len(addrs) == 0 {
			failure = errors.New("the host has no address")
		}
		w.Wake()
	})
	return s.Yield(0)
}

// apiListen opens a listener: a number, the address and the port, or nil and why not.
func (u *user) apiListen(s vm.State) int {
	host, port := argAddress(s, 1, "socket.listen")
	u.watch(s, "socket.listen")
	return u.resolved(s, "socket.listen", host, func(s vm.State, addrs []netip.Addr, err error) int {
		if err != nil {
			return failed(s, err)
		}
		l, err := u.node.listen(netip.AddrPortFrom(addrs[0], port))
		if err != nil {
			return failed(s, err)
		}
		if !l.setOwner(u) {
			l.close()
			return failed(s, ErrStopped)
		}
		u.keep(l)
		s.PushInt(l.id)
		s.PushString(l.at.Addr().Unmap().String())
		s.PushInt(int64(l.at.Port()))
		return 3
	})
}

// apiStart makes the service the owner of a socket, and a listener accept: the number, or nil and why not.
func (u *user) apiStart(s vm.State) int {
	id := argID(s, "socket.start")
	u.watch(s, "socket.start")
	e := u.entry(s, id)
	if e != nil {
		if _, ok := e.sock.(*listener); !ok {
			s.Errorf("socket.start: socket %d is not closed", id)
		}
	} else {
		found := u.node.find(id)
		if found == nil {
			return failed(s, errors.New("invalid socket"))
		}
		if _, ok := found.(*listener); ok && absent(s, 2) {
			s.Errorf("socket.start: socket %d is a listener: a function for its connections is expected as argument 2", id)
		}
		if !found.setOwner(u) {
			return failed(s, errors.New("invalid socket"))
		}
		e = u.keep(found)
	}
	fn := argFunction(s, 2, "socket.start")
	if fn != 0 {
		s.Unref(e.callback)
		e.callback = fn
	}
	if l, ok := e.sock.(*listener); ok {
		if fn == 0 {
			s.Errorf("socket.start: socket %d is a listener: a function for its connections is expected as argument 2", id)
		}
		l.start()
	}
	s.PushInt(id)
	return 1
}

// apiAbandon gives a socket up, for another service to start. What came stays.
func (u *user) apiAbandon(s vm.State) int {
	if e := u.entry(s, argID(s, "socket.abandon")); e != nil {
		u.drop(s, e)
		e.sock.setOwner(nil)
	}
	return 0
}

// apiClose closes a socket of the service: what was written still goes out, a coroutine that reads it hears of the end. It returns behind that.
func (u *user) apiClose(s vm.State) int {
	e := u.entry(s, argID(s, "socket.close"))
	if e == nil {
		return 0
	}
	heard := e.onclose != 0
	u.closed(e)
	if c, ok := e.sock.(*conn); ok && c.reading() {
		heard = true
	}
	e.sock.close()
	u.drop(s, e)
	if !heard {
		return 0
	}
	w := u.h.Wait(s, "socket.close", func(vm.State) int { return 0 })
	w.Wake() // behind the reader's
	return s.Yield(0)
}

// reading tells whether a coroutine of the owner waits for the connection.
func (c *conn) reading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.need.kind != needNone && !c.wait.Open() {
		c.need = need{} // the engine could not let it wait, or it was killed
	}
	return c.need.kind != needNone
}

// apiCloseFD closes a socket that the service has not started.
func (u *user) apiCloseFD(s vm.State) int {
	id := argID(s, "socket.close_fd")
	if u.entry(s, id) != nil {
		s.Errorf("socket.close_fd: socket %d is open in this service: use socket.close", id)
	}
	if found := u.node.find(id); found != nil {
		found.close()
	}
	return 0
}

// apiShutdown ends a connection at once, without what was to be written. What was read can still be taken; socket.close has to follow.
func (u *user) apiShutdown(s vm.State) int {
	if e := u.entry(s, argID(s, "socket.shutdown")); e != nil {
		e.sock.abort(net.ErrClosed)
	}
	return 0
}

// write queues a string, or the strings of a list: whether the socket takes it.
func (u *user) write(s vm.State, what string, low bool) int {
	id := argID(s, what)
	parts := argParts(s, what)
	ok := false
	switch found := u.node.find(id).(type) {
	case *conn:
		ok = found.write(parts, low)
	case *udp:
		ok = found.send(found.target(), joined(parts))
	}
	s.PushBool(ok)
	return 1
}

// argParts reads argument 2: a string, or a list of strings.
func argParts(s vm.State, what string) []string {
	if s.Type(2) != vm.Table {
		return []string{argText(s, 2, what, "argument 2")}
	}
	n := s.Len(2)
	parts := make([]string, n)
	for i := range parts {
		s.RawGetInt(2, int64(i)+1)
		parts[i] = argText(s, -1, what, "each element of the list")
		s.Pop(1)
	}
	return parts
}

// argText reads a string; a number is its text.
func argText(s vm.State, i int, what, which string) string {
	switch s.Type(i) {
	case vm.String:
		text, _ := s.String(i)
		return text
	case vm.Number:
		return s.Text(i)
	}
	s.Errorf("%s: a string is expected as %s, got %s", what, which, s.Type(i))
	return ""
}
