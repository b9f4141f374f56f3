package cluster_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/cluster"
)

// fast is for nodes whose death is known soon.
var fast = cluster.MembersConfig{Beat: 20 * time.Millisecond, Suspect: 400 * time.Millisecond, Dead: 1200 * time.Millisecond}

func join(t *testing.T, url, name string, cfg cluster.MembersConfig) (*cluster.Node, *cluster.Members) {
	t.Helper()
	n := open(t, cluster.Config{URL: url, Name: name, Version: "v1", Lease: 20 * time.Second}) // others end the lease of a node that a busy machine holds up for longer
	m, err := cluster.Join(n, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Leave)
	return n, m
}

// story is what one member hears.
type story struct {
	mu   sync.Mutex
	told []string
}

func (s *story) hear(e cluster.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprintf("%s %v", e.Member.Name, e.Member.State))
}

// has waits until it has heard these, one right after the other. More may have come since: on a busy machine nodes are suspected, and heard of again.
func (s *story) has(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, 40*time.Second, strings.Join(want, ", "), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return strings.Contains(strings.Join(s.told, ", "), strings.Join(want, ", "))
	})
}

func TestAJoinThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	srv := externalNATS(t, t.TempDir(), -1)
	n := open(t, cluster.Config{URL: srv.ClientURL(), Name: "a", Lease: time.Minute})
	before := n.Conn().NumSubscriptions()
	stopNATS(srv)
	eventually(t, 10*time.Second, "the connection is lost", func() bool { return !n.Conn().IsConnected() })
	metrics := prometheus.NewRegistry()
	if _, err := cluster.Join(n, cluster.MembersConfig{Metrics: metrics}); err == nil {
		t.Fatal("it has joined without a server")
	}
	if now := n.Conn().NumSubscriptions(); now != before {
		t.Errorf("%d subscriptions, %d before", now, before)
	}
	if families, err := metrics.Gather(); err != nil || len(families) > 0 {
		t.Errorf("%d metrics are left, %v", len(families), err)
	}
}

func TestNodesKnowEachOther(t *testing.T) {
	url := externalNATS(t, t.TempDir(), -1).ClientURL()
	var s story
	// So rare that nobody is known by the next beat, but by the greeting.
	rare := cluster.MembersConfig{Beat: time.Hour}
	_, a := join(t, url, "a", rare)
	a.Watch(s.hear)
	withTraits := rare
	withTraits.Roles, withTraits.Labels = []string{"gate"}, map[string]string{"zone": "eu"}
	withTraits.Load = func() cluster.Load { return cluster.Load{Sessions: 7} }
	nb, b := join(t, url, "b", withTraits)
	s.has(t, "b alive")
	eventually(t, 20*time.Second, "b knows a", func() bool { _, ok := b.Find("a"); return ok })
	m, ok := a.Find("b")
	if !ok || m.Incarnation != nb.Lease().Incarnation || !m.Has("gate") || m.Has("world") || m.Labels["zone"] != "eu" || m.Load.Sessions != 7 || !m.Held {
		t.Errorf("%+v", m)
	}
	if !a.Reachable("b", m.Incarnation) || a.Reachable("b", m.Incarnation+1) || a.Reachable("c", 1) {
		t.Error("reachable is wrong")
	}
	if list := a.List(); len(list) != 2 || list[0].Name != "a" || list[1].Name != "b" {
		t.Errorf("%+v", list)
	}
	b.SetDraining(true)
	eventually(t, 20*time.Second, "b drains", func() bool { m, _ := a.Find("b"); return m.Draining })
	var late story
	a.Watch(late.hear)
	late.has(t, "b alive")
	b.Leave()
	s.has(t, "b left")
	late.has(t, "b alive", "b left")
	if a.Reachable("b", m.Incarnation) {
		t.Error("who has left is reachable")
	}
}

func TestASilentNodeIsSuspectedThenDeadThenAliveAgain(t *testing.T) {
	url := externalNATS(t, t.TempDir(), -1).ClientURL()
	_, a := join(t, url, "a", fast)
	var s story
	a.Watch(s.hear)
	nb, b := join(t, url, "b", fast)
	s.has(t, "b alive")
	b.Close() // without a word
	s.has(t, "b alive", "b suspect", "b dead")
	again, err := cluster.Join(nb, fast)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Leave)
	s.has(t, "b suspect", "b dead", "b alive")
}

func TestASuccessorIsNotItsFormerSelf(t *testing.T) {
	url := externalNATS(t, t.TempDir(), -1).ClientURL()
	_, a := join(t, url, "a", cluster.MembersConfig{Beat: 20 * time.Millisecond, Suspect: time.Hour, Dead: 2 * time.Hour})
	var s story
	a.Watch(s.hear)
	nb, b := join(t, url, "b", fast)
	s.has(t, "b alive")
	b.Close()
	first := nb.Lease().Incarnation
	if err := nb.Close(); err != nil {
		t.Fatal(err)
	}
	join(t, url, "b", fast)
	s.has(t, "b alive", "b dead", "b alive")
	if m, _ := a.Find("b"); m.Incarnation <= first || a.Reachable("b", first) {
		t.Errorf("incarnation %d after %d", m.Incarnation, first)
	}
}

func TestForgedHeartbeatsAreRefused(t *testing.T) {
	url := externalNATS(t, t.TempDir(), -1).ClientURL()
	r := prometheus.NewRegistry()
	quiet := cluster.MembersConfig{Beat: time.Hour, Metrics: r}
	na, a := join(t, url, "a", quiet)
	_, b := join(t, url, "b", cluster.MembersConfig{Beat: time.Hour})
	eventually(t, 20*time.Second, "they know each other", func() bool { _, ok := a.Find("b"); _, ok2 := b.Find("a"); return ok && ok2 })
	of, _ := a.Find("b")
	beat := func(change map[string]any) []byte {
		m := map[string]any{"v": 1, "name": "b", "inc": of.Incarnation}
		for k, v := range change {
			m[k] = v
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	roles := make([]string, 100)
	forged := map[string][][]byte{
		"bad": {
			nil, []byte("random"), []byte("{}"), beat(map[string]any{"v": 2}), beat(map[string]any{"inc": 0}), beat(map[string]any{"name": "b.>"}),
			beat(map[string]any{"roles": roles}), beat(map[string]any{"roles": []string{"*"}}), beat(map[string]any{"labels": map[string]string{"x": strings.Repeat("x", 2049)}}),
			beat(map[string]any{"labels": map[string]string{strings.Repeat("x", 129): "x"}}),
			beat(map[string]any{"version": strings.Repeat("x", 20_000)}), beat(map[string]any{"version": strings.Repeat("x", 200)}),
		},
		"old_incarnation": {beat(map[string]any{"inc": of.Incarnation - 1, "left": true})},
		"own_name":        {beat(map[string]any{"name": "a", "inc": na.Lease().Incarnation + 1})},
	}
	for reason, all := range forged {
		for _, data := range all {
			if err := na.Conn().Publish("skua.beat", data); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, 20*time.Second, reason+" is counted", func() bool {
			return metric(t, r, "skua_cluster_refused_heartbeats_total", reason) == float64(len(all))
		})
	}
	if m, _ := a.Find("b"); m.State != cluster.Alive || m.Incarnation != of.Incarnation {
		t.Errorf("%+v", m)
	}
	// Nor can strangers have a node remember more and more.
	for i := range 1100 {
		if err := na.Conn().Publish("skua.beat", beat(map[string]any{"name": fmt.Sprintf("stranger%d", i)})); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 20*time.Second, "too many are refused", func() bool { return metric(t, r, "skua_cluster_refused_heartbeats_total", "too_many") > 0 })
	if n := len(a.List()); n > 1025 {
		t.Errorf("%d members", n)
	}
}

func TestMembersSurviveARestartOfTheServer(t *testing.T) {
	dir := t.TempDir()
	port := keptPort(t)
	srv := externalNATS(t, dir, port)
	_, a := join(t, srv.ClientURL(), "a", fast)
	var s story
	a.Watch(s.hear)
	join(t, srv.ClientURL(), "b", fast)
	s.has(t, "b alive")
	stopNATS(srv)
	s.has(t, "b suspect", "b dead")
	externalNATS(t, dir, port)
	s.has(t, "b dead", "b alive")
}

func TestBadTraitsAreRefused(t *testing.T) {
	n := open(t, cluster.Config{Name: "a", Dir: t.TempDir()})
	for _, cfg := range []cluster.MembersConfig{
		{Roles: []string{"a b"}}, {Labels: map[string]string{"": "x"}}, {Beat: time.Nanosecond}, {Beat: time.Second, Suspect: time.Second}, {Suspect: time.Minute, Dead: time.Second},
	} {
		if m, err := cluster.Join(n, cfg); err == nil {
			m.Close()
			t.Errorf("%+v is taken", cfg)
		}
	}
}

func TestANodeThatHasTooMuchToTellOfItselfDoesNotJoin(t *testing.T) {
	labels := map[string]string{}
	for i := range 4 { // room for the addresses of a gate in each
		labels[strings.Repeat("k", i+1)] = strings.Repeat("wss://a.example.com/ws ", 50)
	}
	if err := cluster.CheckTraits([]string{"gate"}, labels); err != nil {
		t.Error(err)
	}
	labels["more"] = strings.Repeat("<", 1000) // six bytes each, as JSON
	if err := cluster.CheckTraits(nil, labels); err == nil || !strings.Contains(err.Error(), "expected at most 7168") {
		t.Errorf("%v", err)
	}
	n := open(t, cluster.Config{Name: "a", Dir: t.TempDir()})
	if _, err := cluster.Join(n, cluster.MembersConfig{Labels: labels}); err == nil || !strings.Contains(err.Error(), "expected at most 7168") {
		t.Errorf("joined: %v", err)
	}
}
