package gate_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/services/gate"
)

func TestPushesComeBeforeTheAnswerThatFollowsThem(t *testing.T) {
	n := start(t, world{})
	r := n.shaken()
	r.send(ask(1, "login", `{"name":"ann","password":"x"}`))
	r.answer()
	for round := uint64(2); round < 50; round++ {
		r.send(ask(round, "push", `{"n":5}`))
		for i := 1; i <= 5; i++ {
			m := r.answer()
			if want := fmt.Sprintf(`{"i":%d}`, i); m.Type != packet.Push || m.Route != "news" || string(m.Body) != want {
				t.Fatalf("got a %s %s, want the push %s", m.Type, m.Body, want)
			}
		}
		if m := r.answer(); m.Type != packet.Response || m.ID != round {
			t.Fatalf("got %+v, want answer %d", m, round)
		}
	}
}

// hub is a service that pushes to whoever it is told of.
const hub = `
local skynet = require "skynet"
local gate = require "gate"
local M = { client = {} }
function M.start(self) self.all = {} end
function M.client.join(self, request, session) table.insert(self.all, session) return {} end
function M.client.say(self, request) gate.push(self.all, "said", request) return { to = #self.all } end
function M.client.flood(self, request, session)
  local fill = string.rep("x", 1000)
  for i = 1, request.n do gate.push(self.all, "flood", { fill = fill }) end
  return {}
end
function M.client.wrong(self, request)
  local to = { self.all[1], "nobody" }
  local errors = {}
  for i, args in ipairs { { to, "said", {} }, { nil, "said", {} }, { self.all, nil, {} }, { self.all, "said", { print } }, { self.all, "said", { x = 0/0 } },
    { self.all, string.rep("r", 256), {} } } do
    local ok, why = pcall(gate.push, args[1], args[2], args[3])
    errors[i] = ok and "passed" or tostring(why)
  end
  for i, args in ipairs { { self.all[1] }, { self.all[1], "" }, { self.all[1], "code", string.rep("x", 2000) }, { "x", "code" } } do
    local ok, why = pcall(gate.kick, args[1], args[2], args[3])
    errors[#errors + 1] = ok and "passed" or tostring(why)
  end
  return errors
end
return M`

func hubWorld(cfg gate.Config) world {
	cfg.Login = gate.LoginGuest
	return world{first: "main", scripts: map[string]string{"main.lua": hub}, gate: cfg}
}

func TestAPushToAListReachesAllWhoAreThereAndIsSilentAboutTheOthers(t *testing.T) {
	n := start(t, hubWorld(gate.Config{}))
	before := n.actors()
	const clients = 20
	var heard sync.WaitGroup
	heard.Add(clients)
	var all []*client.Client
	for i := range clients {
		c := n.enter(fmt.Sprint("p", i), client.Options{On: map[string]func([]byte){"said": func(body []byte) {
			if string(body) == `{"text":"hi"}` {
				heard.Done()
			}
		}}})
		must(t, request(c, "join", nil, nil))
		all = append(all, c)
	}
	var to struct{ To int }
	must(t, request(all[0], "say", `{"text":"hi"}`, &to))
	heard.Wait()

	for _, c := range all[1:] {
		must(t, c.Close())
	}
	n.quiet(before + 1)
	dead := n.sys.Stats().DeadLetters
	must(t, request(all[0], "say", `{"text":"bye"}`, &to))
	if to.To != clients {
		t.Errorf("pushed to %d", to.To)
	}
	if now := n.sys.Stats().DeadLetters; now != dead {
		t.Errorf("%d dead letters for clients that are gone", now-dead)
	}
}

func TestAWrongPushOrKickIsAnErrorAndReachesNobody(t *testing.T) {
	n := start(t, hubWorld(gate.Config{}))
	c := n.enter("ann", client.Options{On: map[string]func([]byte){"said": func(body []byte) { t.Errorf("pushed %s", body) }}})
	must(t, request(c, "join", nil, nil))
	var errs []string
	must(t, request(c, "wrong", nil, &errs))
	for i, want := range []string{
		"argument 1[2]: a session is expected, got string", "argument 1: a session is expected, got nil", "a route is expected as argument 2, got nil",
		"a function cannot be sent", "NaN", "at most 255 fit",
		"a code is expected", "a code is expected", "at most 1024 are allowed", "a session is expected, got string",
	} {
		if i >= len(errs) || !strings.Contains(errs[i], want) {
			t.Errorf("error %d of %q does not say %q", i, errs, want)
		}
	}
}

func TestAClientThatNeverReadsIsClosedAtTheBacklogAndOthersReadOn(t *testing.T) {
	n := start(t, hubWorld(gate.Config{Transport: transport.Config{Backlog: 256 << 10}}))
	before := n.actors()
	const deaf = 10
	for i := range deaf {
		r := n.shaken()
		r.send(ask(1, "login", fmt.Sprintf(`{"name":"deaf%d"}`, i)), ask(2, "join", ""))
		r.answer()
		r.answer()
	}
	c := n.enter("ann", client.Options{})
	var was, is runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&was)
	for i := 0; n.actors() > before+1; i++ {
		must(t, request(c, "flood", `{"n":100}`, nil))
		if i > 1000 {
			t.Fatalf("%d MB were sent to clients that do not read, and %d sessions are left", i/10, n.actors()-before)
		}
	}
	// They are told why, for as long as a connection lingers.
	until(t, "the connections are gone", func() bool { return gathered(t, n)["skua_transport_connections tcp"] == 1 })
	runtime.GC()
	runtime.ReadMemStats(&is)
	if grown := int64(is.HeapAlloc) - int64(was.HeapAlloc); grown > deaf*(256<<10) {
		t.Errorf("the heap grew by %d KB", grown>>10)
	}
	if n := closedFor(t, n, "backlog"); n != deaf {
		t.Errorf("%v connections are counted as closed for their backlog, want %d", n, deaf)
	}
	must(t, request(c, "say", nil, nil))
}

// flooder is an agent that pushes a lot in one go, and then tells who else asks how much it was.
const flooder = `
local gate = require "gate"
local M = { client = {} }
local pushed
function M.client.flood(self, request, session)
  local pad = string.rep("x", 1000)
  for i = 1, request.n do gate.push(session, "flood", pad) end
  pushed = request.n
  return true
end
function M.client.pushed() return pushed end
return M`

func TestWhatIsPushedToAClientThatDoesNotReadCostsNothingOnceItHasTooMuch(t *testing.T) {
	const pushes = 30_000 // of a KB: more than the system's own buffers take
	n := start(t, world{first: "main", scripts: map[string]string{"main.lua": flooder}, gate: gate.Config{
		Login: gate.LoginGuest, Transport: transport.Config{Backlog: 256 << 10, Linger: 200 * time.Millisecond},
	}})
	r := n.shaken()
	r.send(ask(1, "login", `{"name":"deaf"}`))
	r.answer()
	r.send(ask(2, "flood", fmt.Sprintf(`{"n":%d}`, pushes)))
	c := n.enter("ann", client.Options{})
	until(t, "the handler has pushed all", func() bool {
		var pushed int
		return request(c, "pushed", nil, &pushed) == nil && pushed == pushes
	})
	all := gathered(t, n)
	if sent := all["skua_gate_pushes_total"]; sent < 256 || sent >= pushes {
		t.Errorf("%v of %d pushes were made", sent, pushes)
	}
	if slow := all["skua_gate_too_slow_total"]; slow != 1 {
		t.Errorf("one client was too slow, %v are counted", slow)
	}
	until(t, "the connection is gone", func() bool { return gathered(t, n)["skua_transport_connections tcp"] == 1 })
	if n := closedFor(t, n, "backlog"); n != 1 {
		t.Errorf("%v connections are counted as closed for their backlog, want 1", n)
	}
}
