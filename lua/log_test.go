package lua_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/scripts"
)

func TestLinesOfTheLogHaveALevelAndFields(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local log = require "log"
local M = {}
function M.run()
  log.info("bought", { player = 9007199254740991, price = 5.5, thing = "a sword", gift = false, list = { 1, 2 }, [3] = "three" })
  log.warn("only %d of %s are left", 3, "it")
  log.error("plain 100%")
  log.error("why", setmetatable({}, { __tostring = function() return "text" end }))
  log.debug("nobody reads %d", "this")
  log.info("nil", nil)
  log.info("function", { f = print })
  return log.enabled("debug"), log.enabled("info"), require("skynet.log").info ~= nil
end
function M.bad() log.info() end
function M.none() log.enabled("loud") end
function M.key() log.info("x", { [true] = 1 }) end
function M.many()
  local t = {}
  for i = 1, 65 do t[i] = i end
  log.info("x", t)
end
return M`)
		ref := n.start("main")
		l, err := n.call(ref, "run")
		if err != nil {
			t.Fatal(err)
		}
		if l.At(0).Bool() || !l.At(1).Bool() || !l.At(2).Bool() {
			t.Errorf("the levels that are on: %v", l)
		}
		for _, want := range []string{
			`level=INFO msg=bought service=main:`, ` 3=three gift=false list="[1 2]" player=9007199254740991 price=5.5 thing="a sword"`,
			`level=WARN msg="only 3 of it are left"`, `level=ERROR msg="plain 100%"`, `level=ERROR msg=why `, "msg=nil", `f="function: `,
		} {
			if !strings.Contains(n.log.String(), want) {
				t.Errorf("%s is not in\n%s", want, n.log)
			}
		}
		if strings.Contains(n.log.String(), "nobody reads") {
			t.Error("a line below the level is there")
		}
		for cmd, want := range map[string]string{
			"bad": "log.info: a message is expected as argument 1", "none": "debug, info, warn or error is expected",
			"key": "the name of a field is a string of 1 to 64 bytes, got boolean", "many": "a line has at most 64 fields",
		} {
			if _, err := n.call(ref, cmd); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", cmd, err)
			}
		}
	})
}

func TestLinesOfTheLogAreJSONWhereTheNodesAre(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	rt, err := lua.NewRuntime(lua.Config{Library: scripts.FS(), Log: log, Scripts: fstest.MapFS{"main.lua": {Data: []byte(`
require("log").debug("moved", { at = { x = 1, y = -2 }, path = { "a", "b" } })
return {}`)}}})
	if err != nil {
		t.Fatal(err)
	}
	sys := actor.New(actor.Config{Log: log})
	ref, err := sys.Spawn(rt.Spec("main", value.List{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sys.Ask(context.Background(), ref, lua.Ready{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := sys.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if want := `"at":{"x":1,"y":-2},"path":["a","b"]`; !strings.Contains(out.String(), want) {
		t.Errorf("%s is not in %s", want, &out)
	}
}

func TestAProjectsOwnLogGoesBefore(t *testing.T) {
	n := newNode(t, "log.lua", "return { mine = true }", "main.lua", `
assert(require("log").mine and require("skynet.log").warn)
return {}`)
	n.start("main")
}
