//go:build linux

package faulttest_test

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/nodelab"
	"github.com/skua-go/skua/internal/racetest"
)

// shape is how much is done.
type shape struct {
	nodes    int
	episodes int
	length   time.Duration // of the faults of one episode
}

const (
	// faultsLocally and faultsInCI are for how long there are faults, in all, when nobody says so.
	faultsLocally = 24 * time.Second
	faultsInCI    = 3 * time.Minute
	// fullFaults is for SKUA_ACCEPTANCE=full, and manyNodes for that and whatever is not much shorter.
	fullFaults = 30 * time.Minute
	fewNodes   = 3
	manyNodes  = 5
	// maxEpisode is after how long all is mended and looked at.
	maxEpisode = 45 * time.Second
)

// shapeOf is that of one of the two tortures, which have half of the time each: SKUA_FAULTS is how long there are faults, such as 3m.
func shapeOf(t *testing.T) shape {
	t.Helper()
	all := faultsLocally
	if os.Getenv("CI") == "true" {
		all = faultsInCI
	}
	if os.Getenv("SKUA_ACCEPTANCE") == "full" {
		all = fullFaults
	}
	if text := os.Getenv("SKUA_FAULTS"); text != "" {
		var err error
		if all, err = time.ParseDuration(text); err != nil || all <= 0 {
			t.Fatalf("SKUA_FAULTS: found %q, expected a length of time, such as 3m (%v)", text, err)
		}
	}
	s := shape{nodes: fewNodes}
	if all >= fullFaults/2 {
		s.nodes = manyNodes
	}
	s.episodes = max(1, int((all/2+maxEpisode-1)/maxEpisode))
	s.length = all / 2 / time.Duration(s.episodes)
	return s
}

// TestAClusterStaysRightWhileNodesAndServersFail has nodes killed, stopped, cut off and slowed down, and NATS servers too, two such faults at a time. Each lock is held by one at a time then.
func TestAClusterStaysRightWhileNodesAndServersFail(t *testing.T) {
	t.Parallel() // each is a process with a network of its own, and mostly waits
	torture(t, true, func(ctx context.Context, r *rig, random *rand.Rand, say func(string)) {
		more := rand.New(rand.NewPCG(random.Uint64(), 0))
		both(func() { r.harm(ctx, random, nodeFaults(), r.nodes, say) }, func() { r.harm(ctx, more, serverFaults(), r.servers, say) })
	})
}

// TestAClusterStaysRightWhileItIsSplit has NATS servers cut off from each other, with nodes on each side, and nodes killed meanwhile. Two nodes may believe to hold one lock; what is guarded by epochs stays right.
func TestAClusterStaysRightWhileItIsSplit(t *testing.T) {
	t.Parallel() // each is a process with a network of its own, and mostly waits
	torture(t, false, func(ctx context.Context, r *rig, random *rand.Rand, say func(string)) {
		more := rand.New(rand.NewPCG(random.Uint64(), 0))
		both(func() { r.harm(ctx, random, nodeFaults()[:5], r.nodes, say) }, func() { r.harm(ctx, more, splits(), r.servers, say) })
	})
}

// torture has nodes work while harm is done to them, several times, and all of it looked at each time when all is well again.
func torture(t *testing.T, exclusive bool, harm func(context.Context, *rig, *rand.Rand, func(string))) {
	t.Helper()
	if os.Getenv("SKUA_FAULTS") == "" {
		racetest.SetAside(t) // its processes are this program: with the race detector they would do a tenth as much
	}
	if !nodelab.Isolated(t) {
		return
	}
	s, seed := shapeOf(t), luck(t)
	random := rand.New(rand.NewPCG(seed, 1))
	r := newRig(t, s.nodes, seed)
	known := &known{map[string]int64{}, map[string]uint64{}, map[string]*state{}}
	for range s.episodes {
		r.episode(s.length, random, harm)
		r.judge(exclusive, known)
		if !r.oracle.clean() {
			return
		}
	}
}

// known is what is known from the episodes before.
type known struct {
	numbers map[string]int64
	epochs  map[string]uint64
	first   map[string]*state // what each life had when it was seen for the first time
}

// episode has harm done for a while, mends all of it, and returns when all rest.
func (r *rig) episode(length time.Duration, random *rand.Rand, harm func(context.Context, *rig, *rand.Rand, func(string))) {
	r.t.Helper()
	opened := time.Now()
	r.play()
	r.well()
	r.t.Logf("all was well after %v", time.Since(opened).Round(time.Millisecond))
	ctx, cancel := context.WithTimeout(r.t.Context(), length)
	begun := time.Now()
	harm(ctx, r, random, func(what string) { r.t.Logf("%5.1f s: %s", time.Since(begun).Seconds(), what) })
	cancel()
	mended := time.Now()
	r.well()
	r.t.Logf("all was well again after %v", time.Since(mended).Round(time.Millisecond))
	r.rest()
	r.t.Logf("all rest after %v", time.Since(mended).Round(time.Millisecond))
}

// judge holds what was told of an episode against what is promised.
func (r *rig) judge(exclusive bool, before *known) {
	r.t.Helper()
	begun := time.Now()
	locks, adds, receipts := r.oracle.checkLocks(before.epochs, exclusive), r.oracle.checkAdds(before.numbers, exclusive), r.oracle.checkDeposits()
	r.t.Logf("%d locks, %d additions and readings of numbers, %d receipts, checked in %v", locks, adds, receipts, time.Since(begun).Round(time.Millisecond))
	if locks == 0 || adds == 0 || receipts == 0 {
		r.oracle.fault("that is not the load that was meant")
	}
	r.grown(before.first)
}

// well waits until all nodes find all well.
func (r *rig) well() {
	r.t.Helper()
	for _, p := range r.nodes {
		p.await()
	}
	r.each(doProbe, nil)
	r.goOn()
}

// goOn ends the test when something stands still, or is gone.
func (r *rig) goOn() {
	r.t.Helper()
	select {
	case <-r.broken:
		r.oracle.clean()
		r.t.FailNow()
	default:
	}
}

// What a node that rests may have: more than the largest that was seen, and far less than what grows.
const (
	maxGoroutines = 250
	maxMore       = 50 // than it had when it was seen first
	maxHeap       = 96 << 20
)

// grown looks what nodes have, now that they rest. first is what each life had when it was seen for the first time. What is left of work ends in a moment.
func (r *rig) grown(first map[string]*state) {
	for deadline := time.Now().Add(restsIn); ; {
		large := r.large(first)
		if len(large) == 0 || time.Now().After(deadline) {
			for _, p := range large {
				if _, err := p.tell(doShow); err != nil {
					r.t.Logf("%s does not show its goroutines: %v", p.process().life, err)
				}
				s := first[p.process().life]
				r.oracle.fault("%s has grown while it rests: at first %d goroutines, %d bytes; its log has what its goroutines do", p.process().life, s.Goroutines, s.Heap)
			}
			return
		}
		<-time.After(500 * time.Millisecond)
	}
}

// restsIn is how long what is left of work may take.
const restsIn = 20 * time.Second

// large are those that have too much.
func (r *rig) large(first map[string]*state) (large []*place) {
	for i, a := range r.each(doState, nil) {
		p := r.nodes[i]
		life, s := p.process().life, a.State
		if s == nil {
			continue
		}
		r.t.Logf("%s: %d goroutines, %d KB, failed: %d questions, %d calls of grains, %d loads and %d writes of grains refused", life, s.Goroutines, s.Heap>>10,
			s.Done["failed questions"], s.Done["failed calls of grains"], s.Done["refused loads"], s.Done["refused credits"])
		if first[life] == nil {
			first[life] = s
		}
		if s.Goroutines > maxGoroutines || s.Heap > maxHeap || s.Goroutines > first[life].Goroutines+maxMore {
			large = append(large, p)
		}
	}
	return large
}
