package lint_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/skua-go/skua/lua/lint"
	"github.com/skua-go/skua/scripts"
)

// check checks scripts, given by their names, with the library's real names; tests are those that end with _test.lua.
func check(t *testing.T, files map[string]string) []string {
	t.Helper()
	api, err := lint.Load(scripts.Meta())
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	list := make([]lint.Script, 0, len(files))
	for _, name := range names {
		list = append(list, lint.Script{Name: name, Source: files[name], Test: strings.HasSuffix(name, "_test.lua")})
	}
	var found []string
	for _, p := range lint.Check(lint.Config{Has: func(m string) bool { return slices.Contains(api.Modules(), m) }, API: api}, list) {
		found = append(found, p.String())
	}
	return found
}

// one checks a script that is alone.
func one(t *testing.T, source string) []string {
	t.Helper()
	return check(t, map[string]string{"a.lua": source})
}

func TestEachMistakeIsFoundAtItsPlaceWithAHint(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{`local skynet = require "skynt"`, `a.lua:1:16: module "skynt" is not found; did you mean skynet?`},
		{"local x = 1\nlocal ok = pcall(function() return require('no.such.thing') end)", `a.lua:2:36: module "no.such.thing" is not found`},
		{`print(cuont)`, `a.lua:1:7: global cuont is not defined`},
		{"local count = 1\nlocal function f() return cuont end", `a.lua:2:27: global cuont is not defined; did you mean count?`},
		{`local function f(o) o = o or defualts return o end`, `a.lua:1:30: global defualts is not defined`},
		{`pritn(1)`, `a.lua:1:1: global pritn is not defined; did you mean print?`},
		{`local function f() total = 1 end`, `a.lua:1:20: global total is assigned in a function and defined nowhere; a local, or _G.total, is expected`},
		{`local skynet = require "skynet"  skynet.cal(1)`, `a.lua:1:41: skynet.cal is not there; did you mean skynet.call?`},
		{`require "skynet".cal(1)`, `a.lua:1:18: skynet.cal is not there; did you mean skynet.call?`},
		{"local skynet = require 'skynet'\nlocal s = skynet\nfunction f() do return s.exti() end end", `a.lua:3:26: skynet.exti is not there; did you mean skynet.exit?`},
		{`local skynet = require "skynet"  skynet.register("a")`, `a.lua:1:41: skynet.register is there after require "skynet.manager"`},
		{`local skynet = require "skynet.manager"  skynet.regiser("a")`, `a.lua:1:49: skynet.regiser is not there; did you mean skynet.register?`},
		{`local c = require "cjson.safe" c.encod {}`, `a.lua:1:34: cjson.encod is not there; did you mean cjson.encode?`},
		{`print(string.fromat("%d", 1))`, `a.lua:1:14: string.fromat is not there; did you mean string.format?`},
		{`local s = string  print(s.fromat)`, `a.lua:1:27: string.fromat is not there; did you mean string.format?`},
		{`local str = require "string" print(str.fromat)`, `a.lua:1:40: string.fromat is not there; did you mean string.format?`},
		{`print(math.pow(2, 3))`, `a.lua:1:12: math.pow is not there: it is the operator ^ since Lua 5.3`},
		{`os.execute("ls")`, `a.lua:1:4: os.execute is not there: scripts are kept away from the host`},
		{`local f = io.open("x")`, `a.lua:1:11: global io is not there: scripts are kept away from the host`},
		{`print(unpack({}))`, `a.lua:1:7: global unpack is not there: it is table.unpack since Lua 5.2`},
		{`expect(1).to_be(1)`, `a.lua:1:1: global expect is not defined`},
		{`for i = 1, n do print(i) end`, `a.lua:1:12: global n is not defined`},
		{`for k, v in pairs(things) do print(k, v) end print(k)`, "a.lua:1:19: global things is not defined\na.lua:1:52: global k is not defined"},
		{`repeat local done = true until done print(done)`, `a.lua:1:43: global done is not defined`},
		{`local a = a`, `a.lua:1:11: global a is not defined`},
		{`local t = { [key] = value }`, "a.lua:1:14: global key is not defined\na.lua:1:21: global value is not defined"},
		{`local function f(...) return g(...) .. self.x end`, "a.lua:1:30: global g is not defined\na.lua:1:40: global self is not defined"},
		{`return obj:method(arg)`, "a.lua:1:8: global obj is not defined\na.lua:1:19: global arg is not defined"},
	} {
		if got := strings.Join(one(t, c.source), "\n"); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.source, got, c.want)
		}
	}
}

func TestWhatAScriptMayMeanIsLeftAlone(t *testing.T) {
	for _, source := range []string{
		`local ok, lfs = pcall(require, "lfs")`,
		`local s, d = require "string", require("debug") print(s.format("%s", d.traceback()))`,
		`local name = ... local m = require(name)`,
		`if jit then jit.off() end`,
		`local unpack = unpack or table.unpack print(unpack)`,
		`local unpack = table.unpack or unpack print(unpack)`,
		`print((table.unpack or unpack)({}))`,
		`if type(hotfix) == "function" then hotfix() end`,
		`if DEBUG ~= nil and DEBUG.level > 1 then print(DEBUG) end`,
		`print(_G.anything) _G.x = 1 print(x)`,
		`rawset(_G, "y", 2) print(y)`,
		`for k, v in pairs({}) do _G[k] = v end print(z)`,
		`setmetatable(_G, { __index = function() return 1 end }) print(q)`,
		`local _ENV = { print = print } print(w) v = 1`,
		`COUNT = 0 function add() COUNT = COUNT + 1 end add()`,
		`function accept.hello(...) print(...) end function response.get() return 1 end function init() end`,
		`local skynet = require "skynet" function skynet.mine() end skynet.mine()`,
		`local skynet = require "skynet" skynet.other = 1 print(skynet.other)`,
		`local skynet = require "skynet" if skynet.new_thing then skynet.new_thing() end`,
		`local skynet = require "skynet" for k, v in pairs({}) do skynet[k] = v end skynet.filled()`,
		`local skynet = require "skynet" skynet = { own = print } skynet.own()`,
		`local skynet = require "skynet" do local skynet = { own = print } skynet.own() end`,
		`local skynet = require "skynet" local function f(skynet) skynet.own() end f()`,
		`function string.split(s) return s end print(string.split("a"))`,
		`string = { mine = print } string.mine()`,
		`local queue = require "skynet.queue" local cs = queue() print(cs, queue.anything)`,
		"local x = undefined_thing -- skua:ignore",
		"goto done\nlocal a = 1\n::done::",
		`local function f() return f end return f`,
		`local t = { f = function(self) return self end } t:f()`,
		`local s = ("x"):rep(3) .. #"abc" return -s, not s, s // 2`,
	} {
		if got := one(t, source); len(got) > 0 {
			t.Errorf("%s\n got %s", source, strings.Join(got, "\n"))
		}
	}
}

func TestAScriptSeesTheGlobalsOfThoseItIsLoadedWith(t *testing.T) {
	got := check(t, map[string]string{
		"main.lua":        `require "config" local view = require "view" view.draw()`,
		"config.lua":      `WIDTH = 80`,
		"view.lua":        `return { draw = function() print(WIDTH) end }`, // main loads both
		"other.lua":       `print(WIDTH)`,                                  // a service that has nothing to do with config
		"shop/init.lua":   `PRICE = 1 require "shop.list"`,
		"shop/list.lua":   `print(PRICE)`,
		"late.lua":        `function start() READY = true end print(READY)`,
		"loads_any.lua":   `local name = ... require(name) print(WIDTH, PRICE)`,
		"json.lua":        `return { own = true }`, // goes before the library's
		"uses_json.lua":   `local json = require "json" print(json.own)`,
		"manager.lua":     `require "skynet.manager" require "registers"`,
		"registers.lua":   `local skynet = require "skynet" skynet.register "x"`,
		"names_test.lua":  `describe("x", function() it("y", function() expect(1).to_be(1) end) end) exepct(2)`,
		"mock_test.lua":   `local m = mock("shop", {}) time.advance(100) before_each(spy())`,
		"module_test.lua": `local test = require "skua.test" test.tim.advance(1)`,
	})
	want := []string{
		`late.lua:1:18: global READY is assigned in a function and defined nowhere; a local, or _G.READY, is expected`,
		`module_test.lua:1:39: skua.test.tim is not there; did you mean skua.test.time?`,
		`names_test.lua:1:74: global exepct is not defined; did you mean expect?`,
	}
	// A script that computes the name of a module may load any two together.
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAScriptOnAnOlderLuaMayUseWhatThatHas(t *testing.T) {
	api, err := lint.Load(scripts.Meta())
	if err != nil {
		t.Fatal(err)
	}
	source := `print(unpack({ table.maxn({}) })) setmetatable({}, {}) print(os.exit)`
	got := lint.Check(lint.Config{Has: func(string) bool { return false }, API: api}, []lint.Script{{Name: "a.lua", Source: source, Lua51: true}})
	if len(got) != 1 || got[0].Column != 65 {
		t.Errorf("got %v", got)
	}
}

func TestScriptsThatRequireEachOtherInACircleSeeEachOther(t *testing.T) {
	got := check(t, map[string]string{
		"a.lua":    `require "b" A = 1 print(C, LONE)`,
		"b.lua":    `require "c" print(A, C)`,
		"c.lua":    `require "a" C = 1 print(A, SIDE)`,
		"lone.lua": `LONE = 1 print(A)`,
		"side.lua": `require "a" SIDE = 1`, // leads into the circle
		"self.lua": `require "self" SELF = 1 print(SELF, A)`,
	})
	want := []string{
		"a.lua:1:28: global LONE is not defined",
		"lone.lua:1:16: global A is not defined",
		"self.lua:1:37: global A is not defined",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestASnaxServiceHasModulesInTheFolderOfItsName(t *testing.T) {
	got := check(t, map[string]string{
		"shop.lua":        `local prices = require "prices" function response.price() return prices.sword + RATE end`,
		"shop/prices.lua": `RATE = 2 return { sword = 1 }`,
		"inn.lua":         `local prices = require "prices" function response.price() return prices.bed end`,
	})
	if want := []string{`inn.lua:1:16: module "prices" is not found`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAServiceDoesNotSeeTheGlobalsOfAnother(t *testing.T) {
	got := check(t, map[string]string{"a.lua": `SHARED = 1 print(SHARED)`, "b.lua": `print(SHARED)`})
	if want := []string{"b.lua:1:7: global SHARED is not defined"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnAnnotationFileThatReturnsNothingIsAnError(t *testing.T) {
	for _, source := range []string{`local x = {}`, `return {}`, `return 1, 2`, `local = 1`} {
		if _, err := lint.Load(fstest.MapFS{"x.lua": {Data: []byte(source)}}); err == nil {
			t.Errorf("%s: no error", source)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`local skynet = require "skynet" function f(a, ...) if x then y.z = a:b(...) end end`)
	f.Add(`for i = 1, 2 do goto x ::x:: end while a do break end return {1, [2] = 3, d = 4}`)
	f.Add(`local function f() return function() x = y end end`)
	api, err := lint.Load(scripts.Meta())
	if err != nil {
		f.Fatal(err)
	}
	cfg := lint.Config{Has: func(string) bool { return false }, API: api}
	f.Fuzz(func(t *testing.T, source string) {
		lines := strings.Count(source, "\n") + strings.Count(source, "\r") + 1
		for _, p := range lint.Check(cfg, []lint.Script{{Name: "a.lua", Source: source}, {Name: "b.lua", Source: `require "a" print(z)`}}) {
			if p.File == "a.lua" && (p.Line < 1 || p.Line > lines || p.Column < 1) {
				t.Errorf("%q: %s", source, p)
			}
		}
	})
}

func TestAServiceInAFolderFindsWhatLiesBesideIt(t *testing.T) {
	files := map[string]string{
		"shop/init.lua":     `local prices = require "prices" print(prices, total)`,
		"shop/prices.lua":   `total = 1 return require "sub.list"`,
		"shop/sub/list.lua": `local prices = require "prices" return prices`,
		"other.lua":         `local prices = require "prices"`,
		"stand/a.lua":       `local b = require "b"`,
		"stand/b.lua":       `return 1`,
	}
	want := []string{`other.lua:1:16: module "prices" is not found`, `stand/a.lua:1:11: module "b" is not found`}
	if got := check(t, files); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
