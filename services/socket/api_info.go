package socket

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/skua-go/skua/lua/vm"
)

// info is what netstat tells of a socket.
type info struct {
	id                          int64
	kind                        string // LISTEN, TCP, UDP or CLOSING
	owner                       *user
	sock, peer                  string
	read, written, wait, unread int
	readAgo, wroteAgo           time.Duration // below 0: never
	reading, writing            bool
}

func (b *base) basics(kind string, now time.Time) info {
	return info{
		id: b.id, kind: kind, owner: b.owner, read: int(b.read.bytes), written: int(b.wrote.bytes), readAgo: b.read.ago(now), wroteAgo: b.wrote.ago(now),
	}
}

// ago is how long ago something last passed; below 0 for never.
func (t *traffic) ago(now time.Time) time.Duration {
	if t.last.IsZero() {
		return -1
	}
	return now.Sub(t.last)
}

func (c *conn) info(now time.Time) info {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.basics("TCP", now)
	if c.closing {
		i.kind = "CLOSING"
	}
	i.peer, i.wait, i.unread, i.writing = c.peer, c.waiting, c.in.size, c.writer
	i.reading = c.ended == nil && !c.full()
	return i
}

func (l *listener) info(now time.Time) info {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.basics("LISTEN", now)
	i.sock = l.at.String()
	return i
}

func (s *udp) info(now time.Time) info {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.basics("UDP", now)
	i.sock, i.wait, i.unread, i.writing, i.reading = s.at.String(), s.queued, s.inSize, s.writer, s.owner != nil
	if s.to.IsValid() {
		i.peer = s.to.String()
	}
	return i
}

// apiInfo lists all sockets of the node, whatever service's they are. Argument 1 is the time now, in 1/100 s, as skynet.now gives it.
func (u *user) apiInfo(s vm.State) int {
	now, _ := s.Int(1)
	all := u.node.all()
	slices.SortFunc(all, func(a, b sock) int { return int(a.head().id - b.head().id) })
	s.NewTable(len(all), 0)
	for n, one := range all {
		i := one.info(time.Now())
		s.NewTable(0, 12)
		number := func(name string, v int64) {
			s.PushInt(v)
			s.SetField(-2, name)
		}
		text := func(name, v string) {
			if v != "" {
				s.PushString(v)
				s.SetField(-2, name)
			}
		}
		since := func(name string, ago time.Duration) {
			if ago < 0 {
				number(name, 0)
				return
			}
			const cs = 10 * time.Millisecond
			number(name, max(0, now-int64((ago+cs-1)/cs))) // rounded so that nothing is in the future
		}
		number("id", i.id)
		text("type", i.kind)
		owner := int64(0)
		if i.owner != nil {
			owner = int64(i.owner.ref.ID())
		}
		number("address", owner)
		text("sock", i.sock)
		text("peer", i.peer)
		since("rtime", i.readAgo)
		if i.kind == "LISTEN" {
			number("accept", int64(i.read))
		} else {
			number("read", int64(i.read))
			number("write", int64(i.written))
			number("wbuffer", int64(i.wait))
			number("rbuffer", int64(i.unread))
			since("wtime", i.wroteAgo)
			s.PushBool(i.reading)
			s.SetField(-2, "reading")
			s.PushBool(i.writing)
			s.SetField(-2, "writing")
		}
		s.RawSetInt(-2, int64(n)+1)
	}
	return 1
}

// apiLimit sets how many bytes may be unread; more close the socket, unless the service waits for a number of bytes.
func (u *user) apiLimit(s vm.State) int {
	c := u.connection(s, "socket.limit")
	n, ok := s.Int(2)
	if !ok && !absent(s, 2) || n < 0 {
		s.Errorf("socket.limit: a number of bytes is expected as argument 2, got %s", s.Text(2))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = int(n)
	return 0
}

// apiWarning sets the function that hears how many KiB wait to be written: from 1 MiB on at each doubling, and 0 when nothing waits any more.
func (u *user) apiWarning(s vm.State) int {
	e := u.mine(s, "socket.warning")
	fn := argFunction(s, 2, "socket.warning")
	s.Unref(e.warning)
	e.warning = fn
	return 0
}

// apiOnClose sets the function that hears of the end of a connection, however it ends.
func (u *user) apiOnClose(s vm.State) int {
	e := u.entry(s, argID(s, "socket.onclose"))
	if e == nil && absent(s, 2) {
		return 0
	}
	e = u.mine(s, "socket.onclose")
	fn := argFunction(s, 2, "socket.onclose")
	s.Unref(e.onclose)
	e.onclose = fn
	return 0
}

// apiInvalid tells whether the socket is not open in this service.
func (u *user) apiInvalid(s vm.State) int {
	s.PushBool(u.entry(s, argID(s, "socket.invalid")) == nil)
	return 1
}

// apiDisconnected tells whether the peer of a socket of this service is gone; nil for one that is not open in this service.
func (u *user) apiDisconnected(s vm.State) int {
	e := u.entry(s, argID(s, "socket.disconnected"))
	if e == nil {
		return 0
	}
	gone := false
	switch k := e.sock.(type) {
	case *conn:
		k.mu.Lock()
		gone = k.ended != nil
		k.mu.Unlock()
	case *listener:
		k.mu.Lock()
		gone = k.dead
		k.mu.Unlock()
	case *udp:
		k.mu.Lock()
		gone = k.dead
		k.mu.Unlock()
	}
	s.PushBool(gone)
	return 1
}

// apiNoDelay has what is written go out at once, which connections do anyway.
func (u *user) apiNoDelay(s vm.State) int {
	if c, ok := u.node.find(argID(s, "socketdriver.nodelay")).(*conn); ok {
		if tcp, ok := c.tcp.(*net.TCPConn); ok {
			tcp.SetNoDelay(true) //nolint:errcheck // fails when the connection is gone, which its reader sees
		}
	}
	return 0
}

// apiResolve gives a list of the addresses of a host, or nil and why not.
func (u *user) apiResolve(s vm.State) int {
	host, ok := s.String(1)
	if !ok || host == "" {
		s.Errorf("socket.resolve: a host is expected, got %s", s.Type(1))
	}
	return u.resolved(s, "socket.resolve", host, func(s vm.State, addrs []netip.Addr, err error) int {
		if err != nil {
			return failed(s, err)
		}
		s.NewTable(len(addrs), 0)
		for i, a := range addrs {
			s.PushString(a.String())
			s.RawSetInt(-2, int64(i)+1)
		}
		return 1
	})
}

// apiHeader reads a number of 1 to 4 bytes in network order.
func apiHeader(s vm.State) int {
	text, ok := s.String(1)
	if !ok || text == "" || len(text) > 4 {
		s.Errorf("socket.header: a string of 1 to 4 bytes is expected, got %s", s.Text(1))
	}
	n := int64(0)
	for i := range len(text) {
		n = n<<8 | int64(text[i])
	}
	s.PushInt(n)
	return 1
}
