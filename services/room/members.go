package room

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/media"
)

// member is who somebody would be.
func (r *room) member(a *admission) *member {
	m := &member{began: time.Now(), guest: a.guest, muted: map[media.Kind]bool{}, MemberInfo: MemberInfo{
		ID: a.id, Who: a.who, Protocol: a.entry.Protocol, Addr: a.entry.Addr, Agent: a.entry.Agent, Action: a.action,
	}}
	if r.cfg.Cluster != nil {
		m.query = a.entry.Query
	}
	return m
}

// teller is how the room hears that a member has left.
func (r *room) teller(id uint64) func(reason error) {
	return func(reason error) {
		if !r.stopped.Load() {
			r.send(left{id, reason})
		}
	}
}

// join makes a viewer of the room's stream.
func (r *room) join(a *admission, told func(error)) (*media.Viewer, error) {
	opt := a.options
	opt.Left = told
	if opt.Lag <= 0 {
		opt.Lag = r.cfg.Lag
	}
	if opt.Patience <= 0 {
		opt.Patience = r.cfg.Patience
	}
	return r.stream.Join(opt)
}

// enter makes a member.
func (r *room) enter(c *actor.Context, a *admission) (m *member, err error) {
	m = r.member(a)
	told := r.teller(m.ID)
	switch {
	case a.post != nil:
		err = r.station(c, m, a, told)
	case a.guest != nil:
		err = r.welcome(c, m, a)
	case a.action == Publish:
		err = r.publish(m, a, told)
	default:
		m.viewer, err = r.join(a, told)
	}
	if err != nil {
		return nil, fmt.Errorf("room %s: %w", r.name, err)
	}
	r.add(c, m)
	if a.post == nil && m.Protocol != kindPull {
		r.grant(m, a, told)
	}
	if m.Action == Publish {
		r.settle(c)
	}
	r.bridge(c)
	return m, nil
}

// add puts a member among the others.
func (r *room) add(c *actor.Context, m *member) {
	r.members[m.ID] = m
	r.count(m, 1)
	if m.post == nil {
		r.cfg.Metrics.entered(m)
	}
	c.Log().Info("in the room", "room", r.name, "member", m.ID, "who", m.Who, "action", string(m.Action), "protocol", m.Protocol, "addr", m.Addr)
}

// grant gives who asked what it has asked for. If it has given up the member leaves the usual way.
func (r *room) grant(m *member, a *admission, told func(error)) {
	switch {
	case m.guest != nil: // who hears of its publisher only through the room
		if !a.grant(nil, nil, told) {
			told(nil)
		}
	case a.grant(m.publisher, m.viewer, nil):
	case m.publisher != nil:
		m.publisher.Close()
	default:
		m.viewer.Close(nil)
	}
}

// publish puts a publisher in the place of the one there is, if it is the same again.
func (r *room) publish(m *member, a *admission, told func(error)) (err error) {
	if r.publisher != nil {
		r.put(r.publisher, ErrReplaced)
		r.publisher.publisher.Close()
		r.publisher.cease() // a guest's, which wrote for another home
	}
	if m.publisher, err = r.stream.Publish(a.ended); err != nil {
		return err
	}
	m.publisher.AtEnd(told)
	r.hush(m)
	r.onStage(m)
	return nil
}

// onStage makes a member the one whom the room's stream shows.
func (r *room) onStage(m *member) {
	r.publisher = m
	if r.window != nil {
		r.window.Cancel()
		r.window = nil
	}
}

// count keeps the numbers of those who watch.
func (r *room) count(m *member, n int) {
	if m.Action != Play {
		return
	}
	r.viewers += n
	if m.guest != nil {
		r.guests += n
	}
}

func (r *room) info() Info {
	info := Info{Name: r.name, Live: r.publisher != nil, Counts: r.stream.Counts()}
	for _, t := range r.stream.Tracks() {
		if p := r.stream.Params(t); p != nil && t.Made == 0 {
			info.Tracks = append(info.Tracks, *p)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		info.Members = append(info.Members, r.members[id].info())
	}
	return info
}
