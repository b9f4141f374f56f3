package sharedata_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/services/sharedata"
)

func TestASharedTableReadsLikeATable(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		a := r.start("runner")
		r.run(a, `sharedata.new("conf", { a = 1, s = "text", yes = true, no = false, list = { 10, 20, 30 }, deep = { er = { still = "here" } },
			[0] = "zero", [-5] = "minus", [1.5] = "float", [true] = "bool" })`, "")
		b := r.start("runner")
		r.run(b, `c = sharedata.query "conf" return type(c), c.a, c.s, c.yes, c.no, c.nothing, c[0], c[-5], c[1.5], c[true], c[false], c[print]`,
			`"table" 1 "text" true false nil "zero" "minus" "float" "bool" nil nil`)
		r.run(b, `return #c.list, c.list[1], c.list[3], c.list[4], c.list[0], c.deep.er.still, #c`, `3 10 30 nil nil "here" 0`)
		r.run(b, `local s = 0 for i, v in ipairs(c.list) do s = s + i * v end return s`, "140")
		r.run(b, `return dump(c)`,
			`"{-5=\"minus\",0=\"zero\",1.5=\"float\",a=1,deep={er={still=\"here\"}},list={1=10,2=20,3=30},no=false,s=\"text\",true=\"bool\",yes=true}"`)
		r.run(b, `return c.list == c.list, c.deep == c.list, rawequal(c.deep, c.deep), c == sharedata.query "conf", tostring(c.deep.er)`,
			`true false true true "sharedata conf: deep.er"`)
		r.run(b, `local k, v = next(c.list) local e = next(c.list, 3) local d, sub = next(c.deep) return k, v, e, d, sub == c.deep.er`, `1 10 nil "er" true`)
		r.run(b, `local n = 0 for k, v in next, c do n = n + 1 end return n, rawget(c, "a"), rawlen and rawlen(c.list) or 3`, `10 1 3`)
		r.run(b, `return (unpack or table.unpack)(c.list)`, "10 20 30")
		r.fails(b, `return next(c, "nothing")`, "invalid key to 'next'")
	})
}

func TestASharedTableCanOnlyBeRead(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		a := r.start("runner")
		r.run(a, `sharedata.new("conf", { a = 1, deep = { er = { 1 } } }) c = sharedata.query "conf"`, "")
		r.fails(a, `c.a = 2`, "sharedata conf is read-only: attempt to set [a]", "chunk:1")
		r.fails(a, `c.deep.er.b = 2`, "attempt to set [deep.er.b]")
		r.fails(a, `c.deep.er[1] = nil`, "attempt to set [deep.er.1]")
		r.fails(a, `rawset(c, "a", 2)`, "read-only")
		r.fails(a, `setmetatable(c, {})`, "protected metatable")
		r.run(a, `return c.a, c.deep.er[1], getmetatable(c)`, `1 1 "a shared table"`)
		if r.engine.Name() == "lua54" {
			r.fails(a, `table.insert(c.deep.er, 2)`, "attempt to set [deep.er.2]")
		}
		r.run(a, `local t = { x = { 1 } } sharetable.loadtable("copy", t) t.x[1] = 2 t.y = 3 local s = sharetable.query "copy" return s.x[1], s.y`, "1 nil")
	})
}

func TestWhatCannotBeSharedIsNamed(t *testing.T) {
	onBoth(t, sharedata.Config{MaxValues: 1000, MaxNames: 3}, func(t *testing.T, r *rig) {
		a := r.start("runner")
		r.fails(a, `sharedata.new("conf", { rows = { {}, { f = print } } })`, "sharedata conf: rows.2.f: a function can't be shared")
		r.fails(a, `sharedata.new("conf", { rows = { [{}] = 1 } })`, "sharedata conf: rows: a key that is a table can't be shared")
		r.fails(a, `sharedata.new("conf", { [-9007199254740991] = 1 })`, "the key -9007199254740991 is taken by the library")
		r.fails(a, `local t = {} t.t = { t } sharedata.new("conf", t)`, "sharedata conf: t.1: the table contains itself, which only a sharetable can")
		r.fails(a, `local t = {} t.t = t builder.new("conf", t)`, "datasheet conf: t: the table contains itself")
		r.fails(a, `local t = {} for i = 1, 300 do t = { t } end sharetable.loadtable("conf", t)`, "tables nest deeper than 200 levels")
		r.fails(a, `local t = {} for i = 1, 1100 do t[i] = i end sharetable.loadtable("conf", t)`, "more values")
		r.fails(a, `sharedata.new("conf", 5)`, "sharedata conf: unknown data type number")
		r.fails(a, `sharedata.new("", {})`, "a name of 1 to 1000 bytes")
		r.fails(a, `sharetable.loadtable("conf", "text")`, "a table is expected as argument 2, got string")
		r.fails(a, `sharedata.query "conf"`, `sharedata: there is no table "conf"`)
		r.fails(a, `for i = 1, 4 do sharedata.new("n" .. i, {}) end`, `there are 3 tables, and no more are allowed: "n4" is refused`)
		r.run(a, `sharedata.delete "n1" sharedata.new("n4")  return dump(sharedata.query "n4")`, `"{}"`)
		// A tree that is grafted into another again and again does not get deeper for ever.
		r.fails(a, `local t = {} for i = 1, 300 do sharetable.loadtable("chain", { t }) t = sharetable.query "chain" end`, "nest deeper")
	})
}

func TestIntegersOf64BitsAreExact(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		a := r.start("runner")
		if r.engine.Name() == "lua54" {
			r.run(a, `sharedata.new("conf", { [9007199254740993] = 9223372036854775807, [-9223372036854775807] = { id = -9223372036854775807 - 1 } })
				c = sharedata.query "conf" return c[9007199254740993], c[9007199254740992], c[-9223372036854775807].id`, "9223372036854775807 nil -9223372036854775808")
			r.run(a, `local ks = {} for k, v in pairs(c) do ks[#ks + 1] = k end return ks[1], ks[2], math.type(ks[1])`,
				`-9223372036854775807 9007199254740993 "integer"`)
			r.run(a, `sharedata.update("conf", { f = 1.0, i = 1 }) return math.type(c.f), math.type(c.i), c[1.0]`, `"float" "integer" nil`)
			r.run(a, `sharedata.update("conf", { "one" }) return c[1.0], c[1]`, `"one" "one"`)
			return
		}
		// The file format carries what this engine can't make.
		exact := newRig(t, engines(t)[0], sharedata.Config{})
		compiled := exact.call(exact.start("runner"), "run", `return (builder.compile({ a = { id = 9007199254740993, n = 7 }, [9007199254740993] = true })
			:gsub(".", function(c) return string.format("%02x", c:byte()) end))`)
		r.run(a, `local text = `+compiled+` builder.new("conf", (text:gsub("..", function(h) return string.char(tonumber(h, 16)) end)))
			c = datasheet.query "conf" return c.a.n`, "7")
		r.fails(a, `return c.a.id`, "datasheet conf: a.id is 9007199254740993, which an engine without 64-bit integers would round")
		r.fails(a, `for k in pairs(c) do end`, "has the key 9007199254740993")
	})
}

func TestAnUpdateIsSeenByAllWhoHaveTheTable(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("runner"), r.start("runner")
		r.run(a, `sharedata.new("conf", { n = 1, list = { 1, 2 }, deep = { er = { n = 1 } }, gone = { n = 1 } })`, "")
		r.run(b, `c = sharedata.query "conf" list, er, gone = c.list, c.deep.er, c.gone return c.n`, "1")
		r.run(a, `sharedata.update("conf", { n = 2, list = { 1, 2, 3 }, deep = { er = { n = 2 } }, gone = "a string now", fresh = { 1 } })`, "")
		r.run(b, `return c.n, #list, er.n, c.gone, c.fresh[1], list == c.list, rawequal(list, c.list), rawequal(er, c.deep.er)`,
			`2 3 2 "a string now" 1 true true true`)
		r.fails(b, `return gone.n`, "sharedata conf: the key [gone] doesn't exist after update")
		r.fails(b, `for k in pairs(gone) do end`, "the key [gone] doesn't exist after update")
		r.fails(b, `return #gone`, "the key [gone] doesn't exist after update")
		r.run(b, `return gone == c, gone == nil`, "false false")
		r.run(a, `sharedata.update("conf", { deep = 5 })`, "")
		r.fails(b, `return er.n`, "the key [deep.er] doesn't exist after update")
		r.run(a, `sharedata.update("conf", { gone = { n = 3 }, deep = { er = { n = 3 } } })`, "")
		r.run(b, `return gone.n, er.n, c.n`, "3 3 nil")
		r.run(a, `sharedata.update("first", { n = 1 }) return sharedata.query("first").n`, "1") // update makes what is not there
		r.run(a, `local f = sharedata.query "first" sharedata.update("first", { n = 2 }) return f.n`, "2")
		r.fails(a, `sharedata.new("first", {})`, `there is a table "first" already; update changes it`)
	})
}

func TestAHandlerThatDoesNotWaitReadsOneVersion(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("runner"), r.start("runner")
		r.run(a, `sharedata.new("conf", { n = 1, sub = { n = 1 } })`, "")
		var done sync.WaitGroup
		done.Go(func() {
			// The flag is seen at once, so the update before it has been made.
			r.run(b, `local c = sharedata.query "conf" sharetable.loadtable("reads", {})
				repeat until sharetable.query "updated"
				local n, sub = c.n, c.sub.n skynet.yield() return n, sub, c.n, c.sub.n`, "1 1 2 2")
		})
		r.run(a, `while not sharetable.query "reads" do skynet.sleep(1) end
			sharedata.update("conf", { n = 2, sub = { n = 2 } }) sharetable.loadtable("updated", {})`, "")
		done.Wait()
		// A loop goes on with what it began with, also when its body waits.
		done.Go(func() {
			r.run(b, `local c, seen = sharedata.query "conf", {} sharedata.update("conf", { 1, 2, 3, x = { 1 }, y = { 2 } })
				for k, v in pairs(c) do
					if k == 2 then sharetable.loadtable("loops", {}) while not sharetable.query "ended" do skynet.sleep(1) end skynet.yield() end
					seen[#seen + 1] = tostring(k) .. "=" .. (type(v) == "table" and "t" .. v[1] or v)
				end return table.concat(seen, " ")`, `"1=1 2=2 3=3 y=t5"`)
		})
		r.run(a, `while not sharetable.query "loops" do skynet.sleep(1) end sharedata.update("conf", { 9, x = 4, y = { 5 } }) sharetable.loadtable("ended", {})`, "")
		done.Wait()
	})
}

func TestWhoHasADeletedTableReadsOn(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("runner"), r.start("runner")
		r.run(a, `sharedata.new("conf", { n = 1, sub = { n = 1 } })`, "")
		r.run(b, `c = sharedata.query "conf" return c.n`, "1")
		r.run(a, `sharedata.delete "conf"`, "")
		r.fails(b, `sharedata.query "conf"`, `there is no table "conf"`)
		r.fails(b, `sharedata.deepcopy "conf"`, `there is no table "conf"`)
		r.fails(b, `sharedata.delete "conf"`, `there is no table "conf"`)
		r.run(a, `sharedata.new("conf", { n = 2 })`, "")
		r.run(b, `local d = sharedata.query "conf" return c.n, c.sub.n, d.n, c == d`, "1 1 2 false")
	})
}

func TestADeepcopyIsATableLikeAnyOther(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("runner"), r.start("runner")
		r.run(a, `local twice = { 1 } sharedata.new("conf", { n = 1, list = { 1, { 2 } }, a = twice, b = twice })`, "")
		r.run(b, `local t = sharedata.deepcopy "conf" t.n = 5 t.list[2][1] = 6 table.insert(t.list, 7)
			return dump(t), t.a == t.b, getmetatable(t), dump(sharedata.query("conf").list)`, `"{a={1=1},b={1=1},list={1=1,2={1=6},3=7},n=5}" true nil "{1=1,2={1=2}}"`)
		r.run(b, `return dump(sharedata.deepcopy("conf", "list", 2)), sharedata.deepcopy("conf", "n"),
			sharedata.deepcopy("conf", "x"), sharedata.deepcopy("conf", "x", "y")`,
			`"{1=2}" 1 nil nil`)
	})
}

func TestTextsAndFilesMakeTables(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *rig) {
		a, b := r.start("runner"), r.start("runner")
		r.run(a, `sharedata.new("g", "@globals.lua", 7) sharedata.new("text", "x = ... y = { x, #tostring(x) }", 12) sharedata.new("ret", "z = 1 return { 5 }")`, "")
		r.run(b, `return dump(sharedata.query "g"), dump(sharedata.query "text"), dump(sharedata.query "ret")`,
			`"{level=7,names={1=\"a\",2=\"b\"},total=4}" "{x=12,y={1=12,2=2}}" "{1=5}"`)
		r.run(a, `sharetable.loadfile("items.lua", 2, "double") sharetable.loadstring("s", "return { ... }", 1, 2, 3)`, "")
		r.run(b, `local t = sharetable.query "items.lua" return t.name, t.rows[1002].price, dump(sharetable.query "s")`, `"double" 40 "{1=1,2=2,3=3}"`)
		r.run(b, `g = sharedata.query "g" return g.level`, "7")
		r.run(a, `sharedata.update("g", "@globals.lua", 8)`, "")
		r.run(b, `return g.level`, "8")
		if r.engine.Name() == "gopher" {
			return // where the modules of data do not open: walk.NumbersOf pushes 2^53+1
		}
		r.run(a, `sharetable.loadstring("json", 'return require("cjson").decode("[1, {\\"a\\": 2}]")') return sharetable.query("json")[2].a`, "2")
	})
}

func TestATextThatMakesNoTableSaysWhyAndWhere(t *testing.T) {
	onBoth(t, sharedata.Config{LoadTimeout: 300 * time.Millisecond, LoadMemory: 64 << 20}, func(t *testing.T, r *rig) {
		a := r.start("runner")
		r.fails(a, `sharetable.loadfile "nowhere.lua"`, `sharetable nowhere.lua: file "nowhere.lua":`)
		r.fails(a, `sharetable.loadfile "../rig_test.go"`, "a path inside of the project's scripts is expected")
		r.fails(a, `sharetable.loadfile "broken.lua"`, "broken.lua:2:", "attempt to index a nil value")
		r.fails(a, `sharetable.loadfile "lacking.lua"`, "lacking.lua:1:", "module 'items_that_are_not_there' is not found")
		r.fails(a, `sharetable.loadstring("s", "return {,}")`, "sharetable s: ", "s:1:")
		r.fails(a, `sharetable.loadstring("s", "return 5")`, "sharetable s: it returns no table but number")
		r.fails(a, `sharetable.loadstring("s", "return { f = print }")`, "sharetable s: f: a function can't be shared")
		r.fails(a, `sharetable.loadstring("s", "error('on purpose')")`, "s:1: on purpose")
		r.fails(a, `sharetable.loadstring("s", "while true do end")`, "sharetable s: ", "is stopped")
		r.fails(a, `sharetable.loadstring("s", "local t = {} while true do pcall(function() while true do end end) end")`, "is stopped")
		r.fails(a, `sharetable.loadstring("s", "return { os.execute, io.open }")`, "sharetable s: ")
		r.run(a, `return sharetable.query "s"`, "nil")
	})
}

func TestASlowTextKeepsNobodyWaitingButItsName(t *testing.T) {
	onBoth(t, sharedata.Config{LoadTimeout: 2 * time.Second}, func(t *testing.T, r *rig) {
		a, b, c := r.start("runner"), r.start("runner"), r.start("runner")
		var done sync.WaitGroup
		var over atomic.Bool
		done.Go(func() {
			r.fails(a, `sharetable.loadtable("begun", {}) sharetable.loadstring("x", "while true do end")`, "is stopped")
			over.Store(true)
		})
		r.run(b, `while not sharetable.query "begun" do skynet.sleep(1) end sharetable.loadstring("y", "return { 1 }") return sharetable.query("y")[1]`, "1")
		if over.Load() {
			t.Error("another name has waited for the slow text")
		}
		done.Go(func() { r.run(c, `sharetable.loadstring("x", "return { n = 2 }")`, "") })
		done.Wait()
		r.run(b, `return sharetable.query("x").n`, "2")
	})
}
