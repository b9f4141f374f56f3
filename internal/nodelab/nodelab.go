// Package nodelab is some hosts and a network between them, on this machine: what a cluster needs whose nodes are killed, stopped, cut off and slowed down.
//
// A host is a network namespace with one address. What runs there are ordinary processes, of any program. Each IP packet from host to host crosses user space, where it may be delayed or lost, each way by
// itself; so the kernel's own TCP meets it, and neither firewall nor privileges of the machine's network are needed. Everything is inside namespaces of one process, the test's, so the kernel removes all of
// it when that ends, whatever way it does: processes that are stopped, too.
package nodelab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/skua-go/skua/internal/netlab"
)

// Way is what becomes of packets from one host to another. The zero value passes all of them at once.
type Way struct {
	netlab.Link
	// Cut loses all of them.
	Cut bool
}

// Lab is some hosts. All methods may be called from any goroutine.
type Lab struct {
	mu     sync.Mutex
	rnd    *rand.Rand
	hosts  map[netip.Addr]*Host
	all    []*Host
	ways   map[pair]*way
	stats  netlab.Stats
	closed bool

	due     *netlab.Due
	running sync.WaitGroup
}

// pair is a direction.
type pair struct{ from, to *Host }

// way is what packets meet: of the faults that are there, any that cuts it, and the newest that has a link.
type way struct {
	netlab.Way
	faults []*Way
	cut    bool
}

func (w *way) meets() {
	w.Link, w.cut = netlab.Link{}, false
	for _, f := range w.faults {
		w.cut = w.cut || f.Cut
		if f.Link != (netlab.Link{}) {
			w.Link = f.Link
		}
	}
}

// most is how many hosts a lab has: its network is 10.74.0.0/24.
const most = 250

// Open makes a lab without hosts, in a process that Isolated has started. Packets meet the same luck with the same seed, as far as they come in the same order.
func Open(seed uint64) *Lab {
	l := &Lab{rnd: rand.New(rand.NewPCG(seed, seed)), hosts: map[netip.Addr]*Host{}, ways: map[pair]*way{}, due: netlab.NewDue()}
	l.running.Go(func() { l.due.Deliver(l.deliver) })
	return l
}

// Host adds a host.
func (l *Lab) Host(name string) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.all) == most {
		return nil, fmt.Errorf("nodelab: host %s: the lab is closed, or has %d hosts already", name, most)
	}
	h := &Host{l: l, name: name, addr: netip.AddrFrom4([4]byte{10, 74, 0, byte(len(l.all) + 1)})}
	if err := h.open(); err != nil {
		return nil, fmt.Errorf("nodelab: host %s: %w", name, err)
	}
	l.hosts[h.addr] = h
	l.all = append(l.all, h)
	l.running.Go(h.read)
	return h, nil
}

// Hosts are those of the lab, in the order in which they were made.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host(nil), l.all...)
}

// Set has packets from each host of a to each of b meet a fault, all at once, until mend is called. Other faults stay as they are: what another has cut is cut still.
func (l *Lab) Set(a, b []*Host, w Way) (mend func()) { return l.spoil(pairs(a, b), w) }

// Between is Set for both ways.
func (l *Lab) Between(a, b []*Host, w Way) (mend func()) {
	return l.spoil(append(pairs(a, b), pairs(b, a)...), w)
}

// Isolate cuts a host off from all others until mend is called.
func (l *Lab) Isolate(h *Host) (mend func()) { return l.Between([]*Host{h}, l.Hosts(), Way{Cut: true}) }

func pairs(from, to []*Host) (all []pair) {
	for _, x := range from {
		for _, y := range to {
			if x != y {
				all = append(all, pair{x, y})
			}
		}
	}
	return all
}

func (l *Lab) spoil(ways []pair, fault Way) (mend func()) {
	f := &fault
	change := func(to func(faults []*Way) []*Way) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, p := range ways {
			w := l.way(p)
			w.faults = to(w.faults)
			w.meets()
		}
	}
	change(func(faults []*Way) []*Way { return append(faults, f) })
	return func() {
		change(func(faults []*Way) []*Way { return slices.DeleteFunc(faults, func(o *Way) bool { return o == f }) })
	}
}

// way is that of a direction. The lock is held.
func (l *Lab) way(p pair) *way {
	w := l.ways[p]
	if w == nil {
		w = &way{}
		l.ways[p] = w
	}
	return w
}

// Stats counts the packets that have come so far. Those that were cut are lost.
func (l *Lab) Stats() netlab.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Close ends the network. Processes are the caller's.
func (l *Lab) Close() error {
	l.mu.Lock()
	l.closed = true
	all := l.all
	l.mu.Unlock()
	errs := make([]error, 0, 2*len(all))
	for _, h := range all {
		errs = append(errs, h.close())
	}
	l.due.Close()
	l.running.Wait()
	for _, h := range all {
		errs = append(errs, h.failed)
	}
	return errors.Join(errs...)
}

// Of IPv4, RFC 791.
const (
	minHeader = 20
	sourceAt  = 12
)

// pass decides on a packet. What it keeps it copies.
func (l *Lab) pass(from *Host, p []byte) {
	if len(p) < minHeader || p[0]>>4 != 4 {
		return // the kernel's own, such as router solicitations
	}
	to := netip.AddrFrom4([4]byte(p[sourceAt+4 : sourceAt+8]))
	l.mu.Lock()
	h := l.hosts[to]
	if h == nil || h == from {
		l.mu.Unlock()
		return
	}
	w := l.way(pair{from, h})
	now := time.Now()
	at, copies := w.Pass(len(p), now, l.rnd, &l.stats)
	if w.cut && copies > 0 {
		l.stats.Lost++
		copies = 0
	}
	if copies == 1 && !at.After(now) {
		l.mu.Unlock()
		h.write(p)
		return
	}
	copied := append([]byte(nil), p...)
	for range copies {
		l.due.Push(at, copied)
	}
	l.mu.Unlock()
}

// deliver gives a packet that was delayed to its host.
func (l *Lab) deliver(p []byte) {
	l.mu.Lock()
	h := l.hosts[netip.AddrFrom4([4]byte(p[sourceAt+4:sourceAt+8]))]
	l.mu.Unlock()
	h.write(p)
}

// read takes packets from a host.
func (h *Host) read() {
	buf := make([]byte, 1<<16)
	for {
		n, err := h.tun.Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				h.failed = fmt.Errorf("nodelab: host %s: %w", h.name, err)
			}
			return
		}
		h.l.pass(h, buf[:n])
	}
}

// write gives a packet to a host. What its kernel refuses is lost, as on any network.
func (h *Host) write(p []byte) { _, _ = h.tun.Write(p) }
