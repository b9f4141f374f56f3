package grain_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/grain"
)

// persist calls a grain until it answers, from whichever node does.
func (r *rig) persist(from int, kind, id string, msg any) any {
	r.t.Helper()
	var failure error
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
		v, err := r.of(from).Call(ctx, kind, id, msg)
		cancel()
		if err == nil {
			return v
		}
		failure = err
	}
	r.t.Fatalf("%s/%s from n%d does not answer: %v", kind, id, from, failure)
	return nil
}

func TestGrainsOfADeadNodeComeBackElsewhere(t *testing.T) {
	r := start(t, 3, clustertest.Config{Lease: 4 * time.Second}, brittle)
	const ids = 60
	for id := range ids {
		r.call(id%3, "through", fmt.Sprint(id), 1)
	}
	if r.of(2).Count() == 0 {
		t.Fatal("nothing is on the node that is to die")
	}
	r.Nodes[2].Kill()
	for id := range ids {
		if v := r.persist(id%2, "through", fmt.Sprint(id), 1); v != 2 {
			t.Errorf("through/%d is %v, expected 2", id, v)
		}
		if at := r.persist(0, "through", fmt.Sprint(id), "who"); at == "n2" {
			t.Errorf("through/%d is on the dead node", id)
		}
	}
	if n := r.of(0).Count() + r.of(1).Count(); n != ids {
		t.Errorf("the nodes count %d grains, there are %d", n, ids)
	}
}

func TestANodeWithoutAConnectionEndsItsGrainsAndBeginsAnew(t *testing.T) {
	r := start(t, 2, clustertest.Config{Lease: 4 * time.Second}, brittle)
	for id := range 20 {
		r.call(0, "counter", fmt.Sprint(id), 1)
	}
	r.StopNATS()
	for i := range 2 {
		clustertest.Eventually(t, "its grains have ended", func() bool { return r.of(i).Count() == 0 })
	}
	r.StartNATS()
	for id := range 20 {
		if v := r.persist(id%2, "counter", fmt.Sprint(id), 1); v != 2 {
			t.Errorf("counter/%d is %v, expected 2: what it had was not saved", id, v)
		}
	}
}

func TestOpenWaitsForAnElectionAsLongAsItHasPatience(t *testing.T) {
	t.Parallel()
	const watching = "$JS.API.CONSUMER.CREATE.KV_skua_grains.>"
	types := wire.NewTypes()
	grain.WireTypes(types)
	c := clustertest.Start(t, 1, clustertest.Config{Types: types, Lease: time.Minute})
	n := c.Nodes[0]
	cfg := grain.Config{Node: n.Node, Members: n.Members, Mesh: n.Mesh, System: n.System, Patience: 300 * time.Millisecond}
	asked := make(chan struct{}, 1)
	speak := c.Mute(watching, asked)
	if g, err := grain.Open(cfg); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), "skua_grains") {
		t.Errorf("opened %v: %v, expected that the bucket can't be read in time", g, err)
	}
	<-asked
	cfg.Patience = 0
	opened := make(chan error, 1)
	var g *grain.Grains
	go func() {
		var err error
		g, err = grain.Open(cfg)
		opened <- err
	}()
	<-asked
	<-asked // it has tried in vain
	speak()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestShardsGoToNodesThatCome(t *testing.T) {
	r := start(t, 3, clustertest.Config{})
	r.Nodes[2].Leave()
	const ids = 100
	for id := range ids {
		r.call(id%2, "counter", fmt.Sprint(id), 1)
	}
	r.Run(2)
	r.Meet()
	r.open(2)
	clustertest.Eventually(t, "the node that has come keeps shards", func() bool {
		for id := range ids {
			r.call(id%2, "counter", fmt.Sprint(id), 0)
			r.call(0, "light", fmt.Sprint(rand.Int()), 0)
		}
		return r.gauge(2, "skua_grain_directory_entries") > 0
	})
	for id := range ids {
		if v := r.call(2, "counter", fmt.Sprint(id), 1); v != 2 {
			t.Errorf("counter/%d is %v, expected 2", id, v)
		}
	}
}

// gauge is a metric of a node.
func (r *rig) gauge(i int, name string) float64 {
	r.t.Helper()
	all, err := r.Nodes[i].Metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	r.t.Fatalf("no metric %s", name)
	return 0
}

func TestManyWhoSpeakToAGrainFirstStartItOnce(t *testing.T) {
	r := start(t, 3, clustertest.Config{})
	for round := range 5 {
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				if _, err := r.of(i%3).Call(t.Context(), "counter", fmt.Sprint("new", round), 1); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if v := r.call(0, "counter", fmt.Sprint("new", round), 0); v != 60 {
			t.Errorf("%v of 60 have counted", v)
		}
	}
	if started := r.total("skua_grain_activations_total"); started != 5 {
		t.Errorf("%v grains were started, expected 5", started)
	}
}

func (r *rig) total(name string) (sum float64) {
	for i := range r.Nodes {
		all, err := r.Nodes[i].Metrics.Gather()
		if err != nil {
			r.t.Fatal(err)
		}
		for _, f := range all {
			if f.GetName() == name {
				sum += f.GetMetric()[0].GetCounter().GetValue()
			}
		}
	}
	return sum
}

// add is what is done to a register: a number is added, and its value is the answer. 0 reads.
type add struct {
	id string
	n  int
}

// sums is the model of registers that answer with their sum. An addition of which it is not known whether it has happened has no answer.
func sums() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byID := map[string][]porcupine.Operation{}
			for _, o := range history {
				id := o.Input.(add).id
				byID[id] = append(byID[id], o)
			}
			var parts [][]porcupine.Operation
			for _, p := range byID {
				parts = append(parts, p)
			}
			return parts
		},
		Init: func() any { return 0 },
		Step: func(state, input, output any) (bool, any) {
			sum := state.(int) + input.(add).n
			return output == nil || output == sum, sum
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v -> %v", input, output) },
	}
}

// history is what clients have seen.
type history struct {
	mu  sync.Mutex
	all []porcupine.Operation

	answered atomic.Int64
}

func (h *history) add(o porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, o)
}

// more waits until so many more operations were answered.
func (h *history) more(t *testing.T, n int64) {
	t.Helper()
	goal := h.answered.Load() + n
	clustertest.Eventually(t, "requests are answered", func() bool { return h.answered.Load() >= goal })
}

// neverHandled tells whether a failed request is known not to have been handled: it need not be in the history.
func neverHandled(err error) bool {
	var e *actor.Error
	return errors.As(err, &e) && (e.Code == actor.Overloaded || e.Code == actor.NoActor)
}

func TestGrainsAreLinearizableUnderFaults(t *testing.T) {
	const nodes, clients, ids, faults = 4, 6, 5, 5
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := start(t, nodes, clustertest.Config{Lease: 4 * time.Second}, brittle)
	var h history
	var ended atomic.Bool
	var up [nodes]atomic.Bool
	for i := range up {
		up[i].Store(true)
	}
	begun := time.Now()
	var all sync.WaitGroup
	for k := range clients {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(k)))
			pace := time.NewTicker(5 * time.Millisecond) // the history must stay short enough to be checked, however long a fault takes
			defer pace.Stop()
			for !ended.Load() {
				r.operate(&h, k, rng, begun, up[:])
				<-pace.C
			}
		})
	}
	rng := rand.New(rand.NewPCG(seed, 1000))
	for range faults {
		h.more(t, 150)
		i := rng.IntN(nodes)
		up[i].Store(false)
		switch rng.IntN(4) {
		case 0:
			t.Logf("%v: n%d is drained", time.Since(begun), i)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if err := r.of(i).Drain(ctx); err != nil {
				t.Errorf("drain: %v", err)
			}
			cancel()
			r.Nodes[i].Leave()
		case 1:
			t.Logf("%v: n%d leaves", time.Since(begun), i)
			r.Nodes[i].Leave()
		case 2:
			t.Logf("%v: the NATS server is started anew", time.Since(begun))
			r.StopNATS()
			r.StartNATS()
			up[i].Store(true)
			continue
		default:
			t.Logf("%v: n%d is killed", time.Since(begun), i)
			r.Nodes[i].Kill()
		}
		r.Run(i)
		r.Meet()
		r.open(i)
		up[i].Store(true)
	}
	h.more(t, 150)
	ended.Store(true)
	all.Wait()
	last := time.Since(begun)
	for id := range ids { // each answers in the end, with what all have added
		v := r.persist(rng.IntN(nodes), "through", fmt.Sprint(id), 0)
		h.add(porcupine.Operation{ClientId: clients, Input: add{fmt.Sprint(id), 0}, Call: int64(last), Output: v, Return: int64(time.Since(begun))})
	}
	asked := len(h.all)
	h.all = r.disk.happened(t, h.all, int64(time.Since(begun)))
	t.Logf("%d operations, %d happened, %d saves refused", asked, len(h.all), r.disk.refused)
	if result := porcupine.CheckOperationsTimeout(sums(), h.all, 60*time.Second); result != porcupine.Ok {
		t.Errorf("seed %d: the history is %v", seed, result)
		for i := range min(len(h.all), 40) {
			t.Log(h.all[len(h.all)-1-i])
		}
	}
}

// happened is a history without those additions that had no answer and never happened: what was saved tells which. Those that did may have happened at any time up to the end. With all
// of them the check would have to try too much.
func (d *disk) happened(t *testing.T, all []porcupine.Operation, end int64) (kept []porcupine.Operation) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	added := map[add]bool{}
	for key, s := range d.saved {
		for _, n := range s.added {
			what := add{strings.TrimPrefix(key, "through/"), n}
			if added[what] {
				t.Errorf("%v was added twice", what)
			}
			added[what] = true
		}
	}
	for _, o := range all {
		if o.Output == nil {
			if !added[o.Input.(add)] {
				continue
			}
			o.Return = end
		}
		kept = append(kept, o)
	}
	return kept
}

// operate does one operation of a client, from a node that is up.
func (r *rig) operate(h *history, client int, rng *rand.Rand, begun time.Time, up []atomic.Bool) {
	i := rng.IntN(len(up))
	for !up[i].Load() {
		i = (i + 1) % len(up)
	}
	what := add{id: fmt.Sprint(rng.IntN(5))}
	if rng.IntN(3) > 0 {
		what.n = 1 + rng.IntN(1<<40) // no other is the same
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	o := porcupine.Operation{ClientId: client, Input: what, Call: int64(time.Since(begun))}
	v, err := r.of(i).Call(ctx, "through", what.id, what.n)
	o.Return = int64(time.Since(begun))
	switch {
	case err == nil:
		o.Output = v
		h.answered.Add(1)
	case what.n == 0 || neverHandled(err):
		return
	}
	h.add(o)
}
