package gate_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// positions is an agent that pushes in each class: in one go, or when its client is away.
const positions = `
local gate = require "gate"
local M = { client = {} }
local session
local away
function M.connect(self, s) session = s end
local function burst()
  for i = 1, 20 do
    gate.push(session, "pos", i, { class = "latest", key = "a" })
    gate.push(session, "pos", -i, { class = "latest", key = 7 })
    gate.push(session, "smoke", i, { class = "droppable" })
  end
  gate.push(session, "hit", 1, { class = "reliable" })
  gate.push(session, "hit", 2)
end
function M.away() if away then burst() end end
function M.client.away() away = true return {} end
function M.client.now() burst() return {} end
return M`

func TestWhileAwayLatestPushesCoalesceAndDroppableOnesDrop(t *testing.T) {
	n := start(t, world{scripts: map[string]string{"agent.lua": positions}, gate: gate.Config{Transport: limits}, kinds: []string{"mem"}})
	p := n.peer()
	p.logIn(t, "ann")
	p.ask("away", "")
	must(t, p.hear(2))
	p.lose(t, 1)
	until(t, "all is pushed", func() bool { return gathered(t, n)["skua_gate_pushes_total"] == 62 })
	must(t, p.connect(never, never))
	must(t, p.hear(6))
	if want := []string{"push hit 1", "push hit 2", "push pos 20", "push pos -20"}; !slices.Equal(p.heard[2:], want) {
		t.Errorf("heard %q, want %q", p.heard[2:], want)
	}
	all := gathered(t, n)
	if dropped, coalesced := all["skua_gate_pushes_dropped_total"], all["skua_gate_pushes_coalesced_total"]; dropped != 20 || coalesced != 38 {
		t.Errorf("%v are counted as dropped and %v as coalesced", dropped, coalesced)
	}
	p.ask("now", "") // and a client that keeps up gets all of them, and none comes late
	must(t, p.hear(6+62+1))
	must(t, p.connect(never, never))
	p.ask("away", "")
	must(t, p.hear(6+62+2))
}

func TestAClientThatLagsGetsTheNewestWhenItHasCaughtUp(t *testing.T) {
	const rounds = 400
	n := startSmall(t, gate.Config{Handle: func(_ *actor.Context, r *gate.Request) {
		s, fill := r.Session, strings.Repeat("x", 1000)
		r.Reply(r.Body)
		for i := range rounds { // more than what counts as behind, and the writer is as fast as it is
			for _, key := range []string{"a", "b"} {
				_ = s.Push("pos", fmt.Appendf(nil, `["%s",%d,"%s"]`, key, i, fill), gate.Delivery{Class: gate.Latest, Key: key})
			}
		}
	}})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("go", "1")
	must(t, p.hear(1))
	last := map[string]int{"a": -1, "b": -1}
	for count := 2; last["a"] < rounds-1 || last["b"] < rounds-1; count++ {
		must(t, p.hear(count))
		var key string
		var i int
		if _, err := fmt.Sscanf(strings.NewReplacer(`"`, " ", ",", " ", "[", " ").Replace(p.heard[count-1]), "push pos %s %d", &key, &i); err != nil {
			t.Fatalf("%q: %v", p.heard[count-1], err)
		}
		if i <= last[key] {
			t.Fatalf("%s goes from %d to %d", key, last[key], i)
		}
		last[key] = i
	}
	if len(p.heard) == 2*rounds+1 {
		t.Log("the client has kept up, so nothing was left out")
	}
}

func TestKeysOfLatestPushesAreBounded(t *testing.T) {
	n := startSmall(t, gate.Config{MaxKeys: 3, Handle: func(_ *actor.Context, r *gate.Request) { r.Reply(r.Body) }})
	p := n.peer()
	must(t, p.connect(never, never))
	p.ask("x", "1")
	must(t, p.hear(1))
	p.lose(t, 1)
	s := n.only(t)
	for _, key := range []string{"a", "b", "a", "c", "d", "e", "d"} {
		must(t, s.Push("pos", []byte(`"`+key+`"`), gate.Delivery{Class: gate.Latest, Key: key}))
	}
	must(t, p.connect(never, never))
	must(t, p.hear(4))
	if want := []string{`push pos "c"`, `push pos "d"`, `push pos "e"`}; !slices.Equal(p.heard[1:], want) {
		t.Errorf("heard %q, want %q", p.heard[1:], want)
	}
}

// only is the one session that there is.
func (n *small) only(t *testing.T) *gate.Session {
	t.Helper()
	var found *gate.Session
	for info := range n.sys.Actors() {
		if s := n.gate.Sessions().Find(info.Ref.ID()); s != nil {
			found = s
		}
	}
	if found == nil {
		t.Fatal("there is no session")
	}
	return found
}

func TestASessionThatEndsLeavesItsGroups(t *testing.T) {
	group := gate.NewGroup()
	n := startSmall(t, gate.Config{Handle: func(_ *actor.Context, r *gate.Request) {
		added, err := group.Add(r.Session)
		again, _ := group.Add(r.Session)
		r.Reply([]byte(fmt.Sprintf(`[%t,%t,%t]`, added, err == nil, again)))
	}})
	var peers []*peer
	for i := range 5 {
		p := n.peer()
		must(t, p.connect(never, never))
		p.ask("join", "")
		must(t, p.hear(1))
		if p.heard[0] != "response 1 [true,true,false]" {
			t.Errorf("join: %s", p.heard[0])
		}
		if got := group.Count(); got != i+1 {
			t.Errorf("%d are in, want %d", got, i+1)
		}
		peers = append(peers, p)
	}
	_, _ = peers[0].conn.Write(pack(packet.Kick, nil)) // leaves
	until(t, "it has left the group", func() bool { return group.Count() == 4 })
	peers[1].lose(t, 1) // is away, and a member all the same
	must(t, group.Push("news", value.Of("hi").At(0), gate.Delivery{}))
	for _, p := range peers[2:] {
		must(t, p.hear(2))
	}
	must(t, peers[1].connect(never, never))
	must(t, peers[1].hear(2))
	group.Close()
	if err := group.Push("news", value.Value{}, gate.Delivery{}); err == nil || group.Count() != 0 {
		t.Errorf("a closed group pushes to %d: %v", group.Count(), err)
	}
}

func TestAGroupWithAMemberThatOverflowsGoesOn(t *testing.T) {
	group := gate.NewGroup()
	n := startSmall(t, gate.Config{RingPackages: 5, Handle: func(_ *actor.Context, r *gate.Request) {
		_, _ = group.Add(r.Session)
		r.Reply(nil)
	}})
	here, gone := n.peer(), n.peer()
	for _, p := range []*peer{here, gone} {
		p.ackEvery = 1
		must(t, p.connect(never, never))
		p.ask("join", "")
		must(t, p.hear(1))
	}
	gone.lose(t, 1)
	for i := range 20 {
		must(t, group.Push("n", value.Of(i).At(0), gate.Delivery{}))
	}
	must(t, here.hear(21))
	if got := group.Count(); got != 1 {
		t.Errorf("%d are left", got)
	}
	must(t, gone.connect(never, never))
	if code := gone.refused(); code != packet.ResumeOverflow {
		t.Errorf("refused: %q", code)
	}
}

// club is a service with groups.
const club = `
local gate = require "gate"
local M = { client = {} }
local group = gate.group()
function M.client.join(self, _, session) return { group:add(session), group:add(session), group:count() } end
function M.client.leave(self, _, session) return { group:remove(session), group:remove(session), group:count() } end
function M.client.say(self, request) group:push("said", request) group:push("pos", 1, { class = "latest" }) return group:count() end
function M.client.close(self) group:close() group:close() return group:count() end
function M.client.wrong(self, _, session)
  local errors = {}
  for i, args in ipairs {
    { group.add, group, "x" }, { group.push, group }, { group.push, group, "r", { print } }, { group.push, group, "r", 1, "latest" },
    { group.push, group, "r", 1, { class = "best" } }, { group.push, group, "r", 1, { class = "latest", key = {} } },
    { group.push, group, "r", 1, { key = string.rep("k", 65) } }, { gate.push, session, "r", 1, 7 },
  } do
    local ok, why = pcall(table.unpack(args))
    errors[i] = ok and "passed" or tostring(why)
  end
  errors[#errors + 1] = tostring(group:add(123456))
  return errors
end
return M`

func TestScriptsHaveGroups(t *testing.T) {
	n := start(t, world{first: "main", scripts: map[string]string{"main.lua": club}, gate: gate.Config{Login: gate.LoginGuest, Transport: limits}, kinds: []string{"mem"}})
	p, q := n.peer(), n.peer()
	p.logIn(t, "ann")
	q.logIn(t, "bob")
	say := func(p *peer, route, body string, want ...string) {
		t.Helper()
		was := len(p.heard)
		p.ask(route, body)
		must(t, p.hear(was+len(want)))
		for i := range want {
			if i == len(want)-1 {
				want[i] = "response " + strconv.FormatUint(p.id, 10) + " " + want[i]
			}
		}
		if !slices.Equal(p.heard[was:], want) {
			t.Errorf("%s: heard %q, want %q", route, p.heard[was:], want)
		}
	}
	say(p, "join", "", "[true,false,1]")
	say(q, "join", "", "[true,false,2]")
	say(p, "say", `"hi"`, `push said "hi"`, "push pos 1", "2")
	must(t, q.hear(len(q.heard)+2))
	say(p, "leave", "", "[true,false,1]")
	say(p, "say", `"ho"`, "1")
	must(t, q.hear(len(q.heard)+2))
	p.ask("wrong", "")
	must(t, p.hear(len(p.heard)+1))
	wrong := p.heard[len(p.heard)-1]
	for _, want := range []string{
		"group:add: a session is expected, got string", "group:push: a route is expected", "a function cannot be sent", `{ class = \"latest\"`, `class is \"best\"`,
		"key is a string of at most 64 bytes or an integer, got table", "at most 64 bytes", "gate.push: a table such as", `"false"]`,
	} {
		if !strings.Contains(wrong, want) {
			t.Errorf("%s does not say %q", wrong, want)
		}
	}
	say(p, "close", "", "0")
	say(p, "join", "", `{"code":"internal","msg":"internal error"}`)
}
