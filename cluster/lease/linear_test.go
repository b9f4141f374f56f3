package lease_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/lease/leasetest"
	"github.com/skua-go/skua/internal/racetest"
)

// history is what clients have seen, by one clock.
type history struct {
	begun time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (h *history) now() int64 { return int64(time.Since(h.begun)) }

func (h *history) add(client int, op leasetest.Op, call, ret int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Call: call, Output: nil, Return: ret})
}

// client locks, uses and unlocks until ctx ends.
func (h *history) client(ctx context.Context, id int, random *rand.Rand, leases func() *lease.Leases) {
	for ctx.Err() == nil {
		key := lease.Key(lease.Lock, strconv.Itoa(random.IntN(2)))
		call := h.now()
		wait, cancel := context.WithTimeout(ctx, time.Second)
		x, err := leases().Acquire(wait, key, nil)
		cancel()
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		h.add(id, leasetest.Op{Kind: leasetest.Take, Key: key, Epoch: x.Epoch()}, call, h.now())
		h.use(id, random, x)
	}
}

func (h *history) use(id int, random *rand.Rand, x *lease.Lease) {
	last := h.now()
	for range random.IntN(15) {
		call := h.now()
		if !x.Held() {
			break
		}
		h.add(id, leasetest.Op{Kind: leasetest.Use, Key: x.Key(), Epoch: x.Epoch()}, call, h.now())
		last = call
		<-time.After(time.Duration(random.IntN(int(20 * time.Millisecond))))
	}
	if x.Held() {
		last = h.now()
		// From the begin of Release it is not held any more; that others may have it before Release returns is meant.
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = x.Release(ctx) // in trouble it is given back later
	}
	h.add(id, leasetest.Op{Kind: leasetest.Give, Key: x.Key(), Epoch: x.Epoch()}, last, h.now())
}

// TestLocksAreLinearizableUnderFaults has clients on three nodes take two locks while links are cut and mended, connections dropped, NATS restarted, JetStream stalled and a node killed and started
// again, at random. SKUA_FAULTS is for how long ("30m"), SKUA_SEED has the same faults again.
func TestLocksAreLinearizableUnderFaults(t *testing.T) {
	length, seed := 5*time.Second, uint64(time.Now().UnixNano())
	if text := os.Getenv("SKUA_FAULTS"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("SKUA_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SKUA_SEED=%d", seed)
	cfg := times()
	cfg.TTL, cfg.Grace = 4*time.Second, 1500*time.Millisecond
	b := newLab(t, 3, cfg)
	var nodes sync.RWMutex
	h := &history{begun: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var clients sync.WaitGroup
	for id := range 6 {
		random := rand.New(rand.NewPCG(seed, uint64(id)))
		clients.Go(func() {
			h.client(ctx, id, random, func() *lease.Leases {
				nodes.RLock()
				defer nodes.RUnlock()
				return b.nodes[id%3].leases
			})
		})
	}
	b.harm(ctx, rand.New(rand.NewPCG(seed, 1<<32)), &nodes)
	clients.Wait()
	for i := range b.nodes { // all goes on when all is well again
		for k := range 2 {
			release(t, acquire(t, b.nodes[i].leases, lease.Key(lease.Lock, strconv.Itoa(k))))
		}
	}
	locks := 0
	for _, op := range h.ops {
		if op.Input.(leasetest.Op).Kind == leasetest.Take {
			locks++
		}
	}
	t.Logf("%d operations, %d locks", len(h.ops), locks)
	if locks == 0 {
		t.Fatal("nobody ever had a lock")
	}
	result, info := porcupine.CheckOperationsVerbose(leasetest.Model(nil), h.ops, time.Minute)
	if result != porcupine.Ok {
		path := t.TempDir() + "/history.html"
		_ = porcupine.VisualizePath(leasetest.Model(nil), info, path)
		t.Fatalf("%s: see %s", result, path)
	}
}

// harm does one thing after another until ctx ends, and mends it all.
func (b *lab) harm(ctx context.Context, random *rand.Rand, nodes *sync.RWMutex) {
	pause := func(most time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(random.Int64N(int64(most)))):
		}
	}
	killed := false
	for ctx.Err() == nil {
		pause(600 * time.Millisecond)
		n := b.nodes[random.IntN(len(b.nodes))]
		what := random.IntN(10)
		if what > 6 && what < 9 && racetest.On {
			what = 0 // nats-server's way to have JetStream stand still is a data race of its own with what it is asked at that moment
		}
		switch {
		case what < 4:
			n.link.setCut(true)
			pause(3500 * time.Millisecond)
			n.link.setCut(false)
		case what < 6:
			n.link.drop()
		case what == 6:
			b.stopNATS()
			pause(time.Second)
			b.startNATS()
		case what < 9:
			b.stall()
			pause(time.Second)
			b.unstall()
		case !killed: // others wait for its name for 3 s
			killed = true
			i := random.IntN(len(b.nodes))
			b.nodes[i].node.Conn().Close()
			b.stop(i)
			nodes.Lock()
			b.start(i)
			nodes.Unlock()
		}
	}
}
