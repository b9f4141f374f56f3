package socket

import (
	"context"
	"sync"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// user is a service that has loaded the module.
type user struct {
	node *Sockets
	h    *lua.Host
	ref  actor.Ref
	poke func() // has the actor call hear; from any goroutine

	// Of the actor.

	socks   map[int64]*entry
	watched bool // the keeper has been told of it

	mu    sync.Mutex
	owned map[int64]sock
	dials map[int64]context.CancelFunc // of those that connect
	queue []sock                       // what has something to tell
	poked bool
	gone  bool
}

// entry is what a service keeps of a socket that it has started, opened or listens with.
type entry struct {
	sock                       sock
	callback, warning, onclose int // references to functions of the script
}

// maxEvents bounds what a socket tells the service at a time, so that others have their turn.
const maxEvents = 64

func newUser(n *Sockets, h *lua.Host) *user {
	u := &user{node: n, h: h, ref: h.Context().Self(), socks: map[int64]*entry{}, owned: map[int64]sock{}, dials: map[int64]context.CancelFunc{}}
	u.poke = h.Post(u.hear)
	return u
}

// watch makes sure that the sockets of the service are closed when it ends. It is called before there are any.
func (u *user) watch(s vm.State, what string) {
	if u.watched {
		return
	}
	u.node.things.Watch(u.h, s, what, u.end)
	u.watched = true
}

// add makes the service the owner of a socket; false when it has ended.
func (u *user) add(id int64, s sock) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return false
	}
	u.owned[id] = s
	return true
}

func (u *user) del(id int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.owned, id)
}

// end closes the sockets of a service that has ended.
func (u *user) end() {
	u.mu.Lock()
	u.gone = true
	owned := u.owned
	u.owned, u.queue = nil, nil
	for _, cancel := range u.dials {
		cancel()
	}
	u.mu.Unlock()
	for _, s := range owned {
		s.close()
		if c, ok := s.(*conn); ok {
			c.unread()
		}
	}
}

// post has the service hear of a socket soon. The caller holds the socket's lock.
func (u *user) post(s sock) {
	b := s.head()
	if b.posted == u {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return
	}
	b.posted = u
	u.queue = append(u.queue, s)
	if !u.poked {
		u.poked = true
		u.poke()
	}
}

// hear runs in the actor and passes on what sockets have to tell.
func (u *user) hear() {
	u.mu.Lock()
	queue := u.queue
	u.queue, u.poked = nil, false
	u.mu.Unlock()
	for _, s := range queue {
		switch s := s.(type) {
		case *conn:
			u.hearConn(s)
		case *listener:
			u.hearListener(s)
		case *udp:
			u.hearUDP(s)
		}
	}
}

// hearing begins to take what a socket has to tell; false if that is another service's business now.
func (b *base) hearing(u *user) bool {
	if b.posted == u {
		b.posted = nil
	}
	return b.owner == u
}

func (u *user) hearConn(c *conn) {
	c.mu.Lock()
	var warned []int
	ended := false
	if c.hearing(u) {
		warned, c.warned = c.warned, nil
		ended = c.ended != nil && !c.told
		c.told = c.told || ended
	}
	c.mu.Unlock()
	e := u.socks[c.id]
	if e == nil || e.sock != sock(c) {
		return
	}
	for _, kib := range warned {
		u.warn(c, e, kib)
	}
	if ended {
		u.closed(e)
	}
}

func (u *user) warn(c *conn, e *entry, kib int) {
	if e.warning == 0 {
		if kib > 0 {
			u.h.Log().Warn("much waits to be written to a socket", "id", c.id, "peer", c.peer, "KiB", kib)
		}
		return
	}
	u.call(&e.warning, func(s vm.State) int {
		s.PushInt(c.id)
		s.PushInt(int64(kib))
		return 2
	}, nil)
}

// call runs a function of the script in a coroutine of its own; or otherwise, if the script has taken the function back by then.
func (u *user) call(ref *int, args func(s vm.State) int, otherwise func()) {
	u.h.Fork(func(s vm.State) int {
		if *ref == 0 {
			if otherwise != nil {
				otherwise()
			}
			s.PushFunc("nothing", func(vm.State) int { return 0 })
			return 0
		}
		s.Push(*ref)
		return args(s)
	})
}

// closed calls the function given to socket.onclose, once.
func (u *user) closed(e *entry) {
	if e.onclose == 0 {
		return
	}
	ref := e.onclose
	e.onclose = 0
	u.h.Fork(func(s vm.State) int {
		s.Push(ref)
		s.Unref(ref)
		s.PushInt(e.sock.head().id)
		return 1
	})
}

// entry gives what the service has of a socket; nil if it is none of its own, any more.
func (u *user) entry(s vm.State, id int64) *entry {
	e := u.socks[id]
	if e != nil && !e.sock.head().owned(u) {
		u.drop(s, e) // another service has taken it over
		return nil
	}
	return e
}

// keep makes an entry.
func (u *user) keep(s sock) *entry {
	e := &entry{sock: s}
	u.socks[s.head().id] = e
	return e
}

// drop forgets an entry.
func (u *user) drop(s vm.State, e *entry) {
	id := e.sock.head().id
	if u.socks[id] == e {
		delete(u.socks, id)
	}
	u.del(id)
	for _, ref := range []*int{&e.callback, &e.warning, &e.onclose} {
		s.Unref(*ref)
		*ref = 0
	}
}
