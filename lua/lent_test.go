package lua_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

const lentScript = `
local skynet = require "skynet"
local M = { client = {} }
function M.client.echo(self, request, n) return request, n end
function M.client.later(self, request) skynet.sleep(0) return request end
function M.client.keep(self, request) local was = self.kept; self.kept = request; return was end
function M.client.fail() error({ code = "no" }) end
function M.client.shown(self) return setmetatable({}, { __pairs = function() return next, { a = 1 } end }) end
function M.client.packed(self, ...) skynet.retpack(...) end
return M`

// lend sends a request in lent memory, and gives the answer as text.
func lend(t *testing.T, n *node, ref actor.Ref, l *lua.Lent, args ...any) (answer string, itself bool, err error) {
	t.Helper()
	b := l.Open(lua.TypeClient)
	for _, a := range args {
		if err := b.Any(a); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	v, err := n.sys.Ask(context.Background(), ref, l)
	switch v := v.(type) {
	case *lua.Lent:
		if v != l {
			t.Fatal("another request came back")
		}
		return fmt.Sprint(v.Answer()), true, err
	case value.List:
		return fmt.Sprint(v), false, err
	}
	return fmt.Sprint(v), false, err
}

func TestALentRequestIsAnsweredAsAnyOtherAndComesBack(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", lentScript)
		ref := n.start("main")
		l := new(lua.Lent)
		for i := range 3 { // over and over in the same memory
			request := map[string]any{"list": []any{i, fmt.Sprint("sword", i), true}}
			for _, route := range []string{"echo", "later", "packed"} {
				answer, itself, err := lend(t, n, ref, l, route, request, i)
				want, wantErr := n.sys.Ask(context.Background(), ref, lua.Message{Type: lua.TypeClient, Args: value.Of(route, request, i)})
				if err != nil || wantErr != nil || answer != fmt.Sprint(want) {
					t.Errorf("%s: %s, %v, expected %v, %v", route, answer, err, want, wantErr)
				}
				if lends := route != "packed"; itself != lends {
					t.Errorf("%s: it came back: %v", route, itself)
				}
			}
		}
	})
}

func TestWhatAScriptKeepsOfALentRequestStaysAsItWas(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", lentScript)
		ref, l := n.start("main"), new(lua.Lent)
		for i := range 3 {
			answer, _, err := lend(t, n, ref, l, "keep", []any{"a string of the request that is long enough to be one of its own", i})
			want := fmt.Sprint(value.Of(nil))
			if i > 0 {
				want = fmt.Sprint(value.Of([]any{"a string of the request that is long enough to be one of its own", i - 1}))
			}
			if err != nil || answer != want {
				t.Errorf("request %d found %s, %v, expected %s", i, answer, err, want)
			}
		}
	})
}

func TestALentRequestFailsAsAnyOther(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", lentScript)
		ref, l := n.start("main"), new(lua.Lent)
		var none *lua.NoHandlerError
		if _, _, err := lend(t, n, ref, l, "nothing"); !errors.As(err, &none) {
			t.Errorf("a route that there is not: %v", err)
		}
		var raised *lua.Error
		if _, _, err := lend(t, n, ref, l, "fail"); !errors.As(err, &raised) || raised.Value.Len() == 0 {
			t.Errorf("an error that is a table: %v", err)
		}
		if answer, itself, err := lend(t, n, ref, l, "shown"); err != nil || itself || answer != fmt.Sprint(value.Of(map[string]any{"a": 1})) {
			t.Errorf("a table that is read by __pairs: %s, %v, %v", answer, itself, err)
		}
		if answer, itself, err := lend(t, n, ref, l, "echo", "still there"); err != nil || !itself || answer != fmt.Sprint(value.Of("still there", nil)) {
			t.Errorf("the next one: %s, %v, %v", answer, itself, err)
		}
	})
}

// A dispatch function, and who looks at messages, may keep them: they get a copy.
func TestWhoeverKeepsALentMessageHasACopy(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local skynet = require "skynet"
local kept
skynet.register_protocol { name = "client", id = skynet.PTYPE_CLIENT, unpack = function(...) return ... end }
skynet.start(function()
  skynet.dispatch("client", function(_, _, msg, size)
    local was = kept
    kept = msg
    if was then skynet.retpack(skynet.unpack(was, size)) else skynet.retpack("first") end
  end)
end)`)
		ref, l := n.start("main"), new(lua.Lent)
		var seen []any
		remove, err := n.sys.Tap(ref, func(in actor.Inbound) { seen = append(seen, in.Message) })
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			answer, itself, err := lend(t, n, ref, l, "route", i)
			want := "first"
			if i > 0 {
				want = fmt.Sprint(value.Of("route", i-1))
			}
			if err != nil || itself || (i > 0 && answer != want) {
				t.Errorf("message %d found %s, %v, expected %s", i, answer, err, want)
			}
		}
		remove()
		if err := n.sys.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		for i, m := range seen {
			m, ok := m.(lua.Message)
			if got, _ := m.Args.At(1).Int(); !ok || got != int64(i) {
				t.Errorf("the tap's message %d is %+v", i, m)
			}
		}
		if len(seen) != 3 {
			t.Errorf("the tap has seen %d messages", len(seen))
		}
	})
}
