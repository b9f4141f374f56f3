package lua_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

// bell is a module whose functions wait for a goroutine outside of the service.
type bell struct {
	waits chan lua.Wait
	posts chan func()
	open  chan bool
}

func (b *bell) module() lua.Module {
	return lua.Module{Name: "bell", Open: func(h *lua.Host, s vm.State) {
		heard := 0
		s.NewTable(0, 3)
		s.PushFunc("wait", func(s vm.State) int {
			w := h.Wait(s, "bell.wait", func(s vm.State) int {
				s.PushString("rung")
				s.PushInt(2)
				return 2
			})
			b.open <- w.Open()
			b.waits <- w
			return s.Yield(0)
		})
		s.SetField(-2, "wait")
		s.PushFunc("listen", func(s vm.State) int {
			s.SetTop(1)
			heard = s.Ref()
			b.posts <- h.Post(func() {
				h.Fork(func(s vm.State) int {
					s.Push(heard)
					s.PushString("posted")
					return 1
				})
			})
			return 0
		})
		s.SetField(-2, "listen")
	}}
}

func TestAModuleInGoLetsCoroutinesWaitAndCallsTheScript(t *testing.T) {
	b := &bell{waits: make(chan lua.Wait, 10), posts: make(chan func(), 1), open: make(chan bool, 10)}
	log := &logtest.Buffer{}
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: fstest.MapFS{"main.lua": &fstest.MapFile{Data: []byte(`
local skynet, bell = require "skynet", require "bell"
local M, heard, waiting = {}, {}, {}
function M.wait() return bell.wait() end
function M.caught() return pcall(bell.wait) end
function M.listen()
  bell.listen(function(text)
    skynet.sleep(1) -- it is a coroutine of its own
    heard[#heard + 1] = text
    skynet.wakeup(waiting)
  end)
end
function M.heard(self, n)
  while #heard < n do skynet.wait(waiting) end
  return table.concat(heard, " ")
end
return M`)}},
		Library: scripts.FS(), Modules: []lua.Module{b.module()}, Engine: testEngine(t), Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	sys := actor.New(actor.Config{CallTimeout: 20 * time.Second})
	defer func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	ref, err := sys.Spawn(rt.Spec("main", value.List{}))
	if err != nil {
		t.Fatal(err)
	}
	call := func(cmd string, args ...any) string {
		v, err := sys.Ask(context.Background(), ref, lua.Command(cmd, args...))
		if err != nil {
			return "error: " + err.Error()
		}
		text := ""
		for _, e := range v.(value.List).All {
			text += e.String() + " "
		}
		return text
	}
	for cmd, want := range map[string]string{"wait": `"rung" 2 `, "caught": `true "rung" 2 `} {
		answers := make(chan string, 2)
		for range 2 { // at once: each has a wait of its own
			go func() { answers <- call(cmd) }()
		}
		first, second := <-b.waits, <-b.waits
		for range 2 {
			if !<-b.open {
				t.Error("a wait is not open when it begins")
			}
		}
		for range 3 { // only the first time counts
			second.Wake()
		}
		if got := <-answers; got != want {
			t.Errorf("%s: got %s, want %s", cmd, got, want)
		}
		select {
		case got := <-answers:
			t.Errorf("%s: woke the other one too: %s", cmd, got)
		default:
		}
		first.Wake()
		if got := <-answers; got != want {
			t.Errorf("%s: got %s, want %s", cmd, got, want)
		}
	}
	call("listen")
	post := <-b.posts
	post()
	post()
	if got := call("heard", 2); got != `"posted posted" ` {
		t.Errorf("got %s", got)
	}
	// A service that has ended hears nothing, and a zero Wait is nobody's.
	go call("wait")
	last := <-b.waits
	sys.Stop(ref, nil)
	<-sys.Ended(ref)
	last.Wake()
	post()
	var zero lua.Wait
	zero.Wake()
	if zero.Open() {
		t.Error("the zero Wait is open")
	}
	if log.String() != "" {
		t.Errorf("the log:\n%s", log)
	}
}
