// Package cluster joins a node to the others over NATS.
//
// A Node has a connection, JetStream and a name that nobody else in the cluster holds, under an incarnation that is never used
// again: a node that was restarted is not taken for its former self, and whoever it fenced stays fenced. Without a URL
// the NATS server runs inside the process, with its data in a directory that one process at a time may use.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/internal/filelock"
)

// The errors that callers tell apart with errors.Is.
var (
	// ErrName is wrapped for a name that can't be part of a NATS subject.
	ErrName = errors.New("cluster: bad node name")
	// ErrNameTaken is wrapped when a live node already has the name.
	ErrNameTaken = errors.New("cluster: node name is taken")
	// ErrListen is wrapped when an address for other nodes can't be listened on.
	ErrListen = errors.New("cluster: can't listen on")
	// ErrDirInUse is wrapped when another process uses the embedded server's directory.
	ErrDirInUse = errors.New("cluster: directory is in use by another process")
	// ErrNoNode is wrapped when no node of that name is connected.
	ErrNoNode = errors.New("cluster: no such node")
	// ErrClosed is the end of a node by its own Close.
	ErrClosed = errors.New("cluster: closed")
)

const (
	defaultLease = 20 * time.Second
	minLease     = 2 * time.Second // NATS counts the TTLs of marks in whole seconds
	maxName      = 64
)

// Config tells how to join. The zero value with a Name and a Dir is a single node.
type Config struct {
	// URL of the NATS servers, separated by commas (nats://, tls://, ws://, wss://). Empty, and without Join, a server runs inside the process.
	URL string
	// Join are the addresses, host:port, of nodes whose embedded servers this one uses instead of one of its own: their Listen. One that is there is enough, it tells of the others.
	Join []string
	// Listen is the address, host:port, at which the embedded server takes other nodes; empty takes none. One that is not a loopback address needs a Secret.
	Listen string
	// Routes has the embedded servers of several nodes form one NATS cluster.
	Routes Routes
	// Secret is what nodes with Join, Listen or Routes prove to each other that they have: MinSecret characters or more, the same on all. Without one whoever reaches the address is let in. Not used with a URL.
	Secret string
	// TLS and Login are for connections to other machines.
	TLS   TLS
	Login Login
	// Name of this node: see CheckName. Required.
	Name string
	// Dir is where the embedded server keeps JetStream's files. Required where there is one, not used otherwise.
	Dir string
	// Version is what Ping tells others about this node.
	Version string
	// Lease is how long an external cluster keeps the name of a node that is not heard of: whole seconds, at least 2 s,
	// 0 for 20 s. The name is renewed five times a lease, and the node stops trusting it after three quarters of one.
	// Shorter finds the dead sooner; JetStream's own elections take up to 12 s, in which nothing can be renewed.
	Lease time.Duration
	// Log gets connection events; nil drops them.
	Log *slog.Logger
	// Metrics is where counters are registered; nil leaves them out.
	Metrics prometheus.Registerer
}

// Node is a place in the cluster. All methods may be called from any goroutine.
type Node struct {
	cfg     Config
	log     *slog.Logger
	started time.Time
	life    string // tells what this Node has registered from what others have, under the same name
	metrics *metrics

	lock    *filelock.Lock // nil without an embedded server
	server  *server.Server // nil without an embedded server
	conn    *nats.Conn
	js      jetstream.JetStream
	kv      jetstream.KeyValue
	buckets buckets
	ping    *nats.Subscription

	lease   lease
	sighted sightings
	news    incarnations
	stop    context.CancelFunc // ends the tasks
	tasks   sync.WaitGroup
	done    chan struct{}

	closeOnce sync.Once
	closeErr  error
	lostOnce  sync.Once
	lostErr   error // set before done is closed
}

// CheckName admits 1 to 64 letters, digits, '-' and '_': what is one token of a NATS subject and one key of a bucket,
// and needs no quoting anywhere.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w %q: expected 1 to %d characters", ErrName, name, maxName)
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return fmt.Errorf("%w %q: expected letters, digits, - and _, found %q", ErrName, name, c)
		}
	}
	return nil
}

// Open connects, registers the name and answers pings from then on. It blocks until the name is held, which is at once unless
// an external cluster still knows a former holder: one that answers makes it fail with ErrNameTaken, one whose connection is gone is
// replaced after 3 s, and one that is connected but mute is waited for until its lease ends. ctx bounds the wait.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, log: cfg.Log, started: time.Now().UTC(), life: rand.Text(), done: make(chan struct{})}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.log = n.log.With("node", cfg.Name)
	if err := n.open(ctx); err != nil {
		// What failed says more than what closing the half of a node may add.
		_ = n.Close() //nolint:contextcheck // ctx may be what has failed; Close has its own bounds
		return nil, err
	}
	return n, nil
}

func (cfg *Config) check() error {
	if err := CheckName(cfg.Name); err != nil {
		return err
	}
	if cfg.embedded() && cfg.Dir == "" {
		return errors.New("cluster: found neither a URL nor a Dir, expected one: an embedded server keeps its data somewhere")
	}
	if err := cfg.checkServer(); err != nil {
		return err
	}
	if cfg.Lease == 0 {
		cfg.Lease = defaultLease
	}
	if cfg.Lease < minLease || cfg.Lease%time.Second != 0 {
		return fmt.Errorf("cluster: lease: found %v, expected whole seconds from %v", cfg.Lease, minLease)
	}
	return nil
}

func (n *Node) open(ctx context.Context) error { //nolint:contextcheck // the tasks live as long as the node, not as ctx
	n.metrics = newMetrics(n)
	if n.embedded() {
		if err := n.startServer(ctx, filepath.Join(n.cfg.Dir, "nats")); err != nil {
			return err
		}
	}
	if err := n.connect(ctx); err != nil {
		return err
	}
	if err := n.awaitMajority(ctx); err != nil {
		return err
	}
	if err := n.openBucket(ctx); err != nil {
		return err
	}
	var life context.Context
	life, n.stop = context.WithCancel(context.Background())
	if !n.alone() {
		// Before it has a name, since it may wait for that until the lease of a former holder ends.
		n.tasks.Go(func() { n.watchNames(life) })
		n.tasks.Go(func() { n.sweep(life) })
	}
	if err := n.register(ctx); err != nil {
		return err
	}
	if err := n.answerPings(); err != nil {
		return err
	}
	if n.cfg.Metrics != nil {
		if err := n.metrics.register(n.cfg.Metrics); err != nil {
			return fmt.Errorf("cluster: metrics: %w", err)
		}
	}
	if !n.alone() {
		// Where nobody else reaches the server nobody can take the name, so there is nothing to renew.
		n.tasks.Go(func() { n.renew(life) })
		n.tasks.Go(func() { n.replicate(life) })
	}
	return nil
}

// Name is the node's name.
func (n *Node) Name() string { return n.cfg.Name }

// Conn is the node's connection, for subjects of one's own. Callers neither close nor drain it. A subscription made on it has
// nats.go's pending limits unless it sets its own; what is dropped beyond them is counted and logged by the node.
func (n *Node) Conn() *nats.Conn { return n.conn }

// JetStream is JetStream on that connection.
func (n *Node) JetStream() jetstream.JetStream { return n.js }

// ListensAt is the address at which the embedded server takes other nodes, with the port that it was given if Config.Listen left that open; nil if it takes none.
func (n *Node) ListensAt() net.Addr {
	if n.server == nil || n.cfg.Listen == "" {
		return nil
	}
	return n.server.Addr()
}

// Done is closed when the node is no longer part of the cluster: by Close, or because another node has taken its name.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err says why Done is closed: ErrClosed or ErrNameTaken (wrapped); nil before that.
func (n *Node) Err() error {
	select {
	case <-n.done:
		return n.lostErr
	default:
		return nil
	}
}

func (n *Node) end(reason error) {
	n.lostOnce.Do(func() {
		n.lostErr = reason
		close(n.done)
	})
}

// Close gives the name back, closes the connection, and stops the embedded server. It blocks until all of the node's
// goroutines are gone, some seconds at most, and may be called more than once.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.close() })
	return n.closeErr
}

func (n *Node) close() error {
	var errs []error
	if n.stop != nil {
		n.stop()
	}
	n.tasks.Wait()
	if n.conn != nil {
		if n.ping != nil {
			// Before the name is given back, so that its next holder answers alone.
			errs = append(errs, ignoreClosed(n.ping.Unsubscribe()))
		}
		n.release()
		n.closeConn()
	}
	var stuck error
	if n.server != nil {
		stuck = stopServer(n.server, serverStopsIn)
		errs = append(errs, stuck)
	}
	if n.lock != nil && stuck == nil { // a server that still runs still has its folder
		errs = append(errs, n.lock.Release())
	}
	if n.cfg.Metrics != nil && n.metrics != nil {
		n.metrics.unregister(n.cfg.Metrics)
	}
	n.end(ErrClosed)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cluster: closing: %w", err)
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil
	}
	return err
}
