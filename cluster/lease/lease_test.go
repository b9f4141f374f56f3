package lease_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/lease"
)

func TestALeaseHasOneHolderAndItsEpochRises(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := open(t, c.Nodes[0], times()), open(t, c.Nodes[1], times())
	key := lease.Key(lease.Lock, "a name / with everything.*>")
	x := acquire(t, a, key)
	if !x.Held() || x.Epoch() == 0 || x.Err() != nil {
		t.Fatalf("held %v, epoch %d, err %v", x.Held(), x.Epoch(), x.Err())
	}
	h := refused(t, b, key)
	if h.Node != "n0" || h.Epoch != x.Epoch() || string(h.Meta) != "meta" || h.Key != key {
		t.Fatalf("the other sees %+v", h)
	}
	if h = refused(t, a, key); h.Node != "n0" {
		t.Fatalf("the holder's node sees %+v", h)
	}
	release(t, x)
	if x.Held() {
		t.Fatal("held after Release")
	}
	y, err := b.Try(within(t), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if y.Epoch() <= x.Epoch() {
		t.Fatalf("epoch %d after %d", y.Epoch(), x.Epoch())
	}
	release(t, y)
	if h, err := a.Holder(within(t), key); err != nil || h.Node != "" {
		t.Fatalf("%+v holds it, %v", h, err)
	}
}

func TestWhoHasWaitedLongestIsNext(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	nodes := []*lease.Leases{open(t, c.Nodes[0], times()), open(t, c.Nodes[1], times())}
	key := lease.Key(lease.Lock, "turns")
	type turn struct {
		who string
		x   *lease.Lease
	}
	turns := make(chan turn, 10)
	queue := func(i, waiting int, who string) {
		go func() {
			x, err := nodes[i].Acquire(within(t), key, nil)
			if err != nil {
				t.Error(err)
			}
			turns <- turn{who, x}
		}()
		clustertest.Eventually(t, who+" waits", func() bool { return gauge(t, c.Nodes[i], "skua_lease_waiting") == float64(waiting) })
	}
	told := func(i int) {
		clustertest.Eventually(t, "the other node has told that it waits", func() bool { return gauge(t, c.Nodes[i], "skua_lease_wanted") == 1 })
	}
	next := func(x *lease.Lease, who string) *lease.Lease {
		t.Helper()
		release(t, x)
		got := <-turns
		if got.who != who {
			t.Fatalf("%s is next, expected %s", got.who, who)
		}
		if got.x.Epoch() <= x.Epoch() {
			t.Fatalf("epoch %d after %d", got.x.Epoch(), x.Epoch())
		}
		return got.x
	}
	x := acquire(t, nodes[0], key)
	queue(1, 1, "other 1")
	told(0)
	queue(0, 1, "own 1")
	queue(0, 2, "own 2")
	x = next(x, "other 1")
	told(1)
	queue(1, 1, "other 2")
	queue(1, 2, "other 3")
	x = next(x, "own 1")
	told(0)
	x = next(x, "own 2") // it has waited longer than those of the other node
	x = next(x, "other 2")
	x = next(x, "other 3")
	release(t, x)
}

func TestALeaseOfADeadNodeIsTakenOver(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	cfg := times()
	cfg.TTL = time.Minute // so that it is not the TTL that ends it
	a, b := open(t, c.Nodes[0], cfg), open(t, c.Nodes[1], cfg)
	key := lease.Key(lease.Leader, "x")
	x := acquire(t, a, key)
	c.Nodes[0].Kill()
	y := acquire(t, b, key)
	if y.Epoch() <= x.Epoch() {
		t.Fatalf("epoch %d after %d", y.Epoch(), x.Epoch())
	}
	if x.Held() {
		t.Fatal("two hold it")
	}
	select {
	case <-x.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the holder does not know that it has lost it")
	}
	if !errors.Is(x.Err(), lease.ErrLost) {
		t.Fatalf("lost with %v", x.Err())
	}
}

func TestClosingGivesLeasesBackAtOnce(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	cfg := times()
	cfg.TTL = time.Minute
	a, b := open(t, c.Nodes[0], cfg), open(t, c.Nodes[1], cfg)
	key := lease.Key(lease.Lock, "x")
	x := acquire(t, a, key)
	waits := make(chan error, 1)
	other := acquire(t, b, lease.Key(lease.Lock, "other"))
	go func() {
		_, err := a.Acquire(within(t), other.Key(), nil)
		waits <- err
	}()
	clustertest.Eventually(t, "it waits", func() bool { return gauge(t, c.Nodes[0], "skua_lease_waiting") == 1 })
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; !errors.Is(err, lease.ErrClosed) {
		t.Fatalf("who waits got %v", err)
	}
	if x.Held() || x.Err() != nil {
		t.Fatalf("held %v, err %v", x.Held(), x.Err())
	}
	if _, err := b.Try(within(t), key, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Try(within(t), key, nil); !errors.Is(err, lease.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}

func TestWhoGivesUpWaitingLeavesTheLeaseToOthers(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := open(t, c.Nodes[0], times()), open(t, c.Nodes[1], times())
	key := lease.Key(lease.Lock, "x")
	x := acquire(t, a, key)
	ctx, cancel := context.WithCancel(context.Background())
	waits := make(chan error, 1)
	go func() {
		_, err := b.Acquire(ctx, key, nil)
		waits <- err
	}()
	clustertest.Eventually(t, "it waits", func() bool { return gauge(t, c.Nodes[1], "skua_lease_waiting") == 1 })
	cancel()
	if err := <-waits; !errors.Is(err, context.Canceled) {
		t.Fatalf("who gave up got %v", err)
	}
	release(t, x)
	y := acquire(t, a, key)
	release(t, y)
}

func TestHoldersAreWatched(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	a, b := open(t, c.Nodes[0], times()), open(t, c.Nodes[1], times())
	key := lease.Key("shard", "7")
	one, all := make(chan lease.Holder, 100), make(chan lease.Holder, 100)
	t.Cleanup(a.Watch(key, func(h lease.Holder) { one <- h }))
	next := func(ch chan lease.Holder, node string) lease.Holder {
		t.Helper()
		select {
		case h := <-ch:
			if h.Node != node || h.Key != key {
				t.Fatalf("heard of %+v, expected %q", h, node)
			}
			return h
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing heard of %q", node)
			panic("unreachable")
		}
	}
	next(one, "")
	x := acquire(t, b, key)
	if h := next(one, "n1"); h.Epoch != x.Epoch() {
		t.Fatalf("heard of %+v, expected epoch %d", h, x.Epoch())
	}
	t.Cleanup(a.Watch("shard.*", func(h lease.Holder) { all <- h }))
	next(all, "n1")
	release(t, x)
	next(one, "")
	next(all, "")
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	c := clustertest.Start(t, 1, clustertest.Config{})
	cfg := times()
	cfg.MaxHeld, cfg.MaxWaiting = 2, 1
	l := open(t, c.Nodes[0], cfg)
	for _, key := range []string{"", "a b", "a.*", "a.>", ".a", "a.", "a..b", "ä", strings.Repeat("a", 513)} {
		if _, err := l.Try(within(t), key, nil); !errors.Is(err, lease.ErrKey) {
			t.Errorf("key %q: %v", key, err)
		}
	}
	if _, err := l.Try(within(t), "a", make([]byte, 4097)); !errors.Is(err, lease.ErrKey) {
		t.Errorf("long meta: %v", err)
	}
	acquire(t, l, "a")
	acquire(t, l, "b")
	if _, err := l.Try(within(t), "c", nil); !errors.Is(err, lease.ErrTooMany) {
		t.Errorf("a third: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = l.Acquire(ctx, "a", nil)
	}()
	clustertest.Eventually(t, "it waits", func() bool { return gauge(t, c.Nodes[0], "skua_lease_waiting") == 1 })
	if _, err := l.Acquire(within(t), "b", nil); !errors.Is(err, lease.ErrTooMany) {
		t.Errorf("a second who waits: %v", err)
	}
	cancel()
	<-gone
}

// gauge is a metric of leases on a node.
func gauge(t *testing.T, n *clustertest.Node, name string) float64 {
	t.Helper()
	families, err := n.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
