package room

import (
	"fmt"
	"maps"
	"slices"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/media"
)

// fromScript takes the commands of scripts/skua/room.lua: kick, mute, close, info, record_start, forward, pull and their ends; each begins with the room's name, which has been found.
func (r *room) fromScript(c *actor.Context, m lua.Message) {
	var cmd, name string
	_ = m.Args.Scan(&cmd, &name) // the service has done so
	if r.away != nil {
		r.scriptAway(c)
		return
	}
	args := m.Args.Rest(2)
	switch cmd {
	case "info":
		c.Reply(value.Of(r.table()), nil)
	case "kick":
		reason, _ := args.At(1).Str()
		c.Reply(value.Of(r.kick(args.At(0), reason)), nil)
	case "mute":
		r.mute(c, args)
	case "close":
		reason, _ := args.At(0).Str()
		n := 0
		for _, one := range r.members {
			r.put(one, kicked(reason))
			n++
		}
		c.Reply(value.Of(n), nil)
	case "tell":
		r.tell(c, args)
	case kindForward, kindPull, "forward_stop", "pull_stop":
		r.remoteCommand(c, cmd, args)
	case "record_start":
		r.record(c, args)
	case "record_stop":
		r.stopRecord(c)
	default:
		c.Reply(nil, fmt.Errorf("room %s: %q is no command: kick, mute, close, tell, info, record_start, record_stop, forward, forward_stop, pull or pull_stop is expected", r.name, cmd))
	}
}

func kicked(reason string) error {
	if reason == "" {
		return ErrKicked
	}
	return fmt.Errorf("%w: %s", ErrKicked, reason[:min(len(reason), maxReason)])
}

// kick puts members out: the one of an id, or all that go by a name. It gives how many.
func (r *room) kick(whom value.Value, reason string) int {
	n := 0
	for _, one := range r.members {
		if one.is(whom) {
			r.put(one, kicked(reason))
			n++
		}
	}
	return n
}

// is tells whether a script means a member: by its id, or its name.
func (m *member) is(whom value.Value) bool {
	if id, ok := whom.Int(); ok {
		return m.ID == uint64(id)
	}
	who, _ := whom.Str()
	return who != "" && m.Who == who
}

// put ends a member; it leaves the usual way.
func (r *room) put(m *member, reason error) {
	switch {
	case m.guest != nil:
		r.dismiss(m, reason)
	case m.publisher != nil:
		m.publisher.End(reason)
		m.cease()
	case m.viewer != nil:
		m.viewer.Close(reason)
	default: // on another node
		r.send(left{m.ID, reason})
	}
}

// mute leaves out sound or pictures until it is taken back: the room's, of later publishers, too, or those of one member while it is in.
func (r *room) mute(c *actor.Context, args value.List) {
	kinds := map[string]media.Kind{media.Audio.String(): media.Audio, media.Video.String(): media.Video}
	name, _ := args.At(0).Str()
	kind, ok := kinds[name]
	if !ok {
		c.Reply(nil, fmt.Errorf("room %s: mute %v, expected audio or video", r.name, args.At(0).Any()))
		return
	}
	on := args.At(1).IsNil() || args.At(1).Bool()
	whom := args.At(2)
	if whom.IsNil() {
		r.muted[kind] = on
	}
	for _, one := range r.members {
		if one.Action != Publish || !whom.IsNil() && !one.is(whom) {
			continue
		}
		if !whom.IsNil() {
			one.muted[kind] = on
		}
		r.hush(one)
	}
	c.Reply(value.Of(on), nil)
}

// stats tells the rules how the room does.
func (r *room) stats(c *actor.Context) {
	if r.away != nil {
		r.tellCounts(c)
		return
	}
	r.rules.tell(c, "on_stats", r.name, r.table())
}

// maxShown is how many members a script is shown at once.
const maxShown = 1000

// table is the room as scripts see it.
func (r *room) table() map[string]any {
	counts := r.stream.Counts()
	tracks := []any{}
	for _, t := range r.stream.Tracks() {
		if p := r.stream.Params(t); p != nil && t.Made == 0 {
			one := map[string]any{"kind": t.Kind.String(), "codec": p.Codec.String()}
			if t.Kind == media.Video {
				one["width"], one["height"] = p.Width, p.Height
			} else {
				one["rate"], one["channels"] = p.SampleRate, p.Channels
			}
			tracks = append(tracks, one)
		}
	}
	members := []any{}
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		if len(members) == maxShown {
			break
		}
		members = append(members, r.members[id].table(""))
	}
	return map[string]any{
		"name": r.name, "live": r.publisher != nil, "viewers": r.viewers, "recording": r.recording(), "remotes": r.remoteTables(), "tracks": tracks, "members": members,
		"frames": int64(counts.Frames), "bytes": int64(counts.Bytes), "jumps": int64(counts.Jumps),
	}
}

// table is a member as scripts see it.
func (m *member) table(reason string) map[string]any {
	info := m.info()
	t := map[string]any{
		"id": int64(info.ID), "who": info.Who, "action": string(info.Action), "protocol": info.Protocol, "addr": info.Addr, "seconds": info.Since.Seconds(),
	}
	if reason != "" {
		t["reason"] = reason
	}
	if info.Node != "" {
		t["node"] = info.Node
	}
	if m.Action == Play && m.guest == nil {
		t["bytes"], t["skips"], t["skipped"] = int64(info.Counts.Bytes), int64(info.Counts.Skips), int64(info.Counts.Skipped)
	}
	return t
}
