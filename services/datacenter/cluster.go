package datacenter

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/lua"
)

// WireTypes adds the messages of this package to those that go to other nodes.
func WireTypes(t *wire.Types) {
	wire.Register[Get](t, "datacenter.get")
	wire.Register[Set](t, "datacenter.set")
	wire.Register[Wait](t, "datacenter.wait")
	wire.AddSentinel(t, "datacenter.leaf", ErrLeaf)
	wire.AddSentinel(t, "datacenter.branch", ErrBranch)
	wire.AddSentinel(t, "datacenter.full", ErrFull)
	wire.AddSentinel(t, "datacenter.path", ErrPath)
}

// ClusterConfig is what the tree of a cluster stands on. Node, Names and Leases are required.
type ClusterConfig struct {
	Config

	Node   *cluster.Node
	Names  *names.Names
	Leases *lease.Leases
	// Log gets what is wrong with the record of the tree; nil drops it.
	Log *slog.Logger
}

// Cluster is how to spawn, on each node of a cluster, what gives all of them one tree. It is kept by one node, the singleton of the name [ServiceName], and recorded in memory of the servers of
// JetStream, so that another goes on with it when that one ends: some seconds later if it was killed, during which requests wait. Each node has an actor called [ServiceName] that passes
// requests on. A Set whose answer is lost with the node fails with an ErrUnreachable or ErrStopped: it may have been done or not. All other requests are asked again.
//
// An answer is given when all that it is made of is recorded. So whoever reads after another has been told that a value is set gets it, or a later one, on any node.
func Cluster(cfg ClusterConfig) ([]actor.Spec, error) {
	if cfg.Node == nil || cfg.Names == nil || cfg.Leases == nil {
		return nil, errors.New("datacenter: Node, Names and Leases are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	bounds := cfg.withDefaults()
	tree, err := names.Singleton(names.SingletonConfig{
		Name: ServiceName, Leases: cfg.Leases, Names: cfg.Names,
		New: func(uint64) actor.Spec {
			return actor.Spec{
				New: func() actor.Actor {
					d := newService(bounds)
					d.keep = &keeper{record: newRecord(cfg.Node, cfg.Node.Name(), cfg.Log), line: line{limit: bounds.MaxWaits}}
					return d
				},
				Supervision: actor.Supervision{Limit: -1}, // the lease goes to whoever can load it
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return []actor.Spec{tree, {
		Name:        ServiceName,
		New:         func() actor.Actor { return &door{names: cfg.Names, line: line{open: true, limit: bounds.MaxWaits}} },
		Supervision: actor.Supervision{Limit: -1}, // what waits in it is nowhere else
	}}, nil
}

// door passes requests on to the node that has the tree.
type door struct {
	names     *names.Names
	line      line // what came while nobody had it
	searching bool
	giveUp    context.CancelFunc // ends the search
}

// forever is how long a request may take that has no deadline of its own.
const forever = time.Duration(math.MaxInt64 / 4)

// Stop does not wait for a tree that nobody will ask from here.
func (d *door) Stop(*actor.Context, error) {
	if d.giveUp != nil {
		d.giveUp()
	}
}

// Receive takes what [service] does.
func (d *door) Receive(c *actor.Context, msg any) {
	if !d.line.free() {
		d.line.add(c, func() { d.pass(c, msg) })
		return
	}
	d.pass(c, msg)
}

func (d *door) pass(c *actor.Context, msg any) {
	to, err := d.names.Any(ServiceName, names.RoundRobin())
	if err != nil {
		d.search(c, msg)
		return
	}
	c.AskFor(to, msg, forever, func(v any, err error) {
		if again(msg, err) {
			d.search(c, msg)
			return
		}
		c.Reply(v, err)
	})
}

// again tells whether a request may be sent once more: it has not been handled, or does no harm twice.
func again(msg any, err error) bool {
	switch {
	case errors.Is(err, actor.ErrNoActor):
		return true
	case !errors.Is(err, actor.ErrStopped) && !errors.Is(err, actor.ErrUnreachable):
		return false
	}
	switch m := msg.(type) {
	case Set:
		return false
	case lua.Message:
		cmd, _ := m.Args.At(0).Str()
		return cmd != "UPDATE"
	}
	return true
}

// pause is between looks for whoever has the tree: its name may still be there for a moment when it has gone.
const pause = 20 * time.Millisecond

// search has a message, and those behind it, wait until somebody has the tree.
func (d *door) search(c *actor.Context, msg any) {
	d.line.open = false
	d.line.add(c, func() { d.pass(c, msg) })
	if d.searching {
		return
	}
	d.searching = true
	searching, giveUp := context.WithCancel(context.Background())
	d.giveUp = giveUp
	c.Detached(func() {
		c.After(pause, func() {
			c.Go(func(ctx context.Context) (any, error) { //nolint:contextcheck // it has one of its own
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				defer context.AfterFunc(searching, cancel)()
				return d.names.Wait(ctx, ServiceName, names.RoundRobin())
			}, func(any, error) {
				if searching.Err() != nil {
					return
				}
				giveUp()
				d.searching, d.line.open = false, true
				d.line.next()
			})
		})
	})
}
