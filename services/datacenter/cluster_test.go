package datacenter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/datacenter"
)

// place is a node of a cluster.
type place struct {
	*clustertest.Node
	t     *testing.T
	names *names.Names
	door  actor.Ref
}

// startCluster runs n nodes that take each other for dead after a silence. Where none is to die it is one that a busy machine does not make.
func startCluster(t *testing.T, n int, cfg datacenter.Config, dead time.Duration) []*place {
	t.Helper()
	types := wire.NewTypes()
	lua.WireTypes(types)
	names.WireTypes(types)
	datacenter.WireTypes(types)
	log, _ := logtest.New(t)
	var all []*place
	for _, node := range clustertest.Start(t, n, clustertest.Config{
		Types: types, Log: log, Lease: 2 * dead,
		Members: func(int) cluster.MembersConfig {
			return cluster.MembersConfig{Beat: 50 * time.Millisecond, Suspect: dead / 3, Dead: dead}
		},
	}).Nodes {
		x := node.Names()
		specs, err := datacenter.Cluster(datacenter.ClusterConfig{Config: cfg, Node: node.Node, Names: x, Leases: node.Leases(), Log: log})
		if err != nil {
			t.Fatal(err)
		}
		p := &place{Node: node, t: t, names: x}
		for _, spec := range specs {
			p.door = node.Spawn(spec)
		}
		all = append(all, p)
	}
	return all
}

func (p *place) ask(msg any) (value.Value, error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	v, err := p.System.Ask(ctx, p.door, msg)
	got, _ := v.(value.Value)
	return got, err
}

// gives fails unless a request gives what is wanted, as text.
func (p *place) gives(msg any, want string) {
	p.t.Helper()
	switch got, err := p.ask(msg); {
	case err != nil:
		p.t.Errorf("%s: %+v: %v, want %s", p.Name, msg, err, want)
	case got.String() != want:
		p.t.Errorf("%s: %+v: got %s, want %s", p.Name, msg, got, want)
	}
}

// owner is the node that has the tree, as p knows it.
func (p *place) owner(all []*place) *place {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ref, err := p.names.Wait(ctx, datacenter.ServiceName, names.RoundRobin())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, o := range all {
		if o.Name == ref.Node() {
			return o
		}
	}
	p.t.Fatalf("nobody is %s", ref.Node())
	return nil
}

func at(keys ...any) []value.Value {
	var p []value.Value
	for _, v := range value.Of(keys...).All {
		p = append(p, v)
	}
	return p
}

func set(v any, keys ...any) datacenter.Set {
	return datacenter.Set{Path: at(keys...), Value: value.Of(v).At(0)}
}

func get(keys ...any) datacenter.Get { return datacenter.Get{Path: at(keys...)} }

func TestAllNodesHaveOneTree(t *testing.T) {
	all := startCluster(t, 3, datacenter.Config{}, time.Minute)
	a, b, c := all[0], all[1], all[2]
	a.gives(set("x", "room", 1, "name"), "nil")
	b.gives(get("room", 1, "name"), `"x"`)
	c.gives(set("y", "room", 1, "name"), `"x"`)
	a.gives(get("room"), `{{name = "y"}}`)
	waited := make(chan string)
	go func() {
		v, err := b.ask(datacenter.Wait{Path: at("season", "name")})
		waited <- fmt.Sprint(v, err)
	}()
	c.gives(set("winter", "season", "name"), "nil")
	if got := <-waited; got != `"winter" <nil>` {
		t.Errorf("got %s", got)
	}
	for _, p := range all {
		if _, err := p.ask(get("room", 1, "name", "x")); !errors.Is(err, datacenter.ErrLeaf) {
			t.Errorf("%s: got %v", p.Name, err)
		}
		if _, err := p.ask(get()); !errors.Is(err, datacenter.ErrPath) {
			t.Errorf("%s: got %v", p.Name, err)
		}
	}
	if _, err := a.ask(set(string(make([]byte, 2<<20)), "large")); !errors.Is(err, datacenter.ErrFull) {
		t.Errorf("got %v", err)
	}
}

func TestWhoWaitsNoMoreForTheTreeMakesRoom(t *testing.T) {
	types := wire.NewTypes()
	datacenter.WireTypes(types)
	names.WireTypes(types)
	log, _ := logtest.New(t)
	n := clustertest.Start(t, 1, clustertest.Config{Types: types, Log: log}).Nodes[0]
	specs, err := datacenter.Cluster(datacenter.ClusterConfig{Config: datacenter.Config{MaxWaits: 3}, Node: n.Node, Names: n.Names(), Leases: n.Leases(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	door := n.Spawn(specs[1]) // and no tree
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := n.System.Ask(ctx, door, get("a"))
		cancel()
		if !errors.Is(err, actor.ErrDeadline) {
			t.Fatalf("got %v", err)
		}
	}
	begun := time.Now()
	n.System.Stop(door, nil)
	<-n.System.Ended(door)
	if took := time.Since(begun); took > 5*time.Second { // nor does the door wait for it
		t.Errorf("the door has ended after %v", took)
	}
}

func TestAFullTreeSaysSoAndGivesItsRoomBack(t *testing.T) {
	all := startCluster(t, 2, datacenter.Config{}, time.Minute)
	text := string(make([]byte, 900<<10))
	fill := func(p *place) (n int) {
		for ; n < 100; n++ {
			_, err := p.ask(set(text, "much", n, "text"))
			if errors.Is(err, datacenter.ErrFull) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	for range 3 {
		if n := fill(all[0]); n < 20 || n > 30 {
			t.Fatalf("%d MB were taken", n)
		}
		if _, err := all[1].ask(set(nil, "much")); err != nil {
			t.Fatal(err)
		}
	}
	all[1].gives(get("much"), "nil")
}

func TestTheTreeOutlivesTheNodeThatHasIt(t *testing.T) {
	all := startCluster(t, 3, datacenter.Config{}, 3*time.Second)
	for i := range 100 {
		all[i%3].gives(set(i, "kept", i), "nil")
	}
	for name, end := range map[string]func(*place){"killed": func(p *place) { p.Kill() }, "left": func(p *place) { p.Leave() }} {
		gone := all[0].owner(all)
		var rest []*place
		for _, p := range all {
			if p != gone {
				rest = append(rest, p)
			}
		}
		waited := make(chan string)
		go func() {
			v, err := rest[0].ask(datacenter.Wait{Path: at("late", name)})
			waited <- fmt.Sprint(v, err)
		}()
		end(gone)
		all = rest
		for _, p := range all {
			p.gives(get("kept", 99), "99")
			p.gives(set(p.Name, "by", name, p.Name), "nil")
		}
		all[0].gives(set("now", "late", name), "nil")
		if got := <-waited; got != `"now" <nil>` {
			t.Errorf("%s: got %s", name, got)
		}
	}
	v, err := all[0].ask(get("kept"))
	if err != nil || len(listOf(v)) != 99 { // 0 is no index of a list
		t.Errorf("%d values are there, %v", len(listOf(v)), err)
	}
}

func listOf(v value.Value) (all []value.Value) {
	for _, item := range v.Items {
		all = append(all, item)
	}
	return all
}

// What is recorded makes the tree that was there, whatever was set before and behind what.
func TestTheTreeIsTheSameWhenItIsLoadedAnew(t *testing.T) {
	all := startCluster(t, 2, datacenter.Config{}, time.Minute)
	local := all[0].Spawn(actor.Spec{New: datacenter.Spec(datacenter.Config{}).New})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	keys := []any{1, 2, "a", "b.c", "a b*>", true, 1.5, "long" + string(make([]byte, 100))}
	values := []any{nil, nil, nil, 1, "x", false, map[string]any{"a": 1, "b": map[string]any{"c": 2}}, map[string]any{"b.c": map[string]any{"a": true}}}
	for round := range 3 {
		for range 300 {
			msg := datacenter.Set{Value: value.Of(values[r.IntN(len(values))]).At(0)}
			for range 1 + r.IntN(4) {
				msg.Path = append(msg.Path, at(keys[r.IntN(len(keys))])...)
			}
			want, wantErr := all[0].System.Ask(t.Context(), local, msg)
			got, err := all[r.IntN(2)].ask(msg)
			if (err == nil) != (wantErr == nil) || err == nil && !same(got, want) {
				t.Fatalf("%+v: got %v, %v, want %v, %v", msg, got, err, want, wantErr)
			}
		}
		owner := all[0].owner(all)
		if _, err := owner.System.Ask(t.Context(), see(t, owner, names.SingletonName(datacenter.ServiceName)), names.Yield{}); err != nil {
			t.Fatal(err)
		}
		if _, err := owner.System.Ask(t.Context(), see(t, owner, names.SingletonName(datacenter.ServiceName)), names.Compete{}); err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			want, err := all[0].System.Ask(t.Context(), local, get(k))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := all[0].ask(get(k)); err != nil || !same(got, want) {
				t.Fatalf("round %d: %v: got %v, %v, want %v", round, k, got, err, want)
			}
		}
	}
}

func same(a value.Value, b any) bool {
	v, _ := b.(value.Value)
	return fmt.Sprint(a.Any()) == fmt.Sprint(v.Any()) // which sorts keys
}

func see(t *testing.T, p *place, name string) actor.Ref {
	t.Helper()
	ref, ok := p.System.Lookup(name)
	if !ok {
		t.Fatalf("%s has no %s", p.Name, name)
	}
	return ref
}
