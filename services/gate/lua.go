package gate

import (
	"fmt"
	"strconv"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/packet"
)

// Module is `require "gate"` for scripts, for the sessions of all gates that share s:
//
//	push(session or list of sessions, route, body [, delivery])
//	kick(session, code [, message])
//	push_to(uid, route, body [, delivery]): to a player, on whatever node it is
//	online(uid): whether a player is in, on any node; it waits for the answers
//	group() with add(session), remove(session), push(route, body [, delivery]), count(), close()
//
// A delivery is a table: class is "reliable", "latest" or "droppable", and key tells apart, for "latest", what does not replace each other. But for online none of it waits, and a
// session that is gone is passed over.
func (s *Sessions) Module() lua.Module {
	return lua.Module{Name: ServiceName, Open: func(h *lua.Host, st vm.State) {
		st.NewTable(0, 5)
		for name, f := range map[string]vm.Func{
			"push": s.apiPush, "kick": s.apiKick, "group": s.apiGroup, "push_to": s.apiPushTo, "online": func(st vm.State) int { return s.apiOnline(h, st) },
		} {
			st.PushFunc(name, f)
			st.SetField(-2, name)
		}
	}}
}

// Module is that of the gate's Sessions.
func (g *Gate) Module() lua.Module { return g.cfg.Sessions.Module() }

// What a push counts for in a script's budget, in instructions: what it takes to encode one, and to hand it to each who gets it. A handler that pushes without end
// then lets others have the core in between, as one that computes does.
const (
	pushCost     = 200
	pushCostEach = 20
)

// apiPush encodes once, however many get it, and sends to all of the list or, should something be wrong, to none. To nobody it is next to nothing: the client of a
// handler that pushes a lot may be gone after a part of it.
func (s *Sessions) apiPush(st vm.State) int {
	to := s.listed(st)
	st.Spend(pushCostEach * (1 + len(to)))
	if _, ok := st.String(2); ok && len(to) == 0 {
		return 0
	}
	st.Spend(pushCost)
	route, body, d := pushed(st, 2, "gate.push")
	full, err := push(to, route, body, d)
	if err != nil {
		st.Errorf("gate.push %s: %s", route, err.Error())
	}
	for _, one := range full {
		one.end(errOverflow)
	}
	return 0
}

// pushed reads what is pushed from argument i on: a route, a body and how it is delivered.
func pushed(st vm.State, i int, what string) (route string, body value.Value, d Delivery) {
	route, ok := st.String(i)
	if !ok {
		st.Errorf("%s: a route is expected as argument %d, got %s", what, i, st.Type(i))
	}
	top := st.Top()
	d = deliveryAt(st, i+2, what)
	if top > i {
		st.SetTop(i + 1)
		l, err := lua.TakeList(st, i+1)
		if err != nil {
			st.Errorf("%s %s: body: %s", what, route, err.Error())
		}
		body = l.At(0)
	}
	return route, body, d
}

// classes are how scripts call them.
var classes = map[string]Class{"reliable": Reliable, "latest": Latest, "droppable": Droppable} //nolint:gochecknoglobals // a constant

// maxKey bounds the key of a push.
const maxKey = 64

// deliveryAt reads how a push is delivered; nothing is reliable.
func deliveryAt(st vm.State, i int, what string) (d Delivery) {
	if st.Top() < i || st.Type(i) == vm.Nil {
		return d
	}
	if st.Type(i) != vm.Table {
		st.Errorf("%s: a table such as { class = \"latest\", key = \"pos\" } is expected as argument %d, got %s", what, i, st.Type(i))
	}
	st.SetTop(i)
	st.Field(i, "class")
	if st.Type(-1) != vm.Nil {
		name, ok := st.String(-1)
		class, known := classes[name]
		if !ok || !known {
			st.Errorf("%s: class is %q, expected \"reliable\", \"latest\" or \"droppable\"", what, st.Text(-1))
		}
		d.Class = class
	}
	st.Field(i, "key")
	if t := st.Type(-1); t != vm.Nil {
		key, ok := st.String(-1)
		if n, isInt := st.Int(-1); !ok && isInt {
			key, ok = strconv.FormatInt(n, 10), true
		}
		if !ok || len(key) > maxKey {
			st.Errorf("%s: key is a string of at most %d bytes or an integer, got %s", what, maxKey, t)
		}
		d.Key = key
	}
	return d
}

// listed reads argument 1: a session or a list of them. Those that are gone are left out.
func (s *Sessions) listed(st vm.State) []*Session {
	if st.Type(1) != vm.Table {
		if one := s.Find(sessionAt(st, 1, "gate.push: argument 1")); one != nil {
			return []*Session{one}
		}
		return nil
	}
	n := st.Len(1)
	to := make([]*Session, 0, n)
	for i := range n {
		st.RawGetInt(1, int64(i)+1)
		one := s.Find(sessionAt(st, -1, fmt.Sprintf("gate.push: argument 1[%d]", i+1)))
		st.Pop(1)
		if one != nil {
			to = append(to, one)
		}
	}
	return to
}

func sessionAt(st vm.State, i int, what string) uint64 {
	id, ok := st.Int(i)
	if !ok {
		st.Errorf("%s: a session is expected, got %s", what, st.Type(i))
	}
	return uint64(id)
}

// maxReason bounds what a script can put into a kick, which every client has to be able to read.
const maxReason = 1 << 10

func (s *Sessions) apiKick(st vm.State) int {
	id := sessionAt(st, 1, "gate.kick: argument 1")
	code, ok := st.String(2)
	if !ok || code == "" {
		st.Errorf("gate.kick: a code is expected as argument 2, got %s", st.Type(2))
	}
	msg, _ := st.String(3)
	if len(code)+len(msg) > maxReason {
		st.Errorf("gate.kick: code and message have %d bytes, at most %d are allowed", len(code)+len(msg), maxReason)
	}
	if one := s.Find(id); one != nil {
		one.end(&refusal{packet.Reason{Code: code, Msg: msg}})
	}
	return 0
}
