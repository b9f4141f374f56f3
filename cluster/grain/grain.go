// Package grain has actors that are called by kind and id, live on one node of the cluster at a time, and are started when somebody speaks to them.
//
// Where grains are is known by directories: the ids are divided into 512 shards, each of which has one node that keeps, in its memory, where the grains of the
// shard are, and has them started. Who that is stands in a bucket of JetStream, written by compare-and-set, whose revisions are the upper bits of the epochs of activations; so these rise, whoever
// has the shard. A shard belongs to its node as long as the node can trust its name: there is nothing to be renewed. A node that takes a shard over asks all
// others what they have of it, and makes them refuse what its former owner still wants; one that can't be asked must be fenced first, see absences.
//
// Each node remembers where grains are that it speaks to. What is sent there after a grain has gone elsewhere follows it, in order.
//
// docs/cluster.md has the whole picture.
package grain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/mesh"
)

// The errors that callers tell apart with errors.Is, also when they come from another node.
var (
	// ErrKind is for a kind that this node, or the one that is to have the grain, does not know.
	ErrKind = errors.New("grain: no such kind")
	// ErrID is for an id that is empty or too long.
	ErrID = errors.New("grain: bad id")
	// ErrNoNode is when no node may have the grain: none is alive that has the role.
	ErrNoNode = errors.New("grain: no node can have it")
	// ErrStart is when the grain's actor could not start.
	ErrStart = errors.New("grain: it did not start")
	// ErrNotHere is when a message has found no activation that may act: the grain has not handled it.
	ErrNotHere = errors.New("grain: it is not here")

	errNotMine = errors.New("grain: the shard is another node's")
	errStale   = errors.New("grain: the shard has another owner")
	errSilent  = errors.New("grain: who keeps the shard does not answer")
)

// AgentName is the name of the actor of each node that others ask for grains.
const AgentName = "grains"

// Config is what Grains stand on, and their bounds.
type Config struct {
	// Node, Members, Mesh and System are required, and outlive the Grains. The Types of the Mesh have what WireTypes adds.
	Node    *cluster.Node
	Members *cluster.Members
	Mesh    *mesh.Mesh
	System  *actor.System
	// Kinds of grains.
	Kinds []Kind
	// Cut is how long the node may be without a connection to NATS before its grains stop, because others may have them from then on. A connection that was made anew counts after a quarter of
	// it. Default 2 s. Longer keeps them over an outage of the only NATS server; shorter has the grains of a node that has died back sooner. All nodes must have the same. Above 2.5 s a process
	// that is started under the name of one which is cut off, but lives, may have grains before that one has stopped: only what checks epochs notices.
	Cut time.Duration
	// Patience is how long a message waits for a grain that can't be started, as long as who has asked waits, and Open for JetStream. Default 30 s: longer than a node that is silent may trust its
	// name, and than elections take.
	Patience time.Duration
	// Settle is how long nodes must be the same before shards go to those that have come. Default 3 s.
	Settle time.Duration
	// MaxWaiting is how many messages of this node may wait for grains to be found or started, a grain of this node for its end elsewhere, and requests of others for shards of this one. Default 65,536;
	// beyond it requests fail with actor.ErrOverloaded and messages are dead letters. A single grain may have a sixteenth of it.
	MaxWaiting int
	// Log gets what happens to shards and nodes; nil drops it.
	Log *slog.Logger
	// Metrics is where counters are registered; nil leaves them out.
	Metrics prometheus.Registerer
}

func (cfg *Config) check() error {
	if cfg.Node == nil || cfg.Members == nil || cfg.Mesh == nil || cfg.System == nil {
		return errors.New("grain: a Node, its Members, a Mesh and a System are needed")
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&cfg.Cut, 2 * time.Second}, {&cfg.Patience, 30 * time.Second}, {&cfg.Settle, 3 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = 65536
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Grains are those of the cluster, as one node reaches them, and those that it has. All methods may be called from any goroutine.
type Grains struct {
	cfg     Config
	log     *slog.Logger
	node    *cluster.Node
	sys     *actor.System
	kinds   map[string]*Kind
	kv      jetstream.KeyValue
	metrics *metrics
	table   *table       // for actors of this node
	waiting atomic.Int64 // messages, see MaxWaiting

	outside actor.Ref
	agent   actor.Ref     // is set by the agent itself, which others may ask as soon as it runs
	ready   chan struct{} // is closed then

	owners      [Shards]atomic.Pointer[owner] // as the bucket was seen last
	incarnation atomic.Uint64                 // as which this node has what it has
	plugged     atomic.Int64                  // when the newest round trip to NATS began that came back over a steady connection, since begun
	replugged   atomic.Int64                  // when one came back after there was none for longer than Cut; 0 if there was one all the time
	begun       time.Time
	active      atomic.Int64 // grains of this node
	entries     atomic.Int64 // that this node keeps in its directories
	owned       atomic.Int64 // shards of this node

	ended   atomic.Bool // the agent has: nothing is found any more
	emptied sync.Map    // *actor.Node: those that have said that they have no grains any more

	stop  context.CancelFunc
	tasks sync.WaitGroup
}

const (
	bucketName    = "skua_grains"
	bucketMaxSize = 1 << 10
)

// Open begins to reach grains, and to have some. It blocks until the bucket of shards is there and read, which takes as long as JetStream elects a leader: Config.Patience at most.
func Open(cfg Config) (*Grains, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	g := &Grains{cfg: cfg, log: cfg.Log, node: cfg.Node, sys: cfg.System, kinds: map[string]*Kind{}, table: newTable(), begun: time.Now(), ready: make(chan struct{})}
	for _, k := range cfg.Kinds {
		if err := k.check(); err != nil {
			return nil, err
		}
		if g.kinds[k.Name] != nil {
			return nil, fmt.Errorf("grain: two kinds are called %s", k.Name)
		}
		g.kinds[k.Name] = &k
	}
	g.metrics = newMetrics(g)
	if err := g.metrics.register(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("grain: metrics: %w", err)
	}
	if err := g.open(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Grains) open() error {
	opening, cancel := context.WithTimeout(context.Background(), g.cfg.Patience)
	defer cancel()
	begun := g.now()
	if err := g.openBucket(opening); err != nil {
		return err
	}
	g.incarnation.Store(g.node.Lease().Incarnation)
	g.plugged.Store(int64(begun))
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	read := make(chan error, 1)
	g.tasks.Go(func() { g.watchPlug(ctx) })
	g.tasks.Go(func() { g.watchOwners(ctx, read) })
	if err := g.awaitOwners(opening, read); err != nil {
		return fmt.Errorf("grain: reading the bucket %s: %w", bucketName, err)
	}
	var err error
	if g.outside, err = g.sys.Spawn(actor.Spec{Name: AgentName + ".outside", New: func() actor.Actor { return &outside{g} }}); err != nil {
		return fmt.Errorf("grain: %w", err)
	}
	if _, err = g.sys.Spawn(actor.Spec{Name: AgentName, New: func() actor.Actor { return newAgent(g) }}); err != nil {
		return fmt.Errorf("grain: %w", err)
	}
	select {
	case <-g.ready:
		return nil
	case <-opening.Done():
		return fmt.Errorf("grain: its actor has not started: %w", opening.Err())
	}
}

// awaitOwners waits until the owners of shards are read. That is tried again and again, as long as there is a connection.
func (g *Grains) awaitOwners(ctx context.Context, read <-chan error) error {
	var last error
	for {
		select {
		case err := <-read:
			if err == nil || g.node.Conn().IsClosed() {
				return err
			}
			last = err
		case <-ctx.Done():
			if last == nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		}
	}
}

func (g *Grains) openBucket(ctx context.Context) (err error) {
	g.kv, err = g.node.EpochBucket(ctx, jetstream.KeyValueConfig{Bucket: bucketName, Description: "Who keeps which shard of the grains", MaxValueSize: bucketMaxSize})
	if err != nil {
		return fmt.Errorf("grain: %w", err)
	}
	return nil
}

// Close ends what Open has begun, beside its actors: those end with the System, before. It blocks until the goroutines are gone.
func (g *Grains) Close() error {
	if g.stop != nil {
		g.stop()
	}
	g.tasks.Wait()
	g.metrics.unregister(g.cfg.Metrics)
	return nil
}

// Count is how many grains this node has: what it tells others in its [cluster.Load].
func (g *Grains) Count() int64 { return g.active.Load() }

// now is the time since the Grains were opened.
func (g *Grains) now() time.Duration { return time.Since(g.begun) }

// plug is what is known of the connection.
type plug struct {
	reconnects uint64        // as they were counted last
	since      time.Duration // for how long they are the same
}

// look asks the server for a sign of life, and notes when that was. A connection that was made anew counts when it has lasted for a while, so that others have seen it by then: else they might
// take two short ones for none. After there was none for too long, the node has to renew its name first: it may have been evicted.
func (p *plug) look(g *Grains) {
	conn := g.node.Conn()
	reconnects, begun := conn.Stats().Reconnects, g.now()
	if p.reconnects != reconnects {
		p.reconnects, p.since = reconnects, begun
	}
	if err := conn.FlushTimeout(max(g.cfg.Cut/2, 50*time.Millisecond)); err != nil || reconnects > 0 && begun-p.since < g.cfg.steady() {
		return
	}
	if int64(begun)-g.plugged.Load() > int64(g.cfg.Cut) {
		g.replugged.Store(int64(g.now()))
	}
	g.plugged.Store(int64(begun))
}

// steady is how long a connection has lasted that counts, and how often others look for it at least.
func (cfg *Config) steady() time.Duration { return cfg.Cut / 4 }

// watchPlug looks whether the connection is there.
func (g *Grains) watchPlug(ctx context.Context) {
	var p plug
	tick := time.NewTicker(max(g.cfg.Cut/16, 5*time.Millisecond))
	defer tick.Stop()
	for {
		p.look(g)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// trusted tells whether grains of this node may act: its name is its own, and it has not been without a connection for so long that others may have evicted it. It is asked for each
// message, so it also holds for a process that was paused.
func (g *Grains) trusted() bool {
	if int64(g.now())-g.plugged.Load() > int64(g.cfg.Cut) {
		return false
	}
	l := g.node.Lease()
	if at := g.replugged.Load(); at != 0 && !l.Renewed.IsZero() && l.Renewed.Sub(g.begun) <= time.Duration(at) {
		return false
	}
	return l.Held && l.Incarnation == g.incarnation.Load()
}
