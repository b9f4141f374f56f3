//go:build linux

package faulttest_test

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/nodelab"
)

// shape is how much is done.
type shape struct {
	nodes    int
	episodes int
	length   time.Duration // of the faults of one episode
}

// shapes are a small one and, for SKUA_ACCEPTANCE=full, one of some 30 minutes for both kinds of faults together. SKUA_FAULTS is another length, such as 3m, for each.
func shapeOf(t *testing.T) shape {
	t.Helper()
	s := shape{nodes: 3}
	if os.Getenv("SKUA_ACCEPTANCE") == "full" {
		s = shape{nodes: 5, episodes: 12, length: 45 * time.Second}
	}
	if text := os.Getenv("SKUA_FAULTS"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("SKUA_FAULTS: %v", err)
		}
		s.episodes = max(1, int(d/(45*time.Second)))
		s.length = d / time.Duration(s.episodes)
	}
	return s
}

// TestAClusterStaysRightWhileNodesAndServersFail has nodes killed, stopped, cut off and slowed down, and NATS servers too, two such faults at a time. Each lock is held by one at a time then.
func TestAClusterStaysRightWhileNodesAndServersFail(t *testing.T) {
	torture(t, true, func(ctx context.Context, r *rig, random *rand.Rand, say func(string)) {
		more := rand.New(rand.NewPCG(random.Uint64(), 0))
		both(func() { r.harm(ctx, random, nodeFaults(), r.nodes, say) }, func() { r.harm(ctx, more, serverFaults(), r.servers, say) })
	})
}

// TestAClusterStaysRightWhileItIsSplit has NATS servers cut off from each other, with nodes on each side, and nodes killed meanwhile. Two nodes may believe to hold one lock; what is guarded by epochs stays right.
func TestAClusterStaysRightWhileItIsSplit(t *testing.T) {
	torture(t, false, func(ctx context.Context, r *rig, random *rand.Rand, say func(string)) {
		more := rand.New(rand.NewPCG(random.Uint64(), 0))
		both(func() { r.harm(ctx, random, nodeFaults()[:5], r.nodes, say) }, func() { r.harm(ctx, more, splits(), r.servers, say) })
	})
}

// torture has nodes work while harm is done to them, several times, and all of it looked at each time when all is well again.
func torture(t *testing.T, exclusive bool, harm func(context.Context, *rig, *rand.Rand, func(string))) {
	t.Helper()
	if os.Getenv("SKUA_ACCEPTANCE") != "full" && os.Getenv("SKUA_FAULTS") == "" {
		t.Skip("SKUA_FAULTS says for how long: minutes")
	}
	if !nodelab.Isolated(t) {
		return
	}
	s, seed := shapeOf(t), luck(t)
	random := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, s.nodes, seed)
	numbers, epochs, first := map[string]int64{}, map[string]uint64{}, map[string]*state{}
	for range s.episodes {
		opened := time.Now()
		r.play()
		r.well()
		t.Logf("all was well after %v", time.Since(opened).Round(time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), s.length)
		begun := time.Now()
		harm(ctx, r, random, func(what string) { t.Logf("%5.1f s: %s", time.Since(begun).Seconds(), what) })
		cancel()
		r.lab.Heal()
		mended := time.Now()
		r.well()
		t.Logf("all was well again after %v", time.Since(mended).Round(time.Millisecond))
		r.rest()
		t.Logf("all rest after %v", time.Since(mended).Round(time.Millisecond))
		locks, adds, receipts := r.oracle.checkLocks(epochs, exclusive), r.oracle.checkAdds(numbers), r.oracle.checkDeposits()
		t.Logf("%d locks, %d additions, %d receipts, checked after %v", locks, adds, receipts, time.Since(mended).Round(time.Millisecond))
		if locks == 0 || adds == 0 || receipts == 0 {
			r.oracle.fault("that is not the load that was meant")
		}
		r.grown(first)
		if !r.oracle.clean() {
			return
		}
	}
}

// well waits until all nodes find all well.
func (r *rig) well() {
	r.t.Helper()
	for _, p := range r.nodes {
		p.await()
	}
	r.each(doProbe, nil)
}

// What a node that rests may have: more than the largest that was seen, and far less than what grows.
const (
	maxGoroutines = 250
	maxHeap       = 96 << 20
)

// grown looks what nodes have, now that they rest. first is what each life had when it was seen for the first time.
func (r *rig) grown(first map[string]*state) {
	for i, a := range r.each(doState, nil) {
		life := r.nodes[i].process().life
		s := a.State
		if s == nil {
			continue
		}
		r.t.Logf("%s: %d goroutines, %d KB, %d failed questions", life, s.Goroutines, s.Heap>>10, s.Done["failed questions"])
		if first[life] == nil {
			first[life] = s
		}
		was := first[life]
		if s.Goroutines > maxGoroutines || s.Heap > maxHeap || s.Goroutines > was.Goroutines+50 {
			r.oracle.fault("%s: %d goroutines and %d KB while it rests, at first %d and %d", life, s.Goroutines, s.Heap>>10, was.Goroutines, was.Heap>>10)
		}
	}
}
