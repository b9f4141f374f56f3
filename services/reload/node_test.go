package reload_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/lua"
	code "github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/reload"
)

func TestAReloadReplacesCodeAndKeepsState(t *testing.T) {
	n := rig{}.alone(t, "agent.lua", counter("one"), "other.lua", counter("other"))
	own, shared, other := n.launch("agent", false), n.launch("agent", true), n.launch("other", false)
	for _, ref := range []actor.Ref{own, shared, other} {
		n.call(ref, "add")
	}
	c := n.reload("agent.lua", counter("two"))
	for _, ref := range []actor.Ref{own, shared} {
		if v, count := n.call(ref, "version"), n.call(ref, "add"); v != "two" || count != "2" {
			t.Errorf("version %s, count %s", v, count)
		}
	}
	if v := n.call(n.launch("agent", false), "version"); v != "two" {
		t.Errorf("a new agent runs %s", v)
	}
	if c.Plan == nil || len(c.Plan.Files) != 1 || c.Plan.Files[0].File != "agent.lua" || c.Plan.Files[0].Added != 1 || c.Plan.Files[0].Removed != 1 {
		t.Errorf("plan: %+v", c.Plan)
	}
	if len(c.Plan.Changed) != 1 || !strings.HasPrefix(c.Plan.Changed[0], "agent.lua:4 ") {
		t.Errorf("changed functions: %v", c.Plan.Changed)
	}
	if got := c.Plan.Nodes[0].Actors; len(got) != 1 || got[0].Script != "agent" || got[0].Actors < 2 {
		t.Errorf("the plan is for %v", got)
	}
	v := n.versions()
	if v.Current != c.To || v.History[0].ID != c.To || v.History[0].Who != "anna" || v.History[0].Outcome != "done" || len(v.Nodes[0].Old) != 0 {
		t.Errorf("%+v", v)
	}
	for _, count := range v.Nodes[0].Actors {
		if count.Version != c.To {
			t.Errorf("%+v", count)
		}
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	n := rig{}.alone(t, "agent.lua", counter("one"))
	ref := n.launch("agent", false)
	n.folder.put("agent.lua", counter("two"))
	c := n.do(reload.Order{Who: "anna", DryRun: true})
	if c.State != reload.Done || c.Plan == nil || len(c.Plan.Changed) != 1 {
		t.Fatalf("%+v", c)
	}
	if v := n.call(ref, "version"); v != "one" {
		t.Errorf("it runs %s", v)
	}
	if v := n.versions(); len(v.History) != 1 || v.Current != c.From {
		t.Errorf("%+v", v)
	}
	if c := n.do(reload.Order{Who: "anna"}); c.State != reload.Done {
		t.Errorf("behind it: %s", c.Error)
	}
}

func TestAServiceWhoseScriptIsGoneGoesOnAndTheOperatorIsTold(t *testing.T) {
	n := rig{}.alone(t, "agent.lua", counter("one"), "shop.lua", counter("one"))
	ref := n.launch("agent", false)
	n.folder.drop("agent.lua")
	gone := n.do(reload.Order{Who: "anna"})
	for text, c := range map[string]reload.Change{"the script agent is gone: 1 of node ": gone, "the script agent is back: 1 of node ": n.reload("agent.lua", counter("two"))} {
		if c.State != reload.Done || len(c.Plan.Nodes[0].Orphans) != 1 || len(c.Plan.Warnings) != 1 || !strings.Contains(c.Plan.Warnings[0], text) {
			t.Errorf("expected %q: %+v", text, c.Plan)
		}
		if !strings.Contains(n.log.String(), text) {
			t.Errorf("the log does not say %q", text)
		}
	}
	if v := n.call(ref, "version"); v != "one" {
		t.Errorf("it runs %s", v)
	}
	if v := n.call(n.launch("agent", false), "version"); v != "two" {
		t.Errorf("a new one runs %s", v)
	}
	if c := n.reload("shop.lua", counter("two")); len(c.Plan.Warnings) != 0 {
		t.Errorf("%v", c.Plan.Warnings)
	}
}

func TestWhatDoesNotCompileChangesNothing(t *testing.T) {
	n := rig{}.alone(t, "agent.lua", counter("one"), "shop.lua", "return {}")
	ref := n.launch("agent", false)
	n.folder.put("agent.lua", counter("two"), "shop.lua", "return {}\nlocal =")
	c := n.do(reload.Order{Who: "anna"})
	if c.State != reload.Undone || !strings.Contains(c.Error, "shop.lua:2") {
		t.Fatalf("%s: %s", c.State, c.Error)
	}
	if v := n.call(ref, "version"); v != "one" {
		t.Errorf("it runs %s", v)
	}
	n.reload("shop.lua", "return {}")
	if v := n.call(ref, "version"); v != "two" {
		t.Errorf("behind it, it runs %s", v)
	}
}

func TestWhatTheCheckRefusesChangesNothing(t *testing.T) {
	n := rig{change: func(cfg *reload.Config) {
		cfg.Check = func(*code.Version, *code.Version) error { return errors.New("agent.lua:1:1: no") }
	}}.alone(t, "agent.lua", counter("one"))
	n.folder.put("agent.lua", counter("two"))
	if c := n.do(reload.Order{Who: "anna"}); c.State != reload.Undone || c.Error != "agent.lua:1:1: no" {
		t.Fatalf("%s: %s", c.State, c.Error)
	}
}

// A hook that fails in one of many actors brings all of them back.
func TestAFailureInOneActorUndoesAll(t *testing.T) {
	script := func(version, hook string) string {
		return "local M = {}\nfunction M.mark(self) self.marked = true end\nfunction M.version(self) return '" + version + "' end\n" + hook + "return M\n"
	}
	n := rig{}.alone(t, "agent.lua", script("one", ""))
	refs := make([]actor.Ref, 20)
	for i := range refs {
		refs[i] = n.launch("agent", i%2 == 0)
	}
	n.call(refs[15], "mark")
	n.folder.put("agent.lua", script("two", "function M.on_upgrade(self) if self.marked then error('not this one') end end\n"))
	c := n.do(reload.Order{Who: "anna"})
	if c.State != reload.Undone || !strings.Contains(c.Error, "agent.lua:4") || !strings.Contains(c.Error, "not this one") {
		t.Fatalf("%s: %s", c.State, c.Error)
	}
	for i, ref := range refs {
		if v := n.call(ref, "version"); v != "one" {
			t.Errorf("actor %d runs %s", i, v)
		}
	}
	if v := n.call(n.launch("agent", false), "version"); v != "one" {
		t.Errorf("a new one runs %s", v)
	}
	v := n.versions()
	if v.History[0].Outcome != "undone" || v.History[0].Error == "" || v.Current != c.From || len(v.Nodes[0].Old) != 0 {
		t.Errorf("%+v", v.History[0])
	}
}

// blocker is a module in Go whose function keeps its actor busy until it is let go.
func blocker() (m lua.Module, begun chan struct{}, free chan struct{}) {
	begun, free = make(chan struct{}, 10), make(chan struct{})
	return lua.Module{Name: "blocker", Open: func(_ *lua.Host, s vm.State) {
		s.PushFunc("block", func(vm.State) int {
			begun <- struct{}{}
			<-free
			return 0
		})
	}}, begun, free
}

// An actor that is stuck is named at once; the change is undone when its time is over, and the actor is put right when it is free.
func TestAStuckActorHasTheChangeUndone(t *testing.T) {
	m, begun, free := blocker()
	n := rig{modules: []lua.Module{m}, change: func(cfg *reload.Config) { cfg.Timeout = 400 * time.Millisecond }}.alone(t,
		"agent.lua", counter("one"), "busy.lua", "local block = require 'blocker'\nreturn { work = function() block() return 'done' end, version = function() return 'one' end }")
	agent, busy := n.launch("agent", false), n.launch("busy", false)
	answer := make(chan error, 1)
	go func() {
		_, err := n.try(busy, "work")
		answer <- err
	}()
	<-begun
	n.folder.put("agent.lua", counter("two"))
	c := n.do(reload.Order{Who: "anna"})
	if c.State != reload.Undone || !strings.Contains(c.Error, "stuck") || !strings.Contains(c.Error, "busy:") || len(c.Stuck) == 0 || !strings.HasPrefix(c.Stuck[0].Actor, "busy:") {
		t.Fatalf("%s: %s, stuck %v", c.State, c.Error, c.Stuck)
	}
	if v := n.call(agent, "version"); v != "one" {
		t.Errorf("the other runs %s", v)
	}
	if old := n.versions().Nodes[0].Old; len(old) != 1 || old[0].Script != "busy" || old[0].Why == "" {
		t.Errorf("still on old code: %+v", old)
	}
	close(free)
	if err := <-answer; err != nil {
		t.Errorf("its handler has ended with %v", err)
	}
	clustertest.Eventually(t, "the actor runs what the others do", func() bool {
		v := n.versions()
		return len(v.Nodes[0].Old) == 0
	})
	n.reload()
	if v := n.call(agent, "version"); v != "two" {
		t.Errorf("it runs %s", v)
	}
}

func TestARollbackGoesBackStepByStep(t *testing.T) {
	n := rig{}.alone(t, "agent.lua", counter("one"))
	ref := n.launch("agent", false)
	first := n.reload("agent.lua", counter("two")).From
	n.reload("agent.lua", counter("three"))
	for _, want := range []string{"two", "one"} {
		if c := n.do(reload.Order{Rollback: true, Who: "ben"}); c.State != reload.Done {
			t.Fatal(c.Error)
		}
		if v := n.call(ref, "version"); v != want {
			t.Errorf("it runs %s, want %s", v, want)
		}
	}
	if c := n.do(reload.Order{Rollback: true, Who: "ben"}); c.State != reload.Undone || !strings.Contains(c.Error, first) {
		t.Errorf("behind the first: %s %s", c.State, c.Error)
	}
	n.reload()
	if c := n.do(reload.Order{Rollback: true, To: first, Who: "ben"}); c.State != reload.Done {
		t.Fatal(c.Error)
	}
	if v := n.call(ref, "version"); v != "one" {
		t.Errorf("it runs %s", v)
	}
	if _, err := n.svc.Begin(reload.Order{Rollback: true, To: "nonsense"}, 0); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("nonsense: %v", err)
	}
	if c := n.do(reload.Order{Rollback: true, To: "0123456789abcdef"}); c.State != reload.Undone || !strings.Contains(c.Error, "no such version") {
		t.Errorf("a version that nobody has seen: %s", c.Error)
	}
}

func TestADiffSaysWhatAVersionHasChanged(t *testing.T) {
	n := rig{}.alone(t, "agent.lua", counter("one"))
	c := n.reload("agent.lua", counter("two"), "shop/init.lua", "return {}\n")
	files, err := n.svc.Diff(t.Context(), c.To, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0].Change != "changed" || !strings.Contains(files[0].Diff, "-function M.version() return 'one' end\n+function M.version() return 'two' end\n") ||
		files[1].File != "shop/init.lua" || files[1].Change != "new" || files[1].Added != 1 {
		t.Errorf("%+v", files)
	}
	if _, err := n.svc.Diff(t.Context(), "0123456789abcdef", ""); !errors.Is(err, reload.ErrNoVersion) {
		t.Errorf("a version that is not kept: %v", err)
	}
}
