// Package mesh carries the messages of actors between nodes, over NATS.
//
// Between two nodes there is a link each way. What is sent is put together to batches, each of which is one NATS message to the subject of the other node; they are numbered, acknowledged,
// and sent again when they were lost, so messages arrive in the order in which they were sent, once, and are lost with the link only: when the other node is dead, as cluster.Members
// says, or has lost its side of the link. Then all who wait for that node hear of it at once.
//
// A Mesh has the actor.Nodes of its System. Messages are as package wire has them. docs/cluster.md has the whole picture.
package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
)

// Config is what a Mesh stands on, and its bounds.
type Config struct {
	// Node, Members and System are required. They are the caller's, and outlive the Mesh.
	Node    *cluster.Node
	Members *cluster.Members
	System  *actor.System
	// Types are those of messages; nil has the plain ones only.
	Types *wire.Types
	// Resolve finds an actor of this node for others that look its name up. Default System.Lookup. It must not wait.
	Resolve func(name string) (actor.Ref, bool)
	// MaxMessage is how many bytes a message may have as it is sent. Default 64 MB.
	MaxMessage int
	// MaxPending is how many bytes may wait to be sent to one node. Beyond it requests fail with ErrOverloaded and messages are dead letters. Default 64 MB. One message
	// may go beyond it.
	MaxPending int
	// ChokeAt is how many messages may wait in the mailbox of an actor before other nodes are asked to send no more there, until a quarter is left. Default 32,768.
	ChokeAt int
	// Silent is how long a node may acknowledge nothing before what is on the way there is given up. Default 3 s.
	Silent time.Duration
	// Log gets failures and refusals; nil drops them.
	Log *slog.Logger
	// Metrics is where counters are registered; nil leaves them out.
	Metrics prometheus.Registerer
}

func (cfg *Config) check() error {
	if cfg.Node == nil || cfg.Members == nil || cfg.System == nil {
		return errors.New("mesh: a Node, its Members and a System are needed")
	}
	if cfg.Types == nil {
		cfg.Types = wire.NewTypes()
	}
	if err := cfg.Types.Err(); err != nil {
		return fmt.Errorf("mesh: %w", err)
	}
	if cfg.Resolve == nil {
		cfg.Resolve = cfg.System.Lookup
	}
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = 64 << 20
	}
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = 64 << 20
	}
	if cfg.ChokeAt <= 0 {
		cfg.ChokeAt = 32768
	}
	if cfg.Silent <= 0 {
		cfg.Silent = 3 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Mesh reaches the actors of other nodes. All its methods may be called from any goroutine.
type Mesh struct {
	cfg     Config
	node    *cluster.Node
	members *cluster.Members
	sys     *actor.System
	log     *slog.Logger
	metrics *metrics
	spans   actor.Propagator // nil if the tracer's spans stay on the node
	agent   actor.Ref
	logged  atomic.Int64 // when a refusal was logged last
	head    atomic.Pointer[[]byte]
	own     atomic.Uint64 // the incarnation of this node, when no batch of a former one is sent any more
	cancels []func()
	hook    atomic.Pointer[func([]byte) bool] // tells whether a batch that has come is lost: for tests of what becomes of it then

	mu     sync.RWMutex
	peers  map[identity]*peer
	sub    *nats.Subscription
	closed bool
	tasks  sync.WaitGroup
}

// identity is an incarnation of a node.
type identity struct {
	name        string
	incarnation uint64
}

// maxPeers bounds the incarnations of which something is known. Refs may be of any of them, so none is forgotten.
const maxPeers = 1 << 16

// What may wait to be taken: all of what some nodes may have on the way. What is dropped is sent again.
const (
	maxWaiting      = 1 << 20
	maxWaitingBytes = 256 << 20
)

// Open has the System join the others. It starts one actor, called mesh.
func Open(cfg Config) (*Mesh, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	m := &Mesh{
		cfg: cfg, node: cfg.Node, members: cfg.Members, sys: cfg.System, log: cfg.Log, peers: map[identity]*peer{},
	}
	m.spans, _ = cfg.System.Tracer().(actor.Propagator)
	m.metrics = newMetrics(m)
	if cfg.Metrics != nil {
		if err := m.metrics.register(cfg.Metrics); err != nil {
			return nil, fmt.Errorf("mesh: metrics: %w", err)
		}
	}
	agent, err := m.sys.Spawn(m.agentSpec())
	if err != nil {
		m.metrics.unregister(cfg.Metrics)
		return nil, fmt.Errorf("mesh: %w", err)
	}
	m.agent = agent
	var failed error
	first := true
	m.cancels = append(m.cancels, m.node.Incarnations(func(incarnation uint64) {
		err := m.become(incarnation)
		if first {
			failed, first = err, false
		} else if err != nil {
			m.log.Error("cluster: this node can't be reached under its new incarnation", "error", err)
		}
	}))
	if failed != nil {
		return nil, errors.Join(failed, m.Close())
	}
	m.cancels = append(m.cancels, m.members.Watch(m.changed))
	return m, nil
}

// become has this node reached as an incarnation, and ends what it has had as a former one: others take that for dead.
func (m *Mesh) become(incarnation uint64) error {
	head := appendHead(nil, m.node.Name(), incarnation)
	sub, err := m.node.Conn().Subscribe(subjectOf(m.node.Name(), incarnation), func(msg *nats.Msg) { m.take(msg, incarnation) })
	if err == nil {
		err = sub.SetPendingLimits(maxWaiting, maxWaitingBytes)
	}
	if err == nil {
		err = m.node.Conn().FlushTimeout(flushTimeout)
	}
	if err != nil {
		return fmt.Errorf("mesh: subscribing as incarnation %d: %w", incarnation, err)
	}
	m.mu.Lock()
	former := m.sub
	m.sub = sub
	m.mu.Unlock()
	m.head.Store(&head)
	m.sys.Join(m, incarnation)
	if former == nil {
		m.own.Store(incarnation)
		return nil
	}
	if err := former.Unsubscribe(); err != nil {
		m.log.Debug("cluster: not unsubscribed", "error", err)
	}
	var up []*peer
	for _, p := range m.all() {
		if p.up.Load() {
			up = append(up, p)
			p.goDown("this node has a new incarnation", false)
		}
	}
	m.own.Store(incarnation)
	for _, p := range up {
		p.goUp()
	}
	return nil
}

// flushTimeout bounds the way to the NATS server.
const flushTimeout = 2 * time.Second

// changed hears of other nodes.
func (m *Mesh) changed(e cluster.Event) {
	n, err := m.Node(e.Member.Name, e.Member.Incarnation)
	if err != nil {
		m.log.Error("cluster: a node can't be reached", "member", e.Member.Name, "error", err)
		return
	}
	p := m.lookUp([]byte(n.Name()), n.Incarnation())
	switch e.Member.State {
	case cluster.Alive, cluster.Suspect:
		m.endFormer(p)
		p.goUp()
	case cluster.Dead:
		if newest, ok := m.members.Find(p.name); ok && newest.Incarnation > n.Incarnation() {
			p.goDown("it was started anew", true)
		} else {
			p.goDown("it is not heard of", false)
		}
	case cluster.Left:
		p.goDown("it has left", true)
	}
	m.sys.Publish(cluster.MembersTopic, e)
}

// endFormer ends what is known of former incarnations of a node.
func (m *Mesh) endFormer(p *peer) {
	for _, o := range m.all() {
		if o.name == p.name && o.node.Incarnation() < p.node.Incarnation() {
			o.mu.Lock()
			gone := o.gone
			o.mu.Unlock()
			if !gone {
				o.goDown("it was started anew", true)
			}
		}
	}
}

func (m *Mesh) all() []*peer {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make([]*peer, 0, len(m.peers))
	for _, p := range m.peers {
		all = append(all, p)
	}
	return all
}

// lookUp is an incarnation of a node that is known; nil if it is not.
func (m *Mesh) lookUp(name []byte, incarnation uint64) *peer {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.peers[identity{string(name), incarnation}]
}

// peerOf is who reaches a Ref.
func (m *Mesh) peerOf(ref actor.Ref) (*peer, error) {
	n, err := m.Node(ref.Node(), ref.Home().Incarnation())
	if err != nil {
		return nil, err
	}
	return m.lookUp([]byte(n.Name()), n.Incarnation()), nil
}

// Node is the Node of that name and incarnation, whether it lives or not, see actor.Nodes.
func (m *Mesh) Node(name string, incarnation uint64) (*actor.Node, error) {
	id := identity{name, incarnation}
	m.mu.RLock()
	p := m.peers[id]
	m.mu.RUnlock()
	if p != nil {
		return p.node, nil
	}
	if err := cluster.CheckName(name); err != nil {
		return nil, err
	}
	if incarnation == 0 {
		return nil, fmt.Errorf("mesh: node %q: an incarnation is expected, got 0", name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[id]; p != nil {
		return p.node, nil
	}
	if len(m.peers) >= maxPeers {
		return nil, fmt.Errorf("mesh: node %q: %d incarnations are known already", name, maxPeers)
	}
	p = newPeer(m, name, incarnation)
	m.peers[id] = p
	return p.node, nil
}

// Lookup is the actor that has a name on another node; ErrNoActor if nobody has, ErrUnreachable if there is no such node. It waits until ctx ends, or for the System's
// CallTimeout. Actors use Find.
func (m *Mesh) Lookup(ctx context.Context, node, name string) (actor.Ref, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.sys.CallTimeout())
		defer cancel()
	}
	if node == m.node.Name() {
		if ref, ok := m.cfg.Resolve(name); ok {
			return ref, nil
		}
		return actor.Ref{}, &actor.Error{Code: actor.NoActor, Actor: name}
	}
	member, ok := m.members.Find(node)
	if !ok {
		return actor.Ref{}, &actor.Error{Code: actor.Unreachable, Actor: node, Text: "no node of this name is known"}
	}
	n, err := m.Node(node, member.Incarnation)
	if err != nil {
		return actor.Ref{}, err
	}
	return m.lookUp([]byte(node), n.Incarnation()).find(ctx, name)
}

// find asks the node who has a name.
func (p *peer) find(ctx context.Context, name string) (actor.Ref, error) {
	got := make(answers, 1)
	call := p.calls.add(got)
	if call == 0 || !p.out.add(appendLookUp(call, name)) {
		p.calls.take(call)
		return actor.Ref{}, p.unreachable("")
	}
	select {
	case a := <-got:
		ref, ok := a.v.(actor.Ref)
		if a.err == nil && !ok {
			return actor.Ref{}, fmt.Errorf("mesh: %s answers with a %T, expected a Ref", p.name, a.v)
		}
		return ref, a.err
	case <-ctx.Done():
		p.calls.take(call)
		code := actor.Canceled
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			code = actor.Deadline
		}
		return actor.Ref{}, &actor.Error{Code: code, Actor: p.name, Text: "who is called " + name}
	}
}

// answers gets the answer to a call that no actor has made.
type answers chan result

type result struct {
	v   any
	err error
}

// Reply gives the answer.
func (a answers) Reply(v any, err error) bool {
	a <- result{v, err} // there is room, and one answer only
	return true
}

// Find is Lookup for an actor: then runs in it.
func (m *Mesh) Find(c *actor.Context, node, name string, then func(actor.Ref, error)) {
	c.Go(func(ctx context.Context) (any, error) { return m.Lookup(ctx, node, name) }, func(v any, err error) {
		ref, _ := v.(actor.Ref)
		then(ref, err)
	})
}

// Close ends all links: what others wait for fails there as soon as they know that this node is gone. It is called after the System's Shutdown and Members.Leave, and blocks until the
// goroutines of the Mesh are gone.
func (m *Mesh) Close() error {
	for _, cancel := range m.cancels {
		cancel()
	}
	m.mu.Lock()
	m.closed = true
	sub := m.sub
	m.mu.Unlock()
	var err error
	if sub != nil {
		if err = sub.Unsubscribe(); errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
			err = nil
		}
	}
	for _, p := range m.all() {
		p.goDown("this node ends", true)
	}
	m.tasks.Wait()
	m.metrics.unregister(m.cfg.Metrics)
	if err != nil {
		return fmt.Errorf("mesh: closing: %w", err)
	}
	return nil
}

// enter counts a goroutine of the Mesh in, unless it is closed.
func (m *Mesh) enter() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.tasks.Add(1)
	return true
}

func (m *Mesh) leave() { m.tasks.Done() }

// newHead is the head of a batch of this node.
func (m *Mesh) newHead(dst []byte) []byte { return append(dst, *m.head.Load()...) }

// publish sends a batch. It fails while the connection is down.
func (m *Mesh) publish(subject string, batch []byte) bool {
	m.metrics.sent.Inc()
	m.metrics.sentBytes.Add(float64(len(batch)))
	if err := m.node.Conn().Publish(subject, batch); err != nil {
		m.metrics.unsent.Inc()
		return false
	}
	return true
}

// logEach is the least time between two refusals that are logged.
const logEach = 5 * time.Second

// mayLog keeps the log readable when there is much to refuse.
func (m *Mesh) mayLog() bool {
	now := time.Now().UnixNano()
	last := m.logged.Load()
	return now-last > int64(logEach) && m.logged.CompareAndSwap(last, now)
}

// refuse counts what can't be believed, or understood.
func (m *Mesh) refuse(reason string, details ...any) {
	m.metrics.refused.WithLabelValues(reason).Inc()
	if m.mayLog() {
		m.log.Warn("cluster: a message from a node is refused", append(details, "reason", reason)...)
	}
}

// Reaches tells whether messages to that incarnation of another node are on their way there, and are not refused at once.
func (m *Mesh) Reaches(name string, incarnation uint64) bool {
	p := m.lookUp([]byte(name), incarnation)
	return p != nil && p.up.Load()
}
