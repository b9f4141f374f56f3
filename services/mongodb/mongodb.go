// Package mongodb gives scripts MongoDB: `require "skynet.db.mongo"`, under Skynet's names, on MongoDB's own driver. The verbs that scripts know are
// scripts/skynet/db/mongo.lua; this package is the module "skynet.mongodriver" below them. Players' state belongs into services/store, which has owners,
// versions and batches; this is for all else that a studio keeps in a database.
//
// Services that name the same deployment with the same user share its connections. A call waits without holding up its service. It is given up when the
// request that it is part of has no time left, after Config.Timeout otherwise, and when its service ends.
//
// # Which hosts a script may reach
//
// Those of Config.Connect, as with services/socket: each address that a name stands for is checked when it is connected to. A URI that a script makes itself
// can neither name files of the node nor use the node's own identity (X.509, clouds); Config.Databases, which the operator writes, can.
//
// # What differs from Skynet
//
// insert, batch_insert, update and batch_update, which tell nobody what became of them, are answered by the server nevertheless: what it refuses is logged and
// counted. They go out in the order of their calls, many at once if they come fast, and before whatever the service calls next through the same client. At the
// end of the service they are still written. Of the safe_ forms and of bulkWrite the driver repeats once, after a change of the primary, those writes that can
// be repeated safely, and so are reads; findAndModify and runCommand are not.
package mongodb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/skua-go/skua/lua/owned"
)

// ServiceName is the name of the actor that ends the connections of services that have ended.
const ServiceName = "mongodb"

// Errors of clients.
var (
	ErrTooMany = errors.New("mongo: too many")
	ErrStopped = errors.New("mongo: the node stops")
	ErrClosed  = errors.New("mongo: the client is disconnected")
)

// Config tells what scripts may do. The zero Config works.
type Config struct {
	// Databases are the deployments that scripts name, mongo.client { name = "logs" }, by URI. Scripts never see what is in these.
	Databases map[string]string
	// Connect are the networks that scripts may connect to with a host or a URI of their own. Default: all.
	Connect []netip.Prefix
	// Timeout bounds a call, the search for a server included; a command with maxTimeMS may take as long as that says. Default 10 s.
	Timeout time.Duration
	// MaxClients is how many different deployments, or users of them, the scripts of a node may be connected to at a time. Default 100.
	MaxClients int
	// MaxPool is how many connections each of them may have, where its URI does not say. Default 100.
	MaxPool uint64
	// MaxCalls is how many calls may be under way on the node; more are refused. Default 10,000.
	MaxCalls int
	// MaxCursors is how many cursors a service may have open on servers; one more closes the one that was idle for the longest time. Default 1,000.
	MaxCursors int
	// MaxQueued is how many writes that tell nobody what became of them may wait, for each client of a service; who sends more has to wait. Default 10,000.
	MaxQueued int
	// MaxQueuedBytes is the same in bytes. Default 16 MiB.
	MaxQueuedBytes int
	// Batch is how many such writes go out at once. Default 1,000.
	Batch int
	// Metrics counts. Default: nobody looks.
	Metrics *Metrics
	// Log gets what became of writes that tell nobody. Default slog.Default().
	Log *slog.Logger
}

func (c *Config) fill() {
	for _, d := range []struct {
		v   *int
		def int
	}{{&c.MaxClients, 100}, {&c.MaxCalls, 10_000}, {&c.MaxCursors, 1000}, {&c.MaxQueued, 10_000}, {&c.MaxQueuedBytes, 16 << 20}, {&c.Batch, 1000}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.MaxPool == 0 {
		c.MaxPool = 100
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

// Clients are the connections that the scripts of a node have to MongoDB. The Module goes into the runtime of scripts, the Spec to the node's actors.
type Clients struct {
	cfg    Config
	things owned.Things    // by service
	ctx    context.Context //nolint:containedctx // the lifetime of all that is under way
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu      sync.Mutex
	links   map[string]*link
	calls   int
	stopped bool
}

// New makes a node's Clients.
func New(cfg Config) *Clients {
	cfg.fill()
	n := &Clients{cfg: cfg, links: map[string]*link{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.things = owned.Things{Name: ServiceName, Sort: "connections", Module: "skynet.db.mongo", Stop: func() { n.stop(owned.StopTimeout) }}
	return n
}

// task runs f in a goroutine that the stop of the node waits for; false if the node has stopped.
func (n *Clients) task(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return false
	}
	n.tasks.Go(f)
	return true
}

// begin does a call, in a goroutine, or gives why it can't be. The link, if there is one, is kept meanwhile. done is called behind all of that.
func (n *Clients) begin(l *link, call, done func()) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped {
		return ErrStopped
	}
	if n.calls >= n.cfg.MaxCalls {
		n.cfg.Metrics.refused.Inc()
		return fmt.Errorf("%w calls of scripts are under way: %d", ErrTooMany, n.calls)
	}
	n.calls++
	n.cfg.Metrics.calls.Inc()
	if l != nil {
		l.refs++
	}
	n.tasks.Go(func() {
		call()
		n.end(l)
		done()
	})
	return nil
}

func (n *Clients) end(l *link) {
	if l != nil {
		n.release(l)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls--
	n.cfg.Metrics.calls.Dec()
}
