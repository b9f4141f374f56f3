package room

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/media"
)

const (
	// linger is how long a room's stream is still fetched when the last has left who watches it here: who comes then begins at once.
	linger = 5 * time.Second
	// enterFor is how long home may take to let somebody in, beside its rules.
	enterFor = 4 * time.Second
	// maxEntering is how many are asked for at a time when a room has another home.
	maxEntering = 256
	// maxTries is how often somebody is sent on who comes while a room changes its home.
	maxTries = 3
)

// away is a room that is at home on another node: this one has some of its viewers or publishers.
type away struct {
	home   actor.Ref // zero: it can't be reached
	feed   *feed
	stop   context.CancelFunc // of the feed; nil: none runs
	gen    int                // counts homes: answers of former ones are late
	asked  bool               // for the stream
	stage  string             // who publishes
	linger *actor.Timer
}

// flowing tells that the link to home is there, or is not any more.
type flowing struct {
	feed *feed
	up   bool
}

// leave has the room be at home elsewhere from now on. Its members stay.
func (r *room) leave(c *actor.Context, home actor.Ref) {
	r.away = &away{feed: r.newFeed(c)}
	if len(r.members) > 0 {
		r.await(c)
	}
	r.attach(c, home)
}

func (r *room) newFeed(c *actor.Context) *feed {
	sys, self := c.System(), c.Self()
	f := &feed{stream: r.stream}
	f.tell = func(up bool) { sys.Send(self, flowing{f, up}) }
	return f
}

// renew fetches the stream of home into a new one of this node: who waited for the one before has been put out.
func (r *room) renew(c *actor.Context) {
	r.unfeed()
	r.away.feed.stop()
	r.away.feed = r.newFeed(c) // look asks for it, if somebody still watches
}

// attach turns to a home, with all who are here.
func (r *room) attach(c *actor.Context, home actor.Ref) {
	w := r.away
	if w.home == home {
		return
	}
	if !w.home.IsZero() {
		c.Unwatch(w.home)
	}
	w.home, w.asked = home, false
	w.gen++
	c.Watch(home)
	c.Send(home, present{slices.Sorted(maps.Keys(r.members))})
	r.reenter(c, w.gen, slices.Sorted(maps.Keys(r.members)))
	r.fetchFeed(c)
}

// fetchFeed asks for the room's stream, if somebody watches here.
func (r *room) fetchFeed(c *actor.Context) {
	w := r.away
	if w.home.IsZero() || w.asked || r.viewers == 0 {
		return
	}
	w.asked = true
	if !w.feed.flows() {
		r.await(c)
	}
	gen := w.gen
	c.Detached(func() {
		c.AskFor(w.home, attach{}, enterFor, func(v any, err error) {
			if r.away != w || w.gen != gen {
				return
			}
			a, ok := v.(attached)
			if err != nil || !ok {
				c.Log().Warn("a room's stream is not fetched from its node yet", "room", r.name, "member", w.home.Node(), "error", err)
				w.asked = false
				if errors.Is(err, errElsewhere) || errors.Is(err, actor.ErrNoActor) || errors.Is(err, actor.ErrStopped) {
					r.forgetHome(c)
				}
				return // look asks again
			}
			w.stage = a.Stage
			if a.New { // it has taken this node for dead
				r.reenter(c, gen, slices.Sorted(maps.Keys(r.members)))
			}
			r.runFeed(a)
		})
	})
}

// runFeed fetches the stream from now on.
func (r *room) runFeed(a attached) {
	w := r.away
	if w.stop != nil {
		w.stop()
	}
	gen := w.gen
	k, name, f := r.cfg.Cluster, r.name, w.feed
	w.stop = r.run(func(ctx context.Context) error { return f.run(ctx, k, name, a) }, func(c *actor.Context, err error) {
		if r.away != w || w.gen != gen {
			return
		}
		c.Log().Info("a room's stream is asked for anew", "room", r.name, "member", w.home.Node(), "reason", err)
		w.asked, w.stop = false, nil // look asks again
	})
}

// reenter has home let those in who are here already, some at a time.
func (r *room) reenter(c *actor.Context, gen int, ids []uint64) {
	w := r.away
	now, later := ids[:min(len(ids), maxEntering)], ids[min(len(ids), maxEntering):]
	left := len(now)
	for _, id := range now {
		m := r.members[id]
		answered := func(v any, err error) {
			if left--; left == 0 && len(later) > 0 && r.away == w && w.gen == gen {
				r.reenter(c, gen, later)
			}
			if r.away != w || w.gen != gen || r.members[id] != m || err != nil {
				return // who is not known to this home is asked for again by the next
			}
			r.welcomed(m, v)
		}
		if m == nil {
			answered(nil, errGone)
			continue
		}
		c.Detached(func() { c.AskFor(w.home, m.enter(true), r.cfg.RulesTimeout+enterFor, answered) })
	}
}

// welcomed is for a member that a new home has let in, or not.
func (r *room) welcomed(m *member, v any) {
	switch e := v.(type) {
	case refused:
		if err := e.Why.err(); !errors.Is(err, errElsewhere) {
			r.put(m, err)
		}
	case entered:
		if m.up != nil {
			r.carry(m, e)
		}
	}
}

// enter is how a member, or somebody who comes, is brought before home.
func (m *member) enter(back bool) enter {
	query := url.Values{}
	for key, v := range m.query {
		if key != paramSign && key != paramExpires {
			query[key] = v
		}
	}
	return enter{Local: m.ID, Action: m.Action, Who: m.Who, Protocol: m.Protocol, Addr: m.Addr, Agent: m.Agent, Query: query.Encode(), Back: back}
}

// admitAway asks home whether somebody may come in.
func (r *room) admitAway(c *actor.Context, a *admission, tries int) {
	w := r.away
	if w.home.IsZero() {
		r.seek(c, a.action == Publish || len(r.members) > 0)
	}
	if r.away == nil {
		r.admitHere(c, a)
		return
	}
	if w.home.IsZero() && a.action == Play && len(r.members) == 0 { // its node has gone, and nobody publishes here
		r.refuse(c, a, fmt.Errorf("%w in %s", ErrOffline, r.name))
		return
	}
	if w.home.IsZero() || tries >= maxTries {
		r.refuse(c, a, fmt.Errorf("%w: room %s: its node can't be reached", ErrRules, r.name))
		return
	}
	if a.id == 0 {
		r.last++
		a.id = r.last
	}
	home, gen := w.home, w.gen
	if home != a.unsure {
		r.disown(c, a)
	}
	m := r.member(a)
	r.deciding++
	c.AskFor(home, m.enter(false), r.cfg.RulesTimeout+enterFor, func(v any, err error) {
		r.deciding--
		out := errors.Is(err, actor.ErrNoActor) || errors.Is(err, actor.ErrStopped)
		again := out || errors.Is(err, actor.ErrUnreachable)
		if no, ok := v.(refused); ok {
			err = no.Why.err()
			again = errors.Is(err, errElsewhere)
			out = true
		}
		if a.unsure = home; out { // nobody is in there
			a.unsure = actor.Ref{}
		}
		e, ok := v.(entered)
		switch {
		case again:
			if r.away == w && w.gen == gen { // else it was asked before the room turned to this home, anew perhaps
				r.forgetHome(c)
			}
			r.route(c, a, tries+1)
		case err == nil && ok && r.away == w && w.gen == gen:
			if err = r.enterAway(c, m, a, e); err != nil {
				c.Send(home, parted{m.ID, reasonFor(err)})
				a.unsure = actor.Ref{}
				r.refuse(c, a, err)
				return
			}
			c.Reply(nil, nil)
		case ok: // by a home that the room has no more
			r.route(c, a, tries+1)
		default:
			if _, said := v.(refused); !said {
				err = fmt.Errorf("%w: room %s: %w", ErrRules, r.name, err)
			}
			r.refuse(c, a, err)
		}
	})
}

// disown tells a home that may have let somebody in, though its answer was lost or came too late, that nobody is here.
func (r *room) disown(c *actor.Context, a *admission) {
	if !a.unsure.IsZero() {
		c.Send(a.unsure, parted{a.id, reasonFor(media.ErrClosed)})
		a.unsure = actor.Ref{}
	}
}

// route is for an admission that has to begin anew, wherever the room is at home now.
func (r *room) route(c *actor.Context, a *admission, tries int) {
	if r.away != nil {
		r.admitAway(c, a, tries)
		return
	}
	r.admitHere(c, a)
}

// enterAway makes a member of who was let in by home.
func (r *room) enterAway(c *actor.Context, m *member, a *admission, e entered) (err error) {
	told := r.teller(m.ID)
	muted := map[media.Kind]bool{}
	for _, kind := range e.Muted {
		muted[kind] = true
	}
	if a.guest != nil {
		m.guest.id, m.guest.room, m.guest.mute = m.ID, c.Self(), muted
		if m.Action == Play {
			m.guest.notes = r.missing()
		}
	}
	switch {
	case m.Action == Publish:
		m.up = media.New(r.cfg.Stream)
		if m.publisher, err = m.up.Publish(a.ended); err == nil && a.guest == nil {
			m.publisher.AtEnd(told)
		}
	case a.guest == nil:
		m.viewer, err = r.join(a, told)
	}
	if err != nil {
		return fmt.Errorf("room %s: %w", r.name, err)
	}
	r.add(c, m)
	r.grant(m, a, told)
	if m.up != nil {
		r.carry(m, e)
	}
	if w := r.away; w.linger != nil {
		w.linger.Cancel()
		w.linger = nil
	}
	r.fetchFeed(c)
	r.bridge(c)
	return nil
}

// carry brings what a publisher writes here to the room's home, from now on.
func (r *room) carry(m *member, e entered) {
	m.cease()
	k, name, up, flows := r.cfg.Cluster, r.name, m.up, &atomic.Bool{}
	m.carried = flows
	m.stop = r.run(func(ctx context.Context) error { return bring(ctx, k, name, e, up, flows) }, func(c *actor.Context, err error) { // home says why by a message, or has ended
		c.Log().Info("a publisher's frames are not wanted any more", "room", r.name, "member", m.ID, "reason", err)
	})
}

// cease ends that a publisher is carried, or poured.
func (m *member) cease() {
	if m.stop != nil {
		m.stop()
		m.stop, m.carried = nil, nil
	}
	if m.shown != nil {
		m.shown.Close()
		m.shown = nil
	}
}

// goneAway is for a member here that has left.
func (r *room) goneAway(c *actor.Context, m *member, reason error) {
	w := r.away
	if !w.home.IsZero() && !m.dismissed {
		c.Send(w.home, parted{m.ID, reasonFor(reason)})
	}
	if r.viewers == 0 && w.linger == nil {
		w.linger = c.After(linger, func() {
			w.linger = nil
			if r.away == w && r.viewers == 0 {
				r.unfeed()
				if r.window != nil {
					r.window.Cancel()
					r.window = nil
				}
				r.rest(c)
			}
		})
	}
	r.bridge(c)
	r.rest(c)
}

// unfeed ends that the stream is fetched.
func (r *room) unfeed() {
	w := r.away
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
	w.asked = false
}

// homeless is for the end of home, or of the way there.
func (r *room) homeless(c *actor.Context, ref actor.Ref) {
	if r.away.home != ref {
		return
	}
	r.forgetHome(c)
	r.seek(c, false)
}

func (r *room) forgetHome(c *actor.Context) {
	w := r.away
	if !w.home.IsZero() {
		c.Unwatch(w.home)
	}
	w.home, w.asked = actor.Ref{}, false
	w.gen++
}

// lookAway is what a room away from home does now and then.
func (r *room) lookAway(c *actor.Context) {
	if r.away.home.IsZero() {
		r.seek(c, false)
	} else if ref, _, ok := r.cfg.Cluster.elsewhere(r.name); ok && ref != r.away.home {
		r.attach(c, ref)
	}
	if r.away != nil {
		r.fetchFeed(c)
	}
}
