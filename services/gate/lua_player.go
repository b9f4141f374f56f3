package gate

import (
	"sync/atomic"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// maxUID bounds what a script can ask for.
const maxUID = 256

func uidAt(st vm.State, what string) string {
	uid, ok := st.String(1)
	if !ok || uid == "" || len(uid) > maxUID {
		st.Errorf("%s: a player's uid of 1 to %d bytes is expected as argument 1, got %s", what, maxUID, st.Type(1))
	}
	return uid
}

// apiPushTo pushes to a player on whatever node it is.
func (s *Sessions) apiPushTo(st vm.State) int {
	const what = "gate.push_to"
	uid := uidAt(st, what)
	st.Spend(pushCost)
	route, body, d := pushed(st, 2, what)
	for _, g := range s.all() {
		encoded, err := g.cfg.Bodies.Append(nil, route, codec.Push, body)
		if err != nil {
			st.Errorf("%s %s: %s", what, route, err.Error())
		}
		frame, err := g.framePush(route, encoded, false)
		if err != nil {
			st.Errorf("%s %s: %s", what, route, err.Error())
		}
		if players, ok := g.sys.Lookup(g.cfg.Name); ok {
			g.sys.Send(players, everywhere{toPlayer{uid, relay{Frame: frame, Route: route, Class: d.Class, Key: d.Key}}})
		}
	}
	return 0
}

// apiOnline waits until it is known whether a player is in, at any gate of any node.
func (s *Sessions) apiOnline(h *lua.Host, st vm.State) int {
	const what = "gate.online"
	uid := uidAt(st, what)
	gates := s.all()
	if len(gates) == 0 {
		st.PushBool(false)
		return 1
	}
	var in atomic.Bool
	var left atomic.Int64
	left.Store(int64(len(gates)))
	w := h.Wait(st, what, func(st vm.State) int { st.PushBool(in.Load()); return 1 })
	tell := func(found bool) {
		if found {
			in.Store(true)
		}
		if left.Add(-1) == 0 || found {
			w.Wake()
		}
	}
	for _, g := range gates {
		players, ok := g.sys.Lookup(g.cfg.Name)
		if !ok {
			tell(false)
			continue
		}
		g.sys.Send(players, anywhere{uid, tell})
	}
	return st.Yield(0)
}
