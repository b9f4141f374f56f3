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

// udp is a UDP socket. One goroutine reads, and one writes while there is something to write.
type udp struct {
	base
	pc *net.UDPConn
	v4 bool
	at netip.AddrPort

	// The rest is guarded by base.mu.

	to      netip.AddrPort // where write goes, see udp_connect
	in      []datagram     // that the owner has to hear of
	inSize  int
	room    sync.Cond
	reader  bool
	out     []datagram
	queued  int // bytes of out and of what is being sent
	writer  bool
	closing bool // gone when out is
	dead    bool
	told    bool
}

type datagram struct {
	at   netip.AddrPort
	data string
}

// maxDatagram is what one can hold, maxHeard how many bytes of them wait for the owner before the kernel keeps, and at last drops, what else comes;
// maxSending is how many bytes wait for the kernel before sending fails. datagramCost is what one takes beside its content.
const (
	maxDatagram  = 64 << 10
	maxHeard     = 256 << 10
	maxSending   = 1 << 20
	datagramCost = 64
)

// listenUDP opens a socket for datagrams at an address of this host, or at none in particular: one that sends first.
func (n *Sockets) listenUDP(at netip.AddrPort, client bool) (*udp, error) {
	if !client && !reach.Allowed(n.cfg.Listen, at.Addr()) {
		return nil, notAllowed("listen on", at)
	}
	id, err := n.reserve()
	if err != nil {
		return nil, err
	}
	network := "udp6"
	if at.Addr().Unmap().Is4() {
		network = "udp4"
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(context.Background(), network, at.String())
	if err != nil {
		n.remove(id)
		return nil, cause(err)
	}
	s := &udp{base: base{id: id, node: n}, pc: pc.(*net.UDPConn), v4: network == "udp4", at: addrPort(pc.LocalAddr())} //nolint:forcetypeassert // of that network
	s.room.L = &s.mu
	if !n.set(id, s) {
		pc.Close()
		n.remove(id)
		return nil, ErrStopped
	}
	return s, nil
}

// setOwner hands the socket to a service, and starts to read.
func (s *udp) setOwner(u *user) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == u {
		return true
	}
	if s.dead || u != nil && !u.add(s.id, s) {
		return false
	}
	if s.owner != nil {
		s.owner.del(s.id)
	}
	s.owner = u
	s.room.Broadcast()
	if u != nil && !s.reader {
		s.reader = true
		s.node.tasks.Go(s.serve)
	}
	if u != nil && len(s.in) > 0 {
		u.post(s)
	}
	return true
}

// maxFailures is how many times in a row reading may fail: a peer that is gone makes single ones fail.
const maxFailures = 100

// serve reads until the socket is closed.
func (s *udp) serve() {
	buf := make([]byte, maxDatagram)
	failed := 0
	for s.mayRead() {
		n, from, err := s.pc.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			failed = 0
			s.received(datagram{from, string(buf[:n])})
		case errors.Is(err, net.ErrClosed):
			return
		default:
			if failed++; failed == maxFailures {
				s.abort(err)
				return
			}
		}
	}
}

func (s *udp) mayRead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.dead && (s.inSize >= maxHeard || s.owner == nil) {
		s.room.Wait()
	}
	return !s.dead
}

func (s *udp) received(d datagram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return
	}
	s.read.add(len(d.data))
	s.node.cfg.Metrics.read.Add(float64(len(d.data)))
	s.in = append(s.in, d)
	s.inSize += len(d.data) + datagramCost
	if s.owner != nil {
		s.owner.post(s)
	}
}

// hearUDP gives the script what came.
func (u *user) hearUDP(s *udp) {
	e := u.socks[s.id]
	s.mu.Lock()
	if !s.hearing(u) || e == nil {
		s.mu.Unlock()
		return
	}
	n := min(len(s.in), maxEvents)
	news := s.in[:n:n]
	s.in = s.in[n:]
	for _, d := range news {
		s.inSize -= len(d.data) + datagramCost
	}
	if len(s.in) > 0 {
		u.post(s)
	} else {
		s.in = nil
	}
	ended := s.dead && !s.told
	s.told = s.told || ended
	s.room.Broadcast()
	s.mu.Unlock()
	for _, d := range news {
		u.call(&e.callback, func(st vm.State) int {
			st.PushString(d.data)
			st.PushString(encode(d.at))
			return 2
		}, nil)
	}
	if ended {
		u.closed(e)
	}
}

// send queues a datagram; false when it can't be sent.
func (s *udp) send(at netip.AddrPort, data string) bool {
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if !at.IsValid() || at.Addr().Is4() != s.v4 || len(data) >= maxDatagram || !reach.Allowed(s.node.cfg.Connect, at.Addr()) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	size := len(data) + datagramCost
	if s.dead || s.closing {
		return false
	}
	if s.queued+size > maxSending {
		s.node.cfg.Metrics.datagrams.Inc()
		return false
	}
	s.queued += size
	s.out = append(s.out, datagram{at, data})
	if !s.writer {
		s.writer = true
		s.node.tasks.Go(s.flush)
	}
	return true
}

// flush sends until nothing is left. What the network refuses is lost, as datagrams may be.
func (s *udp) flush() {
	for {
		s.mu.Lock()
		list := s.out
		s.out = nil
		if len(list) == 0 {
			s.writer = false
			if s.closing {
				s.gone()
			}
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for _, d := range list {
			n, err := s.pc.WriteToUDPAddrPort([]byte(d.data), d.at)
			s.sent(d, n, err)
		}
	}
}

func (s *udp) sent(d datagram, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued -= len(d.data) + datagramCost
	if err != nil {
		if !s.dead {
			s.node.cfg.Log.Debug("datagram not sent", "id", s.id, "to", d.at, "error", err)
		}
		return
	}
	s.wrote.add(n)
	s.node.cfg.Metrics.written.Add(float64(n))
}

// connect sets where write sends to.
func (s *udp) connect(to netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
}

// target is where write sends to.
func (s *udp) target() netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to
}

// close gives what is being sent a second: the kernel takes datagrams at once, as a rule.
func (s *udp) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	if !s.writer {
		s.gone()
		return
	}
	s.pc.SetWriteDeadline(time.Now().Add(time.Second)) //nolint:errcheck // fails when it is closed already
}

func (s *udp) abort(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone()
}

func (s *udp) gone() {
	if s.dead {
		return
	}
	s.dead = true
	s.pc.Close()
	s.node.remove(s.id)
	s.room.Broadcast()
	if s.owner != nil {
		s.owner.post(s)
	}
}
