package gate_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/services/gate"
)

func TestABroadcastReachesTheClientsOfAllTransports(t *testing.T) {
	w := hubWorld(gate.Config{})
	w.kinds = []string{"tcp", "kcp", "ws"}
	n := start(t, w)
	const each = 10
	var heard sync.WaitGroup
	heard.Add(each * len(w.kinds))
	var last *client.Client
	for i := range each {
		for _, kind := range w.kinds { // in turns
			c := n.dialOn(kind, client.Options{On: map[string]func([]byte){"said": func([]byte) { heard.Done() }}})
			must(t, logIn(c, fmt.Sprint(kind, i)))
			must(t, request(c, "join", nil, nil))
			last = c
		}
	}
	must(t, request(last, "say", `{"text":"hi"}`, nil))
	heard.Wait()
}

func TestABroadcastKeepsItsPlaceAmongPushesAndAnswers(t *testing.T) {
	const rounds, members = 20, 300
	group := gate.NewGroup()
	push := func(text string, d gate.Delivery) {
		if err := group.Push("all", value.Of(text).At(0), d); err != nil {
			t.Error(err)
		}
	}
	n := startSmall(t, gate.Config{Handle: func(_ *actor.Context, r *gate.Request) {
		if r.Route == "join" {
			_, _ = group.Add(r.Session)
			r.Reply(r.Body)
			return
		}
		push("first", gate.Delivery{})
		if err := r.Session.Push("one", []byte(`"own"`), gate.Delivery{}); err != nil {
			t.Error(err)
		}
		push("newest", gate.Delivery{Class: gate.Latest})
		push("perhaps", gate.Delivery{Class: gate.Droppable})
		r.Reply(r.Body)
	}})
	peers := make([]*peer, members)
	for i := range peers {
		p := n.peer()
		p.ackEvery = 1
		must(t, p.connect(never, never))
		p.ask("join", "")
		must(t, p.hear(1))
		peers[i] = p
	}
	asks, away := peers[0], peers[1]
	away.lose(t, 1)
	var others, missed, own []string
	for round := range rounds {
		asks.ask("go", fmt.Sprint(round))
		missed = append(missed, `push all "first"`)
		others = append(others, `push all "first"`, `push all "newest"`, `push all "perhaps"`)
		own = append(own, `push all "first"`, `push one "own"`, `push all "newest"`, `push all "perhaps"`, fmt.Sprintf("response %d %d", round+2, round))
		must(t, asks.hear(1+len(own)))
	}
	missed = append(missed, `push all "newest"`) // of all of them the last
	must(t, away.connect(never, never))
	for i, p := range peers {
		want := others
		switch i {
		case 0:
			want = own
		case 1:
			want = missed
		}
		must(t, p.hear(1+len(want)))
		if !slices.Equal(p.heard[1:], want) {
			t.Fatalf("client %d heard %q, want %q", i, p.heard[1:], want)
		}
	}
}
