package grain_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/grain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// disk is where grains of a test save: it refuses what an activation writes that has been replaced.
type disk struct {
	mu      sync.Mutex
	saved   map[string]*saved
	refused int
	wrong   []string
}

type saved struct {
	epoch uint64
	value int
	added []int // by each save
	log   []string
}

func (d *disk) load(key string, epoch uint64) (int, []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.saved[key]
	if s == nil {
		s = &saved{}
		d.saved[key] = s
	}
	if epoch <= s.epoch {
		d.wrong = append(d.wrong, fmt.Sprintf("%s is started in epoch %d after %d", key, epoch, s.epoch))
	}
	s.epoch = max(s.epoch, epoch)
	return s.value, append([]string(nil), s.log...)
}

func (d *disk) save(key string, epoch uint64, value int, log []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.saved[key]
	if s == nil || epoch != s.epoch {
		d.refused++
		return false
	}
	if value != s.value {
		s.added = append(s.added, value-s.value)
	}
	s.value, s.log = value, append([]string(nil), log...)
	return true
}

// counter is a grain with a number and a list of what it was sent. It saves them when it ends; with through, at each change.
type counter struct {
	g       *rig
	id      grain.Identity
	value   int
	log     []string
	through bool
}

func (k *counter) key() string { return k.id.Kind + "/" + k.id.ID }

func (k *counter) Load(c *actor.Context, done func(error)) {
	if k.id.ID == "broken" {
		done(errors.New("its content is broken"))
		return
	}
	c.Go(func(context.Context) (any, error) {
		k.value, k.log = k.g.disk.load(k.key(), k.id.Epoch)
		return struct{}{}, nil
	}, func(_ any, err error) { done(err) })
}

func (k *counter) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case int:
		k.value += m
		if k.through && !k.g.disk.save(k.key(), k.id.Epoch, k.value, k.log) {
			c.Reply(nil, errors.New("fenced"))
			return
		}
		c.Reply(k.value, nil)
	case string:
		switch m {
		case "who":
			c.Reply(c.Self().Node(), nil)
		case "log":
			c.Reply(fmt.Sprint(k.log), nil)
		case "end":
			c.Stop(c.Self(), nil)
		default:
			k.log = append(k.log, m)
			if k.through {
				k.g.disk.save(k.key(), k.id.Epoch, k.value, k.log)
			}
		}
	}
}

func (k *counter) Stop(c *actor.Context, _ error) {
	if !k.through {
		c.Go(func(context.Context) (any, error) { return nil, nil }, func(any, error) { k.g.disk.save(k.key(), k.id.Epoch, k.value, k.log) })
	}
}

// rig is a cluster with grains.
type rig struct {
	*clustertest.Cluster
	t      testing.TB
	disk   *disk
	cut    time.Duration
	kinds  func(i int, kinds []grain.Kind) []grain.Kind
	mu     sync.Mutex
	grains []*grain.Grains
}

func (r *rig) kindsOf(i int) []grain.Kind {
	made := func(through bool) func(grain.Identity) actor.Spec {
		return func(id grain.Identity) actor.Spec {
			return actor.Spec{New: func() actor.Actor { return &counter{g: r, id: id, through: through} }}
		}
	}
	kinds := []grain.Kind{
		{Name: "counter", New: made(false)},
		{Name: "through", New: made(true)},
		{Name: "sleepy", New: made(false), Idle: 150 * time.Millisecond},
		{Name: "local", New: made(false), Placement: grain.PreferLocal},
		{Name: "light", New: made(false), Placement: grain.LeastLoaded},
		{Name: "world", New: made(false), Role: "world"},
	}
	if r.kinds != nil {
		kinds = r.kinds(i, kinds)
	}
	return kinds
}

func start(t testing.TB, n int, cfg clustertest.Config, change ...func(*rig)) *rig {
	t.Helper()
	cfg.Types = wire.NewTypes()
	grain.WireTypes(cfg.Types)
	if cfg.Lease == 0 { // none but those that are about it lose theirs because the machine is busy
		cfg.Lease = 20 * time.Second
	}
	r := &rig{t: t, cut: 10 * time.Second, disk: &disk{saved: map[string]*saved{}}, grains: make([]*grain.Grains, n)}
	for _, f := range change {
		f(r)
	}
	r.Cluster = clustertest.Start(t, n, cfg)
	for i := range n {
		r.open(i)
	}
	t.Cleanup(r.check)
	return r
}

// open opens the grains of a node.
func (r *rig) open(i int) {
	r.t.Helper()
	n := r.Nodes[i]
	g, err := grain.Open(grain.Config{
		Node: n.Node, Members: n.Members, Mesh: n.Mesh, System: n.System, Kinds: r.kindsOf(i), Metrics: n.Metrics,
		Cut: r.cut, Settle: 300 * time.Millisecond,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.grains[i] = g
	r.mu.Unlock()
	r.t.Cleanup(func() {
		if err := g.Close(); err != nil {
			r.t.Error(err)
		}
	})
}

// brittle has nodes lose their names and connections soon.
func brittle(r *rig) { r.cut = time.Second }

// check is what holds at the end of each test.
func (r *rig) check() {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	for _, w := range r.disk.wrong {
		r.t.Error(w)
	}
}

func (r *rig) of(i int) *grain.Grains {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.grains[i]
}

// call asks a grain from a node, and fails the test if that fails.
func (r *rig) call(i int, kind, id string, msg any) any {
	r.t.Helper()
	v, err := r.of(i).Call(r.t.Context(), kind, id, msg)
	if err != nil {
		r.t.Fatalf("%s/%s from n%d: %v", kind, id, i, err)
	}
	return v
}

func TestAGrainIsOneForAllNodes(t *testing.T) {
	r := start(t, 3, clustertest.Config{})
	nodes := map[any]int{}
	for i := range 60 {
		id := fmt.Sprint(i)
		for j := range 3 {
			if v := r.call(j, "counter", id, 1); v != j+1 {
				t.Fatalf("counter/%s is %v, after %d", id, v, j+1)
			}
		}
		nodes[r.call(i%3, "counter", id, "who")]++
	}
	if len(nodes) != 3 {
		t.Errorf("60 grains are on the nodes %v, expected all three", nodes)
	}
	var count int64
	for i := range 3 {
		count += r.of(i).Count()
	}
	if count != 60 {
		t.Errorf("the nodes count %d grains, there are 60", count)
	}
}

func TestFailuresOfGrainsAreToldApart(t *testing.T) {
	r := start(t, 2, clustertest.Config{})
	for i := range 2 {
		if _, err := r.of(i).Call(t.Context(), "counter", "broken", 1); !errors.Is(err, grain.ErrStart) {
			t.Errorf("a grain that can't start: %v", err)
		}
		if _, err := r.of(i).Call(t.Context(), "nothing", "x", 1); !errors.Is(err, grain.ErrKind) {
			t.Errorf("a kind that nobody knows: %v", err)
		}
		if _, err := r.of(i).Call(t.Context(), "counter", "", 1); !errors.Is(err, grain.ErrID) {
			t.Errorf("an id that is none: %v", err)
		}
	}
}
