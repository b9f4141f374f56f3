package cluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skua-go/skua/cluster"
)

// When JetStream ends a message by its TTL, its leader does not look whether there is a newer one on its way.
func TestJetStreamDoesNotEndNames(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 2 * time.Second})
	kv, _, _ := written(t, n)
	stream, err := n.StreamOf(t.Context(), registry)
	if err != nil {
		t.Fatal(err)
	}
	renewed := func(incarnation uint64) bool {
		t.Helper()
		m, err := stream.GetLastMsgForSubject(t.Context(), "$KV."+registry+".a")
		if err != nil {
			t.Fatal(err)
		}
		if ttl := m.Header.Get(jetstream.MsgTTLHeader); ttl != "" && m.Header.Get("KV-Operation") == "" {
			t.Fatalf("revision %d has a TTL of %s", m.Sequence, ttl)
		}
		return n.Lease().Incarnation == incarnation && m.Sequence > incarnation
	}
	first := n.Lease().Incarnation
	eventually(t, 20*time.Second, "it is renewed", func() bool { return renewed(first) })
	if err := kv.Purge(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "it is registered anew, and renewed", func() bool { now := n.Lease().Incarnation; return now > first && renewed(now) })
}

func TestANameIsTakenAwayOnlyAtTheRevisionThatWasSeen(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 2 * time.Second})
	sweeper := open(t, cluster.Config{URL: srv.ClientURL(), Name: "b", Lease: killedLease})
	first := n.Lease().Incarnation
	_, seen, _ := written(t, n)
	eventually(t, 20*time.Second, "it is renewed", func() bool { _, now, _ := written(t, n); return now.Revision() > seen.Revision() })
	if err := sweeper.EndName(t.Context(), "a", seen.Revision()); err != nil {
		t.Fatal(err)
	}
	if ended, err := sweeper.Ended(t.Context(), "a", first); err != nil || ended {
		t.Errorf("a name that was renewed has ended: %v, %v", ended, err)
	}
	if err := sweeper.EndName(t.Context(), "nobody", 1); err != nil {
		t.Error(err)
	}
}

func TestANameOfAnOlderVersionIsEndedByJetStream(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: killedLease})
	for _, c := range []struct {
		name, ttl string
		ended     bool
	}{{"older", "2m0s", false}, {"stranger", "", true}} {
		m := nats.NewMsg("$KV." + registry + "." + c.name)
		m.Data = []byte(`{"life":"x","version":"v0"}`)
		if c.ttl != "" {
			m.Header.Set(jetstream.MsgTTLHeader, c.ttl)
		}
		ack, err := n.JetStream().PublishMsg(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.EndName(t.Context(), c.name, ack.Sequence); err != nil {
			t.Fatal(err)
		}
		if ended, err := n.Ended(t.Context(), c.name, ack.Sequence); err != nil || ended != c.ended {
			t.Errorf("%s has ended: %v, %v", c.name, ended, err)
		}
	}
}

// Its answer to whoever asks for the holder of the name, or that of a mute former holder, must not keep a node from its own name.
func TestARegistrationWhoseAcknowledgementWasLostIsReplaced(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 5 * time.Second})
	first := n.Lease().Incarnation
	if err := n.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := n.Lease(); !l.Held || l.Incarnation <= first {
		t.Errorf("%+v, it was incarnation %d", l, first)
	}
}

func TestTheNameOfAMuteHolderIsGivenWhenItsLeaseEnds(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	first, err := cluster.Open(t.Context(), cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	first.Conn().Close() // it can neither renew nor give the name back
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	mute, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if _, err := mute.SubscribeSync("skua.node.a.ping"); err != nil {
		t.Fatal(err)
	}
	if err := mute.Flush(); err != nil {
		t.Fatal(err)
	}
	// Nobody else is there to end it, and it is the holder's lease that counts.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := cluster.Open(ctx, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	if waited := time.Since(first.Lease().Renewed); waited < 5*time.Second {
		t.Errorf("it has the name after %v, its holder's lease is 5s", waited)
	}
	if n.Lease().Incarnation <= first.Lease().Incarnation {
		t.Errorf("incarnation %d after %d", n.Lease().Incarnation, first.Lease().Incarnation)
	}
}
