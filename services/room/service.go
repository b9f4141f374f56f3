package room

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// List asks for all rooms: answered by a []Info, by their names.
type List struct{}

// idle is what a room tells that has nobody, and has handled so many admissions.
type idle struct {
	name    string
	handled uint64
}

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
	sent uint64 // admissions
}

// Spec is that of the service. It stops before those whom its rooms ask: the launcher.
func (r *Rooms) Spec() actor.Spec {
	return actor.Spec{Name: ServiceName, New: func() actor.Actor {
		return &service{rooms: r, rules: rules{script: r.cfg.Rules, timeout: r.cfg.RulesTimeout}, table: map[string]*place{}, byRef: map[actor.Ref]string{}}
	}, Supervision: actor.Supervision{Limit: -1}}
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
	case List:
		s.list(c)
	case speaking:
		s.pass(c, m.room)
	case said:
		s.pass(c, m.room)
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
		if a.action == Play { // rooms are made by those who have something to show
			c.Reply(nil, fmt.Errorf("%w in %s", ErrOffline, a.entry.Room))
			return
		}
		if len(s.table) >= s.rooms.cfg.MaxRooms {
			c.Reply(nil, fmt.Errorf("%w: %d", ErrCrowded, len(s.table)))
			return
		}
		name := a.entry.Room
		s.made++
		ref, err := c.Spawn(actor.Spec{
			// Its number, since the one before it of this name may not quite have ended.
			Name: fmt.Sprintf("%s/%s.%d", ServiceName, name, s.made), Kind: "room", New: func() actor.Actor { return newRoom(s.rooms, name) },
			// A room that fails ends: its publisher and its viewers are out, and come back to a new one.
			Supervision: actor.Supervision{Limit: -1},
		})
		if err != nil {
			c.Reply(nil, fmt.Errorf("room: %s: %w", name, err))
			return
		}
		c.Watch(ref)
		at = &place{ref: ref}
		s.table[name], s.byRef[ref] = at, name
		s.rooms.cfg.Metrics.rooms.Set(float64(len(s.table)))
	}
	at.sent++
	c.Forward(at.ref)
}

// pass hands on what concerns a room, if it is still there.
func (s *service) pass(c *actor.Context, name string) {
	if at := s.table[name]; at != nil {
		c.Forward(at.ref)
	}
}

// idle ends a room with nobody, unless somebody is on the way to it.
func (s *service) idle(c *actor.Context, m idle) {
	if at := s.table[m.name]; at != nil && at.sent == m.handled {
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
		names := make([]any, 0, len(s.table))
		for _, name := range slices.Sorted(maps.Keys(s.table)) {
			names = append(names, name)
		}
		c.Reply(value.Of(names), nil)
	case "sign":
		s.sign(c, m)
	default:
		if err := m.Args.Scan(&cmd, &name); err != nil {
			c.Reply(nil, fmt.Errorf("rooms: %s: the name of a room is expected: %w", cmd, err))
			return
		}
		if at := s.table[name]; at != nil {
			c.Forward(at.ref)
			return
		}
		c.Reply(value.Of(nil), nil)
	}
}

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
