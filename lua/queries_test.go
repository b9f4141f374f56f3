package lua_test

import (
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// impatient asks for services that nobody starts, as many as may wait, and gives up; then for one that is started behind that.
type impatient struct{ launcher actor.Ref }

func (i impatient) Receive(c *actor.Context, _ any) {
	var calls []actor.Call
	for range 10_000 {
		calls = append(calls, c.Ask(i.launcher, lua.Launch{Script: "nobody", Query: true}, nil))
	}
	c.Ask(i.launcher, "no message of its", func(any, error) { // behind all of them
		for _, call := range calls {
			call.Cancel()
		}
		c.Ask(i.launcher, lua.Launch{Script: "main", Query: true}, c.Reply)
		c.Ask(i.launcher, lua.Launch{Script: "main", Unique: true}, nil)
	})
}

func TestQueriesThatWereGivenUpMakeRoomForOthers(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `return {}`)
		launcher, ok := n.sys.Lookup(lua.LauncherName)
		if !ok {
			t.Fatal("there is no launcher")
		}
		asker, err := n.sys.Spawn(actor.Spec{New: func() actor.Actor { return impatient{launcher} }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.sys.Ask(t.Context(), asker, "go"); err != nil {
			t.Errorf("a query is refused, though nobody waits: %v", err)
		}
	})
}
