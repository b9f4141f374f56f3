package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/grain"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/mesh"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/internal/mongouri"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/cron"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/grains"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/mongodb"
	"github.com/skua-go/skua/services/multicast"
	"github.com/skua-go/skua/services/reload"
	"github.com/skua-go/skua/services/room"
	"github.com/skua-go/skua/services/sharedata"
	"github.com/skua-go/skua/services/socket"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/documents"
	"github.com/skua-go/skua/services/store/mongo"
	"github.com/skua-go/skua/services/store/sqlite"
)

// node is everything that one process runs. Serve starts it downwards and stops it upwards.
type node struct {
	project *project
	args    []string // for the first service
	log     *slog.Logger
	levels  *logLevels           // of it, which operators change; nil: they can't
	ready   func(line string)    // told once, when clients can come
	trial   *trial               // for `skua test`
	metrics *prometheus.Registry // made by Serve

	traces  *traces // nil: nothing is traced
	peers   *cluster.Node
	sys     *actor.System
	members *cluster.Members
	mesh    *mesh.Mesh
	leases  *lease.Leases
	names   *names.Names
	inbox   *inbox   // what other nodes tell and ask
	control *control // orders of operators
	drainer *drainer
	// coordination is the actors of names, topics, locks and the datacenter, in the order of starting
	coordination []actor.Spec
	rt           *lua.Runtime
	scripted     atomic.Pointer[lua.Runtime] // the same as rt, for those who may come before it
	engines      []vm.Engine                 // each once, that of most services first
	scripts      *servedFiles
	reload       *reload.Service
	instead      *reload.BootError // why it begins with an older version
	watching     bool              // reloads what is changed in the folder
	data         *sharedata.Service
	sockets      *socket.Sockets
	mongo        *mongodb.Clients
	media        *liveMedia              // nil without media.admit
	mediaAt      net.Listener            // where other nodes fetch frames; nil: nowhere
	guests       func(rooms *room.Rooms) // joins the rooms and the door of WebRTC, which opens before there are any; nil without it
	login        login.Config
	gates        map[string]*gate.Gate // by the name of their table, mainGate among them
	grainScripts *grains.Scripts
	grains       atomic.Pointer[grain.Grains] // nil before they are open
	// sessions of all gates, which scripts push to
	sessions *gate.Sessions
	dead     *admin.DeadLetters
	lines    *admin.LogTail
	first    actor.Ref
}

// trial is what is different in a node that tests run in.
type trial struct {
	clock  *actor.Clock
	turns  *turns
	module *testModule
	play   func(ctx context.Context, n *node) error // runs instead of the first service
}

// errAborted is why a node ends that its first service has aborted.
var errAborted = errors.New("aborted by its first service")

// stopTimeout bounds the end of a node: a little more than its slowest part.
const stopTimeout = time.Minute

// Serve runs the node until ctx ends, the first service aborts it, or a part of it fails. Players are saved before it returns.
func (n *node) Serve(ctx context.Context) (err error) {
	ctx, end := context.WithCancelCause(ctx)
	abort := func() { end(errAborted) }
	defer abort()
	cfg := &n.project.cfg
	n.lines = new(admin.LogTail)
	n.log = slog.New(n.lines.Handler(n.log.Handler()))
	for _, w := range cfg.Warnings {
		n.log.Warn(w)
	}
	n.metrics = prometheus.NewRegistry()

	listeners, err := n.listen(ctx)
	if err != nil {
		return err
	}
	defer listeners.close()
	n.metrics.MustRegister(newDoorMetrics(listeners))

	if n.peers, err = n.openPeers(ctx, listeners); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.peers.Close()) }()

	backend, err := n.openBackend(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()

	if n.traces, err = n.openTraces(ctx); err != nil {
		return err
	}
	defer n.traces.close() // behind the actors: their last spans are sent, too

	acting := actor.Config{Node: cfg.Name, CallTimeout: cfg.Lua.CallTimeout.Duration, Tracer: n.traces.tracer(), Log: n.log, Explain: n.explain}
	if n.trial != nil {
		acting.Clock, acting.Scheduler = n.trial.clock, n.trial.turns
	}
	n.sys = actor.New(acting)
	n.sessions = gate.NewSessions()
	leave, err := n.join(ctx, n.peers)
	if err != nil {
		return errors.Join(err, n.stop())
	}
	// Actors end while they can still reach those of other nodes, which are told only then.
	defer func() { err = errors.Join(err, n.stop(), n.closeGrains(), leave()) }()
	n.mediaAt = listeners.media
	if err := n.build(ctx, abort); err != nil {
		return err
	}
	lost, err := n.startServices(ctx, backend)
	if err != nil {
		return err
	}
	if n.trial != nil {
		return n.trial.play(ctx, n)
	}
	if err := n.startFirst(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before it served
		}
		return n.reload.Failed(ctx, err)
	}
	return n.serveClients(ctx, listeners, lost)
}

// startServices starts what runs on every node. lost tells when one of that has ended.
func (n *node) startServices(ctx context.Context, backend store.Backend) (lost <-chan error, err error) {
	services, err := n.services(ctx, backend)
	if err != nil {
		return nil, err
	}
	gates := n.gateSpecs() // sessions, and the agents of players
	for _, spec := range services {
		if _, err := n.sys.Spawn(spec); err != nil {
			return nil, err
		}
	}
	if err := n.openGrains(); err != nil {
		return nil, err
	}
	for _, spec := range gates { // whose agents speak to grains, to their last
		if _, err := n.sys.Spawn(spec); err != nil {
			return nil, err
		}
	}
	return n.watch(append(services, gates...), grain.AgentName)
}

// services is what runs on every node beside grains and gates, in the order of starting: what comes later needs what comes before, also while it stops.
func (n *node) services(ctx context.Context, backend store.Backend) ([]actor.Spec, error) {
	stored, timed := store.NewMetrics(), cron.NewMetrics()
	keeping, err := n.storeConfig(ctx, backend)
	if err != nil {
		return nil, err
	}
	keeping.Metrics = stored
	n.metrics.MustRegister(stored, timed)
	launchers := []actor.Spec{n.rt.Launcher()}
	if n.trial != nil {
		launchers = n.trial.module.launchers(n.rt.Launcher())
	}
	n.dead = new(admin.DeadLetters)
	first := []actor.Spec{
		n.dead.Spec(), // hears of what the others lose until they have ended
		cron.Spec(cron.Config{Metrics: timed, Now: n.sys.Now}), // needs nobody
		n.data.Spec(), // needs nobody
		store.Spec(keeping),
		n.sockets.Spec(), // of the project's services, which end before
		n.mongo.Spec(),
	}
	return slices.Concat(n.coordination, first, n.project.ext.Services, launchers, []actor.Spec{login.Spec(n.login)}, n.media.specs()), nil // the launcher has the project's services
}

// quarantineDir is where, in the directory of data, the content is that the database refused.
const quarantineDir = "store-quarantine"

// storeConfig is that of the store, whose indexes are there then if the database is.
func (n *node) storeConfig(ctx context.Context, backend store.Backend) (store.Config, error) {
	cfg := &n.project.cfg
	indexes, err := cfg.Store.indexes()
	if err != nil {
		return store.Config{}, err
	}
	if err := backend.Indexes(ctx, indexes); store.Retryable(err) {
		n.log.Warn("indexes can't be built now: it is tried again", "error", err)
	} else if err != nil {
		return store.Config{}, fmt.Errorf("store.indexes: %w", err)
	}
	quarantine, err := store.OpenQuarantine(filepath.Join(cfg.Path(cfg.Data), quarantineDir), 0, 0)
	if err != nil {
		return store.Config{}, err
	}
	parallel := 0
	if cfg.Store.Mongo == "" {
		parallel = 2 // it has one writer: a batch of saves, and the commits that come meanwhile
	}
	return store.Config{
		Backend: backend, Parallel: parallel, Autosave: cfg.Store.Autosave.Duration, Batch: cfg.Store.FlushBatch, MaxPending: cfg.Store.MaxPending,
		MaxPendingBytes: cfg.Store.MaxPendingBytes, CacheTTL: cfg.Store.cacheTTL(), CacheBytes: cfg.Store.CacheBytes, Indexes: indexes, Quarantine: quarantine,
		Migrations: n.project.ext.Migrations,
	}, nil
}

// watch tells when one of the node's own services has ended: a node without its store, say, must not play on.
func (n *node) watch(services []actor.Spec, others ...string) (<-chan error, error) {
	for _, spec := range services {
		others = append(others, spec.Name)
	}
	lost := make(chan error, len(others))
	names := map[actor.Ref]string{}
	for _, name := range others {
		if ref, ok := n.sys.Lookup(name); ok {
			names[ref] = name
		}
	}
	_, err := n.sys.Spawn(actor.Spec{Name: "node", New: func() actor.Actor { return &watcher{names: names, lost: lost} }})
	return lost, err
}

// watcher is the actor that hears of the ends of services.
type watcher struct {
	names map[actor.Ref]string
	lost  chan<- error
}

// Start begins to watch.
func (w *watcher) Start(c *actor.Context) error {
	for ref := range w.names {
		c.Watch(ref)
	}
	return nil
}

// Receive passes on what has ended.
func (w *watcher) Receive(_ *actor.Context, msg any) {
	m, ok := msg.(actor.Terminated)
	if !ok {
		return
	}
	reason := m.Reason
	if reason == nil {
		reason = errors.New("it was asked to stop")
	}
	w.lost <- fmt.Errorf("service %q ended: %w", w.names[m.Ref], reason)
}

// build makes the parts that know each other.
func (n *node) build(ctx context.Context, abort func()) error {
	n.metrics.MustRegister(systemMetrics(n.sys))
	var more []lua.Module
	if n.trial != nil {
		more = append(more, lua.Module{Name: testCore, Open: n.trial.module.open})
	}
	if err := n.buildScripts(abort, more...); err != nil {
		return err
	}
	if n.trial == nil { // tests run what lies in the folder
		if err := n.openReload(ctx); err != nil {
			return err
		}
	}
	if err := n.project.cfg.Lua.checkServices(n.rt.Has); err != nil {
		return err
	}
	var err error
	if n.login, err = n.loginConfig(); err != nil {
		return err
	}
	if n.media, err = n.buildMedia(); err != nil {
		return err
	}
	return n.buildGates()
}

// buildScripts makes the runtime of scripts and what its modules stand on.
func (n *node) buildScripts(abort func(), more ...lua.Module) error {
	cfg := &n.project.cfg
	if err := n.openSockets(); err != nil {
		return err
	}
	engine, engines, err := cfg.Lua.engines()
	if err != nil {
		return err
	}
	if n.sessions == nil { // of a migration, which has no clients
		n.sessions = gate.NewSessions()
	}
	n.engines = distinct(engine, engines)
	n.scripts = &servedFiles{folder: n.project.scripts}
	n.data = sharedata.New(sharedata.Config{Files: n.scripts, Log: n.log})
	n.grainScripts = grains.New(grains.Config{})
	modules := []lua.Module{
		n.sessions.Module(), n.data.Module(), multicast.New(multicast.Config{}).Module(), n.sockets.Module(), n.mongo.Module(), n.grainScripts.Module(),
		documents.New(documents.Config{Autosave: cfg.Store.Autosave.Duration, Schema: n.project.ext.schema, Epoch: n.grainScripts.Epoch}).Module(),
	}
	var now func() time.Time
	if n.trial != nil {
		now = n.sys.Now
	}
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: n.scripts, Library: scripts.FS(), Log: n.log, Abort: abort, Engine: engine, Engines: engines, Modules: append(modules, more...),
		Env: cfg.env(), Now: now, Budget: cfg.Lua.Budget.Duration, Quarantine: cfg.Lua.OverLimit == overQuarantine, MemoryLimit: int64(cfg.Lua.MemoryLimit), Trusted: cfg.Lua.trusts,
	})
	if err != nil {
		return err
	}
	n.rt = rt
	n.scripted.Store(rt)
	return nil
}

// openSockets makes the network of scripts.
func (n *node) openSockets() error {
	cfg, metrics := &n.project.cfg.Socket, socket.NewMetrics()
	connect, err := networks(cfg.Connect)
	if err != nil {
		return fmt.Errorf("socket.connect: %w", err)
	}
	listen, err := networks(cfg.Listen)
	if err != nil {
		return fmt.Errorf("socket.listen: %w", err)
	}
	n.metrics.MustRegister(metrics)
	n.sockets = socket.New(socket.Config{
		Connect: connect, Listen: listen, MaxSockets: cfg.MaxSockets, ConnectTimeout: cfg.ConnectTimeout.Duration,
		Metrics: metrics, Log: n.log.With("part", "socket"),
	})
	n.openMongo(connect)
	return nil
}

// openMongo makes the MongoDB of scripts.
func (n *node) openMongo(connect []netip.Prefix) {
	cfg := mongodb.Config{Databases: n.project.cfg.databases(), Connect: connect, Metrics: mongodb.NewMetrics(), Log: n.log.With("part", "mongodb")}
	n.metrics.MustRegister(cfg.Metrics)
	n.mongo = mongodb.New(cfg)
}

func (n *node) openBackend(ctx context.Context) (store.Backend, error) {
	cfg := &n.project.cfg
	if uri := cfg.Store.Mongo.Reveal(); uri != "" {
		n.log.Info("players are kept in MongoDB", "uri", mongouri.Redact(uri), "database", cfg.Store.Database)
		return mongo.Open(mongo.Options{URI: uri, Database: cfg.Store.Database})
	}
	return sqlite.Open(ctx, sqlite.Options{Dir: cfg.Path(cfg.Data), Log: n.log.With("part", "sqlite")})
}

// startFirst launches the project's first service, which starts all others, and waits for it.
func (n *node) startFirst(ctx context.Context) error {
	launcher, _ := n.sys.Lookup(lua.LauncherName)
	args := make([]any, len(n.args))
	for i, a := range n.args {
		args[i] = a
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	v, err := n.sys.Ask(limited, launcher, lua.Launch{Script: n.project.cfg.Start, Args: value.Of(args...), Unique: true})
	if err != nil {
		return fmt.Errorf("first service %q: %w", n.project.cfg.Start, err)
	}
	n.first = v.(actor.Ref) //nolint:forcetypeassert // what Launch is answered by
	return ctx.Err()        // it may have aborted the node while it started
}

// serveClients opens the doors and stands at them until ctx ends and, if there are other nodes, these have what this one had; or until the node was drained.
func (n *node) serveClients(ctx context.Context, l *listeners, lost <-chan error) error {
	n.drainer = newDrainer(n)
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	doors, serving := errgroup.WithContext(life)
	if err := n.openControl(serving); err != nil {
		return err
	}
	for _, d := range l.clients {
		doors.Go(func() error { return n.gates[d.gate].Serve(serving, d.transport, d.ln) })
	}
	if l.http != nil {
		doors.Go(func() error {
			return serveHTTP(serving, l.http, n.pages(l), n.project.cfg.Gate.MaxHalfOpen, n.log)
		})
	}
	n.media.serve(serving, doors, l)
	if l.webrtc != nil {
		doors.Go(func() error { return l.webrtc.Serve(serving) })
	}
	doors.Go(func() error { return l.renew(serving) })
	doors.Go(func() error { return n.reload.Serve(serving) })
	doors.Go(func() error { return n.hangUp(serving) })
	if n.watching {
		doors.Go(func() error { return n.watchFolder(serving) })
	}
	stopAdmin, err := n.openAdmin(serving, l, doors)
	if err != nil {
		end()
		return errors.Join(err, doors.Wait())
	}
	doors.Go(func() error {
		defer end()
		select {
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errAborted) {
				n.drainer.leaving()
			}
			return nil
		case <-n.drainer.stop:
			return nil
		case <-serving.Done():
			return nil
		case <-n.peers.Done():
			return fmt.Errorf("cluster: %w", n.peers.Err())
		case err := <-lost:
			return err
		}
	})
	n.keepVersions(serving)
	n.ready("ready" + l.String())
	n.log.Info("serving", "addresses", strings.TrimSpace(l.String()))
	err = doors.Wait()
	n.log.Info("stopping")
	return errors.Join(err, stopAdmin())
}

// stop ends all actors, the newest first.
func (n *node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := n.sys.Shutdown(ctx)
	if err == nil {
		n.log.Info("stopped")
	}
	return err
}
