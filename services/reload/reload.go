// Package reload changes the scripts that a cluster runs: all of them at once, or none.
//
// A version is what lies in a project's folder of scripts at one time. The node that is asked for a change reads it, checks it, and keeps it where all nodes find it. Then it has
// all nodes prepare the change, which compiles it, and, when all can, has all apply it, which brings each VM over between two messages. If that fails anywhere, all go back.
// If it does not, one record says that the version is current. That record is the truth: a node that starts, was away, or has lost the one that led a change comes to it.
package reload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/lua"
	code "github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
)

// Start says which version a node begins with.
type Start string

// The choices of Config.Start.
const (
	// Auto: in a cluster, the one that it runs. A node that nobody can join begins with its folder if that has changed since it last made a version current, and else with that version.
	Auto Start = "auto"
	// Stored: the one that ran last, whatever lies in the folder. The folder is for the very first start, and for Reload.
	Stored Start = "stored"
	// Folder: what lies in the folder. It is for nodes that nobody can join.
	Folder Start = "folder"
)

// Config tells a Service what it needs, and its bounds. System, Runtime, Engines, Scripts, Node, Members and Leases are needed.
type Config struct {
	// Name is the node's.
	Name    string
	System  *actor.System
	Runtime *lua.Runtime
	// Engines are all that services run on, each once; the plan is that of the first.
	Engines []vm.Engine
	// Scripts is the project's folder, as it is whenever it is read.
	Scripts fs.FS
	// Check says what is wrong with scripts, naming file:line, besides what was wrong before. It is called before anything is changed.
	Check func(v, before *code.Version) error
	// Test runs the project's tests on what lies in its folder. Nil: there are none.
	Test func(ctx context.Context) error
	// Shared makes the shared data anew whose files have changed. Nil: there is none.
	Shared func(ctx context.Context, files fs.FS, changed func(file string) bool) (Tables, error)

	Node    *cluster.Node
	Members *cluster.Members
	Leases  *lease.Leases
	// Key signs orders between nodes, and what is kept. Nil: only this node can be told to change.
	Key []byte
	// Clustered says that there may be other nodes.
	Clustered bool
	// Start is which version the node begins with. Default Auto.
	Start Start

	// StuckAfter is after how long an actor that does not answer is named. Default 2 s, so that operators hear of it within 3 s.
	StuckAfter time.Duration
	// Timeout is how long a change may take on a node until it is undone; 2 min at most. Default 10 s.
	Timeout time.Duration
	// TryEvery is how often what can't come over to a version is asked again: this node, if its actors refuse the cluster's version, and actors that refuse to go back from one that
	// was undone. Default 30 s.
	TryEvery time.Duration
	// Parallel is how many VMs are brought over at a time. Default 2: more of them leave less of the machine to players.
	Parallel int
	// Keep is how many versions are kept. Default 50.
	Keep int
	// CanaryTime is how long a canary is watched whose order does not say. Default 30 s.
	CanaryTime time.Duration
	// Limits say when a canary is worse. Default DefaultLimits.
	Limits Limits
	// Players are the agents on this node of some players, for canaries. Nil: there are none.
	Players func(ctx context.Context, ids []string) ([]actor.Ref, error)
	// Log gets what happens. Default slog.Default().
	Log *slog.Logger
	// Metrics is where the metrics are registered; nil leaves them out.
	Metrics prometheus.Registerer

	stuck func(actor, where string)
}

func (cfg *Config) defaults() error {
	if cfg.System == nil || cfg.Runtime == nil || len(cfg.Engines) == 0 || cfg.Scripts == nil || cfg.Node == nil || cfg.Members == nil || cfg.Leases == nil {
		return errors.New("reload: System, Runtime, Engines, Scripts, Node, Members and Leases are needed")
	}
	if cfg.Start == "" {
		cfg.Start = Auto
	}
	if cfg.StuckAfter <= 0 {
		cfg.StuckAfter = 2 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	cfg.Timeout = min(cfg.Timeout, maxTimeout)
	if cfg.TryEvery <= 0 {
		cfg.TryEvery = 30 * time.Second
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 2
	}
	if cfg.Keep <= 1 {
		cfg.Keep = 50
	}
	if cfg.CanaryTime <= 0 {
		cfg.CanaryTime = 30 * time.Second
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return nil
}

const maxTimeout = 2 * time.Minute

// Service is a node's hot reload. Its methods may be called from any goroutine.
type Service struct {
	cfg     Config
	log     *slog.Logger
	kept    *kept
	part    *part
	metrics *metrics

	boot      boot          // written by Boot
	listening chan struct{} // closed when the node takes orders
	begun     chan struct{} // closed by Booted: until then the node is not to come to another version

	life  context.Context //nolint:containedctx // of changes, which outlive those who have asked for them
	tasks sync.WaitGroup

	mu     sync.Mutex
	closed bool    // no more tasks begin
	now    *Change // that is under way, or was the last
	ended  func(Change)
	end    chan struct{} // closed when it has ended

	refused atomic.Pointer[string] // the ID of the current version that this node could not begin with
}

// Open makes the service. Boot is called before the first script runs, Serve when all that it stands on is there. ctx bounds the wait for the servers.
func Open(ctx context.Context, cfg Config) (*Service, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, log: cfg.Log, listening: make(chan struct{}), begun: make(chan struct{})}
	s.cfg.stuck = s.isStuck
	s.part = newPart(&s.cfg, func(ctx context.Context, id string) (*code.Version, error) { return s.kept.load(ctx, id, "") })
	s.metrics = newMetrics(s.part.refusing)
	if cfg.Metrics != nil {
		if err := s.metrics.register(cfg.Metrics); err != nil {
			return nil, fmt.Errorf("reload: metrics: %w", err)
		}
	}
	var err error
	if s.kept, err = openKept(ctx, cfg.Node, cfg.Key, cfg.Keep); err != nil {
		return nil, err
	}
	return s, nil
}

// OnEnd has f called for each change that this node was asked for, when it has ended.
func (s *Service) OnEnd(f func(Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = f
}

// Serve takes part in changes until ctx ends. It is called once. One that is under way then is ended first: it is applied as a whole, or undone.
func (s *Service) Serve(ctx context.Context) error {
	s.mu.Lock()
	s.life = ctx
	s.mu.Unlock()
	stop, err := s.takeOrders(ctx)
	if err != nil {
		return err
	}
	close(s.listening)
	select {
	case <-s.begun:
		s.follow(ctx)
	case <-ctx.Done():
	}
	err = stop()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.tasks.Wait()
	return err
}

// task runs f, which Serve waits for, unless that is about to return. The lock is held.
func (s *Service) task(f func()) bool {
	if s.life == nil || s.closed {
		return false
	}
	s.tasks.Go(f)
	return true
}
