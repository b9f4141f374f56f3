package lua_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"weak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
)

func upgradeEngine(t *testing.T) vm.Patching {
	t.Helper()
	if e := testEngine(t); e != nil {
		return e.(vm.Patching)
	}
	return lua54.New()
}

func upgrade(n *node, ref actor.Ref, u *reload.Update) error {
	_, err := n.sys.Ask(context.Background(), ref, lua.Upgrade{Update: u})
	return err
}

func TestOldCodeIsFreedWhenNobodyRunsIt(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		engine := upgradeEngine(t)
		one := reload.NewVersion(map[string]string{"main.lua": "local M = {}\nfunction M.get() return 1 end\nreturn M"})
		two := reload.NewVersion(map[string]string{"main.lua": "local M = {}\nfunction M.get() return 2 end\nreturn M"})
		n := newNodeWith(t, lua.Config{Engine: engine}, actor.Config{})
		n.rt.Use(one)
		ref := n.start("main")
		text, _ := one.Text("main.lua")
		unit, err := engine.Compile("main.lua", text)
		if err != nil {
			t.Fatal(err)
		}
		old := weak.Make(unit)
		u, err := reload.Prepare(engine, one, two, reload.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := upgrade(n, ref, u); err != nil {
			t.Fatal(err)
		}
		n.rt.Use(two)
		u.Release()
		for range 100 {
			if runtime.GC(); old.Value() == nil {
				break
			}
			if _, err := n.call(ref, "get"); err != nil { // what the last message has left is overwritten
				t.Fatal(err)
			}
		}
		if old.Value() != nil {
			t.Error("the code of the version before is still there")
		}
		if got, err := n.call(ref, "get"); err != nil || got.At(0).String() != "2" {
			t.Errorf("%v %v", got, err)
		}
	})
}

func TestAServiceRefusesAnUpdateOfAnotherVersion(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		engine := upgradeEngine(t)
		versions := make([]*reload.Version, 3)
		for i := range versions {
			versions[i] = reload.NewVersion(map[string]string{"main.lua": "local M = {}\nfunction M.get() return " + string(rune('1'+i)) + " end\nreturn M"})
		}
		n := newNodeWith(t, lua.Config{Engine: engine}, actor.Config{}, "main.lua", "return { get = function() return 0 end }")
		none := n.start("main")
		n.rt.Use(versions[0])
		ref := n.start("main")
		u, err := reload.Prepare(engine, versions[1], versions[2], reload.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := upgrade(n, ref, u); !errors.Is(err, reload.ErrVersion) || !strings.Contains(err.Error(), versions[0].ID()) {
			t.Errorf("an update of another version: %v", err)
		}
		if err := upgrade(n, none, u); err == nil || !strings.Contains(err.Error(), "runs no version") {
			t.Errorf("a service without a version: %v", err)
		}
	})
}

// Sixteen versions of a script of 800 KB, one after the other: what is kept is one.
func TestTheHeapDoesNotGrowWithTheNumberOfReloads(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		engine := upgradeEngine(t)
		version := func(i int) *reload.Version {
			var b strings.Builder
			b.WriteString("local M = {}\n")
			for n := range 200 {
				fmt.Fprintf(&b, "function M.f%d(self, a, b) local sum = a + b * %d for i = 1, a do sum = sum + i end return sum, %q end\n", n, i, strings.Repeat(strconv.Itoa(i%10), 4000))
			}
			fmt.Fprintf(&b, "function M.get() return %d end\nreturn M", i)
			return reload.NewVersion(map[string]string{"main.lua": b.String()})
		}
		n := newNodeWith(t, lua.Config{Engine: engine}, actor.Config{})
		from := version(0)
		n.rt.Use(from)
		ref := n.start("main")
		next := func(i int) {
			to := version(i)
			u, err := reload.Prepare(engine, from, to, reload.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := upgrade(n, ref, u); err != nil {
				t.Fatal(err)
			}
			n.rt.Use(to)
			u.Release()
			from = to
			if got := results(t, n, ref, "get"); got != strconv.Itoa(i) {
				t.Fatalf("%s, expected %d", got, i)
			}
		}
		for i := range 4 {
			next(i + 1)
		}
		before := heapInUse()
		for i := range 12 {
			next(i + 5)
		}
		if grown := heapInUse() - before; grown > 2<<20 {
			t.Errorf("the heap has grown by %d KB in 12 reloads", grown>>10)
		}
	})
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
