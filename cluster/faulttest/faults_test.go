//go:build linux

package faulttest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/skua-go/skua/internal/netlab"
	"github.com/skua-go/skua/internal/nodelab"
)

// fault is something that goes wrong, and is mended after a while.
type fault struct {
	name string
	most time.Duration // how long it lasts at most
	do   func(r *rig, at *place, random *rand.Rand) (mend func())
}

var cut = nodelab.Way{Cut: true}

// nodeFaults are those of one node and its way to the servers.
func nodeFaults() []fault {
	return []fault{
		{"kill -9", 2 * time.Second, func(_ *rig, at *place, _ *rand.Rand) func() {
			at.kill()
			return at.start
		}},
		{"power off", 2 * time.Second, func(r *rig, at *place, _ *rand.Rand) func() {
			mend := r.lab.Isolate(at.host)
			at.kill()
			return func() { mend(); at.start() }
		}},
		{"leave", time.Second, func(_ *rig, at *place, _ *rand.Rand) func() {
			at.leave()
			return at.start
		}},
		{"stop", 4 * time.Second, stopped},
		{"stop for longer than leases last", leaseTTL + 3*time.Second, stopped},
		{"cut off", 5 * time.Second, func(r *rig, at *place, _ *rand.Rand) func() {
			return r.lab.Isolate(at.host)
		}},
		{"sends nothing", 5 * time.Second, func(r *rig, at *place, _ *rand.Rand) func() {
			return r.lab.Set(hosts(at), hosts(r.servers...), cut)
		}},
		{"gets nothing", 5 * time.Second, func(r *rig, at *place, _ *rand.Rand) func() {
			return r.lab.Set(hosts(r.servers...), hosts(at), cut)
		}},
		{"cut off for longer than leases last", leaseTTL + 3*time.Second, func(r *rig, at *place, _ *rand.Rand) func() {
			return r.lab.Isolate(at.host)
		}},
		{"slow and lossy", 5 * time.Second, slowed},
	}
}

func slowed(r *rig, at *place, random *rand.Rand) func() {
	slow := netlab.Link{
		Delay: time.Duration(random.IntN(60)) * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.03, Reorder: 0.02, Duplicate: 0.01, Rate: 1 << 20,
	}
	return r.lab.Between(hosts(at), r.lab.Hosts(), nodelab.Way{Link: slow})
}

func stopped(_ *rig, at *place, _ *rand.Rand) func() {
	at.signal(syscall.SIGSTOP)
	return func() { at.signal(syscall.SIGCONT) }
}

// serverFaults are those of one NATS server, in which it never is of use to nodes while the other servers can't reach it.
func serverFaults() []fault {
	return []fault{
		{"kill -9", 3 * time.Second, func(_ *rig, at *place, _ *rand.Rand) func() {
			at.kill()
			return at.start
		}},
		{"restart", time.Second, func(_ *rig, at *place, _ *rand.Rand) func() {
			at.leave()
			return at.start
		}},
		{"stop", 6 * time.Second, stopped},
		{"cut off", 6 * time.Second, func(r *rig, at *place, _ *rand.Rand) func() {
			return r.lab.Isolate(at.host)
		}},
		{"disk full", 6 * time.Second, func(r *rig, at *place, _ *rand.Rand) func() {
			r.tell(at, doFill)
			return func() { r.makeRoom(at) }
		}},
		{"all disks full", 3 * time.Second, func(r *rig, _ *place, _ *rand.Rand) func() {
			for _, s := range r.servers {
				r.tell(s, doFill)
			}
			return func() {
				for _, s := range r.servers {
					r.makeRoom(s)
				}
			}
		}},
		{"all killed", time.Second, func(r *rig, _ *place, _ *rand.Rand) func() {
			for _, s := range r.servers {
				s.kill()
			}
			return func() {
				for _, s := range r.servers {
					s.start()
				}
			}
		}},
	}
}

// splits are those in which some servers are apart from the others, each with nodes that go on using them. Two may believe then to have one lease: see docs/cluster.md.
func splits() []fault {
	return []fault{
		{"two halves", 8 * time.Second, func(r *rig, at *place, random *rand.Rand) func() {
			a, b := []*nodelab.Host{at.host}, []*nodelab.Host(nil)
			for _, s := range r.servers {
				if s != at {
					b = append(b, s.host)
				}
			}
			alone := random.IntN(len(r.nodes)) // a node with the one server, the others with the two
			for i, n := range r.nodes {
				if i == alone {
					a = append(a, n.host)
				} else {
					b = append(b, n.host)
				}
			}
			return r.lab.Between(a, b, cut)
		}},
		{"a server apart from the others", 8 * time.Second, func(r *rig, at *place, _ *rand.Rand) func() {
			return r.lab.Between(hosts(at), hosts(r.servers...), cut)
		}},
		{"a server that the others don't hear", 8 * time.Second, func(r *rig, at *place, _ *rand.Rand) func() {
			return r.lab.Set(hosts(at), hosts(r.servers...), cut)
		}},
		{"no two servers together", 4 * time.Second, func(r *rig, _ *place, _ *rand.Rand) func() {
			return r.lab.Between(hosts(r.servers...), hosts(r.servers...), cut)
		}},
		{"slow and lossy", 8 * time.Second, slowed}, // what a server's routes lose for long is as if it were apart
	}
}

// tell has a server do something to its disk.
func (r *rig) tell(at *place, what string) {
	if a, err := at.tell(what); !errors.Is(err, errBroken) && (err != nil || a.Text != "") {
		r.oracle.fault("%s: %s: %v %s", at.process().life, what, err, a.Text)
	}
}

// makeRoom does what docs/operating.md says about a full disk: a server that was out of space has JetStream switched off until it is started again.
func (r *rig) makeRoom(at *place) {
	r.tell(at, doFree)
	at.leave()
	at.start()
}

// harm has one fault after the other at one of the places, until ctx ends, and mends each. It tells what it does.
func (r *rig) harm(ctx context.Context, random *rand.Rand, faults []fault, places []*place, say func(string)) {
	var deck []int // of faults: each comes once before one comes again
	for {
		quiet := time.Duration(random.Int64N(int64(1500 * time.Millisecond)))
		if len(deck) == 0 {
			deck = random.Perm(len(faults))
		}
		f, at := faults[deck[0]], places[random.IntN(len(places))]
		deck = deck[1:]
		// Half of them are short: much happens when a thing comes back just as others find out that it is gone.
		lasts := f.most / 10 * time.Duration(1+random.IntN(10))
		if random.IntN(2) == 0 {
			lasts /= 4
		}
		select {
		case <-ctx.Done():
			return
		case <-r.broken:
			return
		case <-time.After(quiet):
		}
		say(fmt.Sprintf("%s %s for %v", at.host.Name(), f.name, lasts))
		mend := f.do(r, at, random)
		select {
		case <-ctx.Done():
		case <-r.broken:
		case <-time.After(lasts):
		}
		mend()
	}
}

// both runs two of them at a time.
func both(a, b func()) {
	var done sync.WaitGroup
	done.Go(a)
	done.Go(b)
	done.Wait()
}
