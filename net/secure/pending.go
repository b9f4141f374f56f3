package secure

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
)

// pending is a connection that is not finished.
type pending struct {
	conn   net.Conn
	prefix netip.Prefix  // what it is counted by; zero while that is not known
	place  *list.Element // among those that may have to give way; nil once it is finished or has given way
	gaveUp error         // why it was closed before it was finished
}

// waiting are all connections that are not finished, the oldest first. Its methods may be called from any goroutine.
type waiting struct {
	most, mostOf int
	stats        *Stats

	mu       sync.Mutex
	order    list.List // of *pending
	finished int       // those that wait to be accepted: they are done and give way to nobody
	of       map[netip.Prefix]int
	closed   bool
}

// enter counts p in. The oldest gives way if there is no room.
func (w *waiting) enter(p *pending) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return net.ErrClosed
	}
	if err := w.count(p.prefix); err != nil {
		return err
	}
	if w.order.Len()+w.finished >= w.most {
		oldest := w.order.Front()
		if oldest == nil { // nobody accepts
			w.discount(p.prefix)
			return fmt.Errorf("%w: %d wait to be accepted", ErrCrowded, w.finished)
		}
		w.giveWay(oldest.Value.(*pending), ErrCrowded) //nolint:forcetypeassert // what the list is of
	}
	p.place = w.order.PushBack(p)
	w.stats.pending.Add(1)
	return nil
}

// giveWay closes a connection under its goroutine, which then ends; w.mu is held.
func (w *waiting) giveWay(p *pending, why error) {
	w.order.Remove(p.place)
	p.place, p.gaveUp = nil, why
	w.stats.pending.Add(-1)
	w.discount(p.prefix)
	_ = p.conn.Close()
}

// attribute counts p for whom it turned out to be of.
func (w *waiting) attribute(p *pending, prefix netip.Prefix) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.place == nil {
		return p.gaveUp
	}
	if err := w.count(prefix); err != nil {
		return err
	}
	p.prefix = prefix
	return nil
}

// finish says that p gives way to nobody from here on, or why it had to.
func (w *waiting) finish(p *pending) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.place == nil {
		return p.gaveUp
	}
	w.order.Remove(p.place)
	p.place = nil
	w.finished++
	return nil
}

// leave counts p out.
func (w *waiting) leave(p *pending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case p.gaveUp != nil:
		return
	case p.place != nil:
		w.order.Remove(p.place)
	default:
		w.finished--
	}
	p.place = nil
	w.stats.pending.Add(-1)
	w.discount(p.prefix)
}

// why is the reason of a connection's end: that it had to give way, if it had to, and not what that looked like to it.
func (w *waiting) why(p *pending, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case p.gaveUp != nil:
		return p.gaveUp
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case isGone(err):
		return fmt.Errorf("%w: %w", ErrGone, err)
	default:
		return err
	}
}

// close ends all that are not finished, and lets none in any more.
func (w *waiting) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for w.order.Len() > 0 {
		w.giveWay(w.order.Front().Value.(*pending), net.ErrClosed) //nolint:forcetypeassert // what the list is of
	}
}

// count adds one to a network's connections; w.mu is held.
func (w *waiting) count(prefix netip.Prefix) error {
	if !prefix.IsValid() {
		return nil
	}
	if w.of[prefix] >= w.mostOf {
		return fmt.Errorf("%w: %d of %s", ErrAddress, w.mostOf, prefix)
	}
	w.of[prefix]++
	return nil
}

func (w *waiting) discount(prefix netip.Prefix) {
	if !prefix.IsValid() {
		return
	}
	if w.of[prefix]--; w.of[prefix] <= 0 {
		delete(w.of, prefix)
	}
}

// addrOf is the IP address of a connection's end; invalid if it has none, as a pipe.
func addrOf(a net.Addr) netip.Addr {
	var ip netip.Addr
	switch a := a.(type) {
	case nil:
	case *net.TCPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	case *net.UDPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	default:
		if ap, err := netip.ParseAddrPort(a.String()); err == nil {
			ip = ap.Addr()
		}
	}
	return ip.Unmap().WithZone("")
}

// prefixOf is the network that an address is counted by: what one attacker may easily have all addresses of.
func prefixOf(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// isGone tells whether an error is how a client looks that has ended its connection.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
