package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/skua-go/skua/internal/reach"
	"github.com/skua-go/skua/lua/vm"
)

// listener takes connections, from the moment when a service starts it.
type listener struct {
	base
	tcp *net.TCPListener
	at  netip.AddrPort

	// The rest is guarded by base.mu.

	accepting bool    // the goroutine has been started
	accepted  []*conn // that the owner has to hear of
	room      sync.Cond
	dead      bool
	told      bool
}

// maxAccepted bounds the connections that the owner has not heard of yet; further ones wait in the kernel.
const maxAccepted = 1000

// listen opens a listener at an address of this host.
func (n *Sockets) listen(at netip.AddrPort) (*listener, error) {
	if !reach.Allowed(n.cfg.Listen, at.Addr()) {
		return nil, notAllowed("listen on", at)
	}
	id, err := n.reserve()
	if err != nil {
		return nil, err
	}
	network := "tcp"
	if at.Addr().Is4() {
		network = "tcp4" // else 0.0.0.0 would be :: too
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), network, at.String())
	if err != nil {
		n.remove(id)
		return nil, cause(err)
	}
	s := &listener{base: base{id: id, node: n}, tcp: l.(*net.TCPListener), at: addrPort(l.Addr())} //nolint:forcetypeassert // of the network "tcp"
	s.room.L = &s.mu
	if !n.set(id, s) {
		l.Close()
		n.remove(id)
		return nil, ErrStopped
	}
	return s, nil
}

// setOwner hands the listener to a service. It does not accept before start.
func (l *listener) setOwner(u *user) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner == u {
		return true
	}
	if l.dead || u != nil && !u.add(l.id, l) {
		return false
	}
	if l.owner != nil {
		l.owner.del(l.id)
	}
	l.owner = u
	if u != nil && len(l.accepted) > 0 {
		u.post(l)
	}
	return true
}

// start begins to accept.
func (l *listener) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.accepting && !l.dead {
		l.accepting = true
		l.node.tasks.Go(l.serve)
	}
}

// serve accepts until the listener is closed.
func (l *listener) serve() {
	const longest = time.Second
	pause := 5 * time.Millisecond
	for l.mayAccept() {
		c, err := l.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // of this connection, or the process has too many files open, which passes
			l.node.cfg.Log.Warn("accept failed", "id", l.id, "address", l.at, "error", err)
			l.rest(pause)
			pause = min(2*pause, longest)
			continue
		}
		pause = 5 * time.Millisecond
		l.admit(c)
	}
}

// rest lets some time pass, or less when the listener is closed.
func (l *listener) rest(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	over := false
	t := time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		over = true
		l.room.Broadcast()
	})
	defer t.Stop()
	for !over && !l.dead {
		l.room.Wait()
	}
}

func (l *listener) mayAccept() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.dead && len(l.accepted) >= maxAccepted {
		l.room.Wait()
	}
	return !l.dead
}

// admit gives a connection a number. It belongs to the listener's owner, until a service starts it.
func (l *listener) admit(tcp net.Conn) {
	id, err := l.node.reserve()
	if err != nil {
		tcp.Close()
		l.node.cfg.Log.Warn("connection refused", "id", l.id, "address", l.at, "error", err)
		return
	}
	c := newConn(l.node, id, tcp)
	if !l.node.set(id, c) {
		c.abort(ErrStopped)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read.add(1)
	if l.dead || l.owner != nil && !l.owner.add(id, c) {
		c.abort(net.ErrClosed)
		return
	}
	c.parent = l.owner // nobody else knows of it yet
	l.accepted = append(l.accepted, c)
	if l.owner != nil {
		l.owner.post(l)
	}
}

// hearListener tells the script of new connections.
func (u *user) hearListener(l *listener) {
	e := u.socks[l.id]
	l.mu.Lock()
	if !l.hearing(u) || e == nil {
		l.mu.Unlock()
		return
	}
	n := min(len(l.accepted), maxEvents)
	news := l.accepted[:n:n]
	l.accepted = l.accepted[n:]
	if len(l.accepted) > 0 {
		u.post(l)
	} else {
		l.accepted = nil
	}
	ended := l.dead && !l.told
	l.told = l.told || ended
	l.room.Broadcast()
	l.mu.Unlock()
	for _, c := range news {
		u.call(&e.callback, func(s vm.State) int {
			s.PushInt(c.id)
			s.PushString(c.peer)
			return 2
		}, func() { c.abort(net.ErrClosed) })
	}
	if ended {
		u.closed(e)
	}
}

func (l *listener) close() { l.abort(net.ErrClosed) }

func (l *listener) abort(error) {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return
	}
	l.dead = true
	l.tcp.Close()
	l.node.remove(l.id)
	unheard := l.accepted
	l.accepted = nil
	l.room.Broadcast()
	if l.owner != nil {
		l.owner.post(l)
	}
	l.mu.Unlock()
	for _, c := range unheard {
		c.abort(net.ErrClosed)
	}
}
