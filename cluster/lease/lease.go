// Package lease has things of the cluster owned by one node at a time: locks, leaders, singletons, shards.
//
// A lease is a key of a JetStream bucket that one node has written with compare-and-set and goes on renewing. Its epoch is the revision of the write that took it: epochs of one
// key rise for ever, so a resource that refuses epochs lower than the highest it has seen is safe from whoever does not know yet that it has lost its lease.
//
// The holder stops trusting its lease by itself, before anybody else may take it: when nothing could be renewed for three quarters of the TTL, and when it was cut off from NATS for so long that
// others may take its node for dead. Others take a lease over when its holder's node has left, when that node is dead for Config.Grace, or when its TTL has ended: it was not
// renewed for so long, by the clock of whoever takes it.
// One case remains in which two believe to hold a lease for some seconds: the holder reaches its own NATS server, and that server is cut off from the others. It is what epochs are for.
package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/cluster"
)

// The errors that callers tell apart with errors.Is.
var (
	// ErrHeld is wrapped when another holds the lease, or has waited longer for it.
	ErrHeld = errors.New("lease: held by another")
	// ErrLost is wrapped when a lease ended before it was released.
	ErrLost = errors.New("lease: lost")
	// ErrKey is wrapped for what can't be a key, or for meta that is too long.
	ErrKey = errors.New("lease: bad key")
	// ErrTooMany is wrapped when the node holds, or waits for, as many leases as it may.
	ErrTooMany = errors.New("lease: too many")
	// ErrNoName is wrapped by Try when the node can't prove that its name is its own: such a node takes nothing.
	ErrNoName = errors.New("lease: the node does not hold its name")
	// ErrClosed is wrapped after Close.
	ErrClosed = errors.New("lease: closed")
)

const (
	minTTL = 2 * time.Second // NATS counts the TTLs of marks in whole seconds
	// closeTimeout bounds what Close waits for the servers.
	closeTimeout = 2 * time.Second
	// pause is the least time between two attempts to write the same key.
	pause = 100 * time.Millisecond
	// minAttempt is how long a write may take at least.
	minAttempt = 250 * time.Millisecond
)

// Config has the bounds and times of leases. The zero value works. All nodes should have the same times.
type Config struct {
	// Bucket is where the keys are. Default skua_leases. Each bucket is for one Leases a node.
	Bucket string
	// TTL is how long a lease outlives its last renewal: whole seconds, at least 2 s, default 20 s. It is renewed eight times a TTL and trusted for three quarters of it. JetStream stands still for
	// up to 12 s when one of its servers dies: a TTL below 20 s loses leases then.
	TTL time.Duration
	// Dead is after how long others take a node for dead that is not heard of: cluster.MembersConfig's Dead. Default 3 s.
	Dead time.Duration
	// Grace is how long a holder's node must be dead before its leases are taken over. Default 3 s. A holder that is cut off gives its leases up a third of Grace after it may be taken for dead.
	Grace time.Duration
	// MaxHeld is how many leases this node may hold. Default 4,096. Each is renewed by a small message.
	MaxHeld int
	// MaxWaiting is how many may wait for leases on this node. Default 65,536.
	MaxWaiting int
	// Log gets losses and failures; nil drops them.
	Log *slog.Logger
	// Metrics is where counters are registered, with the label bucket; nil leaves them out.
	Metrics prometheus.Registerer
}

func (cfg *Config) check() error {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&cfg.TTL, 20*time.Second)
	set(&cfg.Dead, 3*time.Second)
	set(&cfg.Grace, 3*time.Second)
	if cfg.Bucket == "" {
		cfg.Bucket = "skua_leases"
	}
	if cfg.MaxHeld <= 0 {
		cfg.MaxHeld = 4096
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = 1 << 16
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.TTL < minTTL || cfg.TTL%time.Second != 0 {
		return fmt.Errorf("lease: TTL: found %v, expected whole seconds from %v", cfg.TTL, minTTL)
	}
	if cfg.Dead < 0 || cfg.Grace < 0 {
		return fmt.Errorf("lease: Dead %v, Grace %v: expected more than nothing", cfg.Dead, cfg.Grace)
	}
	return cluster.CheckName(cfg.Bucket)
}

// renewal is how often a lease is written.
func (cfg *Config) renewal() time.Duration { return cfg.TTL / 8 }

// trust is how long after the begin of the last write that was acknowledged a lease is held.
func (cfg *Config) trust() time.Duration { return cfg.TTL / 4 * 3 }

// unseen is how long after the begin of a round trip to NATS this node holds what it has without another one. Others may take it for dead a moment before, and wait for the rest of Grace.
func (cfg *Config) unseen() time.Duration { return cfg.Dead + cfg.Grace/3 }

// attempt is how long one write may take before it is tried again.
func (cfg *Config) attempt() time.Duration { return max(cfg.TTL/20, minAttempt) }

// reserve is how long a lease that was handed on waits for the one it is meant for.
func (cfg *Config) reserve() time.Duration { return max(cfg.Grace/3, pause) }

// again is how often those who wait tell the holder, and look for themselves.
func (cfg *Config) again() time.Duration { return max(cfg.Grace/3, 2*pause) }

// Leases are those of one bucket, as this node sees and holds them. All methods may be called from any goroutine.
type Leases struct {
	cfg     Config
	node    *cluster.Node
	log     *slog.Logger
	metrics *metrics
	stream  jetstream.Stream
	kv      jetstream.KeyValue
	life    *life
	wants   *nats.Subscription
	cancels []func()

	ctx     context.Context //nolint:containedctx // the life of its goroutines, which begin in many methods
	stop    context.CancelFunc
	tasks   sync.WaitGroup
	closing chan struct{}
	closed  sync.Once

	mu          sync.Mutex
	incarnation uint64
	lines       map[string]*line
	mine        map[string]struct{} // ids of leases that are held here, or may be in a moment
	held        map[*Lease]struct{}
	waiting     int
	waiters     uint64 // that ever were
	watchers    map[*watcher]struct{}
	ended       bool
}

// Open makes the bucket if it is not there, and watches it. ctx bounds that. The node and its members are the caller's, and are closed after the Leases.
func Open(ctx context.Context, n *cluster.Node, m *cluster.Members, cfg Config) (*Leases, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	l := &Leases{
		cfg: cfg, node: n, log: cfg.Log, closing: make(chan struct{}), lines: map[string]*line{}, mine: map[string]struct{}{},
		held: map[*Lease]struct{}{}, watchers: map[*watcher]struct{}{},
	}
	l.metrics = newMetrics(l)
	if err := l.metrics.register(); err != nil {
		return nil, fmt.Errorf("lease: metrics: %w", err)
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	err := l.openBucket(ctx)
	if err == nil {
		l.life = newLife(&l.cfg, n)
		l.cancels = append(l.cancels, m.Watch(l.life.heard), n.Incarnations(l.become))
		l.wants, err = l.listen()
	}
	if err == nil {
		l.tasks.Go(func() { l.life.run(l.ctx) })
		l.tasks.Go(l.mourn)
		l.tasks.Go(l.sweep)
		err = l.watch(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// become is told of the node's incarnation. What a former one held is nobody's any more: the name, under which others know the holder, was lost.
func (l *Leases) become(incarnation uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.incarnation = incarnation
	l.life.become(incarnation)
	for x := range l.held {
		if x.incarnation != incarnation {
			x.end("name", errNewIncarnation)
		}
	}
}

// mourn ends all leases when the node has lost its name for good.
func (l *Leases) mourn() {
	select {
	case <-l.ctx.Done():
		return
	case <-l.node.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for x := range l.held {
		x.end("name", l.node.Err())
	}
}

var errNewIncarnation = errors.New("the node has a new incarnation")

// Close gives all leases back and ends all that waits. It blocks until its goroutines are gone, some seconds at most, and may be called more than once.
func (l *Leases) Close() error {
	var err error
	l.closed.Do(func() { err = l.close() })
	return err
}

func (l *Leases) close() error {
	l.mu.Lock()
	l.ended = true
	held := make([]*Lease, 0, len(l.held))
	for x := range l.held {
		held = append(held, x)
	}
	l.mu.Unlock()
	close(l.closing)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for _, x := range held {
		x.end("", nil)
	}
	late := 0
	for _, x := range held {
		select {
		case <-x.back:
		case <-ctx.Done():
			late++
		}
	}
	for _, cancel := range l.cancels {
		cancel()
	}
	l.stop()
	l.tasks.Wait()
	var err error
	if l.wants != nil {
		if e := l.wants.Unsubscribe(); e != nil && !errors.Is(e, nats.ErrConnectionClosed) && !errors.Is(e, nats.ErrBadSubscription) {
			err = fmt.Errorf("lease: closing: %w", e)
		}
	}
	l.metrics.unregister()
	if late > 0 {
		l.log.Warn("lease: not all could be given back, they end by themselves", "bucket", l.cfg.Bucket, "leases", late)
	}
	return err
}
