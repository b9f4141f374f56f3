package grains

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/cluster/grain"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// ModuleName is the name of the module in Go that scripts/grain.lua stands on.
const ModuleName = "skua.grain"

// Module is what scripts/grain.lua stands on: call(kind, id, centiseconds, ...), send(kind, id, ...), self() and sleep().
func (x *Scripts) Module() lua.Module {
	return lua.Module{Name: ModuleName, Open: func(h *lua.Host, s vm.State) {
		m := &module{x: x, h: h}
		s.NewTable(0, 4)
		for name, f := range map[string]func(vm.State) int{"call": m.call, "send": m.send, "self": m.self, "sleep": m.sleep} {
			s.PushFunc("grain."+name, f)
			s.SetField(-2, name)
		}
	}}
}

// module is what one service has of grains.
type module struct {
	x *Scripts
	h *lua.Host
}

// grains are those of the cluster.
func (m *module) grains(s vm.State) *grain.Grains {
	g := m.x.all.Load()
	if g == nil {
		s.Errorf("grain: there are none here: skua.toml has no table [grains.NAME], or the node has not joined the others yet")
	}
	return g
}

// key reads a kind and an id: text, or a whole number.
func (m *module) key(s vm.State) (kind, id string) {
	kind, ok := s.String(1)
	if !ok {
		s.Errorf("grain: the name of a kind is expected, got %s", s.Type(1))
	}
	if n, ok := s.Int(2); ok {
		return kind, strconv.FormatInt(n, 10)
	}
	if id, ok = s.String(2); !ok {
		s.Errorf("grain %s: an id is expected, which is a string or a whole number, got %s", kind, s.Type(2))
	}
	return kind, id
}

// message makes what is sent of the values from index i.
func (m *module) message(s vm.State, i int) lua.Message {
	args, err := lua.TakeList(s, i)
	if err != nil {
		s.Errorf("grain: %s", err.Error())
	}
	return lua.Message{Type: lua.TypeLua, Args: args}
}

// call asks a grain, and returns true and the values of the answer, or false and the error.
func (m *module) call(s vm.State) int {
	g := m.grains(s)
	kind, id := m.key(s)
	timeout := m.h.Context().System().CallTimeout()
	if cs, ok := s.Float(3); ok {
		timeout = centiseconds(cs)
	}
	msg := m.message(s, 4)
	var answer any
	var failure error
	w := m.h.Wait(s, "grain:call", func(s vm.State) int {
		if failure == nil {
			if l, ok := answer.(value.List); ok || answer == nil {
				s.PushBool(true)
				return 1 + lua.PushList(s, l)
			}
			failure = fmt.Errorf("grain: %s/%s has answered with a %T, which is nothing for scripts", kind, id, answer)
		}
		s.PushBool(false)
		m.h.PushError(s, failure)
		return 2
	})
	g.AskFor(m.h.Context(), kind, id, msg, timeout, func(v any, err error) {
		answer, failure = v, err
		w.Wake()
	})
	return s.Yield(0)
}

// centiseconds is a time in 1/100 s; forever is as long as there is.
func centiseconds(cs float64) time.Duration {
	d := cs * float64(10*time.Millisecond)
	if !(d < math.MaxInt64) {
		return math.MaxInt64
	}
	return max(time.Duration(d), 0)
}

// send gives a grain a message.
func (m *module) send(s vm.State) int {
	g := m.grains(s)
	kind, id := m.key(s)
	g.Send(m.h.Context(), kind, id, m.message(s, 3))
	return 0
}

// self returns the kind, the id and the epoch of the activation that the script is; nothing in other services.
func (m *module) self(s vm.State) int {
	id, ok := m.identity()
	if !ok {
		return 0
	}
	s.PushString(id.Kind)
	s.PushString(id.ID)
	s.PushInt(int64(id.Epoch))
	return 3
}

func (m *module) identity() (id grain.Identity, ok bool) {
	v, ok := m.x.lives.Load(m.h.Context().Self())
	if ok {
		id, ok = v.(grain.Identity)
	}
	return id, ok
}

// sleep has the activation end, which the next message to the grain starts anew.
func (m *module) sleep(s vm.State) int {
	id, ok := m.identity()
	if !ok {
		s.Errorf("grain.sleep: this service is no grain")
	}
	m.grains(s).Sleep(id)
	return 0
}
