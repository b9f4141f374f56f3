package datacenter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/services/datacenter"
)

func TestValuesAreReadByTheirPaths(t *testing.T) {
	onBoth(t, datacenter.Config{}, func(t *testing.T, r *rig) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(a, `return dc.get "hello", dc.set("hello", "world"), dc.set("hello", 5), dc.set("hello", nil), dc.get "hello"`, `nil nil "world" 5 nil`)
		r.Run(a, `return dc.set("key", "foobar", "bingo"), dc.set("key", 1, true), dc.set("key", 1.5, false), dc.set(true, "yes")`, `nil nil nil nil`)
		r.Run(b, `local t = dc.get "key" return t.foobar, t[1], t[1.5], dc.get("key", 1), dc.get("key", 1.0), dc.get("key", "nothing"), dc.get(true)`,
			`"bingo" true false true true nil "yes"`)
		r.Run(a, `return dc.set("t", { 1, 2, { x = "deep" }, n = 3 }), dc.get("t", 3, "x"), #dc.get "t", dc.set("t", 3, "x", "new").y`, `nil "deep" 3 nil`)
		r.Run(a, `return dc.get("t", 2), dc.set("t", 3, { y = 1 }).x, dc.get("t", 3, "x"), dc.get("t", 3, "y"), dc.get("not", "at", "all")`, `2 "new" nil 1 nil`)
		r.Run(a, `dc.set("t", nil) return dc.get "t", dc.get("t", 3)`, "nil nil")
		r.Run(a, `dc.set("empty", {}) return next(dc.get "empty") == nil, dc.get("hello", nil)`, "true nil")
		r.Fails(a, `return dc.get("hello", nil, "x")`, "as key 2, got nil")
	})
}

func TestPathsThroughLeavesAreErrors(t *testing.T) {
	onBoth(t, datacenter.Config{MaxValues: 50}, func(t *testing.T, r *rig) {
		a := r.Start("runner")
		r.Run(a, `dc.set("a", "b", 1)`, "")
		r.Fails(a, `return dc.get("a", "b", "c")`, "datacenter: a.b.c: there is a value on the way that is no table")
		r.Fails(a, `return dc.set("a", "b", "c", 2)`, "datacenter: a.b.c: there is a value on the way that is no table")
		r.Fails(a, `return dc.set("a", "b", "c", "d", nil)`, "datacenter: a.b.c.d: there is a value on the way that is no table")
		r.Fails(a, `return dc.wait("a", "b", "c")`, "datacenter: a.b.c: there is a value on the way that is no table")
		r.Fails(a, `return dc.get()`, "1 to 64 keys are expected, got 0")
		r.Fails(a, `return dc.set("a")`, "a path and a value are expected, got 1 arguments")
		r.Fails(a, `return dc.set({}, 1)`, "a string, a number or a boolean is expected as key 1, got table")
		r.Fails(a, `return dc.set(nil, 1)`, "as key 1, got nil")
		r.Fails(a, `for i = 1, 100 do dc.set("n", i, i) end`, "the tree is full")
		r.Run(a, `dc.set("n", nil) for i = 1, 10 do dc.set("n", i, i) end for i = 1, 200 do dc.set("again", i, i) dc.set("again", nil) end return #dc.get "n"`, "10")
		r.Fails(a, `local t = {} for i = 1, 40 do t = { t } end
			local p = {} for i = 1, 30 do p[i] = "x" end p[31] = t return dc.set((unpack or table.unpack)(p))`, "nest deeper")
		r.Fails(a, `return skynet.call("datacenter", "lua", "DROP", "a")`, `"DROP" is no command`)
		r.Run(a, `return dc.get("a", "b")`, "1")
	})
}

func TestWaitsEndWhenThereIsSomething(t *testing.T) {
	onBoth(t, datacenter.Config{}, func(t *testing.T, r *rig) {
		a := r.Start("runner")
		wait := func(done *sync.WaitGroup, chunk, want string) {
			ref := r.Start("runner")
			done.Go(func() { r.Run(ref, `dc.set("waiting", (dc.get "waiting" or 0) + 1) return `+chunk, want) })
		}
		for _, set := range []string{`dc.set("key", "foobar", "bingo")`, `dc.set("key", { foobar = "bingo", other = 1 })`} {
			var done sync.WaitGroup
			r.Run(a, `dc.set("key", nil) dc.set("waiting", nil)`, "")
			wait(&done, `dc.wait("key", "foobar")`, `"bingo"`)
			wait(&done, `dc.wait("key", "foobar")`, `"bingo"`)
			// The waits have come when those who wait have had the time to ask; the answer is the same if not.
			r.Run(a, `while (dc.get "waiting" or 0) < 1 do skynet.sleep(1) end skynet.sleep(5) dc.set("another", 1) `+set, "")
			done.Wait()
			r.Run(a, `return dc.wait("key", "foobar")`, `"bingo"`)
		}
	})
}

// In a bubble it is known when somebody waits.
func inBubble(t *testing.T, cfg datacenter.Config, run func(t *testing.T, r *rig)) {
	t.Helper()
	for _, engine := range luatest.Engines(t) {
		t.Run(engine.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, newRig(t, engine, cfg)) })
		})
	}
}

// waiting starts a service that runs a chunk, which is to wait.
func (r *rig) waiting(chunk string) (result func() string) {
	r.Helper()
	ref := r.Start("runner")
	got := make(chan string, 1)
	go func() { got <- r.Call(ref, "run", chunk) }()
	synctest.Wait()
	select {
	case early := <-got:
		r.Errorf("%s: it does not wait but gives %s", chunk, early)
		got <- early
	default:
	}
	return func() string {
		r.Helper()
		synctest.Wait()
		select {
		case s := <-got:
			return s
		default:
			return "it waits"
		}
	}
}

func TestAWaitIsAnsweredByWhateverReachesItsPath(t *testing.T) {
	inBubble(t, datacenter.Config{}, func(t *testing.T, r *rig) {
		a := r.Start("runner")
		for _, c := range []struct{ wait, set, want string }{
			{`dc.wait("a")`, `dc.set("a", 1)`, "1"},
			{`dc.wait("b", "c", "d")`, `dc.set("b", "c", "d", 1)`, "1"},
			{`dc.wait("e", "f", "g")`, `dc.set("e", { f = { g = 2 } })`, "2"},
			{`dc.wait("h", "i").x`, `dc.set("h", "i", { x = 3 })`, "3"},
			{`dc.wait("j", "k")`, `dc.set("j", { l = 2 })`, "it waits"},
			{`dc.wait("m", "n")`, `dc.set("m", "o", 2)`, "it waits"},
			{`dc.wait("p", "q")`, `dc.set("p", "q", nil)`, "it waits"},
			{`dc.wait("w", "x", "y")`, `dc.set("w", "x", "y", false)`, "false"},
			{`pcall(dc.wait, "r")`, `dc.set("r", "s", 1)`, "branch"},
			{`pcall(dc.wait, "t", "u")`, `dc.set("t", 1)`, "leaf"},
		} {
			want := c.want
			chunk := "return " + c.wait
			switch want {
			case "branch", "leaf":
				chunk = `local ok, err = ` + c.wait + ` return ok, tostring(err)`
			}
			result := r.waiting(chunk)
			r.Call(a, "run", c.set)
			got := result()
			switch {
			case want == "branch" && contains(got, "false", "a branch can't be waited for: r.s has been set"):
			case want == "leaf" && contains(got, "false", "t.u", "there is a value on the way that is no table"):
			case got == want:
			default:
				t.Errorf("%s, %s: got %s, want %s", c.wait, c.set, got, want)
			}
		}
	})
}

func TestAWaitHasNoDeadlineOfItsOwn(t *testing.T) {
	inBubble(t, datacenter.Config{}, func(t *testing.T, r *rig) {
		ref := r.Start("runner")
		r.Run(ref, `skynet.fork(function() got = dc.wait "late" end)`, "")
		time.Sleep(time.Hour) //nolint:forbidigo // fake time
		r.Run(ref, `local before = got dc.set("late", "here") skynet.yield() return before, got`, `nil "here"`)
	})
}

func TestWaitsAreBoundedAndThoseWhoHaveEndedDoNotCount(t *testing.T) {
	inBubble(t, datacenter.Config{MaxWaits: 5}, func(t *testing.T, r *rig) {
		var refs []actor.Ref
		for i := range 5 {
			ref := r.Start("runner")
			r.Run(ref, fmt.Sprintf(`skynet.fork(function() dc.wait("w", %d) end)`, i), "")
			refs = append(refs, ref)
		}
		synctest.Wait()
		a := r.Start("runner")
		r.Fails(a, `return dc.wait("x")`, "5 wait already")
		r.Fails(a, `return dc.wait("w")`, "5 wait already")
		r.System.Kill(refs[0], nil)
		synctest.Wait()
		r.Run(a, `skynet.fork(function() x = dc.wait("x") end)`, "")
		r.Run(a, `skynet.yield() dc.set("x", 7) skynet.yield() return x`, "7")
		r.Fails(a, `return dc.wait("w")`, "somebody waits for a longer path")
		r.Fails(a, `return dc.wait("w", 1, 2)`, "somebody waits for the beginning of this path")
		for _, ref := range refs[1:] {
			r.System.Kill(ref, nil)
		}
		synctest.Wait()
		r.Run(a, `skynet.fork(function() w = dc.wait("w") end) skynet.yield() dc.set("w", 8) skynet.yield() return w`, "8")
	})
}

func TestGoServicesUseTheSameTree(t *testing.T) {
	onBoth(t, datacenter.Config{}, func(t *testing.T, r *rig) {
		at := func(keys ...any) (p []value.Value) {
			for _, v := range value.Of(keys...).All {
				p = append(p, v)
			}
			return p
		}
		ask := func(msg any) (any, error) { return r.System.Ask(context.Background(), r.center, msg) }
		a := r.Start("runner")
		if v, err := ask(datacenter.Set{Path: at("a", 1), Value: value.Of(5).At(0)}); err != nil || !v.(value.Value).IsNil() {
			t.Errorf("got %v, %v", v, err)
		}
		r.Run(a, `return dc.get("a", 1), dc.set("a", 1, 6)`, "5 5")
		for _, msg := range []any{datacenter.Get{Path: at("a", 1)}, datacenter.Wait{Path: at("a", 1)}, datacenter.Set{Path: at("a", 1)}} {
			if v, err := ask(msg); err != nil || v.(value.Value).String() != "6" {
				t.Errorf("%T: got %v, %v", msg, v, err)
			}
		}
		if _, err := ask("text"); err == nil {
			t.Error("a text is answered")
		}
		if _, err := ask(datacenter.Get{}); !errors.Is(err, datacenter.ErrPath) {
			t.Errorf("got %v", err)
		}
		r.Run(a, `dc.set("leaf", 1)`, "")
		if _, err := ask(datacenter.Get{Path: at("leaf", 1)}); !errors.Is(err, datacenter.ErrLeaf) {
			t.Errorf("got %v", err)
		}
	})
}
