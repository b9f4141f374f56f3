package cluster_test

import (
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skua-go/skua/cluster"
)

// epoch writes a key of a bucket whose revisions are epochs, and tells its revision.
func epoch(t *testing.T, n *cluster.Node) uint64 {
	t.Helper()
	kv, err := n.EpochBucket(t.Context(), jetstream.KeyValueConfig{Bucket: "epochs", LimitMarkerTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	revision, err := kv.PutString(t.Context(), "key", "value")
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// What is fenced with an epoch, a player's document in a database, outlives JetStream's files.
func TestEpochsRiseWhenAllThatJetStreamHadIsLost(t *testing.T) {
	dir := t.TempDir()
	var last uint64
	for round := range 6 {
		n, err := cluster.Open(t.Context(), cluster.Config{Name: "a", Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			now := epoch(t, n)
			if now <= last {
				t.Errorf("round %d: epoch %d after %d", round, now, last)
			}
			last = now
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if round%2 == 0 {
			continue // a restart with what it had
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// The way of the runbook when two of three servers have lost their disks.
func TestThreeServersStartOverWithoutTheirDisks(t *testing.T) {
	f := newTrio(t, nil)
	f.begin(0, 1, 2)
	f.await(0, 1, 2)
	first := epoch(t, f.nodes[0])
	f.stop(0, 1, 2)
	for _, cfg := range f.cfgs {
		if err := os.RemoveAll(cfg.Dir); err != nil {
			t.Fatal(err)
		}
	}
	f.begin(0, 1, 2)
	f.await(0, 1, 2)
	again := epoch(t, f.nodes[1])
	if again <= first {
		t.Errorf("epoch %d after %d", again, first)
	}
	// A server that comes back empty gets the high revisions from the others.
	f.stop(2)
	if err := os.RemoveAll(f.cfgs[2].Dir); err != nil {
		t.Fatal(err)
	}
	f.begin(2)
	f.await(2)
	eventually(t, 40*time.Second, "three replicas", func() bool { all, up := replicas(t, f.nodes[2], "epochs"); return all == 3 && up == 3 })
	if now := epoch(t, f.nodes[2]); now <= again || now > again+10 {
		t.Errorf("epoch %d after %d", now, again)
	}
}
