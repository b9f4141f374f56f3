package lua_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/reload"
)

func canaryVersion(body string) *reload.Version {
	return reload.NewVersion(map[string]string{"main.lua": `
local skynet = require "skynet"
local M = {}
function M.work(self, n) ` + body + ` end
function M.deny(self) error({ why = "closed" }) end
return M`})
}

func TestHandlersAreCountedByTheVersionThatTheyBeginWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := upgradeEngine(t)
		n := newNodeWith(t, lua.Config{Engine: engine}, actor.Config{})
		one, two := canaryVersion("skynet.sleep(n)"), canaryVersion("skynet.sleep(n) error('broken')")
		n.rt.Use(one)
		refs := []actor.Ref{n.start("main"), n.start("main")}
		results(t, n, refs[0], "work", 1) // nobody counts yet
		synctest.Wait()
		all, second := n.rt.Measure(), n.rt.Measure(refs[1])
		for _, ref := range refs {
			for range 3 {
				results(t, n, ref, "work", 2)
			}
			results(t, n, ref, "deny")
			results(t, n, ref, "none")
		}
		u, err := reload.Prepare(engine, one, two, reload.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := upgrade(n, refs[1], u); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			results(t, n, refs[0], "work", 10)
			results(t, n, refs[1], "work", 100)
		}
		synctest.Wait() // a handler is counted behind its answer
		if f := all.Scripts()["main"][two.ID()]; f.Handled != 4 || f.Slower(500*time.Millisecond) != 4 || f.Slower(2*time.Second) != 0 {
			t.Errorf("by its script: %+v", f)
		}
		second.Stop()
		results(t, n, refs[1], "work", 5)
		check := func(name string, f lua.Figures, want string, p50 time.Duration) {
			t.Helper()
			if got := fmt.Sprint(f.Handled, f.Failed, f.Refused, f.Time, f.Max); got != want {
				t.Errorf("%s: %s, expected %s", name, got, want)
			}
			if q := f.Quantile(0.5); q < p50 || q > 2*p50 {
				t.Errorf("%s: the median is %v, expected about %v", name, q, p50)
			}
		}
		synctest.Wait()
		figures := all.Figures()
		check("all, one", figures[one.ID()], "14 2 2 520ms 100ms", 20*time.Millisecond)
		check("all, two", figures[two.ID()], "5 5 0 4.05s 1s", time.Second)
		figures = second.Figures()
		check("second, one", figures[one.ID()], "5 1 1 60ms 20ms", 20*time.Millisecond)
		check("second, two", figures[two.ID()], "4 4 0 4s 1s", time.Second)
		all.Stop()
	})
}

func TestVMsThatBeginCanBeGivenAVersionEach(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		texts := func(n string) map[string]string {
			return map[string]string{"main.lua": "return { get = function() return " + n + " end }"}
		}
		one, two := reload.NewVersion(texts("1")), reload.NewVersion(texts("2"))
		more := texts("2")
		more["extra.lua"] = "return { get = function() return 'extra' end }"
		three := reload.NewVersion(more)
		n := newNodeWith(t, lua.Config{Engine: testEngine(t)}, actor.Config{})
		n.rt.Use(one)
		if _, err := n.launch("extra"); err == nil {
			t.Error("a script that no version has")
		}
		chosen := two
		n.rt.Choose(func(script string) *reload.Version {
			if script == "extra" {
				return three
			}
			return chosen
		})
		second := n.start("main")
		chosen = nil
		first := n.start("main")
		extra := n.start("extra")
		n.rt.Choose(nil)
		again := n.start("main")
		for ref, want := range map[actor.Ref]string{first: "1", second: "2", extra: "extra", again: "1"} {
			if got := results(t, n, ref, "get"); got != want {
				t.Errorf("got %s, expected %s", got, want)
			}
		}
	})
}
