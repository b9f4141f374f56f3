package gate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
)

// traveller is an agent that keeps a diary of its client's connections.
const traveller = `
local skynet = require "skynet"
local gate = require "gate"
local M = { client = {} }
local diary = {}
local session
local ticks = 0
function M.start(self, player) self.uid = player.uid end
local function note(...) table.insert(diary, table.concat({ ... }, " ")) end
function M.connect(self, s) session = s note("connect") end
function M.away(self, s, why)
  note("away", why, s == session and "mine" or "other")
  for i = 1, ticks do gate.push(session, "tick", i) end
end
function M.back(self, s) note("back", s == session and "mine" or "other") end
function M.disconnect(self, s, why) note("disconnect", why) end
function M.client.diary() return diary end
function M.client.echo(self, request) return request end
function M.client.exit() skynet.timeout(3, skynet.exit) return {} end
function M.client.later(self, n) ticks = n return {} end
return M`

func travelling(cfg gate.Config) world {
	cfg.Transport = limits
	return world{scripts: map[string]string{"agent.lua": traveller}, gate: cfg, kinds: []string{"mem", "tcp"}, login: login.Config{}}
}

// logIn makes the peer's first request a login, and hears the answer.
func (p *peer) logIn(t *testing.T, name string) {
	t.Helper()
	must(t, p.connect(never, never))
	p.ask("login", `{"name":"`+name+`","password":"x"}`)
	must(t, p.hear(1))
	if !strings.Contains(p.heard[0], `"uid"`) {
		t.Fatalf("login: %s", p.heard[0])
	}
}

func TestAnAgentHearsThatItsClientIsAwayAndBackAndPushesReachItAll(t *testing.T) {
	n := start(t, travelling(gate.Config{}))
	p := n.peer()
	p.logIn(t, "ann")
	p.ask("later", "5")
	must(t, p.hear(2))
	p.lose(t, 1)
	until(t, "the agent pushes", func() bool { return gathered(t, n)["skua_gate_pushes_total"] == 5 })
	p.ask("echo", `"kept"`)
	must(t, p.connect(never, never))
	must(t, p.hear(8))
	want := []string{"push tick 1", "push tick 2", "push tick 3", "push tick 4", "push tick 5", `response 3 "kept"`}
	if !slices.Equal(p.heard[2:], want) {
		t.Errorf("heard %q, want %q", p.heard[2:], want)
	}
	p.ask("diary", "")
	must(t, p.hear(9))
	if got, want := p.heard[8], `response 4 ["connect","away lost mine","back mine"]`; got != want {
		t.Errorf("the agent has noted %s, want %s", got, want)
	}
	if got := gathered(t, n)["skua_gate_resumes_total resumed"]; got != 1 {
		t.Errorf("%v resumes are counted", got)
	}
}

func TestAPlayerWhoLogsInElsewhereWhileAwayCanNotGoOn(t *testing.T) {
	w := newWitness()
	n := start(t, world{
		scripts: map[string]string{"agent.lua": saver}, modules: []lua.Module{w.module()}, kinds: []string{"mem"},
		gate: gate.Config{Login: gate.LoginGuest, Linger: time.Hour, Transport: limits},
	})
	old, newer := n.peer(), n.peer()
	old.logIn(t, "ann")
	old.lose(t, 1)
	newer.logIn(t, "Ann")
	if why := w.reasons(); !slices.Equal(why, []string{"replaced"}) {
		t.Errorf("the agent was told %q", why)
	}
	must(t, old.connect(never, never))
	if code := old.refused(); code != packet.ResumeReplaced {
		t.Errorf("refused: %q", code)
	}
	newer.ask("add", "")
	must(t, newer.hear(2))
}

func TestALoginElsewhereAgainstAResumeLeavesOneOfThem(t *testing.T) {
	for range 10 {
		w := newWitness()
		n := start(t, world{
			scripts: map[string]string{"agent.lua": saver}, modules: []lua.Module{w.module()}, kinds: []string{"mem"},
			gate: gate.Config{Login: gate.LoginGuest, Transport: limits},
		})
		before := n.actors()
		old, newer := n.peer(), n.peer()
		old.logIn(t, "ann")
		old.lose(t, 1)
		must(t, newer.connect(never, never))
		resumed := make(chan error, 1)
		go func() { resumed <- old.connect(never, never) }()
		newer.ask("login", `{"name":"ann"}`)
		must(t, newer.hear(1))
		<-resumed
		newer.ask("add", "")
		must(t, newer.hear(2)) // whoever logs in has the player
		if code := old.refused(); code == "" {
			if err := old.hear(2); err == nil || old.kick != "replaced" {
				t.Errorf("the older session ends with %v", err)
			}
		} else if code != packet.ResumeReplaced {
			t.Errorf("refused: %q", code)
		}
		_ = old.conn.Close()
		_, _ = newer.conn.Write(pack(packet.Kick, nil))
		n.quiet(before)
		w.check(t)
	}
}

func TestAnAgentThatEndsWhileItsClientIsAwayEndsTheSession(t *testing.T) {
	n := start(t, travelling(gate.Config{}))
	before := n.actors()
	p := n.peer()
	p.logIn(t, "ann")
	p.ask("exit", "")
	must(t, p.hear(2))
	p.conn.cut()
	n.quiet(before)
	must(t, p.connect(never, never))
	if code := p.refused(); code != packet.ResumeEnded {
		t.Errorf("refused: %q", code)
	}
}

func TestAClientThatHasNotLoggedInDoesNotWait(t *testing.T) {
	n := start(t, travelling(gate.Config{}))
	before := n.actors()
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("diary", "")
	must(t, p.hear(1))
	p.conn.cut()
	n.quiet(before)
}

func TestASessionGoesFromOneTransportToAnother(t *testing.T) {
	n := start(t, travelling(gate.Config{}))
	p := n.peer()
	p.logIn(t, "ann")
	old := p.conn
	r := n.raw()
	hello, err := packet.AppendHandshake(nil, packet.HandshakeRequest{Sys: packet.ClientSys{
		Resume: &packet.ResumeRequest{Token: p.token, Received: p.received},
	}})
	must(t, err)
	r.send(hello, pack(packet.HandshakeAck, nil))
	answer, err := packet.DecodeHandshakeResponse(r.next().Body, 0)
	must(t, err)
	if !answer.Sys.Resume.Resumed || answer.Sys.Resume.Received != 1 {
		t.Fatalf("answered %+v", answer.Sys.Resume)
	}
	if err := p.hear(2); err == nil || p.kick != "resumed" {
		t.Errorf("the first transport ends with %v", err)
	}
	_ = old.Close()
	r.send(ask(2, "diary", ""))
	if m := r.answer(); m.ID != 2 || string(m.Body) != `["connect"]` {
		t.Errorf("answered %+v %s", m, m.Body)
	}
}

func TestRatesBoundARouteAndNoOther(t *testing.T) {
	n := start(t, world{gate: gate.Config{Login: gate.LoginGuest, Rates: map[string]gate.Rate{"echo": {PerSecond: 0.001, Burst: 3}, "*": {PerSecond: 0.001, Burst: 5}}}})
	r := n.shaken()
	r.send(ask(1, "login", `{"name":"ann"}`))
	r.answer()
	var got []string
	for i := range uint64(5) {
		r.send(ask(10+i, "echo", "1"), ask(20+i, "who", ""))
		for range 2 {
			m := r.answer()
			what := fmt.Sprint(m.ID)
			if m.Error {
				what += packet.DecodeReason(m.Body).Code
			}
			got = append(got, what)
		}
	}
	want := []string{"10", "20", "11", "21", "12", "22", "13too_fast", "23", "14too_fast", "24too_fast"} // the login is one of those without a rate
	if !slices.Equal(got, want) {
		t.Errorf("answered %q, want %q", got, want)
	}
	if got := gathered(t, n)["skua_gate_too_fast_total"]; got != 3 {
		t.Errorf("%v are counted", got)
	}
}
