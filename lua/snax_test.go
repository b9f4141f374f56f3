package lua_test

import (
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/vm"
)

func TestASnaxServiceGoesByTheNameOfItsScript(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "world/map.lua", `
function response.fail() error("lost") end
function response.name() return SERVICE_NAME, SERVICE_PATH end
function init() print("the map is there") end`, "main.lua", `
local snax = require "skynet.snax"
local M = {}
function M.start(self) self.map = snax.newservice("world.map") end
function M.name(self) return self.map.req.name() end
function M.fail(self) return self.map.req.fail() end
return M`)
		ref := n.start("main")
		l, err := n.call(ref, "name")
		if err != nil {
			t.Fatal(err)
		}
		if got := l.At(0).String() + l.At(1).String(); got != `"world.map""world/world.map/"` {
			t.Error(got)
		}
		if _, err := n.call(ref, "fail"); err == nil || !strings.Contains(err.Error(), "world/map.lua:2: lost") {
			t.Error(err)
		}
		for _, want := range []string{`msg="the map is there" service=world.map:`, `msg="handler failed" service=world.map:`} {
			if !strings.Contains(n.log.String(), want) {
				t.Errorf("%s is not in\n%s", want, n.log)
			}
		}
	})
}

func TestASnaxServiceHasTheEngineOfItsScript(t *testing.T) {
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := newNodeWith(t, lua.Config{Engines: map[string]vm.Engine{"old": second}}, actor.Config{},
		"old.lua", `function response.version() return _VERSION end`, "new.lua", `function response.version() return _VERSION end`, "main.lua", `
local snax = require "skynet.snax"
return { versions = function() return snax.newservice("old").req.version(), snax.newservice("new").req.version() end }`)
	l, err := n.call(n.start("main"), "versions")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := l.At(0).String(), l.At(1).String(); a == b {
		t.Errorf("both have %s", a)
	}
}

// A script is read for its methods where no service of it is known. Its modules are not there then, and nothing of it must matter.
func TestASnaxScriptIsReadWithoutItsModules(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "shop.lua", `
local skynet = require "skynet"
local queue = require("skynet.queue")()
local prices = require "prices"
local rate = prices.rate * 2 + #prices.list - 1
assert(rate < 5 or rate >= 5)
string.shout = function() end
leaked = true
for k, v in pairs(prices) do print(k .. v) end
for i, v in ipairs(prices.list) do response["item" .. i] = function() return v end end
for x in prices.each() do print(x) end
function response.buy(n) return n * prices.rate end
function accept.close() skynet.exit() end
local function hidden() end
if skynet.getenv("season") == "winter" then function response.sledge() end end
function init() end
function exit() end`, "prices.lua", `return { rate = 3, list = { 1 }, each = function() return function() end end }`,
			"stubborn.lua", `
function response.first() return 1 end
local t = require("prices").list[1]
assert(type(t) == "number", "the real one is needed")
function response.second() return 2 end`, "broken.lua", "function response.x(", "main.lua", `
local snax = require "skynet.snax"
local skynet = require "skynet"
local M = {}
local function names(t)
  local list = {}
  for k in pairs(t) do list[#list + 1] = k end
  table.sort(list)
  return table.concat(list, " ")
end
function M.interface()
  local i = snax.interface("shop")
  assert(string.shout == nil and leaked == nil)
  return names(i.accept) .. "/" .. names(i.response) .. "/" .. names(i.system)
end
function M.bind()
  local handle = skynet.newservice("snaxd", "stubborn")
  skynet.call(handle, "snax", "system.init")
  local s = snax.bind(handle, "stubborn")
  return s.req.first() + s.req.second(), pcall(function() return s.req.third() end)
end
function M.broken() return snax.interface("broken") end
return M`)
		ref := n.start("main")
		l, err := n.call(ref, "interface")
		if err != nil {
			t.Fatal(err)
		}
		if got := l.At(0).String(); got != `"close/buy/exit hotfix init profile"` {
			t.Error(got)
		}
		l, err = n.call(ref, "bind")
		if err != nil {
			t.Fatal(err)
		}
		if got := l.At(0).String() + l.At(1).String(); got != "3false" {
			t.Error(got)
		}
		if _, err := n.call(ref, "broken"); err == nil || !strings.Contains(err.Error(), "broken.lua:1:") {
			t.Error(err)
		}
	})
}

func TestTheObjectsOfSnaxServicesDoNotGrowWithTheirNumber(t *testing.T) {
	n := newNodeWith(t, lua.Config{}, actor.Config{CallTimeout: 20 * time.Second}, "cell.lua", `function response.n() return 1 end`, "main.lua", `
local skynet = require "skynet"
local snax = require "skynet.snax"
local M = {}
function M.run()
  local kept = snax.bind(1, "cell")
  collectgarbage()
  local before = collectgarbage("count")
  for i = 2, 10000 do
    local o = snax.bind(i, "cell")
    assert(o.handle == i)
    if i % 500 == 0 then
      assert(rawequal(snax.bind(1, "cell"), kept))
      skynet.yield()
    end
  end
  collectgarbage()
  return collectgarbage("count") - before
end
return M`)
	l, err := n.call(n.start("main"), "run")
	if err != nil {
		t.Fatal(err)
	}
	if grown, _ := l.At(0).Float(); grown > 4<<10 {
		t.Errorf("%.0f KB for 10,000 objects that nobody keeps", grown)
	}
}
