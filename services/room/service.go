package room

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// List asks for all rooms: answered by a []Info, by their names.
type List struct{}

// A room ends by agreement. Who comes to it is sent by the service, and may be on the way when the room finds that it has nobody; and since what is given up is not handed on, the room can't count what comes.
// So it tells how much has been sent as it was told last: that was before it in the mailbox. If the service has sent more, it tells the room of that.
type (
	// idle is what a room tells that has nobody.
	idle struct {
		name string
		sent uint64
	}
	// sent is what the service tells a room.
	sent struct{ messages uint64 }
)

// service is the actor that has a node's rooms as its children.
type service struct {
	rooms *Rooms
	rules rules
	made  uint64 // rooms so far
	table map[string]*place
	byRef map[actor.Ref]string
}

// place is a room in the table.
type place struct {
	ref  actor.Ref
	sent uint64 // messages
}

// Spec is that of the service. It stops before those whom its rooms ask: the launcher.
func (r *Rooms) Spec() actor.Spec {
	return actor.Spec{Name: ServiceName, New: func() actor.Actor {
		return &service{rooms: r, rules: rules{script: r.cfg.Rules, timeout: r.cfg.RulesTimeout}, table: map[string]*place{}, byRef: map[actor.Ref]string{}}
	}, Supervision: actor.Supervision{Limit: -1}}
}

// Stop ends what rooms do beside their actors.
func (s *service) Stop(*actor.Context, error) {
	s.rooms.end()
	s.rooms.tasks.Wait()
}

// Receive sends each message to its room.
func (s *service) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case *admission:
		s.admit(c, m)
	case idle:
		s.idle(c, m)
	case recorded:
		s.rules.tell(c, "on_record", m.file.Room, fileTable(m.file))
	case remoteNews:
		s.rules.tell(c, "on_remote", m.room, m.table)
	case List:
		s.list(c)
	case speaking:
		s.pass(c, m.room)
	case said:
		s.pass(c, m.room)
	case redeem:
		if s.table[m.asked.Room] == nil {
			c.Reply(nil, fmt.Errorf("%w in %s", ErrOffline, m.asked.Room))
			return
		}
		s.pass(c, m.asked.Room)
	case lua.Message:
		s.fromScript(c, m)
	case actor.Terminated:
		s.forget(m.Ref)
	default:
		c.Reply(nil, fmt.Errorf("room: %T is no message of the rooms", msg))
	}
}

func (s *service) admit(c *actor.Context, a *admission) {
	at := s.table[a.entry.Room]
	if at == nil {
		home, _, elsewhere := s.rooms.cfg.Cluster.elsewhere(a.entry.Room)
		if a.action == Play && !elsewhere { // rooms are made by those who have something to show
			c.Reply(nil, fmt.Errorf("%w in %s", ErrOffline, a.entry.Room))
			return
		}
		var err error
		if at, err = s.open(c, a.entry.Room, home); err != nil {
			c.Reply(nil, err)
			return
		}
	}
	s.hand(c, at)
}

// hand gives the message in hand to a room.
func (s *service) hand(c *actor.Context, at *place) {
	at.sent++
	c.Forward(at.ref)
	if at.sent == 1 {
		c.Send(at.ref, sent{at.sent}) // if it was given up, the room ends
	}
}

// open makes a room, which is at home elsewhere unless that is nobody.
func (s *service) open(c *actor.Context, name string, home actor.Ref) (*place, error) {
	if len(s.table) >= s.rooms.cfg.MaxRooms {
		return nil, fmt.Errorf("%w: %d", ErrCrowded, len(s.table))
	}
	s.made++
	ref, err := c.Spawn(actor.Spec{
		// Its number, since the one before it of this name may not quite have ended.
		Name: fmt.Sprintf("%s/%s.%d", ServiceName, name, s.made), Kind: "room", New: func() actor.Actor { return newRoom(s.rooms, name, home) },
		// A room that fails ends: its publisher and its viewers are out, and come back to a new one.
		Supervision: actor.Supervision{Limit: -1},
	})
	if err != nil {
		return nil, fmt.Errorf("room: %s: %w", name, err)
	}
	c.Watch(ref)
	at := &place{ref: ref}
	s.table[name], s.byRef[ref] = at, name
	s.rooms.cfg.Metrics.rooms.Set(float64(len(s.table)))
	return at, nil
}

// pass hands on what concerns a room, if it is still there.
func (s *service) pass(c *actor.Context, name string) {
	if at := s.table[name]; at != nil {
		s.hand(c, at)
	}
}

// idle ends a room with nobody, unless somebody is on the way to it.
func (s *service) idle(c *actor.Context, m idle) {
	at := s.table[m.name]
	switch {
	case at == nil || at.ref != c.From(): // another one has its name by now
	case at.sent != m.sent:
		c.Send(at.ref, sent{at.sent})
	default:
		s.forget(at.ref)
		c.Stop(at.ref, nil)
	}
}

func (s *service) forget(ref actor.Ref) {
	name, ok := s.byRef[ref]
	if !ok {
		return
	}
	delete(s.byRef, ref)
	delete(s.table, name)
	s.rooms.cfg.Metrics.rooms.Set(float64(len(s.table)))
}

func (s *service) list(c *actor.Context) {
	refs := make([]actor.Ref, 0, len(s.table))
	for _, name := range slices.Sorted(maps.Keys(s.table)) {
		refs = append(refs, s.table[name].ref)
	}
	c.AskAll(refs, describe{}, func(answers []actor.Answer) {
		all := make([]Info, 0, len(answers))
		for _, a := range answers {
			if info, ok := a.Value.(Info); ok { // a room that has just ended is left out
				all = append(all, info)
			}
		}
		c.Reply(all, nil)
	})
}

// fromScript takes the commands of scripts/skua/room.lua: those with a room go to it.
func (s *service) fromScript(c *actor.Context, m lua.Message) {
	var cmd, name string
	if err := m.Args.Scan(&cmd); err != nil {
		c.Reply(nil, fmt.Errorf("rooms: a command is expected: %w", err))
		return
	}
	switch cmd {
	case "list":
		all := []any{}
		for _, name := range s.names() {
			all = append(all, name)
		}
		c.Reply(value.Of(all), nil)
	case "sign":
		s.sign(c, m)
	default:
		if err := m.Args.Scan(&cmd, &name); err != nil {
			c.Reply(nil, fmt.Errorf("rooms: %s: the name of a room is expected: %w", cmd, err))
			return
		}
		if at := s.table[name]; at != nil {
			s.hand(c, at)
			return
		}
		if home, _, ok := s.rooms.cfg.Cluster.elsewhere(name); ok {
			c.Forward(home)
			return
		}
		if cmd == kindPull { // which makes rooms as a publisher does
			at, err := s.pulled(c, name)
			if err != nil {
				c.Reply(nil, err)
				return
			}
			s.hand(c, at)
			return
		}
		c.Reply(value.Of(nil), nil)
	}
}

func (s *service) pulled(c *actor.Context, name string) (*place, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	return s.open(c, name, actor.Ref{})
}

// names are those of the rooms of all nodes.
func (s *service) names() []string {
	all := slices.Collect(maps.Keys(s.table))
	if k := s.rooms.cfg.Cluster; k != nil {
		for after := namePrefix; ; {
			some, _ := k.Names.List(after, maxListed)
			for _, name := range some {
				if name, is := strings.CutPrefix(name, namePrefix); is {
					all = append(all, name)
				}
			}
			if len(some) < maxListed || !strings.HasPrefix(some[len(some)-1], namePrefix) {
				break
			}
			after = some[len(some)-1]
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// maxListed is how many names are looked through at a time.
const maxListed = 1000

func (s *service) sign(c *actor.Context, m lua.Message) {
	var cmd, name, action, who string
	var seconds int64
	if err := m.Args.Scan(&cmd, &name, &action, &who, &seconds); err != nil {
		c.Reply(nil, fmt.Errorf("rooms: sign: a room, an action, who and seconds are expected: %w", err))
		return
	}
	cfg := &s.rooms.cfg
	err := CheckName(name)
	switch {
	case err != nil:
	case Action(action) != Publish && Action(action) != Play:
		err = fmt.Errorf("rooms: sign: action %q, expected publish or play", action)
	case len(cfg.Keys) == 0:
		err = fmt.Errorf("rooms: sign: there is no media.keys to sign with")
	case len(who) > MaxName:
		err = fmt.Errorf("rooms: sign: who has %d bytes, up to %d are allowed", len(who), MaxName)
	}
	if err != nil {
		c.Reply(nil, err)
		return
	}
	c.Reply(value.Of(Sign(cfg.Keys[0], Action(action), name, who, cfg.Now().Add(time.Duration(seconds)*time.Second))), nil)
}
