package sharedata_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/services/sharedata"
)

func TestASharedTableReadsLikeATable(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a := r.Start("runner")
		r.Run(a, `sharedata.new("conf", { a = 1, s = "text", yes = true, no = false, list = { 10, 20, 30 }, deep = { er = { still = "here" } },
			[0] = "zero", [-5] = "minus", [1.5] = "float", [true] = "bool" })`, "")
		b := r.Start("runner")
		r.Run(b, `c = sharedata.query "conf" return type(c), c.a, c.s, c.yes, c.no, c.nothing, c[0], c[-5], c[1.5], c[true], c[false], c[print]`,
			`"table" 1 "text" true false nil "zero" "minus" "float" "bool" nil nil`)
		r.Run(b, `return #c.list, c.list[1], c.list[3], c.list[4], c.list[0], c.deep.er.still, #c`, `3 10 30 nil nil "here" 0`)
		r.Run(b, `local s = 0 for i, v in ipairs(c.list) do s = s + i * v end return s`, "140")
		r.Run(b, `return dump(c)`,
			`"{-5=\"minus\",0=\"zero\",1.5=\"float\",a=1,deep={er={still=\"here\"}},list={1=10,2=20,3=30},no=false,s=\"text\",true=\"bool\",yes=true}"`)
		r.Run(b, `return c.list == c.list, c.deep == c.list, rawequal(c.deep, c.deep), c == sharedata.query "conf", tostring(c.deep.er)`,
			`true false true true "sharedata conf: deep.er"`)
		r.Run(b, `local k, v = next(c.list) local e = next(c.list, 3) local d, sub = next(c.deep) return k, v, e, d, sub == c.deep.er`, `1 10 nil "er" true`)
		r.Run(b, `local n = 0 for k, v in next, c do n = n + 1 end return n, rawget(c, "a"), rawlen and rawlen(c.list) or 3`, `10 1 3`)
		r.Run(b, `return (unpack or table.unpack)(c.list)`, "10 20 30")
		r.Fails(b, `return next(c, "nothing")`, "invalid key to 'next'")
	})
}

func TestASharedTableCanOnlyBeRead(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a := r.Start("runner")
		r.Run(a, `sharedata.new("conf", { a = 1, deep = { er = { 1 } } }) c = sharedata.query "conf"`, "")
		r.Fails(a, `c.a = 2`, "sharedata conf is read-only: attempt to set [a]", "chunk:1")
		r.Fails(a, `c.deep.er.b = 2`, "attempt to set [deep.er.b]")
		r.Fails(a, `c.deep.er[1] = nil`, "attempt to set [deep.er.1]")
		r.Fails(a, `rawset(c, "a", 2)`, "read-only")
		r.Fails(a, `setmetatable(c, {})`, "protected metatable")
		r.Run(a, `return c.a, c.deep.er[1], getmetatable(c)`, `1 1 "a shared table"`)
		if r.Engine.Name() == "lua54" {
			r.Fails(a, `table.insert(c.deep.er, 2)`, "attempt to set [deep.er.2]")
		}
		r.Run(a, `local t = { x = { 1 } } sharetable.loadtable("copy", t) t.x[1] = 2 t.y = 3 local s = sharetable.query "copy" return s.x[1], s.y`, "1 nil")
	})
}

func TestWhatCannotBeSharedIsNamed(t *testing.T) {
	onBoth(t, sharedata.Config{MaxValues: 1000, MaxNames: 3}, func(t *testing.T, r *luatest.Node) {
		a := r.Start("runner")
		r.Fails(a, `sharedata.new("conf", { rows = { {}, { f = print } } })`, "sharedata conf: rows.2.f: a function can't be shared")
		r.Fails(a, `sharedata.new("conf", { rows = { [{}] = 1 } })`, "sharedata conf: rows: a key that is a table can't be shared")
		r.Fails(a, `sharedata.new("conf", { [-9007199254740991] = 1 })`, "the key -9007199254740991 is taken by the library")
		r.Fails(a, `local t = {} t.t = { t } sharedata.new("conf", t)`, "sharedata conf: t.1: the table contains itself, which only a sharetable can")
		r.Fails(a, `local t = {} t.t = t builder.new("conf", t)`, "datasheet conf: t: the table contains itself")
		r.Fails(a, `local t = {} for i = 1, 300 do t = { t } end sharetable.loadtable("conf", t)`, "tables nest deeper than 200 levels")
		r.Fails(a, `local t = {} for i = 1, 1100 do t[i] = i end sharetable.loadtable("conf", t)`, "more values")
		r.Fails(a, `sharedata.new("conf", 5)`, "sharedata conf: unknown data type number")
		r.Fails(a, `sharedata.new("", {})`, "a name of 1 to 1000 bytes")
		r.Fails(a, `sharetable.loadtable("conf", "text")`, "a table is expected as argument 2, got string")
		r.Fails(a, `sharedata.query "conf"`, `sharedata: there is no table "conf"`)
		r.Fails(a, `for i = 1, 4 do sharedata.new("n" .. i, {}) end`, `there are 3 tables, and no more are allowed: "n4" is refused`)
		r.Run(a, `sharedata.delete "n1" sharedata.new("n4")  return dump(sharedata.query "n4")`, `"{}"`)
		// A tree that is grafted into another again and again does not get deeper for ever.
		r.Fails(a, `local t = {} for i = 1, 300 do sharetable.loadtable("chain", { t }) t = sharetable.query "chain" end`, "nest deeper")
	})
}

func TestIntegersOf64BitsAreExact(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a := r.Start("runner")
		if r.Engine.Name() == "lua54" {
			r.Run(a, `sharedata.new("conf", { [9007199254740993] = 9223372036854775807, [-9223372036854775807] = { id = -9223372036854775807 - 1 } })
				c = sharedata.query "conf" return c[9007199254740993], c[9007199254740992], c[-9223372036854775807].id`, "9223372036854775807 nil -9223372036854775808")
			r.Run(a, `local ks = {} for k, v in pairs(c) do ks[#ks + 1] = k end return ks[1], ks[2], math.type(ks[1])`,
				`-9223372036854775807 9007199254740993 "integer"`)
			r.Run(a, `sharedata.update("conf", { f = 1.0, i = 1 }) return math.type(c.f), math.type(c.i), c[1.0]`, `"float" "integer" nil`)
			r.Run(a, `sharedata.update("conf", { "one" }) return c[1.0], c[1]`, `"one" "one"`)
			return
		}
		// The file format carries what this engine can't make.
		exact := newRig(t, luatest.Engines(t)[0], sharedata.Config{})
		compiled := exact.Call(exact.Start("runner"), "run", `return (builder.compile({ a = { id = 9007199254740993, n = 7 }, [9007199254740993] = true })
			:gsub(".", function(c) return string.format("%02x", c:byte()) end))`)
		r.Run(a, `local text = `+compiled+` builder.new("conf", (text:gsub("..", function(h) return string.char(tonumber(h, 16)) end)))
			c = datasheet.query "conf" return c.a.n`, "7")
		r.Fails(a, `return c.a.id`, "datasheet conf: a.id is 9007199254740993, which an engine without 64-bit integers would round")
		r.Fails(a, `for k in pairs(c) do end`, "has the key 9007199254740993")
	})
}

func TestAnUpdateIsSeenByAllWhoHaveTheTable(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(a, `sharedata.new("conf", { n = 1, list = { 1, 2 }, deep = { er = { n = 1 } }, gone = { n = 1 } })`, "")
		r.Run(b, `c = sharedata.query "conf" list, er, gone = c.list, c.deep.er, c.gone return c.n`, "1")
		r.Run(a, `sharedata.update("conf", { n = 2, list = { 1, 2, 3 }, deep = { er = { n = 2 } }, gone = "a string now", fresh = { 1 } })`, "")
		r.Run(b, `return c.n, #list, er.n, c.gone, c.fresh[1], list == c.list, rawequal(list, c.list), rawequal(er, c.deep.er)`,
			`2 3 2 "a string now" 1 true true true`)
		r.Fails(b, `return gone.n`, "sharedata conf: the key [gone] doesn't exist after update")
		r.Fails(b, `for k in pairs(gone) do end`, "the key [gone] doesn't exist after update")
		r.Fails(b, `return #gone`, "the key [gone] doesn't exist after update")
		r.Run(b, `return gone == c, gone == nil`, "false false")
		r.Run(a, `sharedata.update("conf", { deep = 5 })`, "")
		r.Fails(b, `return er.n`, "the key [deep.er] doesn't exist after update")
		r.Run(a, `sharedata.update("conf", { gone = { n = 3 }, deep = { er = { n = 3 } } })`, "")
		r.Run(b, `return gone.n, er.n, c.n`, "3 3 nil")
		r.Run(a, `sharedata.update("first", { n = 1 }) return sharedata.query("first").n`, "1") // update makes what is not there
		r.Run(a, `local f = sharedata.query "first" sharedata.update("first", { n = 2 }) return f.n`, "2")
		r.Fails(a, `sharedata.new("first", {})`, `there is a table "first" already; update changes it`)
	})
}

func TestAHandlerThatDoesNotWaitReadsOneVersion(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(a, `sharedata.new("conf", { n = 1, sub = { n = 1 } })`, "")
		var done sync.WaitGroup
		done.Go(func() {
			// The flag is seen at once, so the update before it has been made.
			r.Run(b, `local c = sharedata.query "conf" sharetable.loadtable("reads", {})
				repeat until sharetable.query "updated"
				local n, sub = c.n, c.sub.n skynet.yield() return n, sub, c.n, c.sub.n`, "1 1 2 2")
		})
		r.Run(a, `while not sharetable.query "reads" do skynet.sleep(1) end
			sharedata.update("conf", { n = 2, sub = { n = 2 } }) sharetable.loadtable("updated", {})`, "")
		done.Wait()
		// A loop goes on with what it began with, also when its body waits.
		done.Go(func() {
			r.Run(b, `local c, seen = sharedata.query "conf", {} sharedata.update("conf", { 1, 2, 3, x = { 1 }, y = { 2 } })
				for k, v in pairs(c) do
					if k == 2 then sharetable.loadtable("loops", {}) while not sharetable.query "ended" do skynet.sleep(1) end skynet.yield() end
					seen[#seen + 1] = tostring(k) .. "=" .. (type(v) == "table" and "t" .. v[1] or v)
				end return table.concat(seen, " ")`, `"1=1 2=2 3=3 y=t5"`)
		})
		r.Run(a, `while not sharetable.query "loops" do skynet.sleep(1) end sharedata.update("conf", { 9, x = 4, y = { 5 } }) sharetable.loadtable("ended", {})`, "")
		done.Wait()
	})
}

func TestWhoHasADeletedTableReadsOn(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(a, `sharedata.new("conf", { n = 1, sub = { n = 1 } })`, "")
		r.Run(b, `c = sharedata.query "conf" return c.n`, "1")
		r.Run(a, `sharedata.delete "conf"`, "")
		r.Fails(b, `sharedata.query "conf"`, `there is no table "conf"`)
		r.Fails(b, `sharedata.deepcopy "conf"`, `there is no table "conf"`)
		r.Fails(b, `sharedata.delete "conf"`, `there is no table "conf"`)
		r.Run(a, `sharedata.new("conf", { n = 2 })`, "")
		r.Run(b, `local d = sharedata.query "conf" return c.n, c.sub.n, d.n, c == d`, "1 1 2 false")
	})
}

func TestADeepcopyIsATableLikeAnyOther(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(a, `local twice = { 1 } sharedata.new("conf", { n = 1, list = { 1, { 2 } }, a = twice, b = twice })`, "")
		r.Run(b, `local t = sharedata.deepcopy "conf" t.n = 5 t.list[2][1] = 6 table.insert(t.list, 7)
			return dump(t), t.a == t.b, getmetatable(t), dump(sharedata.query("conf").list)`, `"{a={1=1},b={1=1},list={1=1,2={1=6},3=7},n=5}" true nil "{1=1,2={1=2}}"`)
		r.Run(b, `return dump(sharedata.deepcopy("conf", "list", 2)), sharedata.deepcopy("conf", "n"),
			sharedata.deepcopy("conf", "x"), sharedata.deepcopy("conf", "x", "y")`,
			`"{1=2}" 1 nil nil`)
	})
}

func TestTextsAndFilesMakeTables(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(a, `sharedata.new("g", "@globals.lua", 7) sharedata.new("text", "x = ... y = { x, #tostring(x) }", 12) sharedata.new("ret", "z = 1 return { 5 }")`, "")
		r.Run(b, `return dump(sharedata.query "g"), dump(sharedata.query "text"), dump(sharedata.query "ret")`,
			`"{level=7,names={1=\"a\",2=\"b\"},total=4}" "{x=12,y={1=12,2=2}}" "{1=5}"`)
		r.Run(a, `sharetable.loadfile("items.lua", 2, "double") sharetable.loadstring("s", "return { ... }", 1, 2, 3)`, "")
		r.Run(b, `local t = sharetable.query "items.lua" return t.name, t.rows[1002].price, dump(sharetable.query "s")`, `"double" 40 "{1=1,2=2,3=3}"`)
		r.Run(b, `g = sharedata.query "g" return g.level`, "7")
		r.Run(a, `sharedata.update("g", "@globals.lua", 8)`, "")
		r.Run(b, `return g.level`, "8")
		if r.Engine.Name() == "gopher" {
			return // where the modules of data do not open: walk.NumbersOf pushes 2^53+1
		}
		r.Run(a, `sharetable.loadstring("json", 'return require("cjson").decode("[1, {\\"a\\": 2}]")') return sharetable.query("json")[2].a`, "2")
	})
}

func TestATextThatMakesNoTableSaysWhyAndWhere(t *testing.T) {
	onBoth(t, sharedata.Config{LoadTimeout: time.Minute, LoadMemory: 64 << 20}, func(t *testing.T, r *luatest.Node) {
		a := r.Start("runner")
		r.Fails(a, `sharetable.loadfile "nowhere.lua"`, `sharetable nowhere.lua: file "nowhere.lua":`)
		r.Fails(a, `sharetable.loadfile "../rig_test.go"`, "a path inside of the project's scripts is expected")
		r.Fails(a, `sharetable.loadfile "broken.lua"`, "broken.lua:2:", "attempt to index a nil value")
		r.Fails(a, `sharetable.loadfile "lacking.lua"`, "lacking.lua:1:", "module 'items_that_are_not_there' is not found")
		r.Fails(a, `sharetable.loadstring("s", "return {,}")`, "sharetable s: ", "s:1:")
		r.Fails(a, `sharetable.loadstring("s", "return 5")`, "sharetable s: it returns no table but number")
		r.Fails(a, `sharetable.loadstring("s", "return { f = print }")`, "sharetable s: f: a function can't be shared")
		r.Fails(a, `sharetable.loadstring("s", "error('on purpose')")`, "s:1: on purpose")
		r.Fails(a, `sharetable.loadstring("s", "return { os.execute, io.open }")`, "sharetable s: ")
		r.Run(a, `return sharetable.query "s"`, "nil")
	})
}

func TestATextWithoutAnEndIsStopped(t *testing.T) {
	onBoth(t, sharedata.Config{LoadTimeout: 300 * time.Millisecond}, func(t *testing.T, r *luatest.Node) {
		a := r.Start("runner")
		r.Fails(a, `sharetable.loadstring("s", "while true do end")`, "sharetable s: ", "is stopped")
		r.Fails(a, `sharetable.loadstring("s", "local t = {} while true do pcall(function() while true do end end) end")`, "is stopped")
		r.Run(a, `return sharetable.query "s"`, "nil")
	})
}

func TestASlowTextKeepsNobodyWaitingButItsName(t *testing.T) {
	onBoth(t, sharedata.Config{LoadTimeout: 2 * time.Second}, func(t *testing.T, r *luatest.Node) {
		a, b, c := r.Start("runner"), r.Start("runner"), r.Start("runner")
		var done sync.WaitGroup
		var over atomic.Bool
		done.Go(func() {
			r.Fails(a, `sharetable.loadtable("begun", {}) sharetable.loadstring("x", "while true do end")`, "is stopped")
			over.Store(true)
		})
		r.Run(b, `while not sharetable.query "begun" do skynet.sleep(1) end sharetable.loadstring("y", "return { 1 }") return sharetable.query("y")[1]`, "1")
		if over.Load() {
			t.Error("another name has waited for the slow text")
		}
		done.Go(func() { r.Run(c, `sharetable.loadstring("x", "return { n = 2 }")`, "") })
		done.Wait()
		r.Run(b, `return sharetable.query("x").n`, "2")
	})
}
