package room

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/record"
)

// describe asks a room for its Info.
type describe struct{}

// left is what a room hears of a member that has gone.
type left struct {
	id     uint64
	reason error
}

// Info is what there is to know of a room.
type Info struct {
	Name string
	// Live: somebody publishes now.
	Live    bool
	Members []MemberInfo
	Tracks  []media.Params
	Counts  media.Counts
}

// MemberInfo is one of those who are in a room.
type MemberInfo struct {
	ID                         uint64
	Who, Protocol, Addr, Agent string
	Action                     Action
	Since                      time.Duration
	Counts                     media.ViewerCounts // of viewers
	// Node is that of a member on another one.
	Node string
}

// room is one room's actor.
type room struct {
	rooms *Rooms
	cfg   *Config
	name  string
	rules rules

	stream    *media.Stream
	publisher *member
	members   map[uint64]*member
	muted     map[media.Kind]bool
	last      uint64       // the newest member's id
	deciding  int          // admissions that the rules have
	sent      uint64       // messages to it, as the service has told
	window    *actor.Timer // while viewers wait for a publisher
	tape      *record.Recording
	stopped   atomic.Bool   // nobody needs to be told of members any more
	relay     *media.Viewer // what viewers by WebRTC see of a publisher that does not come by it; nil: nothing
	asked     int           // messages of members that the rules have
	viewers   int           // members that watch, by whatever protocol
	guests    int           // of them, those by WebRTC

	self actor.Ref
	send func(msg any) // to the room itself

	remotes    map[uint64]*remote
	lastRemote uint64

	// With other nodes.
	made     time.Time // or became this node's
	streamID uint64    // counts its streams
	posts    map[actor.Ref]*post
	away     *away     // nil: the room is at home here
	found    actor.Ref // where it is at home when it begins; zero: here
}

// member is somebody who is in.
type member struct {
	MemberInfo
	began     time.Time
	publisher *media.Publisher
	viewer    *media.Viewer
	guest     *guest              // or nil: it does not come by WebRTC
	muted     map[media.Kind]bool // of itself, beside the room's
	query     url.Values          // of its URL, in a cluster

	// Of one on another node.
	post   *post
	local  uint64 // its number there
	ticket string // of a publisher's link
	inflow *inflow

	// Of a publisher here while the room is at home elsewhere, or was.
	up        *media.Stream      // what it writes
	stop      context.CancelFunc // ends that this is carried
	carried   *atomic.Bool       // whether the link to home is there; nil: none is tried
	shown     *media.Publisher   // of the room's stream, once this is home
	dismissed bool               // home knows
}

func newRoom(rooms *Rooms, name string, found actor.Ref) *room {
	return &room{
		rooms: rooms, cfg: &rooms.cfg, name: name, rules: rules{script: rooms.cfg.Rules, timeout: rooms.cfg.RulesTimeout},
		stream: media.New(rooms.cfg.stream(name)), members: map[uint64]*member{}, muted: map[media.Kind]bool{}, posts: map[actor.Ref]*post{}, remotes: map[uint64]*remote{}, made: time.Now(), found: found,
	}
}

// Start begins to tell the rules how the room does, and to look after its home.
func (r *room) Start(c *actor.Context) error {
	sys, self := c.System(), c.Self()
	r.self, r.send = self, func(msg any) { sys.Send(self, msg) }
	if r.rules.script != "" || r.cfg.Cluster != nil {
		c.Every(r.cfg.StatsEvery, func() { r.stats(c) })
	}
	if r.cfg.Cluster == nil {
		return nil
	}
	c.Every(lookEvery, func() { r.look(c) })
	if !r.found.IsZero() {
		r.leave(c, r.found)
	}
	return nil
}

// Stop puts everybody out.
func (r *room) Stop(*actor.Context, error) {
	r.stopped.Store(true)
	r.stream.Close(fmt.Errorf("%w: room %s has ended", ErrOffline, r.name))
	for _, o := range r.remotes {
		o.stop()
	}
	if r.away != nil {
		r.unfeed()
	}
	for _, m := range r.members {
		m.cease()
		if m.post == nil {
			r.cfg.Metrics.left(m)
		}
		if m.up != nil && m.publisher != nil {
			m.publisher.End(fmt.Errorf("%w: room %s has ended", ErrOffline, r.name))
		}
		if m.guest != nil {
			r.dismiss(m, fmt.Errorf("%w: room %s has ended", ErrOffline, r.name))
		}
	}
}

// Receive handles what comes to the room.
func (r *room) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case *admission:
		r.route(c, m, 0)
	case sent:
		r.sent = m.messages
		r.rest(c)
	case left:
		r.gone(c, m)
	case arrived:
		r.arrived(c, m)
	case speaking:
		r.speaking(c, m.speakers)
	case heard:
		if r.posts[c.From()] != nil {
			r.speaking(c, m.Speakers)
		}
	case said:
		r.said(c, m)
	case describe:
		c.Reply(r.info(), nil)
	case lua.Message:
		r.fromScript(c, m)
	case flowing:
		r.flow(c, m)
	case pulled:
		r.pulls(c, m.remote)
	case change:
		r.changed(c, m)
	case finished:
		m.then(c)
	case redeem:
		r.redeem(c, m)
	case silent:
		r.quiet(c, m)
	case enter:
		r.letIn(c, m)
	case attach:
		r.fetch(c)
	case parted:
		r.departed(c, m)
	case present:
		r.reconciled(c, m)
	case tally:
		r.tallied(c, m)
	case uttered:
		r.uttered(c, m)
	case dismissed, staged, moved, aired:
		r.fromHome(c, m)
	case actor.Terminated:
		r.ended(c, m.Ref)
	default:
		c.Reply(nil, fmt.Errorf("room: %T is no message of a room", msg))
	}
}

// admitHere asks the rules and then lets in.
func (r *room) admitHere(c *actor.Context, a *admission) {
	if err := r.possible(a); err != nil {
		r.refuse(c, a, err)
		return
	}
	r.deciding++
	if a.id == 0 {
		r.last++
		a.id = r.last
	}
	r.rules.ask(c, r.name, a.id, a, func(err error) {
		r.deciding--
		// The room may have got another home meanwhile, or another publisher, or lost the one there was.
		if r.away != nil && a.post == nil {
			r.admitAway(c, a, 0)
			return
		}
		switch {
		case err != nil:
		case r.away != nil:
			err = errElsewhere
		case a.post != nil && (r.posts[a.post.ref] != a.post || a.post.waiting[a.local] != a):
			err = errElsewhere // who asked so has given up, or asks again
		default:
			err = r.possible(a)
		}
		var m *member
		if err == nil {
			m, err = r.enter(c, a)
		}
		switch {
		case err != nil:
			r.refuse(c, a, err)
		case a.post != nil:
			c.Reply(r.permit(m), nil)
		default:
			c.Reply(nil, nil)
		}
	})
}

func (r *room) refuse(c *actor.Context, a *admission, err error) {
	if a.post != nil {
		a.post.forget(a)
		c.Reply(refused{reasonFor(err)}, nil)
	} else {
		r.disown(c, a)
		c.Reply(nil, err)
	}
	r.rest(c)
}

// possible tells what stands against somebody coming in, whoever it is.
func (r *room) possible(a *admission) error {
	switch {
	case a.action == Play && r.publisher == nil && r.window == nil:
		return fmt.Errorf("%w in %s", ErrOffline, r.name)
	case a.action == Play && r.viewers >= r.cfg.Stream.MaxViewers:
		return fmt.Errorf("room %s: %w: %d viewers", r.name, media.ErrFull, r.cfg.Stream.MaxViewers)
	case a.guest != nil: // of whom there may be any number
	case a.action == Publish && r.publisher != nil && (a.who == "" || a.who != r.publisher.Who):
		return fmt.Errorf("room %s: %w", r.name, media.ErrBusy)
	}
	return nil
}

// finished is what comes back of what run has begun.
type finished struct{ then func(c *actor.Context) }

// run does what takes its time beside the room, until that is done, stop is called or the rooms end; then runs in the room, but not after stop.
func (r *room) run(work func(ctx context.Context) error, then func(c *actor.Context, err error)) (stop context.CancelFunc) {
	ctx, stop := context.WithCancel(r.rooms.life)
	r.rooms.tasks.Go(func() {
		defer stop()
		err := work(ctx)
		if ctx.Err() == nil && !r.stopped.Load() {
			r.send(finished{func(c *actor.Context) { then(c, err) }})
		}
	})
	return stop
}

// gone is for a member that has left, of itself or not.
func (r *room) gone(c *actor.Context, m left) {
	one := r.members[m.id]
	if one == nil {
		return
	}
	delete(r.members, m.id)
	r.count(one, -1)
	one.cease()
	reason := ""
	if m.reason != nil && !errors.Is(m.reason, media.ErrClosed) {
		reason = m.reason.Error()
	}
	c.Log().Info("left the room", "room", r.name, "member", m.id, "who", one.Who, "action", string(one.Action), "reason", reason)
	if one.post == nil {
		r.cfg.Metrics.left(one)
	} else if one.post.members[one.local] == one {
		delete(one.post.members, one.local)
		c.Send(one.post.ref, dismissed{one.local, reasonFor(m.reason)})
	}
	if one.publisher != nil {
		one.publisher.Close() // a guest's may still be open
	}
	if one.up != nil {
		one.up.Close(nil)
	}
	if r.away != nil {
		r.goneAway(c, one, m.reason)
		return
	}
	r.rules.tell(c, "on_leave", r.name, one.Who, one.table(reason))
	if one == r.publisher {
		r.publisher = nil
		if !r.promote(c) {
			r.await(c)
		}
		r.settle(c)
	}
	r.bridge(c)
	r.rest(c)
}

// await has viewers wait for a publisher.
func (r *room) await(c *actor.Context) {
	if r.window == nil {
		c.Detached(func() { r.window = c.After(r.cfg.Reconnect, func() { r.over(c) }) })
	}
}

// over ends the viewers' waiting.
func (r *room) over(c *actor.Context) {
	r.window = nil
	r.stream.Close(fmt.Errorf("%w in %s any more", ErrOffline, r.name))
	r.stream = media.New(r.cfg.stream(r.name))
	r.streamID++
	r.endForwards(c)
	if r.away != nil {
		r.renew(c)
	}
	for _, m := range r.members {
		if m.Action == Play && (m.guest != nil || m.post != nil) {
			r.put(m, fmt.Errorf("%w in %s any more", ErrOffline, r.name))
		}
	}
	r.rest(c)
}

// rest tells the service when there is nobody, and nobody is waited for.
func (r *room) rest(c *actor.Context) {
	if len(r.members) > 0 || r.deciding > 0 || r.window != nil || r.pulling() || r.away != nil && r.away.linger != nil {
		return
	}
	if service, ok := c.System().Lookup(ServiceName); ok {
		c.Send(service, idle{r.name, r.sent})
	}
}

func (m *member) info() MemberInfo {
	info := m.MemberInfo
	info.Since = time.Since(m.began)
	if m.post != nil {
		info.Node = m.post.ref.Node()
	}
	if m.viewer != nil {
		info.Counts = m.viewer.Counts()
	}
	return info
}
