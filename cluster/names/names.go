// Package names has services found by name on all nodes: several actors, of one node or many, may have one name, and whoever needs one of them asks for any, by load, in turn or by a key, or for all.
//
// A registration belongs to the node of its actor and ends with it. Each node has an actor called names that follows those of the other nodes: it gets their whole list once and each change
// then. So a name is known everywhere some milliseconds after Register, and forgotten as soon as membership gives its node up; nothing of it is written anywhere.
package names

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/mesh"
)

// AgentName is the name of the actor that follows other nodes.
const AgentName = "names"

// The errors that callers tell apart with errors.Is.
var (
	// ErrNobody is wrapped when nobody has the name.
	ErrNobody = errors.New("names: nobody has this name")
	// ErrName is wrapped for a name, weight or actor that can't be registered.
	ErrName = errors.New("names: it can't be registered")
	// ErrFull is wrapped when the node has as many registrations as it may.
	ErrFull = errors.New("names: too many registrations")
	// ErrClosed is wrapped when the node's agent has ended, or has not been started.
	ErrClosed = errors.New("names: not running")
)

const (
	maxName = 150 // bytes
	maxMeta = 256 // bytes
)

// Config is what Names stand on. Node, Members, System and Mesh are required and outlive it.
type Config struct {
	Node    *cluster.Node
	Members *cluster.Members
	System  *actor.System
	Mesh    *mesh.Mesh
	// MaxOwn is how many registrations this node may have. Default 65,536.
	MaxOwn int
	// MaxOther is how many of one other node are taken over. Default 65,536; what is beyond that is left out, counted and logged.
	MaxOther int
	// Log gets what is refused; nil drops it.
	Log *slog.Logger
	// Metrics is where counters are registered; nil leaves them out.
	Metrics prometheus.Registerer
}

// Options are details of a registration.
type Options struct {
	// Weight is how much of the work goes here, compared with others of the name: for LeastLoaded and ByKey. 0 is 1.
	Weight float64
	// Meta is told to those who query: 256 bytes at most.
	Meta string
}

// Instance is an actor that has a name.
type Instance struct {
	Ref      actor.Ref
	Node     string
	Weight   float64
	Meta     string
	Draining bool // its node is to get nothing new

	ordinal int // among those of its node
	load    float64
}

// Names is what this node knows of all. All methods may be called from any goroutine.
type Names struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics

	mu      sync.RWMutex
	agent   actor.Ref
	own     map[string][]entry // of this node
	count   int
	version uint64
	others  map[string]*other // by node
	byName  map[string]*group
	changed chan struct{} // closed when there is something new
}

// entry is a registration.
type entry struct {
	Name   string
	Ref    actor.Ref
	Weight float64
	Meta   string
}

// other is what is known of another node.
type other struct {
	entries map[actor.Ref]map[string]struct{} // names of each
	count   int
}

// group is all that have one name.
type group struct {
	instances []Instance // by node, in the order of registration there
	turn      uint64
}

// New makes the Names of a node. Its Spec is to be spawned.
func New(cfg Config) (*Names, error) {
	if cfg.Node == nil || cfg.Members == nil || cfg.System == nil || cfg.Mesh == nil {
		return nil, errors.New("names: a Node, its Members, a System and its Mesh are needed")
	}
	if cfg.MaxOwn <= 0 {
		cfg.MaxOwn = 1 << 16
	}
	if cfg.MaxOther <= 0 {
		cfg.MaxOther = 1 << 16
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	x := &Names{
		cfg: cfg, log: cfg.Log, own: map[string][]entry{}, others: map[string]*other{}, byName: map[string]*group{}, changed: make(chan struct{}),
	}
	x.metrics = newMetrics(x)
	return x, nil
}

// Register gives an actor of this node a name, beside others that have it. An actor may have several names; registering it again under the same changes the options. The registration ends with
// the actor, or with Unregister. The errors are ErrName, ErrFull and ErrClosed.
func (x *Names) Register(name string, ref actor.Ref, o Options) error {
	if o.Weight == 0 {
		o.Weight = 1
	}
	e := entry{name, ref, o.Weight, o.Meta}
	if err := checkEntry(&e); err != nil {
		return err
	}
	if ref.IsZero() || ref.IsRemote() {
		return fmt.Errorf("%w: %s: %s is no actor of this node", ErrName, name, ref)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.agent.IsZero() {
		return fmt.Errorf("%w: registering %s", ErrClosed, name)
	}
	list := x.own[name]
	at := slices.IndexFunc(list, func(o entry) bool { return o.Ref == ref })
	if at < 0 && x.count >= x.cfg.MaxOwn {
		x.metrics.refused.WithLabelValues("own").Inc()
		return fmt.Errorf("%w: %s: this node has %d", ErrFull, name, x.count)
	}
	if at >= 0 {
		list[at] = e
	} else {
		x.own[name] = append(list, e)
		x.count++
	}
	x.add(e, x.cfg.System.Node().Name())
	x.tell(change{Set: &e})
	return nil
}

// Unregister takes a name from an actor of this node; it tells whether the actor had it.
func (x *Names) Unregister(name string, ref actor.Ref) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.unregister(name, ref)
}

func (x *Names) unregister(name string, ref actor.Ref) bool {
	list := x.own[name]
	at := slices.IndexFunc(list, func(o entry) bool { return o.Ref == ref })
	if at < 0 {
		return false
	}
	if list = slices.Delete(list, at, at+1); len(list) == 0 {
		delete(x.own, name)
	} else {
		x.own[name] = list
	}
	x.count--
	x.remove(name, ref)
	x.tell(change{Gone: &entry{Name: name, Ref: ref}})
	return true
}

// ended takes all names from an actor of this node.
func (x *Names) ended(ref actor.Ref) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, list := range x.own {
		if slices.ContainsFunc(list, func(o entry) bool { return o.Ref == ref }) {
			x.unregister(name, ref)
		}
	}
}

// tell has the agent pass a change on. The lock is held, so that changes are told in order.
func (x *Names) tell(ch change) {
	x.version++
	ch.Version = x.version
	x.cfg.System.Send(x.agent, ch)
}

// add notes a registration in the groups. The lock is held.
func (x *Names) add(e entry, node string) {
	g := x.byName[e.Name]
	if g == nil {
		g = &group{}
		x.byName[e.Name] = g
	}
	in := Instance{Ref: e.Ref, Node: node, Weight: e.Weight, Meta: e.Meta}
	// Whoever reads has the former slice.
	instances := slices.DeleteFunc(slices.Clone(g.instances), func(o Instance) bool { return o.Ref == e.Ref })
	at, _ := slices.BinarySearchFunc(instances, in, func(a, b Instance) int {
		if c := strings.Compare(a.Node, b.Node); c != 0 {
			return c
		}
		return -1 // behind those of its node
	})
	g.instances = number(slices.Insert(instances, at, in))
	x.notify()
}

// number counts the instances of each node.
func number(instances []Instance) []Instance {
	for i := range instances {
		instances[i].ordinal = 0
		if i > 0 && instances[i-1].Node == instances[i].Node {
			instances[i].ordinal = instances[i-1].ordinal + 1
		}
	}
	return instances
}

// remove takes a registration out of the groups. The lock is held.
func (x *Names) remove(name string, ref actor.Ref) {
	g := x.byName[name]
	if g == nil {
		return
	}
	g.instances = number(slices.DeleteFunc(slices.Clone(g.instances), func(o Instance) bool { return o.Ref == ref }))
	if len(g.instances) == 0 {
		delete(x.byName, name)
	}
	x.notify()
}

func (x *Names) notify() {
	close(x.changed)
	x.changed = make(chan struct{})
}

// Query is all that have a name, by node, in the order of registration there; on nodes that can be reached, draining ones included.
func (x *Names) Query(name string) []Instance {
	x.mu.RLock()
	var known []Instance
	if g := x.byName[name]; g != nil {
		known = g.instances
	}
	x.mu.RUnlock()
	all := make([]Instance, 0, len(known))
	var m cluster.Member
	var found bool
	for _, in := range known {
		if m.Name != in.Node {
			m, found = x.cfg.Members.Find(in.Node)
		}
		if in.Ref.IsRemote() && (!found || m.Incarnation != in.Ref.Home().Incarnation() || !m.State.Reachable()) {
			continue
		}
		in.Draining, in.load = m.Draining, m.Load.CPU
		all = append(all, in)
	}
	return all
}

// fit is those of Query that work should go to.
func (x *Names) fit(name string) []Instance {
	all := x.Query(name)
	if !slices.ContainsFunc(all, func(in Instance) bool { return !in.Draining }) {
		return all
	}
	return slices.DeleteFunc(all, func(in Instance) bool { return in.Draining })
}

// Any is one of those that have a name, on a node that can be reached and does not drain, unless there is no other. The error is ErrNobody.
func (x *Names) Any(name string, by Pick) (actor.Ref, error) {
	all := x.fit(name)
	if len(all) == 0 {
		return actor.Ref{}, fmt.Errorf("%w: %s", ErrNobody, name)
	}
	return all[by.pick(x, name, all)].Ref, nil
}

// Wait is Any that waits until somebody has the name, or ctx ends.
func (x *Names) Wait(ctx context.Context, name string, by Pick) (actor.Ref, error) {
	for {
		x.mu.RLock()
		changed := x.changed
		x.mu.RUnlock()
		ref, err := x.Any(name, by)
		if err == nil {
			return ref, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return actor.Ref{}, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
	}
}

// Known is how many names somebody has.
func (x *Names) Known() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.byName)
}

func checkEntry(e *entry) error {
	switch {
	case e.Name == "" || len(e.Name) > maxName:
		return fmt.Errorf("%w: %.64q: a name of 1 to %d bytes is expected", ErrName, e.Name, maxName)
	case len(e.Meta) > maxMeta:
		return fmt.Errorf("%w: %s: meta: %d bytes, expected at most %d", ErrName, e.Name, len(e.Meta), maxMeta)
	case !(e.Weight > 0) || math.IsInf(e.Weight, 0):
		return fmt.Errorf("%w: %s: weight %v: expected more than 0", ErrName, e.Name, e.Weight)
	}
	return nil
}
