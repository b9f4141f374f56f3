// Package clustertest runs a cluster of some nodes in one process, for tests: each with its name, its heartbeats, its actors and its mesh, on one NATS server that
// listens on the loopback interface.
package clustertest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/mesh"
	"github.com/skua-go/skua/internal/freeport"
)

// Config is what tests may want to be different. The zero value works.
type Config struct {
	// Types are those of messages, for all nodes. Default the plain ones.
	Types *wire.Types
	// Members is what is told to cluster.Join, for the node with this number. Default: a beat each 50 ms, dead after 3 s.
	Members func(i int) cluster.MembersConfig
	// Mesh changes what is told to mesh.Open.
	Mesh func(i int, cfg *mesh.Config)
	// System changes what is told to actor.New.
	System func(i int, cfg *actor.Config)
	// Lease is cluster.Config's. Default 20 s, so that no node loses its name because the machine is busy.
	Lease time.Duration
	// Log gets the logs of all nodes; nil drops them.
	Log *slog.Logger
}

// Cluster is some nodes and their NATS server.
type Cluster struct {
	Nodes []*Node

	t      testing.TB
	cfg    Config
	dir    string
	addr   *net.TCPAddr // free while no server listens there
	mu     sync.Mutex
	server *server.Server
}

// Node is one of them. Nodes are called n0, n1 and so on.
type Node struct {
	Name    string
	Node    *cluster.Node
	Members *cluster.Members
	System  *actor.System
	Mesh    *mesh.Mesh
	Metrics *prometheus.Registry

	c    *Cluster
	i    int
	once *sync.Once
}

// Start runs n nodes, which know each other when it returns. They end with the test, which fails if they don't.
func Start(t testing.TB, n int, cfg Config) *Cluster {
	t.Helper()
	if cfg.Types == nil {
		cfg.Types = wire.NewTypes()
	}
	if cfg.Lease == 0 {
		cfg.Lease = 20 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	addr, err := net.ResolveTCPAddr("tcp", freeport.TCP(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t, cfg: cfg, dir: t.TempDir(), addr: addr}
	c.StartNATS()
	t.Cleanup(c.StopNATS)
	for i := range n {
		c.Nodes = append(c.Nodes, nil)
		c.Run(i)
	}
	c.Meet()
	return c
}

// URL is where the NATS server listens.
func (c *Cluster) URL() string { return "nats://" + c.addr.String() }

// StartNATS starts the server, again if it was stopped, with what it had.
func (c *Cluster) StartNATS() {
	c.t.Helper()
	srv, err := server.NewServer(&server.Options{Host: c.addr.IP.String(), Port: c.addr.Port, JetStream: true, StoreDir: c.dir, NoSigs: true, NoLog: true})
	if err != nil {
		c.t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		c.t.Fatal("the NATS server is not ready")
	}
	c.mu.Lock()
	c.server = srv
	c.mu.Unlock()
}

// StopNATS stops the server.
func (c *Cluster) StopNATS() {
	c.mu.Lock()
	srv := c.server
	c.server = nil
	c.mu.Unlock()
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// Mute has questions to JetStream be lost, as they are while it elects a leader: those of a subject such as $JS.API.CONSUMER.CREATE.KV_x.>. Each is told to asked. It ends with what it returns.
func (c *Cluster) Mute(subject string, asked chan<- struct{}) (end func()) {
	c.t.Helper()
	c.mu.Lock()
	account := c.server.GlobalAccount()
	c.mu.Unlock()
	nowhere := "clustertest.muted"
	if strings.HasSuffix(subject, ".>") {
		nowhere += ".>"
	}
	conn, err := nats.Connect(c.URL())
	if err == nil {
		_, err = conn.Subscribe(nowhere, func(*nats.Msg) {
			select {
			case asked <- struct{}{}:
			default:
			}
		})
	}
	if err == nil {
		err = conn.Flush()
	}
	if err == nil {
		err = account.AddMapping(subject, nowhere)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return func() {
		if !account.RemoveMapping(subject) {
			c.t.Errorf("%s was not muted", subject)
		}
		conn.Close()
	}
}

// Run starts node i, or starts it anew after Kill or Leave.
func (c *Cluster) Run(i int) *Node {
	c.t.Helper()
	n := &Node{Name: fmt.Sprintf("n%d", i), Metrics: prometheus.NewRegistry(), c: c, i: i, once: new(sync.Once)}
	log := c.cfg.Log.With("on", n.Name)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var err error
	if n.Node, err = cluster.Open(ctx, cluster.Config{URL: c.URL(), Name: n.Name, Lease: c.cfg.Lease, Version: "test", Log: log}); err != nil {
		c.t.Fatal(err)
	}
	members := cluster.MembersConfig{Beat: 50 * time.Millisecond, Suspect: time.Second, Dead: 3 * time.Second}
	if c.cfg.Members != nil {
		members = c.cfg.Members(i)
	}
	members.Metrics = n.Metrics
	if n.Members, err = cluster.Join(n.Node, members); err != nil {
		c.t.Fatal(err)
	}
	acting := actor.Config{Node: n.Name, Log: log}
	if c.cfg.System != nil {
		c.cfg.System(i, &acting)
	}
	n.System = actor.New(acting)
	meshed := mesh.Config{Node: n.Node, Members: n.Members, System: n.System, Types: c.cfg.Types, Log: log, Metrics: n.Metrics}
	if c.cfg.Mesh != nil {
		c.cfg.Mesh(i, &meshed)
	}
	if n.Mesh, err = mesh.Open(meshed); err != nil {
		c.t.Fatal(err)
	}
	c.Nodes[i] = n
	c.t.Cleanup(n.Leave)
	return n
}

// Leave ends the node as it should: its actors, then a goodbye. It may be called again.
func (n *Node) Leave() { n.end(true) }

// Kill ends the node's connection first, so that others hear nothing of it any more, and then the rest of it.
func (n *Node) Kill() { n.end(false) }

func (n *Node) end(goodbye bool) {
	n.once.Do(func() {
		t := n.c.t
		if !goodbye {
			n.Node.Conn().Close()
			n.Members.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := n.System.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		n.Members.Leave()
		if err := n.Mesh.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Node.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Meet waits until all nodes that run can reach each other.
func (c *Cluster) Meet() {
	c.t.Helper()
	Eventually(c.t, "all nodes know each other", func() bool {
		for _, n := range c.Nodes {
			for _, o := range c.Nodes {
				if n != o && !n.Mesh.Reaches(o.Name, o.Node.Lease().Incarnation) {
					return false
				}
			}
		}
		return true
	})
}

// Spawn starts an actor on the node.
func (n *Node) Spawn(spec actor.Spec) actor.Ref {
	n.c.t.Helper()
	ref, err := n.System.Spawn(spec)
	if err != nil {
		n.c.t.Fatal(err)
	}
	return ref
}

// See is a Ref of another node as this one has it.
func (n *Node) See(ref actor.Ref) actor.Ref {
	n.c.t.Helper()
	seen, err := n.System.ParseAddress(ref.Address())
	if err != nil {
		n.c.t.Fatal(err)
	}
	return seen
}

// Eventually waits until ok, 20 s at most.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20s: %s", what)
		}
		<-tick.C
	}
}

// Metric is the sum of a counter or gauge of the node, over all labels.
func (n *Node) Metric(name string) (sum float64) {
	n.c.t.Helper()
	families, err := n.Metrics.Gather()
	if err != nil {
		n.c.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}
