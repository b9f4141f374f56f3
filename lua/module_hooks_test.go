package lua_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

// echo answers what it is asked, and an error with an error.
func echo(c *actor.Context, msg any) {
	if text, _ := msg.(string); strings.HasPrefix(text, "fail") {
		c.Reply(nil, errors.New(text))
		return
	}
	c.Reply(msg, nil)
}

// spy is a module in Go that is told what its service does.
type spy struct {
	to actor.Ref

	mu     sync.Mutex
	events []string
}

func (p *spy) see(event string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, event)
}

// seen is what it was told since the last time.
func (p *spy) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	events := p.events
	p.events = nil
	return events
}

func (p *spy) module() lua.Module {
	return lua.Module{Name: "spy", Open: func(h *lua.Host, s vm.State) {
		h.Ran(func() { p.see("ran") })
		h.Told(func(msg any) bool {
			if msg != any(7) {
				return false
			}
			p.see("told")
			return true
		})
		h.Ending(func(reason error, done func()) {
			p.see("ending: " + reason.Error())
			h.After(5*time.Second, func() {
				p.see("late")
				done()
			})
		})
		h.Closed(func() { p.see("closed") })
		s.NewTable(0, 3)
		s.PushFunc("ask", func(s vm.State) int {
			text, _ := s.String(1)
			return h.Ask(s, "spy.ask", p.to, text, func(s vm.State, v any, err error) (int, error) {
				if err != nil {
					return 0, &lua.Error{Message: err.Error(), Code: "spied"}
				}
				answer, _ := v.(string)
				s.PushString(answer)
				s.PushInt(1)
				return 2, nil
			})
		})
		s.SetField(-2, "ask")
		s.PushFunc("request", func(s vm.State) int {
			s.SetTop(1)
			f := s.Ref()
			h.Request(p.to, "asked", time.Minute, func(v any, err error) {
				h.Fork(func(s vm.State) int {
					s.Push(f)
					s.Unref(f)
					answer, _ := v.(string)
					s.PushString(answer)
					s.PushBool(err == nil)
					return 2
				})
			})
			return 0
		})
		s.SetField(-2, "request")
		s.PushFunc("protect", func(s vm.State) int {
			top := s.Top()
			err := h.Protect(func(s vm.State) { s.Errorf("no") })
			s.PushString(err.Error())
			s.PushBool(s.Top() == top+1 && h.Protect(func(s vm.State) { s.PushInt(1) }) == nil)
			return 2
		})
		s.SetField(-2, "protect")
	}}
}

const spied = `
local skynet, spy = require "skynet", require "spy"
local M = {}
function M.ask(self, text) return spy.ask(text) end
function M.fail() local ok, err = pcall(spy.ask, "fail") return ok, err.code, err.message end
function M.request(self)
  local got
  spy.request(function(text, ok) got = text .. tostring(ok) skynet.wakeup(self) end)
  skynet.wait(self)
  return got
end
function M.protect() return spy.protect() end
function M.stop() skynet.sleep(10) end
return M`

func TestAModuleInGoIsToldWhatItsServiceDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &spy{}
		log := slog.New(slog.NewTextHandler(&logtest.Buffer{}, nil))
		rt, err := lua.NewRuntime(lua.Config{
			Scripts: fstest.MapFS{"main.lua": {Data: []byte(spied)}}, Library: scripts.FS(), Modules: []lua.Module{p.module()}, Engine: testEngine(t), Log: log,
		})
		if err != nil {
			t.Fatal(err)
		}
		sys := actor.New(actor.Config{Log: log})
		defer func() {
			if err := sys.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		if p.to, err = sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(echo) }}); err != nil {
			t.Fatal(err)
		}
		l, err := sys.Spawn(rt.Launcher())
		if err != nil {
			t.Fatal(err)
		}
		v, err := sys.Ask(t.Context(), l, lua.Launch{Script: "main"})
		if err != nil {
			t.Fatal(err)
		}
		ref := v.(actor.Ref)
		call := func(cmd string, args ...any) string {
			v, err := sys.Ask(context.Background(), ref, lua.Command(cmd, args...))
			if err != nil {
				return err.Error()
			}
			var parts []string
			for _, e := range v.(value.List).All {
				parts = append(parts, e.String())
			}
			return strings.Join(parts, " ")
		}
		for _, c := range []struct{ got, want string }{
			{call("ask", "hello"), `"hello" 1`},
			{call("fail"), `false "spied" "fail"`},
			{call("request"), `"askedtrue"`},
			{call("protect"), `"no" true`},
		} {
			if c.got != c.want {
				t.Errorf("got %s, want %s", c.got, c.want)
			}
		}
		synctest.Wait()
		if n := strings.Count(strings.Join(p.seen(), " "), "ran"); n < 8 { // a call that waits has run twice
			t.Errorf("told %d times that it has run", n)
		}
		if _, err := sys.Ask(context.Background(), ref, 8); err == nil || !strings.Contains(err.Error(), "takes no int") {
			t.Errorf("got %v", err)
		}
		sys.Send(ref, 7)
		synctest.Wait()
		sys.Stop(ref, errors.New("enough"))
		<-sys.Ended(ref)
		synctest.Wait()
		if got := strings.Join(p.seen(), ", "); got != "told, ran, ending: enough, ran, late, closed" {
			t.Errorf("got %s", got)
		}
	})
}
