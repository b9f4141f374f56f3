package gate

import (
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/packet"
)

// Module is `require "gate"` for scripts: push(session or list of sessions, route, body) and kick(session, code, message). Neither waits. A session
// that is gone is passed over.
func (g *Gate) Module() lua.Module {
	return lua.Module{Name: ServiceName, Open: func(h *lua.Host, s vm.State) {
		s.NewTable(0, 2)
		s.PushFunc("push", func(s vm.State) int { return g.apiPush(h, s) })
		s.SetField(-2, "push")
		s.PushFunc("kick", func(s vm.State) int { return g.apiKick(h, s) })
		s.SetField(-2, "kick")
	}}
}

// apiPush encodes once, however many get it, and sends to all of the list or, should something be wrong, to none.
func (g *Gate) apiPush(h *lua.Host, s vm.State) int {
	route, ok := s.String(2)
	if !ok {
		s.Errorf("gate.push: a route is expected as argument 2, got %s", s.Type(2))
	}
	var body value.Value
	if s.Top() >= 3 {
		s.SetTop(3)
		l, err := lua.TakeList(s, 3)
		if err != nil {
			s.Errorf("gate.push %s: body: %s", route, err.Error())
		}
		body = l.At(0)
	}
	to := sessions(h, s)
	frame, err := g.encodePush(route, body)
	if err != nil {
		g.cfg.Metrics.pushErr.Inc()
		s.Errorf("gate.push %s: %s", route, err.Error())
	}
	p := &push{frame}
	for _, session := range to {
		h.Context().Send(session, p)
	}
	return 0
}

// sessions reads argument 1: a session or a list of them.
func sessions(h *lua.Host, s vm.State) []actor.Ref {
	if s.Type(1) != vm.Table {
		return []actor.Ref{sessionAt(h, s, 1, "gate.push: argument 1")}
	}
	refs := make([]actor.Ref, s.Len(1))
	for i := range refs {
		s.RawGetInt(1, int64(i)+1)
		refs[i] = sessionAt(h, s, -1, fmt.Sprintf("gate.push: argument 1[%d]", i+1))
		s.Pop(1)
	}
	return refs
}

func (g *Gate) encodePush(route string, body value.Value) ([]byte, error) {
	data, err := codec.AppendJSON(nil, body)
	if err != nil {
		return nil, err
	}
	frame, err := packet.AppendData(nil, packet.Message{Type: packet.Push, Route: route, Body: data}, g.routes)
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	return frame, nil
}

func sessionAt(h *lua.Host, s vm.State, i int, what string) actor.Ref {
	id, ok := s.Int(i)
	if !ok {
		s.Errorf("%s: a session is expected, got %s", what, s.Type(i))
	}
	return h.Context().System().RefOf(uint64(id))
}

// maxReason bounds what a script can put into a kick, which every client has to be able to read.
const maxReason = 1 << 10

func (g *Gate) apiKick(h *lua.Host, s vm.State) int {
	ref := sessionAt(h, s, 1, "gate.kick: argument 1")
	code, ok := s.String(2)
	if !ok || code == "" {
		s.Errorf("gate.kick: a code is expected as argument 2, got %s", s.Type(2))
	}
	msg, _ := s.String(3)
	if len(code)+len(msg) > maxReason {
		s.Errorf("gate.kick: code and message have %d bytes, at most %d are allowed", len(code)+len(msg), maxReason)
	}
	h.Context().Send(ref, kick{packet.Reason{Code: code, Msg: msg}})
	return 0
}
