package lua_test

import (
	"context"
	"errors"
	"runtime"
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
