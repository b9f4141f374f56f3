package names

import (
	"context"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
)

const (
	// again is when a node that could not be followed is asked again.
	again = 300 * time.Millisecond
	// searchFor is how long its agent is looked for at a time: what was asked may be lost with the link, when one side has just come.
	searchFor = 5 * time.Second
	// newsEach is how often followers are told the version of the list, in case that a change did not get through.
	newsEach = 5 * time.Second
	// maxEarly is how many changes of a node may come before its list.
	maxEarly = 4096
)

// What agents tell each other.
type (
	// follow is asked by the agent of another node: the answer is a listing, and each change comes as a message then.
	follow struct{}
	// listing is all registrations of a node.
	listing struct {
		Version uint64
		Entries []entry
	}
	// change is one registration that is new or has ended, or news of the version.
	change struct {
		Version uint64
		Set     *entry
		Gone    *entry
	}
)

// WireTypes adds the messages of this package to those that go to other nodes.
func WireTypes(t *wire.Types) {
	wire.Register[follow](t, "names.follow")
	wire.Register[listing](t, "names.listing")
	wire.Register[change](t, "names.change")
}

// Spec is how to spawn the agent of this node. It needs no other service; it ends last of those that have names.
func (x *Names) Spec() actor.Spec {
	return actor.Spec{
		Name: AgentName,
		New: func() actor.Actor {
			return &agent{x: x, followers: map[actor.Ref]struct{}{}, follows: map[string]*followed{}, watched: map[actor.Ref]struct{}{}}
		},
		Supervision: actor.Supervision{Limit: -1}, // what it knows of others is nowhere else
	}
}

// agent passes changes on, and follows other nodes.
type agent struct {
	x         *Names
	followers map[actor.Ref]struct{}
	follows   map[string]*followed // by node
	watched   map[actor.Ref]struct{}
	passed    uint64 // the version of the last change that followers were told
}

// followed is a node that is followed, or to be.
type followed struct {
	incarnation uint64
	ref         actor.Ref // its agent, once that is found
	ready       bool      // its list is known
	version     uint64
	early       []change
	search      context.CancelFunc // ends the search for its agent
	asked       actor.Call         // for its list
}

// letBe ends what is waited for of the node, if anything is.
func (f *followed) letBe() {
	if f.search != nil {
		f.search()
	}
	f.asked.Cancel()
}

// Start follows who is there.
func (a *agent) Start(c *actor.Context) error {
	x := a.x
	if err := x.metrics.register(x.cfg.Metrics); err != nil {
		return err
	}
	c.Subscribe(cluster.MembersTopic)
	x.mu.Lock()
	x.agent = c.Self()
	x.mu.Unlock()
	for _, m := range x.cfg.Members.List() {
		a.member(c, m)
	}
	c.Every(newsEach, func() { a.news(c) })
	return nil
}

// Stop has nothing registered any more, and waits for no other node: one that has just joined may have asked for lists that are long in coming.
func (a *agent) Stop(*actor.Context, error) {
	for _, f := range a.follows {
		f.letBe()
	}
	clear(a.follows)
	x := a.x
	x.mu.Lock()
	defer x.mu.Unlock()
	x.agent = actor.Ref{}
	x.metrics.unregister(x.cfg.Metrics)
}

// Receive takes changes of this node and of those that are followed, and hears of members and ends.
func (a *agent) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case change:
		if from := c.From(); from.IsRemote() {
			a.changed(c, from, m)
		} else {
			a.pass(c, m)
		}
	case follow:
		a.followedBy(c)
	case cluster.Event:
		a.member(c, m.Member)
	case actor.Terminated:
		a.terminated(c, m.Ref)
	}
}

// pass tells all followers of a change of this node.
func (a *agent) pass(c *actor.Context, ch change) {
	if e := ch.Set; e != nil {
		if _, watched := a.watched[e.Ref]; !watched {
			a.watched[e.Ref] = struct{}{}
			c.Watch(e.Ref)
		}
	}
	a.passed = ch.Version
	for f := range a.followers {
		c.Send(f, ch)
	}
}

func (a *agent) followedBy(c *actor.Context) {
	x, from := a.x, c.From()
	if !from.IsRemote() {
		c.Reply(nil, &actor.Error{Code: actor.Refused, Actor: AgentName, Text: "only agents of other nodes follow"})
		return
	}
	c.Watch(from)
	a.followers[from] = struct{}{}
	l := listing{}
	x.mu.RLock()
	l.Version = x.version
	for _, list := range x.own {
		l.Entries = append(l.Entries, list...)
	}
	x.mu.RUnlock()
	c.Reply(l, nil)
}

// news tells followers the version.
func (a *agent) news(c *actor.Context) {
	for f := range a.followers {
		c.Send(f, change{Version: a.passed})
	}
}

// member follows a node that is there, and forgets one that is not.
func (a *agent) member(c *actor.Context, m cluster.Member) {
	if m.Name == a.x.cfg.Node.Name() {
		return
	}
	f := a.follows[m.Name]
	switch {
	case m.State.Reachable() && (f == nil || f.incarnation < m.Incarnation):
		a.forget(m.Name)
		f = &followed{incarnation: m.Incarnation}
		a.follows[m.Name] = f
		a.find(c, m.Name, f)
	case !m.State.Reachable() && f != nil && f.incarnation == m.Incarnation:
		a.forget(m.Name)
	}
}

// forget drops what is known of a node.
func (a *agent) forget(node string) {
	if f := a.follows[node]; f != nil {
		f.letBe()
	}
	delete(a.follows, node)
	a.x.replace(node, nil)
}

// find looks for the agent of a node, and asks it for its list; again until it has it or the node is gone.
func (a *agent) find(c *actor.Context, node string, f *followed) {
	retry := func() {
		f.ready, f.early = false, nil
		c.After(again, func() {
			if a.follows[node] == f && !f.ready {
				a.find(c, node, f)
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), searchFor)
	f.search = cancel
	c.Go(func(life context.Context) (any, error) {
		defer context.AfterFunc(life, cancel)()
		return a.x.cfg.Mesh.Lookup(ctx, node, AgentName)
	}, func(v any, err error) {
		cancel()
		if a.follows[node] != f {
			return
		}
		ref, _ := v.(actor.Ref)
		if err != nil || ref.Home().Incarnation() != f.incarnation {
			retry()
			return
		}
		if f.ref != ref {
			f.ref = ref
			c.Watch(ref)
		}
		f.asked = c.Ask(ref, follow{}, func(v any, err error) {
			l, ok := v.(listing)
			switch {
			case a.follows[node] != f:
			case err != nil || !ok:
				retry()
			default:
				a.listed(c, node, f, l)
			}
		})
	})
}

// listed takes the list of a node, and the changes that came before it.
func (a *agent) listed(c *actor.Context, node string, f *followed, l listing) {
	f.ready, f.version = true, l.Version
	a.x.replace(node, a.x.checked(node, l.Entries))
	early := f.early
	f.early = nil
	for _, ch := range early {
		a.apply(c, node, f, ch)
	}
}

// changed takes a change of another node.
func (a *agent) changed(c *actor.Context, from actor.Ref, ch change) {
	f := a.follows[from.Node()]
	switch {
	case f == nil || f.incarnation != from.Home().Incarnation():
	case !f.ready && len(f.early) < maxEarly:
		f.early = append(f.early, ch)
	case f.ready:
		a.apply(c, from.Node(), f, ch)
	}
}

func (a *agent) apply(c *actor.Context, node string, f *followed, ch change) {
	plain := ch.Set == nil && ch.Gone == nil
	switch {
	case ch.Version <= f.version:
		return
	case plain || ch.Version > f.version+1: // something did not get through
		a.x.metrics.missed.Inc()
		f.ready = false
		a.find(c, node, f)
		return
	}
	f.version = ch.Version
	x := a.x
	if e := ch.Set; e != nil {
		for _, e := range x.checked(node, []entry{*e}) {
			x.set(node, e)
		}
	}
	if e := ch.Gone; e != nil {
		x.unset(node, *e)
	}
}

// terminated hears of the end of an actor of this node, of a follower, or of a node's agent: a follower and a followed are the same actor.
func (a *agent) terminated(c *actor.Context, ref actor.Ref) {
	if !ref.IsRemote() {
		delete(a.watched, ref)
		a.x.ended(ref)
		return
	}
	delete(a.followers, ref)
	node := ref.Node()
	f := a.follows[node]
	if f == nil || f.ref != ref {
		return
	}
	a.forget(node)
	if m, ok := a.x.cfg.Members.Find(node); ok { // it may be there, with another agent or after a moment of being out of reach
		a.member(c, m)
	}
}
