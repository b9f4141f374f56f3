package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/admin"
)

// grainFiles is a project whose grains count what each caller has sent, and notice when that comes in another order.
var grainFiles = map[string]string{
	"skua.toml":        "[grains.counter]\nrole = \"world\"\n[lua]\ncall_timeout = \"1m\"\n",
	"scripts/main.lua": "return {}\n",
	"scripts/counter.lua": `
local skynet = require "skynet"
local store = require "store"
local M = {}
function M.start(self, id)
  self.doc = store.open("counter", id, { n = 0, disorder = 0, last = {} })
end
function M.add(self, who, i)
  local doc = self.doc
  if i ~= (doc.last[who] or 0) + 1 then doc.disorder = doc.disorder + 1 end
  doc.last[who], doc.n = i, doc.n + 1
  return doc.n, skynet.getenv "node"
end
function M.commit(self)
  self.doc:commit()
  return self.doc.n, skynet.getenv "node"
end
function M.get(self) return self.doc.n, self.doc.disorder, skynet.getenv "node" end
return M
`,
	"scripts/caller.lua": `
local skynet = require "skynet"
local grain = require "grain"
local M = {}
function M.start(self, who, grains) self.who, self.grains = who, grains end
-- Sends and calls until it is told to stop; gives how often it did with each grain.
function M.play(self)
  local i = 0
  repeat
    i = i + 2
    for id = 1, self.grains do
      local g = grain("counter", id)
      g:send("add", self.who, i - 1)
      g:call("add", self.who, i)
    end
    self.rounds = i
  until self.done
  return i
end
function M.rounds(self) return self.rounds or 0 end
function M.finish(self) self.done = true end
function M.grain(_, id, ...) return grain("counter", id):call(...) end
return M
`,
}

// script launches a service on a node.
func (n *node) script(t *testing.T, name string, args ...any) actor.Ref {
	t.Helper()
	launcher, _ := n.sys.Lookup(lua.LauncherName)
	v, err := n.sys.Ask(t.Context(), launcher, lua.Launch{Script: name, Args: value.Of(args...)})
	if err != nil {
		t.Fatal(err)
	}
	return v.(actor.Ref)
}

// told is the answer of a service.
func (n *node) told(t *testing.T, service actor.Ref, command string, args ...any) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v, err := n.sys.Ask(ctx, service, lua.Command(command, args...))
	if err != nil {
		t.Fatalf("%s %v: %v", command, args, err)
	}
	var words []string
	for _, e := range v.(value.List).All {
		words = append(words, e.String())
	}
	return strings.Join(words, " ")
}

func (n *node) sees(t *testing.T, names ...string) {
	t.Helper()
	await(t, fmt.Sprintf("%s sees %v", n.project.cfg.Name, names), func() bool {
		for _, name := range names {
			if m, ok := n.members.Find(name); !ok || !n.mesh.Reaches(name, m.Incarnation) {
				return false
			}
		}
		return true
	})
}

// Scripts of a node without grains call those of two others, of which one is drained meanwhile: no call fails, nothing is counted twice or not at all, all is in order.
func TestGrainsAreCalledWhileTheirNodeIsDrained(t *testing.T) {
	const grains, callers = 12, 5
	url, db := natsServer(t), ferrettest.Start(t)
	on := func(c *Config) {
		c.Store.Mongo = Secret(db.URI())
		c.Cluster.Suspect, c.Cluster.Dead = Duration{10 * time.Second}, Duration{20 * time.Second} // no node fails
	}
	a, b := serving(t, grainFiles, url, "a", on), serving(t, grainFiles, url, "b", on)
	hub := serving(t, grainFiles, url, "hub", func(c *Config) { on(c); c.Cluster.Roles = nil })
	hub.sees(t, "a", "b")
	a.sees(t, "b")

	var all []actor.Ref
	played := make(chan string, callers)
	for i := range callers {
		caller := hub.script(t, "caller", fmt.Sprintf("caller%d", i), grains)
		all = append(all, caller)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			v, err := hub.sys.Ask(ctx, caller, lua.Command("play"))
			if err != nil {
				played <- err.Error()
				return
			}
			played <- v.(value.List).At(0).String()
		}()
	}
	rounds := func(least int) {
		t.Helper()
		for _, caller := range all {
			await(t, "a caller plays", func() bool {
				var n int
				_, err := fmt.Sscan(hub.told(t, caller, "rounds"), &n)
				return err == nil && n >= least || len(played) > 0
			})
		}
	}
	rounds(6)
	if a.grains.Load().Count() == 0 || b.grains.Load().Count() == 0 || hub.grains.Load().Count() != 0 {
		t.Errorf("the nodes have %d, %d and %d grains", a.grains.Load().Count(), b.grains.Load().Count(), hub.grains.Load().Count())
	}
	before := a.grains.Load().Count()
	var steps []string
	err := a.drainer.order(t.Context(), admin.DrainOrder{Timeout: 60_000, Stay: true}, func(p admin.DrainProgress) { steps = append(steps, p.Step+" "+p.State+" "+p.Text) })
	if err != nil || !strings.Contains(strings.Join(steps, "\n"), fmt.Sprintf("grains done %d have gone", before)) {
		t.Fatalf("%v: %q", err, steps)
	}
	if left := a.grains.Load().Count(); left != 0 {
		t.Errorf("the drained node has %d grains", left)
	}
	var now int
	if _, err := fmt.Sscan(hub.told(t, all[0], "rounds"), &now); err != nil {
		t.Fatal(err)
	}
	rounds(now + 6) // they play on
	for _, caller := range all {
		hub.told(t, caller, "finish")
	}
	sum := 0
	for range callers {
		var n int
		text := <-played
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatal(text)
		}
		sum += n
	}
	for id := range grains {
		if got, want := hub.told(t, all[0], "grain", id+1, "get"), fmt.Sprintf(`%d 0 "b"`, sum); got != want {
			t.Errorf("grain %d: %s, expected %s", id+1, got, want)
		}
	}
	await(t, "the load of the node that is left is told", func() bool {
		m, ok := hub.members.Find("b")
		return ok && m.Load.Grains == grains
	})
}

func TestAGrainWhoseNodeWasKilledIsBackAtTheNextMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	url, db := natsServer(t), ferrettest.Start(t)
	hub := serving(t, grainFiles, url, "hub", func(c *Config) { c.Store.Mongo = Secret(db.URI()) })
	dir := t.TempDir()
	for file, text := range grainFiles {
		put(t, dir+"/"+file, text)
	}
	p := launch(t, []string{"SKUA_NATS=" + url, "SKUA_CLUSTER_ROLES=world", "SKUA_STORE_MONGO=" + db.URI()}, buildProgram(t),
		"run", dir, "--name", "victim", "--listen-tcp", "off", "--listen-kcp", "off", "--listen-http", "off", "--admin", "off")
	hub.sees(t, "victim")
	caller := hub.script(t, "caller", "me", 1)
	var there []int
	for id := range 20 {
		hub.told(t, caller, "grain", id, "add", "me", 1)
		if strings.HasSuffix(hub.told(t, caller, "grain", id, "commit"), `"victim"`) {
			there = append(there, id)
		}
	}
	if len(there) == 0 {
		t.Fatal("no grain is at the node that is to be killed")
	}
	p.kill()
	await(t, "the death is known", func() bool { // what is called before fails, as the victim may have handled it
		m, _ := hub.members.Find("victim")
		return m.State == cluster.Dead
	})
	for _, id := range there {
		if got := hub.told(t, caller, "grain", id, "add", "me", 2); got != `2 "hub"` {
			t.Errorf("grain %d: %s", id, got)
		}
		if got := hub.told(t, caller, "grain", id, "get"); got != `2 0 "hub"` {
			t.Errorf("grain %d: %s", id, got)
		}
	}
}

// A single node needs nothing but the table in skua.toml; what its grains have saved is there when it is started again.
func TestASingleNodeHasGrains(t *testing.T) {
	data := t.TempDir()
	for round := range 2 {
		t.Run("", func(t *testing.T) {
			n := serving(t, grainFiles, "", "alone", func(c *Config) { c.Data = data })
			caller := n.script(t, "caller", "me", 1)
			if got, want := n.told(t, caller, "grain", "x", "add", "me", round+1), fmt.Sprintf(`%d "alone"`, round+1); got != want {
				t.Errorf("%s, expected %s", got, want)
			}
		})
	}
}

func TestAKindWhoseScriptIsNotThereIsNamed(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/scripts/main.lua", "return {}\n")
	put(t, dir+"/skua.toml", "[grains.guild]\nscript = \"gild\"\n")
	r := begin(t, dir)
	if code := r.ended(); code != exitFailed || !strings.Contains(r.log.text(), `grains.guild.script = "gild": there is no such script in scripts`) {
		t.Errorf("%d %s", code, r.log.text())
	}
	opened, err := openProject(dir, extension{})
	if err != nil {
		t.Fatal(err)
	}
	_, problems, err := opened.check()
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Message, "grains.guild.script") {
		t.Errorf("%v, %v", problems, err)
	}
}

// The guilds of examples/guild do what their tests say.
func TestTheGuildsOfTheExamplePassTheirTests(t *testing.T) {
	const dir = "../../examples/guild"
	p, err := openProject(dir, extension{})
	if err != nil {
		t.Fatal(err)
	}
	if n, problems, err := p.check(); err != nil || len(problems) > 0 || n != 4 {
		t.Fatalf("check of %d scripts: %v %q", n, err, problems)
	}
	var out, log bytes.Buffer
	if err := testProject(t.Context(), dir, testOptions{timeout: time.Minute}, &out, &log); err != nil || !strings.HasSuffix(out.String(), "4 passed, 0 failed\n") {
		t.Fatalf("%v\n%s\n%s", err, out.String(), log.String())
	}
}
