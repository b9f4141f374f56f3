package room

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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
	last      uint64 // the newest member's id
	deciding  int    // admissions that the rules have
	handled   uint64
	window    *actor.Timer // while viewers wait for a publisher
	tape      *record.Recording
	stopped   atomic.Bool   // nobody needs to be told of members any more
	relay     *media.Viewer // what viewers by WebRTC see of a publisher that does not come by it; nil: nothing
	asked     int           // messages of members that the rules have
	viewers   int           // members that watch, by whatever protocol
	guests    int           // of them, those by WebRTC
}

// member is somebody who is in.
type member struct {
	MemberInfo
	began     time.Time
	publisher *media.Publisher
	viewer    *media.Viewer
	guest     *guest              // or nil: it does not come by WebRTC
	muted     map[media.Kind]bool // of itself, beside the room's
}

func newRoom(rooms *Rooms, name string) *room {
	return &room{
		rooms: rooms, cfg: &rooms.cfg, name: name, rules: rules{script: rooms.cfg.Rules, timeout: rooms.cfg.RulesTimeout},
		stream: media.New(rooms.cfg.Stream), members: map[uint64]*member{}, muted: map[media.Kind]bool{},
	}
}

// Start begins to tell the rules how the room does.
func (r *room) Start(c *actor.Context) error {
	if r.rules.script != "" {
		c.Every(r.cfg.StatsEvery, func() { r.stats(c) })
	}
	return nil
}

// Stop puts everybody out.
func (r *room) Stop(*actor.Context, error) {
	r.stopped.Store(true)
	r.stream.Close(fmt.Errorf("%w: room %s has ended", ErrOffline, r.name))
	for _, m := range r.members {
		r.cfg.Metrics.left(m)
		if m.guest != nil {
			r.dismiss(m, fmt.Errorf("%w: room %s has ended", ErrOffline, r.name))
		}
	}
}

// Receive handles what comes to the room.
func (r *room) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case *admission:
		r.admit(c, m)
	case left:
		r.gone(c, m)
	case arrived:
		r.arrived(c, m)
	case speaking:
		r.speaking(c, m)
	case said:
		r.said(c, m)
	case describe:
		c.Reply(r.info(), nil)
	case lua.Message:
		r.fromScript(c, m)
	default:
		c.Reply(nil, fmt.Errorf("room: %T is no message of a room", msg))
	}
}

// admit asks the rules and then lets in.
func (r *room) admit(c *actor.Context, a *admission) {
	r.handled++
	if err := r.possible(a); err != nil {
		r.refuse(c, err)
		return
	}
	r.deciding++
	r.last++
	id := r.last
	r.rules.ask(c, r.name, id, a, func(err error) {
		r.deciding--
		// The room may have got another publisher meanwhile, or lost the one there was.
		if err == nil {
			err = r.possible(a)
		}
		if err == nil {
			err = r.enter(c, id, a)
		}
		if err != nil {
			r.refuse(c, err)
			return
		}
		c.Reply(nil, nil)
	})
}

func (r *room) refuse(c *actor.Context, err error) {
	c.Reply(nil, err)
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

// enter makes a member.
func (r *room) enter(c *actor.Context, id uint64, a *admission) error {
	m := &member{began: time.Now(), guest: a.guest, muted: map[media.Kind]bool{}, MemberInfo: MemberInfo{
		ID: id, Who: a.who, Protocol: a.entry.Protocol, Addr: a.entry.Addr, Agent: a.entry.Agent, Action: a.action,
	}}
	sys, self := c.System(), c.Self()
	told := func(reason error) {
		if !r.stopped.Load() {
			sys.Send(self, left{id, reason})
		}
	}
	var err error
	switch {
	case a.guest != nil:
		err = r.welcome(c, m, a)
	case a.action == Publish:
		err = r.publish(m, a, told)
	default:
		opt := a.options
		opt.Left = told
		if opt.Lag <= 0 {
			opt.Lag = r.cfg.Lag
		}
		if opt.Patience <= 0 {
			opt.Patience = r.cfg.Patience
		}
		m.viewer, err = r.stream.Join(opt)
	}
	if err != nil {
		return fmt.Errorf("room %s: %w", r.name, err)
	}
	r.members[id] = m
	r.count(m, 1)
	r.cfg.Metrics.entered(m)
	r.grant(m, a, told)
	r.bridge(c)
	c.Log().Info("in the room", "room", r.name, "member", id, "who", m.Who, "action", string(m.Action), "protocol", m.Protocol, "addr", m.Addr)
	return nil
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

// gone is for a member that has left, of itself or not.
func (r *room) gone(c *actor.Context, m left) {
	one := r.members[m.id]
	if one == nil {
		return
	}
	delete(r.members, m.id)
	r.count(one, -1)
	r.cfg.Metrics.left(one)
	reason := ""
	if m.reason != nil && !errors.Is(m.reason, media.ErrClosed) {
		reason = m.reason.Error()
	}
	c.Log().Info("left the room", "room", r.name, "member", m.id, "who", one.Who, "action", string(one.Action), "reason", reason)
	r.rules.tell(c, "on_leave", r.name, one.Who, one.table(reason))
	if one.publisher != nil {
		one.publisher.Close() // a guest's may still be open
	}
	if one == r.publisher {
		r.publisher = nil
		if !r.promote(c) {
			r.window = c.After(r.cfg.Reconnect, func() { r.over(c) })
		}
	}
	r.bridge(c)
	r.rest(c)
}

// over ends the viewers' waiting.
func (r *room) over(c *actor.Context) {
	r.window = nil
	r.stream.Close(fmt.Errorf("%w in %s any more", ErrOffline, r.name))
	r.stream = media.New(r.cfg.Stream)
	for _, m := range r.members {
		if m.guest != nil {
			r.put(m, fmt.Errorf("%w in %s any more", ErrOffline, r.name))
		}
	}
	r.rest(c)
}

// rest tells the service when there is nobody, and nobody is waited for.
func (r *room) rest(c *actor.Context) {
	if len(r.members) > 0 || r.deciding > 0 || r.window != nil {
		return
	}
	if service, ok := c.System().Lookup(ServiceName); ok {
		c.Send(service, idle{r.name, r.handled})
	}
}

func (r *room) info() Info {
	info := Info{Name: r.name, Live: r.publisher != nil, Counts: r.stream.Counts()}
	for _, t := range r.stream.Tracks() {
		if p := r.stream.Params(t); p != nil {
			info.Tracks = append(info.Tracks, *p)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.members)) {
		info.Members = append(info.Members, r.members[id].info())
	}
	return info
}

func (m *member) info() MemberInfo {
	info := m.MemberInfo
	info.Since = time.Since(m.began)
	if m.viewer != nil {
		info.Counts = m.viewer.Counts()
	}
	return info
}
