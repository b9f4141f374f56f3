package room

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/relay"
)

// lookEvery is how often a room looks whether it has another home, or one at all: what messages tell comes sooner.
const lookEvery = 300 * time.Millisecond

// errGone is why those leave whose node has.
var errGone = errors.New("room: its node has gone")

// post is a node that has members of a room, as the room's home knows it.
type post struct {
	ref     actor.Ref // the room's actor there
	ticket  string    // of its link; empty: none
	stream  *media.Stream
	link    *media.Viewer
	lost    bool // its actor can't be reached; the link may still be there
	members map[uint64]*member
	waiting map[uint64]*admission // who may come in there, while the rules decide: who is asked for twice, as it was asked last
}

// linked tells whether frames go there, or come from there.
func (p *post) linked() bool {
	if p.link != nil && p.link.Err() == nil {
		return true
	}
	for _, m := range p.members {
		if m.inflow.flows() {
			return true
		}
	}
	return false
}

// forget ends that somebody may come in there, as it was asked so.
func (p *post) forget(a *admission) {
	if p.waiting[a.local] == a {
		delete(p.waiting, a.local)
	}
}

// redeem gives what a ticket is for.
type redeem struct {
	asked   relay.Request
	granted *granted
}

// granted is what a ticket was for, unless who asked gave up while the room made it: whichever of the two comes second finds the other.
type granted struct{ grant atomic.Pointer[relay.Grant] }

// give is the room's. What nobody takes is ended.
func (g *granted) give(grant relay.Grant) {
	if !g.grant.CompareAndSwap(nil, &grant) {
		drop(grant, media.ErrClosed)
	}
}

// abandon ends what was given, or will be.
func (g *granted) abandon(reason error) {
	if grant := g.grant.Swap(&relay.Grant{}); grant != nil {
		drop(*grant, reason)
	}
}

// drop ends what no link will.
func drop(g relay.Grant, reason error) {
	if g.Viewer != nil {
		g.Viewer.Close(reason)
	}
	if g.Done != nil {
		g.Done(reason)
	}
}

// silent is a publisher of another node whose link has ended.
type silent struct {
	id   uint64
	into *inflow
}

// claim is the room's as others see it.
func (r *room) claim() claim {
	c := claim{made: r.made.UnixNano(), node: r.cfg.Cluster.Node}
	if r.publisher != nil {
		c.live, c.who = r.publisher.began.UnixNano(), r.publisher.Who
	}
	return c
}

// settle has other nodes find the room here, with what it is now. A room without other nodes does nothing.
func (r *room) settle(c *actor.Context) {
	if r.cfg.Cluster == nil || r.away != nil {
		return
	}
	if err := r.cfg.Cluster.Names.Register(namePrefix+r.name, c.Self(), names.Options{Meta: r.claim().text()}); err != nil {
		c.Log().Warn("other nodes do not find the room", "room", r.name, "error", err)
	}
	who := ""
	if r.publisher != nil {
		who = r.publisher.Who
	}
	for ref := range r.posts {
		c.Send(ref, staged{who})
	}
}

// look is what a room at home does now and then: it gives way to a home that others have made, and forgets nodes that have gone.
func (r *room) look(c *actor.Context) {
	if r.away != nil {
		r.lookAway(c)
		return
	}
	if ref, other, ok := r.cfg.Cluster.elsewhere(r.name); ok && other.before(r.claim()) {
		r.give(c, ref)
		return
	}
	for _, p := range r.posts {
		if p.lost && !p.linked() {
			r.dropPost(c, p)
		}
	}
}

// give has the room be at home elsewhere: its viewers stay, and are fed from there.
func (r *room) give(c *actor.Context, home actor.Ref) {
	c.Log().Info("the room is another node's now", "room", r.name, "member", home.Node())
	r.cfg.Cluster.Names.Unregister(namePrefix+r.name, c.Self())
	if r.recording() {
		r.tape.Stop()
	}
	r.endRemotes(c, errElsewhere)
	for ref := range r.posts {
		c.Send(ref, moved{})
		c.Unwatch(ref)
	}
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		m := r.members[id]
		r.rules.tell(c, "on_leave", r.name, m.Who, m.table(errElsewhere.Error()))
		switch {
		case m.post != nil:
			delete(r.members, id)
			r.count(m, -1)
			if m.publisher != nil {
				m.publisher.Close()
			}
		case m.Action == Publish:
			r.put(m, fmt.Errorf("room %s: %w: on node %s", r.name, media.ErrBusy, home.Node()))
		}
	}
	clear(r.posts)
	r.publisher = nil
	r.leave(c, home)
}

// post is that of the node whose message is handled, made if there is none.
func (r *room) post(c *actor.Context) *post {
	ref := c.From()
	p := r.posts[ref]
	if p == nil {
		p = &post{ref: ref, members: map[uint64]*member{}, waiting: map[uint64]*admission{}}
		r.posts[ref] = p
		c.Watch(ref)
	}
	if p.lost { // it is back
		p.lost = false
		c.Watch(ref)
	}
	return p
}

// letIn is for somebody who comes to another node.
func (r *room) letIn(c *actor.Context, m enter) {
	if r.away != nil || r.cfg.Cluster == nil {
		c.Reply(refused{reasonFor(errElsewhere)}, nil)
		return
	}
	if m.Action != Publish && m.Action != Play {
		c.Reply(nil, fmt.Errorf("room %s: action %q, expected publish or play", r.name, m.Action))
		return
	}
	p := r.post(c)
	if one := p.members[m.Local]; one != nil { // it is asked twice where an answer was lost
		c.Reply(r.permit(one), nil)
		return
	}
	query, err := url.ParseQuery(m.Query)
	if err != nil {
		c.Reply(refused{reasonFor(err)}, nil)
		return
	}
	a := &admission{
		entry: Entry{Room: r.name, Protocol: m.Protocol, Addr: m.Addr, Agent: m.Agent, Query: query}, action: m.Action, who: m.Who, post: p, local: m.Local, back: m.Back,
	}
	p.waiting[m.Local] = a
	r.admitHere(c, a)
}

// permit is what the node of a member is told.
func (r *room) permit(m *member) entered {
	e := entered{ID: m.ID, Addr: r.cfg.Cluster.Addr, Push: m.ticket}
	for kind, on := range r.muted {
		if on {
			e.Muted = append(e.Muted, kind)
		}
	}
	return e
}

// station makes a member of who is on another node.
func (r *room) station(c *actor.Context, m *member, a *admission, told func(error)) error {
	if a.post.members[a.local] != nil {
		return errElsewhere // it has been let in meanwhile, as what is asked twice
	}
	m.post, m.local = a.post, a.local
	if m.Action == Publish {
		if err := r.publish(m, a, told); err != nil {
			return err
		}
		m.ticket = rand.Text()
		r.unheard(c, m, 0)
	}
	a.post.forget(a)
	a.post.members[a.local] = m
	return nil
}

// unheard ends a publisher of another node that does not come through in the time that viewers wait.
func (r *room) unheard(c *actor.Context, m *member, last uint64) {
	m.inflow = &inflow{p: m.publisher, last: last}
	into := m.inflow
	c.Detached(func() {
		c.After(r.cfg.Reconnect, func() {
			if r.members[m.ID] == m && m.inflow == into && !into.began() {
				r.put(m, fmt.Errorf("%w: its node does not get through", ErrOffline))
			}
		})
	})
}

// fetch gives another node the ticket for the room's stream.
func (r *room) fetch(c *actor.Context) {
	if r.away != nil || r.cfg.Cluster == nil {
		c.Reply(nil, errElsewhere)
		return
	}
	known := r.posts[c.From()] != nil
	p := r.post(c)
	p.ticket, p.stream = rand.Text(), r.stream
	a := attached{Addr: r.cfg.Cluster.Addr, Ticket: p.ticket, Stream: r.streamID, New: !known}
	if r.publisher != nil {
		a.Stage = r.publisher.Who
	}
	c.Reply(a, nil)
}

// redeem opens the link that a ticket is for. A link that there was before gives way: it is probably dead.
func (r *room) redeem(c *actor.Context, m redeem) {
	for _, p := range r.posts {
		if p.ticket != "" && p.ticket == m.asked.Ticket && p.stream == r.stream {
			g, err := r.outflow(p, m.asked.After)
			m.answer(c, g, err)
			return
		}
	}
	for _, one := range r.members {
		if one.ticket != "" && one.ticket == m.asked.Ticket {
			g, err := r.inflow(c, one)
			m.answer(c, g, err)
			return
		}
	}
	c.Reply(nil, fmt.Errorf("%w in %s for this ticket", ErrOffline, r.name))
}

func (m redeem) answer(c *actor.Context, g relay.Grant, err error) {
	if err == nil {
		m.granted.give(g)
	}
	c.Reply(g, err)
}

// outflow is the room's stream for another node.
func (r *room) outflow(p *post, after uint64) (g relay.Grant, err error) {
	if p.link != nil {
		p.link.Close(ErrReplaced)
	}
	p.link, err = r.stream.Join(media.ViewerConfig{
		Want: func(*media.Track) bool { return true }, After: after, Lag: r.cfg.Lag, Patience: r.cfg.Patience,
	})
	return relay.Grant{Viewer: p.link}, err
}

// inflow is the place of a publisher of another node.
func (r *room) inflow(c *actor.Context, one *member) (g relay.Grant, err error) {
	if err := one.publisher.Err(); err != nil {
		return g, err
	}
	into := &inflow{p: one.publisher, last: one.inflow.close()}
	one.inflow = into
	sys, self := c.System(), c.Self()
	return relay.Grant{Into: into, Done: func(error) { sys.Send(self, silent{one.ID, into}) }}, nil
}

// quiet is for a publisher of another node that was cut off.
func (r *room) quiet(c *actor.Context, s silent) {
	m := r.members[s.id]
	if m == nil || m.inflow != s.into {
		return
	}
	r.unheard(c, m, m.inflow.close())
}

// departed is for somebody who has left another node.
func (r *room) departed(c *actor.Context, m parted) {
	p := r.posts[c.From()]
	if p == nil {
		return
	}
	delete(p.waiting, m.Local)
	one := p.members[m.Local]
	if one == nil {
		return
	}
	delete(p.members, m.Local)
	r.gone(c, left{one.ID, m.Why.err()})
}

// reconciled ends those of another node who have left it while it could not be told here. Who may come in there is asked for anew.
func (r *room) reconciled(c *actor.Context, m present) {
	p := r.posts[c.From()]
	if p == nil || r.away != nil {
		return
	}
	clear(p.waiting)
	here := map[uint64]bool{}
	for _, local := range m.Local {
		here[local] = true
	}
	for _, local := range slices.Sorted(maps.Keys(p.members)) {
		if one := p.members[local]; !here[local] {
			delete(p.members, local)
			r.gone(c, left{one.ID, media.ErrClosed})
		}
	}
}

// ended is for the end of the room's actor on another node, or of the way there.
func (r *room) ended(c *actor.Context, ref actor.Ref) {
	if r.away != nil {
		r.homeless(c, ref)
		return
	}
	p := r.posts[ref]
	if p == nil {
		return
	}
	if p.linked() { // NATS is cut, and the link is not: look sees when it ends
		p.lost = true
		return
	}
	r.dropPost(c, p)
}

// dropPost has all leave who are on a node that has gone.
func (r *room) dropPost(c *actor.Context, p *post) {
	c.Unwatch(p.ref)
	delete(r.posts, p.ref)
	if p.link != nil {
		p.link.Close(errGone)
	}
	for _, local := range slices.Sorted(maps.Keys(p.members)) {
		one := p.members[local]
		delete(p.members, local)
		r.gone(c, left{one.ID, errGone})
	}
}

// tallied notes what viewers of another node have had.
func (r *room) tallied(c *actor.Context, t tally) {
	p := r.posts[c.From()]
	for i, local := range t.Local {
		if p != nil && i < len(t.Counts) && p.members[local] != nil {
			p.members[local].Counts = t.Counts[i]
		}
	}
}

// OpenLink gives another node's link what its ticket is for: it is what a relay.Server asks.
func (r *Rooms) OpenLink(ctx context.Context, asked relay.Request) (relay.Grant, error) {
	if err := CheckName(asked.Room); err != nil {
		return relay.Grant{}, err
	}
	service, ok := r.sys.Lookup(ServiceName)
	if !ok {
		return relay.Grant{}, fmt.Errorf("%w: the node stops", ErrOffline)
	}
	m := redeem{asked, &granted{}}
	v, err := r.sys.Ask(ctx, service, m)
	if err != nil {
		m.granted.abandon(err)
		return relay.Grant{}, err
	}
	g, _ := v.(relay.Grant)
	return g, nil
}
