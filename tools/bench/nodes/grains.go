package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/grain"
	"github.com/skua-go/skua/cluster/mesh"

	"github.com/skua-go/skua/tools/bench/measure"
)

// grained is a node with grains: of the kind anywhere, which may be on all nodes, and of the kind there, which are on those of the role there.
type grained struct {
	name    string
	node    *cluster.Node
	members *cluster.Members
	sys     *actor.System
	mesh    *mesh.Mesh
	grains  *grain.Grains
}

func openGrains(ctx context.Context, url, name, role string) (g *grained, err error) {
	g = &grained{name: name}
	if g.node, err = cluster.Open(ctx, cluster.Config{URL: url, Name: name}); err != nil {
		return nil, err
	}
	if g.members, err = cluster.Join(g.node, cluster.MembersConfig{Roles: []string{role}, Load: func() cluster.Load { return cluster.Load{} }}); err != nil {
		return nil, err
	}
	types := wire.NewTypes()
	grain.WireTypes(types)
	g.sys = actor.New(actor.Config{Node: name, CallTimeout: 30 * time.Second, Log: slog.New(slog.DiscardHandler)})
	if g.mesh, err = mesh.Open(mesh.Config{Node: g.node, Members: g.members, System: g.sys, Types: types}); err != nil {
		return nil, err
	}
	echo := func(grain.Identity) actor.Spec {
		return actor.Spec{New: func() actor.Actor { return actor.Func(func(c *actor.Context, msg any) { c.Reply(msg, nil) }) }}
	}
	g.grains, err = grain.Open(grain.Config{
		Node: g.node, Members: g.members, Mesh: g.mesh, System: g.sys,
		Kinds: []grain.Kind{{Name: "anywhere", New: echo}, {Name: "there", New: echo, Role: "there"}},
	})
	return g, err
}

func (g *grained) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := g.sys.Shutdown(ctx)
	g.members.Leave()
	return errors.Join(err, g.grains.Close(), g.mesh.Close(), g.node.Close())
}

// die ends the node without a word to others.
func (g *grained) die() error {
	g.node.Conn().Close()
	g.members.Close()
	return g.close()
}

// withGrains calls f with so many nodes that know each other; the last one has the role there.
func withGrains(ctx context.Context, n int, f func(nodes []*grained) (float64, error)) (float64, error) {
	return withServer(func(url string) (v float64, err error) {
		var nodes []*grained
		defer func() {
			for _, g := range nodes {
				if g != nil {
					err = errors.Join(err, g.close())
				}
			}
		}()
		for i := range n {
			role := "here"
			if i == n-1 {
				role = "there"
			}
			g, err := openGrains(ctx, url, fmt.Sprint("n", i), role)
			if err != nil {
				return 0, err
			}
			nodes = append(nodes, g)
		}
		for _, g := range nodes {
			for _, o := range nodes {
				for g != o && !g.mesh.Reaches(o.name, o.node.Lease().Incarnation) {
					select {
					case <-ctx.Done():
						return 0, ctx.Err()
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
		}
		return f(nodes)
	})
}

// Activate is how many milliseconds the one in the middle of 2,000 grains takes that are started on another node by a first request, with its answer.
func Activate(ctx context.Context) (float64, error) {
	return withGrains(ctx, 3, func(nodes []*grained) (float64, error) {
		const warm, count = 2000, 2000 // each shard has its owner then
		took := make([]time.Duration, 0, count)
		for i := range warm + count {
			begun := time.Now()
			if _, err := nodes[0].grains.Call(ctx, "there", strconv.Itoa(i), "hello"); err != nil {
				return 0, err
			}
			if i >= warm {
				took = append(took, time.Since(begun))
			}
		}
		slices.Sort(took)
		return float64(took[count/2].Microseconds()) / 1000, nil
	})
}

// AskGrain is ns for a request to a grain of another node and its answer, with so many requests of one actor at a time.
func AskGrain(inFlight int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return withGrains(ctx, 2, func(nodes []*grained) (float64, error) {
			g := nodes[0].grains
			if _, err := g.Call(ctx, "there", "one", "hello"); err != nil {
				return 0, err
			}
			ask := func(c *actor.Context, then func(any, error)) { g.Ask(c, "there", "one", "ping", then) }
			return measure.PerOp(ctx, func(n int) error { return asksWith(nodes[0].sys, ask, n, inFlight) })
		})
	}
}

// again is what was measured after a node's death.
type again struct {
	all  time.Duration   // until all grains have answered
	took []time.Duration // of requests to grains of nodes that live, meanwhile
}

// Again is how many seconds after a node of three has died all of 100,000 grains have answered once more, while others ask.
func Again(ctx context.Context) (float64, error) {
	return againAfterDeath(ctx, func(a *again) float64 { return a.all.Seconds() })
}

// AgainP99 is how many milliseconds one in a hundred requests to grains of the nodes that live waits meanwhile.
func AgainP99(ctx context.Context) (float64, error) {
	return againAfterDeath(ctx, func(a *again) float64 {
		slices.Sort(a.took)
		return float64(a.took[len(a.took)*99/100].Microseconds()) / 1000
	})
}

const (
	manyGrains  = 100_000
	manyCallers = 2000 // who place them
	// fewCallers ask for all of them behind the death, each as fast as it is answered. It is the load that others are measured under: with 2,000 in flight on cores that answer 30,000 a second each request,
	// whosever, takes some 60 ms, and shows no more than that.
	fewCallers = 200
)

func againAfterDeath(ctx context.Context, figure func(*again) float64) (float64, error) {
	return withGrains(ctx, 3, func(nodes []*grained) (float64, error) {
		here := make([]bool, manyGrains) // those of nodes that live
		if err := each(manyGrains, manyCallers, func(i int) error {
			ref, err := nodes[i%2].grains.Ref(ctx, "anywhere", strconv.Itoa(i))
			here[i] = ref.Node() != nodes[2].name
			return err
		}); err != nil {
			return 0, err
		}
		var a again
		var ended atomic.Bool
		var others sync.WaitGroup
		var failed error
		dead := nodes[2]
		nodes[2] = nil
		dead.node.Conn().Close()
		begun := time.Now()
		others.Go(func() { a.took, failed = probe(ctx, nodes[0].grains, here, &ended) })
		err := each(manyGrains, fewCallers, func(i int) error {
			_, err := nodes[i%2].grains.Call(ctx, "anywhere", strconv.Itoa(i), "hello")
			for err != nil && time.Since(begun) < time.Minute { // one that was on its way to the node has failed
				_, err = nodes[i%2].grains.Call(ctx, "anywhere", strconv.Itoa(i), "hello")
			}
			return err
		})
		a.all = time.Since(begun)
		ended.Store(true)
		others.Wait()
		if err = errors.Join(err, failed, dead.die()); err != nil {
			return 0, err
		}
		return figure(&a), nil
	})
}

// each calls f for each number, as many at a time as there are callers.
func each(n, callers int, f func(i int) error) error {
	var next atomic.Int64
	failed := make(chan error, 1)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					select {
					case failed <- err:
					default:
					}
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}

// probe asks grains of nodes that live: one begins each millisecond, whether those before have been answered or not. It returns how long each has taken.
func probe(ctx context.Context, g *grain.Grains, here []bool, ended *atomic.Bool) (took []time.Duration, err error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := 0; !ended.Load(); i = (i + 7919) % len(here) {
		if !here[i] {
			continue
		}
		begun := <-tick.C
		all.Go(func() {
			_, failure := g.Call(ctx, "anywhere", strconv.Itoa(i), "hello")
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begun))
			err = errors.Join(err, failure)
		})
	}
	all.Wait()
	return took, err
}
