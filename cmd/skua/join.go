package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/grain"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/mesh"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/cluster/topics"
	"github.com/skua-go/skua/lua"
	clusterservice "github.com/skua-go/skua/services/cluster"
	"github.com/skua-go/skua/services/datacenter"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/room"
)

// wireTypes are the messages that go to other nodes.
func wireTypes() *wire.Types {
	t := wire.NewTypes()
	lua.WireTypes(t)
	names.WireTypes(t)
	topics.WireTypes(t)
	datacenter.WireTypes(t)
	gate.WireTypes(t)
	room.WireTypes(t)
	grain.WireTypes(t)
	return t
}

// openPeers connects the node to the others, and runs the NATS server if that is inside.
func (n *node) openPeers(ctx context.Context, l *listeners) (*cluster.Node, error) {
	cfg := &n.project.cfg
	peers := cfg.peers()
	peers.Log, peers.Metrics = n.log.With("part", "cluster"), n.metrics
	opened, err := cluster.Open(ctx, peers)
	switch {
	case errors.Is(err, cluster.ErrListen):
		return nil, fmt.Errorf("listen.cluster = %q, listen.routes = %q: %w", cfg.Listen.Cluster, cfg.Listen.Routes, err)
	case errors.Is(err, cluster.ErrDirInUse):
		return nil, fmt.Errorf("data = %q (SKUA_DATA, --data): %w", cfg.Path(cfg.Data), err)
	case err != nil:
		return nil, err
	}
	if at := opened.ListensAt(); at != nil {
		l.names = append(l.names, fmt.Sprintf("cluster=%s", at))
	}
	if cfg.shared() && cfg.Store.Mongo == "" {
		n.log.Warn("players are kept in a database of this node alone: nodes of a cluster need the same store.mongo, or players are others on each")
	}
	if cfg.shared() && cfg.Cluster.Secret == "" && len(cfg.Login.tokenKeys()) == 0 && cfg.Login.TokenLifetime.Duration > 0 {
		n.log.Warn("tokens of players are good on this node only: nodes of a cluster need the same cluster.secret or login.token_keys")
	}
	return opened, nil
}

// join has the node's actors reach those of other nodes, and opens what the cluster has beside messages. leave tells the others that this node is gone; it is for when its actors have ended.
func (n *node) join(ctx context.Context, peers *cluster.Node) (leave func() error, err error) {
	cfg, meter := &n.project.cfg.Cluster, &loadMeter{}
	n.members, err = cluster.Join(peers, cluster.MembersConfig{
		Roles: cfg.Roles, Labels: n.project.cfg.gateLabels(), Beat: cfg.Beat.Duration, Suspect: cfg.Suspect.Duration, Dead: cfg.Dead.Duration, Load: func() cluster.Load { return n.load(meter) }, Metrics: n.metrics,
	})
	if err != nil {
		return nil, err
	}
	n.mesh, err = mesh.Open(mesh.Config{
		Node: peers, Members: n.members, System: n.sys, Types: wireTypes(), Silent: cfg.Dead.Duration, Log: n.log.With("part", "mesh"), Metrics: n.metrics,
	})
	if err != nil {
		n.members.Close()
		return nil, err
	}
	part := func() error {
		n.members.Leave()
		return n.mesh.Close()
	}
	if n.leases, err = n.coordinate(ctx, peers); err != nil {
		return nil, errors.Join(err, part())
	}
	return func() error { return errors.Join(n.leases.Close(), part()) }, nil
}

// coordinate opens the leases of the cluster, and makes the actors by which nodes share names and topics, and scripts all of that.
func (n *node) coordinate(ctx context.Context, peers *cluster.Node) (*lease.Leases, error) {
	leases, err := lease.Open(ctx, peers, n.members, lease.Config{
		Dead: n.project.cfg.Cluster.Dead.Duration, Log: n.log.With("part", "lease"), Metrics: n.metrics,
	})
	if err != nil {
		return nil, err
	}
	known, err := names.New(names.Config{
		Node: peers, Members: n.members, System: n.sys, Mesh: n.mesh, Log: n.log.With("part", "names"), Metrics: n.metrics,
	})
	if err != nil {
		return nil, errors.Join(err, leases.Close())
	}
	n.names = known
	shared := topics.New(known, 0)
	script, err := clusterservice.Spec(clusterservice.Config{Members: n.members, Mesh: n.mesh, Names: known, Leases: leases, Topics: shared})
	if err != nil {
		return nil, errors.Join(err, leases.Close())
	}
	tree := []actor.Spec{datacenter.Spec(datacenter.Config{})} // of the node, in a trial, whose time is not that of other nodes
	if n.trial == nil {
		tree, err = datacenter.Cluster(datacenter.ClusterConfig{Node: peers, Names: known, Leases: leases, Log: n.log.With("part", "datacenter")})
		if err != nil {
			return nil, errors.Join(err, leases.Close())
		}
	}
	n.coordination = append([]actor.Spec{known.Spec(), shared.Spec(), script}, tree...)
	return leases, nil
}

// load is what the node tells others of what it has to do.
func (n *node) load(meter *loadMeter) cluster.Load {
	l := cluster.Load{Actors: n.sys.Stats().Actors, Sessions: int64(n.sessions.Count())}
	if g := n.grains.Load(); g != nil {
		l.Grains = g.Count()
	}
	l.CPU, l.Memory = meter.read(time.Now())
	return l
}

// loadMeter tells how busy the process is. It is for one goroutine.
type loadMeter struct {
	at   time.Time
	used time.Duration
	last float64
}

// read is the share of the cores that was used since the last time, and of the memory that the process may have; 0 for what is not known.
func (m *loadMeter) read(now time.Time) (cpu, memory float64) {
	used := processorTime()
	if passed := now.Sub(m.at); !m.at.IsZero() && passed > 0 {
		m.last = min(1, float64(used-m.used)/float64(passed)/float64(runtime.GOMAXPROCS(0)))
	}
	m.at, m.used = now, used
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	limit := debug.SetMemoryLimit(-1) // asks only
	if limit == math.MaxInt64 {
		limit = machineMemory()
	}
	if limit > 0 {
		memory = min(1, float64(sample[0].Value.Uint64()-sample[1].Value.Uint64())/float64(limit))
	}
	return m.last, memory
}
