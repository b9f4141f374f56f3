package room

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc"
)

// seek turns to the room's home, if others know one. If there is none it is here, when somebody publishes here, or is wanted: whoever comes. As long as a link flows, of viewers here or of a publisher,
// there is one, which the cluster's messages do not reach.
func (r *room) seek(c *actor.Context, wanted bool) {
	if ref, _, ok := r.cfg.Cluster.elsewhere(r.name); ok {
		r.attach(c, ref)
		return
	}
	publishes, flows := false, r.away.feed.flows()
	for _, m := range r.members {
		publishes = publishes || m.up != nil
		flows = flows || m.carried != nil && m.carried.Load()
	}
	if flows || !publishes && !wanted {
		return
	}
	r.take(c)
}

// take has the room be at home here, with those who are here.
func (r *room) take(c *actor.Context) {
	c.Log().Info("the room is this node's now", "room", r.name)
	r.unfeed()
	r.away.feed.stop()
	r.away = nil
	r.made = time.Now()
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		m := r.members[id]
		if m.up == nil {
			continue
		}
		m.cease()
		if r.publisher != nil {
			r.put(m, fmt.Errorf("room %s: %w", r.name, media.ErrBusy))
		} else if err := r.show(m); err != nil {
			r.put(m, err)
		}
	}
	if r.publisher == nil && len(r.members) > 0 {
		r.await(c)
	}
	r.settle(c)
	r.readmit(c, slices.Sorted(maps.Keys(r.members)))
}

// show pours what a publisher here has written so far for another home into the room's stream.
func (r *room) show(m *member) error {
	v, err := m.up.Join(everything())
	if err != nil {
		return err
	}
	if m.shown, err = r.stream.Publish(nil); err != nil {
		v.Close(err)
		return err
	}
	to := m.shown
	m.stop = r.run(func(ctx context.Context) error { return pour(ctx, v, to) }, func(*actor.Context, error) {})
	r.onStage(m)
	return nil
}

// readmit has the rules here decide on those who were let in by another home, some at a time.
func (r *room) readmit(c *actor.Context, ids []uint64) {
	now, later := ids[:min(len(ids), maxEntering)], ids[min(len(ids), maxEntering):]
	left := len(now)
	for _, id := range now {
		m := r.members[id]
		decided := func(err error) {
			if left--; left == 0 && len(later) > 0 && r.away == nil {
				r.readmit(c, later)
			}
			if err != nil && m != nil && r.members[id] == m && r.away == nil {
				r.put(m, err)
			}
		}
		if m == nil {
			decided(nil)
			continue
		}
		entry := Entry{Room: r.name, Protocol: m.Protocol, Addr: m.Addr, Agent: m.Agent, Query: m.query}
		c.Detached(func() {
			r.rules.ask(c, r.name, id, &admission{entry: entry, action: m.Action, who: m.Who, back: true}, decided)
		})
	}
}

// fromHome is what a room's home says to one away.
func (r *room) fromHome(c *actor.Context, msg any) {
	w := r.away
	if w == nil || c.From() != w.home {
		return
	}
	switch m := msg.(type) {
	case dismissed:
		if one := r.members[m.Local]; one != nil {
			one.dismissed = true
			r.put(one, m.Why.err())
		}
	case staged:
		w.stage = m.Who
	case moved:
		r.forgetHome(c) // look finds the new one
	case aired:
		r.air(m)
	}
}

// tellCounts tells home what viewers here have had.
func (r *room) tellCounts(c *actor.Context) {
	var t tally
	send := func() {
		if len(t.Local) > 0 {
			c.Send(r.away.home, t)
		}
		t = tally{}
	}
	if r.away.home.IsZero() {
		return
	}
	for id, m := range r.members {
		if m.viewer == nil {
			continue
		}
		t.Local, t.Counts = append(t.Local, id), append(t.Counts, m.viewer.Counts())
		if len(t.Local) == maxShown {
			send()
		}
	}
	send()
}

// air tells members by WebRTC here.
func (r *room) air(m aired) int {
	server := r.rooms.webrtc.Load()
	if server == nil || len(m.Text) > rtc.MaxMessage {
		return 0
	}
	return server.Tell(r.name, m.Whom, []byte(m.Text))
}

// scriptAway has home do what a script wants of the room.
func (r *room) scriptAway(c *actor.Context) {
	if r.away.home.IsZero() {
		c.Reply(value.Of(nil), nil)
		return
	}
	c.Forward(r.away.home)
}

// flow is for a link that is there, or is not any more: viewers wait as they do for a publisher.
func (r *room) flow(c *actor.Context, f flowing) {
	if r.away == nil || r.away.feed != f.feed {
		return
	}
	if !f.up {
		r.await(c)
		if r.away.home.IsZero() {
			r.seek(c, false)
		}
	} else if r.window != nil {
		r.window.Cancel()
		r.window = nil
	}
	r.bridge(c)
}
