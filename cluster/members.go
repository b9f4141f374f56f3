package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// MembersTopic is the topic of each node's actors to which an Event is published for whatever changes in the cluster. Package mesh does it.
const MembersTopic = "cluster.members"

// State is how a node is, as this one sees it.
type State uint8

// The states. What is sent to a Suspect still goes there.
const (
	Alive   State = iota + 1
	Suspect       // not heard of for a while
	Dead          // not heard of for so long that nothing is sent there any more; it may come back
	Left          // it has said goodbye
)

func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Dead:
		return "dead"
	case Left:
		return "left"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Reachable tells whether messages are sent to a node in this state.
func (s State) Reachable() bool { return s == Alive || s == Suspect }

// Load is what a node has to do, as it has told last.
type Load struct {
	Actors   int64 `json:"actors"`
	Sessions int64 `json:"sessions"`
	Grains   int64 `json:"grains"`
	// CPU and Memory are shares of what the process may have, 0 to 1.
	CPU    float64 `json:"cpu"`
	Memory float64 `json:"memory"`
	// Names is the version of the list of services that the node has registered for others.
	Names uint64 `json:"names"`
}

// Member is a node of the cluster.
type Member struct {
	Name        string
	Incarnation uint64
	Version     string
	Started     time.Time
	Roles       []string
	Labels      map[string]string
	Load        Load
	State       State
	// Draining nodes get nothing new.
	Draining bool
	// Held tells whether the node can prove that its name is its own. One that can't for long activates nothing and takes no leases.
	Held bool
}

// Has tells whether the node has a role. A node without roles has all.
func (m Member) Has(role string) bool { return len(m.Roles) == 0 || slices.Contains(m.Roles, role) }

// Event is a change of a node: of its state, or that it drains or holds its name no more, or again.
type Event struct {
	Member Member // as it is now
	Was    State  // 0 for a node that was not known
}

// MembersConfig tells how nodes hear of each other. The zero value works. All nodes of a cluster should have the same times.
type MembersConfig struct {
	// Roles of this node, such as gate or world; none are all. Up to 32, each as CheckName has it.
	Roles []string
	// Labels of this node, up to 32 with names of up to 128 bytes and values of up to 2,048; as JSON they and the roles have up to MaxTraits bytes.
	Labels map[string]string
	// Beat is how often nodes are heard of. Default 500 ms. Shorter finds the dead sooner and costs each node a message from each other.
	Beat time.Duration
	// Suspect is when a node that is not heard of is suspected. Default 1.5 s.
	Suspect time.Duration
	// Dead is when it is given up. Default 3 s. Shorter takes a pause for a death more often.
	Dead time.Duration
	// Load is called for each beat by the goroutine of Members. nil tells nothing.
	Load func() Load
	// Metrics is where counters are registered; nil leaves them out.
	Metrics prometheus.Registerer
}

func (cfg *MembersConfig) check() error {
	if cfg.Beat == 0 {
		cfg.Beat = 500 * time.Millisecond
	}
	if cfg.Suspect == 0 {
		cfg.Suspect = max(1500*time.Millisecond, 3*cfg.Beat)
	}
	if cfg.Dead == 0 {
		cfg.Dead = 2 * cfg.Suspect
	}
	if cfg.Beat < time.Millisecond || cfg.Suspect < 2*cfg.Beat || cfg.Dead <= cfg.Suspect {
		return fmt.Errorf("cluster: beat %v, suspect %v, dead %v: expected at least 1ms, twice the beat, and more than that", cfg.Beat, cfg.Suspect, cfg.Dead)
	}
	if cfg.Load == nil {
		cfg.Load = func() Load { return Load{} }
	}
	return CheckTraits(cfg.Roles, cfg.Labels)
}

// Members is who is in the cluster, by heartbeats on core NATS. It tells where messages can go; who owns what is never decided by it. All methods may be
// called from any goroutine.
type Members struct {
	node    *Node
	cfg     MembersConfig
	log     *slog.Logger
	metrics *membersMetrics
	beats   chan *nats.Msg
	sub     *nats.Subscription
	stop    context.CancelFunc
	tasks   sync.WaitGroup
	wake    chan struct{} // to look at what the fields below ask for
	forget  func()        // ends the news of incarnations

	reachable atomic.Pointer[map[string]uint64] // name to incarnation

	mu       sync.Mutex
	byName   map[string]*known
	self     Member
	watchers []*watcher
	urgent   bool // a beat is due at once
	left     bool

	leave sync.Once
}

// known is what is known of another node.
type known struct {
	Member
	heard time.Time
}

// watcher is one who hears of events. Only the goroutine of Members calls f.
type watcher struct {
	f       func(Event)
	there   map[string]Member // who was there when it began to watch
	started bool              // it has been told who is there
	gone    atomic.Bool
}

// Join has the node tell of itself and listen to others, from then on until Leave or Close. It needs the node's name held, as Open leaves it.
func Join(n *Node, cfg MembersConfig) (*Members, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	m := &Members{
		node: n, cfg: cfg, log: n.log, beats: make(chan *nats.Msg, maxBeats), wake: make(chan struct{}, 1), byName: map[string]*known{},
		self: Member{Name: n.cfg.Name, Version: n.cfg.Version, Started: n.started, Roles: slices.Clone(cfg.Roles), Labels: maps.Clone(cfg.Labels), State: Alive},
	}
	m.reachable.Store(&map[string]uint64{})
	m.metrics = newMembersMetrics(m)
	if cfg.Metrics != nil {
		if err := m.metrics.register(cfg.Metrics); err != nil {
			return nil, fmt.Errorf("cluster: metrics of members: %w", err)
		}
	}
	sub, err := n.conn.ChanSubscribe(beatSubject, m.beats)
	if err == nil {
		m.sub = sub
		if err = n.conn.FlushTimeout(connectTimeout); err != nil {
			err = errors.Join(err, ignoreClosed(sub.Unsubscribe()))
		}
	}
	if err != nil {
		m.metrics.unregister(cfg.Metrics)
		return nil, fmt.Errorf("cluster: subscribing to heartbeats: %w", err)
	}
	m.forget = n.Incarnations(func(incarnation uint64) {
		m.mu.Lock()
		m.self.Incarnation = incarnation
		m.urgent = true
		m.mu.Unlock()
		m.poke()
	})
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.tasks.Go(func() { m.run(ctx) })
	return m, nil
}

// poke has the goroutine look.
func (m *Members) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Self is this node.
func (m *Members) Self() Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.selfNow()
}

// selfNow is this node as it is. The lock is held.
func (m *Members) selfNow() Member {
	s := m.self
	s.Held = m.node.Lease().Held
	if m.left {
		s.State = Left
	}
	return s
}

// List is all nodes, this one too, by name. Those that are dead or have left are kept for a minute.
func (m *Members) List() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := append(make([]Member, 0, 1+len(m.byName)), m.selfNow())
	for _, k := range m.byName {
		list = append(list, k.Member)
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Find is the newest incarnation of the node of that name.
func (m *Members) Find(name string) (Member, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name == m.self.Name {
		return m.selfNow(), true
	}
	k, ok := m.byName[name]
	if !ok {
		return Member{}, false
	}
	return k.Member, true
}

// Reachable tells whether messages can be sent to that incarnation of another node: it is alive or suspect. It takes no lock.
func (m *Members) Reachable(name string, incarnation uint64) bool {
	known, ok := (*m.reachable.Load())[name]
	return ok && known == incarnation
}

// Watch has f called for each Event, in order and by one goroutine, beginning with one for each other node that is there when it is called. f must not wait. After cancel it is called no more,
// but for a call that has begun.
func (m *Members) Watch(f func(Event)) (cancel func()) {
	w := &watcher{f: f, there: map[string]Member{}}
	m.mu.Lock()
	for name, k := range m.byName {
		if k.State.Reachable() {
			w.there[name] = k.Member
		}
	}
	m.watchers = append(m.watchers, w)
	m.mu.Unlock()
	m.poke()
	return func() {
		w.gone.Store(true)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.watchers = slices.DeleteFunc(m.watchers, func(o *watcher) bool { return o == w })
	}
}

// SetDraining tells the others at once that this node is to get nothing new, or is again.
func (m *Members) SetDraining(draining bool) {
	m.mu.Lock()
	m.self.Draining, m.urgent = draining, true
	m.mu.Unlock()
	m.poke()
}

// Leave says goodbye, so that others need not find out that the node is gone, and ends the heartbeats. It blocks for the goodbye's way to the server, 2 s at most.
func (m *Members) Leave() { m.end(true) }

// Close ends the heartbeats without a word: others find out by themselves. After Leave it does nothing.
func (m *Members) Close() { m.end(false) }

func (m *Members) end(goodbye bool) {
	m.leave.Do(func() {
		m.forget()
		m.stop()
		m.tasks.Wait()
		m.mu.Lock()
		m.left = true
		m.mu.Unlock()
		if err := ignoreClosed(m.sub.Unsubscribe()); err != nil {
			m.log.Warn("cluster: heartbeats not unsubscribed", "err", err)
		}
		if goodbye {
			if err := errors.Join(m.publish(false), m.node.conn.FlushTimeout(closeTimeout)); err != nil {
				m.log.Warn("cluster: goodbye not sent, others will find this node dead", "err", err)
			}
		}
		m.metrics.unregister(m.cfg.Metrics)
	})
}
