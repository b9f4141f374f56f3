// Package netlab is a network for measurements and torture: a link whose delay, loss and order are chosen, between a client and a server on this machine.
//
// Each IP packet, of TCP as of UDP, crosses the link in user space, so that the kernel's own TCP meets the same losses as anybody's protocol over UDP. It is a TUN device
// inside a network namespace of its own: nothing outside can reach it, and it is gone with its process. Isolate starts a process in such a namespace, and Open
// makes the link there.
package netlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Link says what happens to packets, in each direction alike. The zero value passes all of them at once.
type Link struct {
	Delay     time.Duration // one way: half of a round trip
	Jitter    time.Duration // each packet waits up to so much longer, without overtaking others
	Loss      float64       // share of the packets that are lost, 0 to 1, each by itself
	Reorder   float64       // share that is held back by 10 ms more while others overtake it
	Duplicate float64       // share that arrives twice
	Rate      int           // bytes a second; 0: any. What doesn't fit into Queue of it is lost
	Queue     time.Duration // default 100 ms
}

// Network is a link that is open.
type Network struct {
	tun *os.File

	mu     sync.Mutex
	ways   [2]Way // by direction
	rnd    *rand.Rand
	origin byte // the client's place, as servers see it
	stats  Stats
	closed bool

	due     *Due
	running sync.WaitGroup
	err     error
}

// The addresses of the link. Both ends are on one machine, so there is one that is real, and two that only exist for the other end: packets to the server's
// are handed over to the real one as if the client's had sent them, and the answers the same way back.
const (
	prefix = 73 // 10.73.0.0/24
	local  = 1
	server = 2
	first  = 3 // the client's first; Move takes the next
	last   = 254
)

func addr(host byte) netip.Addr { return netip.AddrFrom4([4]byte{10, prefix, 0, host}) }

// Listen is the address for servers to listen on.
func (*Network) Listen() netip.Addr { return addr(local) }

// Server is the address under which clients find them.
func (*Network) Server() netip.Addr { return addr(server) }

// Client is the address that servers see of the clients now.
func (n *Network) Client() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return addr(n.origin)
}

// Set changes the link. Packets on their way are not concerned.
func (n *Network) Set(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ways[up].Link, n.ways[down].Link = l, l
}

// Move gives the clients another address, as when a phone changes from Wi-Fi to 5G behind its back: what they send comes from there, and what is sent to the
// old one is lost. It returns the new one; there are 251.
func (n *Network) Move() (netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.origin == last {
		return netip.Addr{}, errors.New("netlab: no address is left to move to")
	}
	n.origin++
	return addr(n.origin), nil
}

// Stats returns what has crossed the link so far.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// Open makes the link in the process's network namespace, which must be one that Isolate has made, and brings up the loopback device there as well. Packets meet
// the same luck with the same seed, as far as they come in the same order.
func Open(l Link, seed uint64) (*Network, error) {
	tun, err := OpenTUN(addr(local))
	if err != nil {
		return nil, fmt.Errorf("netlab: %w", err)
	}
	n := &Network{tun: tun, ways: [2]Way{{Link: l}, {Link: l}}, rnd: rand.New(rand.NewPCG(seed, seed)), origin: first, due: NewDue()}
	n.running.Go(n.read)
	n.running.Go(func() { n.due.Deliver(n.write) })
	return n, nil
}

// Close ends the link and returns why it ended earlier, if it did.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	err := n.tun.Close()
	n.due.Close()
	n.running.Wait()
	return errors.Join(n.err, err)
}

// read takes packets from the kernel.
func (n *Network) read() {
	buf := make([]byte, 1<<16)
	for {
		size, err := n.tun.Read(buf)
		if err != nil {
			n.mu.Lock()
			if !n.closed {
				n.err = fmt.Errorf("netlab: %w", err)
			}
			n.closed = true
			n.mu.Unlock()
			n.due.Close()
			return
		}
		n.accept(buf[:size])
	}
}

// accept decides on a packet.
func (n *Network) accept(p []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	dir, ok := translate(p, n.origin)
	if !ok {
		return // the kernel's own, such as router solicitations, or to an address that was moved away from
	}
	at, copies := n.ways[dir].Pass(len(p), time.Now(), n.rnd, &n.stats)
	if copies == 0 {
		return
	}
	copied := append([]byte(nil), p...)
	for range copies {
		n.due.Push(at, copied)
	}
}

// write gives a packet to the kernel. What that refuses is lost, as on any link.
func (n *Network) write(p []byte) { _, _ = n.tun.Write(p) }
