package lua_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lint"
	"github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/scripts"
)

func TestAVersionIsCheckedBeforeAnythingRunsIt(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		api, err := lint.Load(scripts.Meta())
		if err != nil {
			t.Fatal(err)
		}
		n := newNodeWith(t, lua.Config{Engine: testEngine(t)}, actor.Config{}, "onlyhere.lua", "return 1")
		before := reload.NewVersion(map[string]string{
			"main.lua":      "local M = {}\nfunction M.get() return limit end\nreturn M",
			"main_test.lua": "it('it', function() expect(1).to_be(1) end)",
		})
		if got := problems(n.rt.Check(before, nil, api)); got != "main.lua:2:25: global limit is not defined\n" {
			t.Error(got)
		}
		after := reload.NewVersion(map[string]string{
			"main.lua":      "local skynet = require \"skynet\"\n\nlocal M = {}\nfunction M.get() return limit end\nfunction M.put() return limit, skynet.cal end\nreturn M",
			"shop/init.lua": "require \"onlyhere\"\nrequire \"shop.prices\"\nrequire \"sproto\"\nreturn require \"main\"",
			"bad.lua":       "local x = 1\nreturn function( end",
			"main_test.lua": "it('it', function() expect(1).to_be(nobody) end)",
		})
		const want = `main.lua:5:25: global limit is not defined
main.lua:5:39: skynet.cal is not there; did you mean skynet.call?
main_test.lua:1:37: global nobody is not defined
shop/init.lua:1:1: module "onlyhere" is not found
shop/init.lua:2:1: module "shop.prices" is not found
shop/init.lua:3:1: module "sproto" is not found: sproto is not there yet; protobuf, msgpack and cjson are
`
		list := n.rt.Check(after, before, api)
		if len(list) == 0 || list[0].File != "bad.lua" || list[0].Line != 2 || list[0].Rule != lint.Syntax || list[0].Column == 0 != isGopher(t) {
			t.Fatalf("%v", list)
		}
		if got := problems(list[1:]); got != want {
			t.Errorf("got\n%s", got)
		}
		fixed := reload.NewVersion(map[string]string{"main.lua": "return {}"})
		if got := problems(n.rt.Check(fixed, after, api)); got != "" {
			t.Error(got)
		}
		if got := problems(n.rt.Check(after, after, api)); got != "" {
			t.Errorf("what has been wrong before is left out: %s", got)
		}
		worse := reload.NewVersion(map[string]string{"main.lua": "return {}", "bad.lua": "local y = 1\nreturn function( end"})
		if got := problems(n.rt.Check(worse, after, api)); !strings.HasPrefix(got, "bad.lua:2:") {
			t.Errorf("a file that was changed, and does not compile: %q", got)
		}
	})
}

func problems(list []lint.Problem) string {
	text := ""
	for _, p := range list {
		text += p.String() + "\n"
	}
	return text
}
