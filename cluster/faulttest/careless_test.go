//go:build linux

package faulttest_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skua-go/skua/cluster/lease/leasetest"
	"github.com/skua-go/skua/internal/nodelab"
	"github.com/skua-go/skua/internal/racetest"
)

// TestANodeThatDoesNotAskWhetherItHoldsALockIsFoundOut has one node without the guard, stops it while it holds a lock for longer than others wait, and wants the oracle to see what comes of that.
func TestANodeThatDoesNotAskWhetherItHoldsALockIsFoundOut(t *testing.T) {
	racetest.SetAside(t) // as the others whose nodes are processes
	if !nodelab.Isolated(t) {
		return
	}
	r := newRigOf(t, 2, luck(t), func(r *rig) { r.nodes[0].careless = true })
	r.play()
	careless, other := r.nodes[0], r.nodes[1]
	r.await("the careless node holds a lock", func() bool { return r.oracle.holds(careless.process().life) })
	careless.signal(syscall.SIGSTOP)
	r.await("another takes what the careless node holds", func() bool { return r.oracle.overtaken(careless.process().life, other.process().life) })
	careless.signal(syscall.SIGCONT)
	r.await("the careless node has given back what it had", func() bool { return !r.oracle.holds(careless.process().life) })
	r.rest()
	r.goOn()
	r.oracle.checkLocks(map[string]uint64{}, true)
	if faults := strings.Join(r.oracle.found(), "\n"); !strings.Contains(faults, "locks are not linearizable") {
		t.Errorf("found %q, expected that two held a lock at once", faults)
	}
}

// await waits until it is so.
func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(healed); !ok(); <-time.After(5 * time.Millisecond) {
		r.goOn()
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %v: %s", healed, what)
		}
	}
}

// holds tells whether a process has told that it holds a lock.
func (o *oracle) holds(life string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.open {
		if id.life == life {
			return true
		}
	}
	return false
}

// overtaken tells whether a process has told that it has taken a lock that another holds, as far as that has told.
func (o *oracle) overtaken(holder, by string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.open {
		for _, op := range o.locks {
			if id.life == holder && op.Kind == leasetest.Take && op.Key == id.key && op.Epoch > id.epoch && strings.HasPrefix(op.Who, by+"/") {
				return true
			}
		}
	}
	return false
}
