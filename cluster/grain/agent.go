package grain

import (
	"errors"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
)

// agent is the actor of a node that others ask for grains. It finds out where grains are for the senders of this node (search.go), keeps the directories of the node's
// shards (directory.go, claim.go) and has the grains of the node (host.go).
type agent struct {
	g         *Grains
	trusted   bool
	draining  bool
	members   []cluster.Member // all that are known, this node too
	eligible  []*cluster.Member
	winners   [Shards]string // who is to have each shard, while nodes stay as they are; empty for nobody
	changed   time.Duration  // when that changed last
	agents    map[*actor.Node]actor.Ref
	finding   map[*actor.Node][]func(actor.Ref, error)
	absences  map[*actor.Node]*absence
	searches  map[string]time.Duration // grains that are being searched, and when what waits for them was looked at
	chasing   map[string]actor.Promise // those that were told that a grain has moved
	peers     map[*actor.Node]*peer
	inquiries map[string]*inquiry // by the grain
	ticks     int

	shards   [Shards]*shard
	queued   int       // requests that wait for shards and nodes
	registry *registry // that is being read

	hosted   [Shards]map[string]*hosted
	promised [Shards]uint64 // the owner of each shard that has asked for what is here: former ones are refused
	fronts   map[actor.Ref]*hosted
	toClose  []*hosted                // for a drain
	closing  int                      // grains that end for a drain now
	told     map[*actor.Node]struct{} // those that know that there are no grains here any more
	telling  int                      // those that are being told
	emptied  bool                     // all know it
	drained  []actor.Promise
}

func newAgent(g *Grains) actor.Actor {
	return &agent{
		g: g, agents: map[*actor.Node]actor.Ref{}, finding: map[*actor.Node][]func(actor.Ref, error){}, absences: map[*actor.Node]*absence{},
		searches: map[string]time.Duration{}, fronts: map[actor.Ref]*hosted{}, chasing: map[string]actor.Promise{},
		peers: map[*actor.Node]*peer{}, inquiries: map[string]*inquiry{},
	}
}

// What the agent is told on its own node.
type (
	search struct { // for a grain that somebody wants to speak to
		key  string
		over uint64
	}
	successor struct { // for a grain that has gone, on behalf of its front: answered by place
		key  string
		over uint64
	}
	tellMoved struct { // a node that has sent to a front whose grain has gone
		node *actor.Node
		key  string
	}
	chaseNow struct { // nobody is about to send to where a grain was
		key string
		ref actor.Ref
	}
	opened struct {
		h   *hosted
		err error
	}
	ended struct {
		h   *hosted
		err error
	}
	drain struct{}
)

// tickEach is how often the agent looks around.
const tickEach = 100 * time.Millisecond

var errAgent = errors.New("grain: the node ends, or has lost what it knew of its grains")

// Start begins with nothing: what a former life had in the directories is asked for anew.
func (a *agent) Start(c *actor.Context) error {
	select {
	case <-a.g.ready:
	default:
		a.g.agent = c.Self()
		close(a.g.ready)
	}
	a.g.ended.Store(false)
	a.g.active.Store(0)
	a.g.entries.Store(0)
	a.g.owned.Store(0)
	a.g.reset(errAgent)
	c.Subscribe(cluster.MembersTopic)
	a.trusted = a.g.trusted()
	a.lookMembers()
	c.Every(tickEach, func() { a.tick(c) })
	return nil
}

// Stop has those fail who wait for grains: nobody finds them any more, and this node's actors could not end.
func (a *agent) Stop(*actor.Context, error) {
	a.g.ended.Store(true)
	a.g.reset(errAgent)
}

// Receive is what the agent does.
func (a *agent) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case search:
		a.search(c, m)
	case successor:
		a.successor(c, m)
	case find:
		a.find(c, m)
	case activate:
		a.activate(c, m)
	case inventory:
		a.inventory(c, m)
	case held:
		a.held(c, m)
	case forget:
		a.forget(c, m)
	case moved:
		a.moved(c, m)
	case tellMoved:
		a.tellMoved(c, m)
	case chaseNow:
		a.chase(c, m)
	case opened:
		a.opened(c, m.h)
	case ended:
		a.ended(c, m.h, m.err)
	case cluster.Event:
		a.memberChanged(c, m)
	case actor.Terminated:
		a.frontEnded(c, m.Ref)
	case emptied:
		a.nodeEmptied(c)
	case drain:
		a.drain(c)
	case listHosted:
		a.list(c, m)
	default:
		c.Reply(nil, errors.New("grain: not understood"))
	}
}

// tick looks whether the node may have grains still, and after what waits.
func (a *agent) tick(c *actor.Context) {
	a.ticks++
	a.lookTrust(c)
	a.g.sweep(a.ticks)
	for key, looked := range a.searches {
		if a.g.now()-looked > tickEach {
			a.searches[key] = a.g.now()
			a.g.expire(key)
		}
	}
	if a.ticks%10 == 0 {
		a.lookMembers() // whether a node's name is held changes without an event, too
	}
	a.giveBack(c)
	a.lookDrained(c)
}

// lookTrust looks whether this node may have grains. When it may not, it ends all: others may have them from then on. It begins anew with nothing.
func (a *agent) lookTrust(c *actor.Context) {
	g := a.g
	if a.trusted {
		if g.trusted() {
			return
		}
		a.trusted = false
		g.log.Warn("grain: this node can't prove its name, or had no connection: its grains stop", "grains", g.active.Load())
		g.metrics.closed.WithLabelValues("fenced").Add(float64(g.active.Load()))
		for _, s := range &a.shards {
			if s != nil {
				a.dropShard(c, s)
			}
		}
		a.stopAll(c)
		a.lookMembers()
	}
	if len(a.fronts) > 0 {
		return
	}
	if l := g.node.Lease(); l.Held {
		g.incarnation.Store(l.Incarnation)
		if a.trusted = g.trusted(); a.trusted {
			g.log.Info("grain: this node may have grains again", "incarnation", l.Incarnation)
			a.lookMembers()
		}
	}
}

// memberChanged hears of other nodes.
func (a *agent) memberChanged(c *actor.Context, e cluster.Event) {
	a.lookMembers()
	if e.Member.State != cluster.Alive {
		if n, err := a.g.cfg.Mesh.Node(e.Member.Name, e.Member.Incarnation); err == nil {
			a.look(c, n) // it is known sooner whether it may be replaced
		}
	}
}

// lookMembers finds out who may have what.
func (a *agent) lookMembers() {
	a.members = a.g.cfg.Members.List()
	a.eligible = a.eligible[:0]
	for i := range a.members {
		if a.mayHave(&a.members[i]) {
			a.eligible = append(a.eligible, &a.members[i])
		}
	}
	var winners [Shards]string
	list := a.unweighted()
	for n := range winners {
		if m := winner(shardKey(n), list); m != nil {
			winners[n] = m.Name
		}
	}
	if winners != a.winners {
		a.winners, a.changed = winners, a.g.now()
	}
}

// unweighted is who may have shards: what they cost has nothing to do with what grains do.
func (a *agent) unweighted() []*cluster.Member {
	list := make([]*cluster.Member, len(a.eligible))
	for i, m := range a.eligible {
		list[i] = &cluster.Member{Name: m.Name}
	}
	return list
}

func (a *agent) mayHave(m *cluster.Member) bool {
	if m.Name == a.g.node.Name() {
		return a.trusted && !a.draining && !m.Draining && m.State == cluster.Alive
	}
	if m.State != cluster.Alive || m.Draining || !m.Held || !a.g.cfg.Mesh.Reaches(m.Name, m.Incarnation) {
		return false
	}
	n, err := a.g.cfg.Mesh.Node(m.Name, m.Incarnation)
	return err == nil && !a.fenced(n)
}

// nodeOf is a node as the System has it: of another's incarnation, or this one's own.
func (a *agent) nodeOf(name string, incarnation uint64) (*actor.Node, error) {
	if name == a.g.node.Name() {
		return a.g.sys.Node(), nil
	}
	return a.g.cfg.Mesh.Node(name, incarnation)
}

func (a *agent) own(n *actor.Node) bool { return n == a.g.sys.Node() }

// reaches tells whether a node can be asked.
func (a *agent) reaches(n *actor.Node) bool {
	return a.own(n) || a.g.cfg.Mesh.Reaches(n.Name(), n.Incarnation())
}

// agentOf calls then with the agent of a node: now, or when it is known.
func (a *agent) agentOf(c *actor.Context, n *actor.Node, then func(actor.Ref, error)) {
	if a.own(n) {
		then(c.Self(), nil)
		return
	}
	if ref, ok := a.agents[n]; ok {
		then(ref, nil)
		return
	}
	a.finding[n] = append(a.finding[n], then)
	if len(a.finding[n]) > 1 {
		return
	}
	c.Detached(func() {
		a.g.cfg.Mesh.Find(c, n.Name(), AgentName, func(ref actor.Ref, err error) {
			if err == nil && ref.Home() != n {
				err = &actor.Error{Code: actor.Unreachable, Actor: n.Name(), Text: "it was started anew"}
			}
			if err == nil {
				a.agents[n] = ref
			}
			waiting := a.finding[n]
			delete(a.finding, n)
			for _, then := range waiting {
				then(ref, err)
			}
		})
	})
}

// askNode asks the agent of a node, on behalf of nobody.
func (a *agent) askNode(c *actor.Context, n *actor.Node, msg any, timeout time.Duration, then func(any, error)) {
	a.agentOf(c, n, func(ref actor.Ref, err error) {
		if err != nil {
			then(nil, err)
			return
		}
		c.Detached(func() {
			c.AskFor(ref, msg, timeout, func(v any, err error) {
				if is(err, actor.ErrNoActor) || is(err, actor.ErrStopped) {
					delete(a.agents, n) // it may have begun anew
				}
				then(v, err)
			})
		})
	})
}

// later calls f after some time, as part of nothing.
func later(c *actor.Context, d time.Duration, f func()) {
	c.Detached(func() { c.After(d, f) })
}

// is tells whether an error is one of the mesh or the other agent, not one that they pass on.
func is(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}
