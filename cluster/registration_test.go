package cluster_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skua-go/skua/cluster"
)

const registry = "skua_nodes"

// written is what a node's registration is in the bucket.
func written(t *testing.T, n *cluster.Node) (jetstream.KeyValue, jetstream.KeyValueEntry, map[string]any) {
	t.Helper()
	kv, err := n.JetStream().KeyValue(t.Context(), registry)
	if err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), n.Name())
	if err != nil {
		t.Fatal(err)
	}
	var content map[string]any
	if err := json.Unmarshal(e.Value(), &content); err != nil {
		t.Fatal(err)
	}
	return kv, e, content
}

func TestARegistrationWhoseAcknowledgementWasLostIsTheNodesOwn(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 2 * time.Second})
	before := n.Lease()
	kv, _, content := written(t, n)
	// Its lease has ended, and what it has then registered anew was not acknowledged.
	delete(content, "incarnation")
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	anew, err := kv.Put(t.Context(), "a", text)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "it knows", func() bool {
		l := n.Lease()
		return n.Err() != nil || l.Held && l.Incarnation == anew
	})
	if n.Err() != nil || anew <= before.Incarnation {
		t.Errorf("%v; incarnation %d after %d", n.Err(), anew, before.Incarnation)
	}
}

func TestServersThatAreBehindTakeNoNameAway(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 2 * time.Second})
	before := n.Lease()
	kv, first, content := written(t, n)
	// A leader that is about to apply a write answers with what was there before.
	const question = "$JS.API.STREAM.MSG.GET.KV_" + registry
	if err := srv.GlobalAccount().AddMapping(question, "behind"); err != nil {
		t.Fatal(err)
	}
	stranger, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	asked := make(chan struct{}, 64)
	answer := fmt.Appendf(nil, `{"message":{"subject":"$KV.%s.a","seq":%d,"data":%q}}`, registry, first.Revision(), base64.StdEncoding.EncodeToString(first.Value()))
	if _, err := stranger.Subscribe("behind", func(m *nats.Msg) {
		_ = m.Respond(answer) // who asked may have given up
		asked <- struct{}{}
	}); err != nil {
		t.Fatal(err)
	}
	if err := stranger.Flush(); err != nil {
		t.Fatal(err)
	}
	content["incarnation"] = before.Incarnation
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "a", text); err != nil { // a renewal that was not acknowledged
		t.Fatal(err)
	}
	for range 2 { // it has thought about the first answer when it asks again
		select {
		case <-asked:
		case <-n.Done():
			t.Fatal(n.Err())
		case <-time.After(20 * time.Second):
			t.Fatal("the node does not ask")
		}
	}
	if ended, err := n.Ended(t.Context(), "a", before.Incarnation+1); err == nil {
		t.Errorf("ended: %v, by what was there before", ended)
	}
	if err := srv.GlobalAccount().RemoveMapping(question); !err {
		t.Fatal("the mapping is gone")
	}
	eventually(t, 20*time.Second, "the name is held again", func() bool { return n.Err() != nil || n.Lease().Held && n.Lease().Renewed.After(before.Renewed) })
	if l := n.Lease(); n.Err() != nil || l.Incarnation != before.Incarnation {
		t.Errorf("%v, incarnation %d, was %d", n.Err(), l.Incarnation, before.Incarnation)
	}
}

func TestRegisteredNamesAreThoseOfTheLeader(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 20 * time.Second})
	other := open(t, cluster.Config{URL: srv.ClientURL(), Name: "b", Lease: 20 * time.Second})
	registered := func() map[string]uint64 {
		t.Helper()
		all, err := n.Registered(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if all := registered(); len(all) != 2 || all["a"] != n.Lease().Incarnation || all["b"] != other.Lease().Incarnation {
		t.Errorf("%v, expected a and b", all)
	}
	if err := n.Evict(t.Context(), "b", other.Lease().Incarnation); err != nil {
		t.Fatal(err)
	}
	if all := registered(); len(all) != 1 || all["a"] == 0 {
		t.Errorf("%v, expected a alone", all)
	}
	// Who was the leader, and does not know yet that it is no more, answers with what it had before.
	kv, _, _ := written(t, n)
	s, err := kv.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info := *s.(*jetstream.KeyValueBucketStatus).StreamInfo()
	info.State.LastSeq = n.Lease().Incarnation - 1
	answerFor(t, srv, "$JS.API.STREAM.INFO.KV_"+registry, info)
	if all, err := n.Registered(t.Context()); err == nil {
		t.Errorf("%v, by what was there before this node was", all)
	}
}

// answerFor has somebody else than JetStream answer.
func answerFor(t *testing.T, srv *server.Server, question string, answer any) {
	t.Helper()
	if err := srv.GlobalAccount().AddMapping(question, "behind"); err != nil {
		t.Fatal(err)
	}
	stranger, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stranger.Close)
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Subscribe("behind", func(m *nats.Msg) { _ = m.Respond(text) }); err != nil {
		t.Fatal(err)
	}
	if err := stranger.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestARegistrationHasEndedWhenSomethingNewerSaysSo(t *testing.T) {
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: 20 * time.Second})
	first := n.Lease().Incarnation
	ended := func(incarnation uint64) bool {
		t.Helper()
		yes, err := n.Ended(t.Context(), "a", incarnation)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if ended(first) {
		t.Error("a live node's registration has ended")
	}
	if _, err := n.Ended(t.Context(), "a", first+1); err == nil {
		t.Error("what comes later has ended, by what was before")
	}
	if yes, err := n.Ended(t.Context(), "nobody", 1); err != nil || !yes {
		t.Errorf("nobody's registration: %v, %v", yes, err)
	}
	if err := n.Evict(t.Context(), "a", first); err != nil {
		t.Fatal(err)
	}
	if !ended(first) {
		t.Error("it was evicted, and has not ended")
	}
}
