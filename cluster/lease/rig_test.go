package lease_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// times are short ones that fit clustertest's heartbeats: a node is dead after 1 s. The TTL is so long that nobody loses a lease because the machine is busy.
func times() lease.Config {
	return lease.Config{TTL: 24 * time.Second, Dead: time.Second, Grace: 600 * time.Millisecond}
}

// open has leases on a node, until the test ends.
func open(t *testing.T, n *clustertest.Node, cfg lease.Config) *lease.Leases {
	t.Helper()
	cfg.Metrics = n.Metrics
	l, err := lease.Open(within(t), n.Node, n.Members, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// within bounds what must not take for ever.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func acquire(t *testing.T, l *lease.Leases, key string) *lease.Lease {
	t.Helper()
	x, err := l.Acquire(within(t), key, []byte("meta"))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func release(t *testing.T, x *lease.Lease) {
	t.Helper()
	if err := x.Release(within(t)); err != nil {
		t.Fatal(err)
	}
}

// refused wants a Try to fail because of a holder, and tells it.
func refused(t *testing.T, l *lease.Leases, key string) lease.Holder {
	t.Helper()
	x, err := l.Try(within(t), key, nil)
	var held *lease.HeldError
	if !errors.As(err, &held) || !errors.Is(err, lease.ErrHeld) {
		t.Fatalf("got %v, %v, expected that it is held", x, err)
	}
	return held.Holder
}
