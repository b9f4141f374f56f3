package room

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc"
)

// maxAsked is how many messages of members the rules may have at once. Those beyond are dropped.
const maxAsked = 256

// welcome makes a member of who comes by WebRTC. The first such publisher is on the stage as well: the room's stream shows it to viewers by other protocols.
func (r *room) welcome(c *actor.Context, m *member, a *admission) error {
	g := m.guest
	g.id, g.room, g.mute = m.ID, c.Self(), maps.Clone(r.muted)
	if m.Action == Play {
		g.notes = r.missing()
		return nil
	}
	if r.publisher != nil && r.publisher.guest == nil && a.who != "" && r.publisher.Who == a.who {
		r.put(r.publisher, ErrReplaced)
		r.publisher = nil
	}
	if r.publisher == nil {
		return r.stage(m)
	}
	return nil
}

// missing tells a viewer by WebRTC what it will not get of the publisher on the stage.
func (r *room) missing() (notes []string) {
	if r.publisher == nil || r.publisher.guest != nil {
		return nil
	}
	for _, t := range r.stream.Tracks() {
		if p := r.stream.Params(t); p != nil && t.Made == 0 && !rtc.Carries(p.Codec) && (t.Kind != media.Audio || r.cfg.Convert == nil) {
			notes = append(notes, fmt.Sprintf("no %s: it is %s, which WebRTC can't carry, and nothing is transcoded", t.Kind, p.Codec))
		}
	}
	return notes
}

// stage has a guest write the room's stream.
func (r *room) stage(m *member) (err error) {
	if m.publisher, err = r.stream.Publish(nil); err != nil {
		return err
	}
	r.hush(m)
	r.onStage(m)
	return r.feed(m)
}

// feed begins to make frames of what a guest on the stage sends, once it has got through.
func (r *room) feed(m *member) error {
	server := r.rooms.webrtc.Load()
	if server == nil || m.guest.session.ID == "" || m.publisher == nil {
		return nil
	}
	return server.Feed(m.guest.session.ID, m.publisher)
}

// promote puts the guest on the stage that has published for the longest, after the one before has left. ok is false if there is none.
func (r *room) promote(c *actor.Context) (ok bool) {
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		m := r.members[id]
		if m.Action != Publish || m.guest == nil || m.guest.out != nil {
			continue
		}
		if err := r.stage(m); err != nil {
			c.Log().Debug("not on the stage", "room", r.name, "member", id, "error", err) // it is about to leave
		}
		if r.publisher != nil {
			return true
		}
	}
	return false
}

// arrived is for a guest that has got through.
func (r *room) arrived(c *actor.Context, a arrived) {
	m := r.members[a.id]
	if m == nil {
		return
	}
	m.guest.session = a.session
	if m.guest.out != nil {
		r.dismiss(m, m.guest.out)
		return
	}
	if m.Action == Publish {
		r.hush(m) // what has been said since it was let in
	}
	if err := r.feed(m); err != nil {
		c.Log().Debug("not on the stage", "room", r.name, "member", m.ID, "error", err) // it has left already
	}
}

// dismiss puts a guest out, now or as soon as it has got through. If it never does the server says so.
func (r *room) dismiss(m *member, reason error) {
	m.guest.out = reason
	if server := r.rooms.webrtc.Load(); server != nil && m.guest.session.ID != "" {
		_ = server.End(m.guest.session.ID, reason.Error()) // it may have left
	}
}

// hush has what is muted of a publisher go nowhere.
func (r *room) hush(m *member) {
	for kind, name := range map[media.Kind]rtc.Kind{media.Audio: rtc.Audio, media.Video: rtc.Video} {
		on := r.muted[kind] || m.muted[kind]
		if m.publisher != nil {
			m.publisher.Mute(kind, on)
		}
		if server := r.rooms.webrtc.Load(); server != nil && m.guest != nil && m.guest.session.ID != "" {
			_ = server.Mute(r.name, m.guest.session.Who, name, on) // it may have left
		}
	}
}

// onScreen tells whom the room's stream shows, if that does not come by WebRTC to this node.
func (r *room) onScreen() (who string, ok bool) {
	switch {
	case r.own():
		return "", false
	case r.away != nil:
		return r.away.stage, r.away.feed.flows()
	case r.publisher != nil:
		return r.publisher.Who, true
	default:
		return "", false
	}
}

// own tells whether a guest of this node is on the stage.
func (r *room) own() bool {
	if r.away == nil {
		return r.publisher != nil && r.publisher.guest != nil
	}
	for _, m := range r.members {
		if m.up != nil && m.guest != nil {
			return true
		}
	}
	return false
}

// bridge shows a publisher that does not come by WebRTC to those who watch by it, as long as there are both.
func (r *room) bridge(c *actor.Context) {
	server := r.rooms.webrtc.Load()
	watched := r.guests > 0
	who, foreign := r.onScreen()
	if r.relay != nil && (r.relay.Err() != nil || !watched || r.own()) {
		r.relay.Close(nil)
		r.relay = nil
	}
	if server == nil || r.relay != nil || !watched || !foreign {
		return
	}
	v, err := r.stream.Join(media.ViewerConfig{Sound: []media.Codec{media.Opus}})
	if err == nil {
		if who == "" {
			who = "#" // which nobody else can be called
		}
		if err = server.Relay(r.name, who, v); err != nil {
			v.Close(err)
		}
	}
	if err != nil {
		c.Log().Error("viewers by WebRTC do not get what is published", "room", r.name, "error", err)
		return
	}
	r.relay = v
}

// speaking tells the rules who speaks.
func (r *room) speaking(c *actor.Context, s []rtc.Speaker) {
	if r.away != nil {
		if !r.away.home.IsZero() {
			c.Send(r.away.home, heard{s})
		}
		return
	}
	speakers := make([]any, len(s))
	for i, one := range s {
		speakers[i] = map[string]any{"who": one.Who, "level": one.Level}
	}
	r.rules.tell(c, "on_speaking", r.name, speakers)
}

// said passes on to the members by WebRTC what one of them says, if the rules do not keep it.
func (r *room) said(c *actor.Context, s said) {
	g, ok := s.from.Tag.(*guest)
	if !ok || r.members[g.id] == nil {
		return
	}
	if r.away == nil {
		r.speak(c, r.members[g.id], s.from.Who, s.text)
	} else if !r.away.home.IsZero() {
		c.Send(r.away.home, uttered{g.id, s.from.Who, s.text})
	}
}

// uttered is for what a member has said on another node.
func (r *room) uttered(c *actor.Context, u uttered) {
	if p := r.posts[c.From()]; p != nil && p.members[u.Local] != nil && len(u.Text) <= rtc.MaxMessage {
		r.speak(c, p.members[u.Local], u.Who, u.Text)
	}
}

func (r *room) speak(c *actor.Context, m *member, who, text string) {
	pass := func(text string) {
		if told, err := json.Marshal(map[string]string{"from": who, "text": text}); err == nil {
			r.broadcast(c, aired{"", string(told)})
		}
	}
	if r.rules.script == "" || r.rules.absent["on_message"] {
		pass(text)
		return
	}
	if r.asked >= maxAsked {
		r.cfg.Metrics.dropped.Inc()
		return
	}
	r.asked++
	r.rules.edit(c, r.name, m, text, func(text string, ok bool) {
		r.asked--
		if ok {
			pass(text)
		}
	})
}

// broadcast says something to members by WebRTC, on all nodes. It gives how many of this one were told.
func (r *room) broadcast(c *actor.Context, a aired) int {
	for ref := range r.posts {
		c.Send(ref, a)
	}
	return r.air(a)
}

// tell says something to the members by WebRTC, or to those of one name, from a script.
func (r *room) tell(c *actor.Context, args value.List) {
	text, ok := args.At(0).Str()
	if !ok || len(text) > rtc.MaxMessage {
		c.Reply(nil, fmt.Errorf("room %s: tell: expected a text of up to %d bytes", r.name, rtc.MaxMessage))
		return
	}
	whom, _ := args.At(1).Str()
	c.Reply(value.Of(r.broadcast(c, aired{whom, text})), nil)
}
