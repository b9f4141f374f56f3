package sharedata_test

import (
	"testing"

	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/services/sharedata"
)

func TestASharetableIsTheVersionThatWasAskedFor(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(b, `return sharetable.query "x"`, "nil")
		r.Run(a, `sharetable.loadtable("x", { v = 1, list = { 1 }, sub = { v = 1 } })`, "")
		r.Run(b, `one = sharetable.query "x" sub = one.sub return one.v, one == sharetable.query "x", rawequal(one, sharetable.query "x")`, "1 true true")
		r.Run(a, `sharetable.loadtable("x", { v = 2, list = { 1, 2 }, sub = { v = 2 } })`, "")
		r.Run(b, `two = sharetable.query "x" return one.v, one.sub.v, sub.v, two.v, two.sub.v, one == two, #one.list, #two.list`, "1 1 1 2 2 false 1 2")
		r.Run(b, `local n = 0 for k in pairs(one) do n = n + 1 end return n, one.sub == one.sub`, "3 true")
	})
}

func TestUpdateMakesWhatAServiceHoldsTheNewestVersion(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(a, `sharetable.loadtable("x", { v = 1, sub = { deep = { v = 1 } } }) sharetable.loadtable("y", { v = 1 })`, "")
		r.Run(b, `one, y = sharetable.query "x", sharetable.query "y" deep = one.sub.deep kept = { [1] = deep } return deep.v`, "1")
		r.Run(a, `sharetable.loadtable("x", { v = 2, sub = { deep = { v = 2 } } }) sharetable.loadtable("y", { v = 2 })`, "")
		r.Run(b, `two = sharetable.query "x" local before = one.v sharetable.update("x", "nothing")
			return before, one.v, deep.v, kept[1].v, one == two, y.v`, "1 2 2 2 true 1")
		r.Run(a, `sharetable.loadtable("x", { v = 3 })`, "")
		r.Run(b, `sharetable.update "x" return one.v, two.v`, "3 3")
		r.Fails(b, `return deep.v`, "sharetable x: the key [sub.deep] doesn't exist after update")
		r.Run(a, `return one, sharetable.update("x", "y")`, "nil")
	})
}

func TestASharetableKeepsTheIdentityOfItsTables(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Run(a, `local s = { v = 1 } sharetable.loadtable("dag", { a = s, b = { s }, c = { v = 1 } })
			local l = { v = 1 } l.self, l.list = l, { l } sharetable.loadtable("loop", l)`, "")
		r.Run(b, `local t = sharetable.query "dag" return rawequal(t.a, t.b[1]), rawequal(t.a, t.c), t.a == t.c`, "true false false")
		r.Run(b, `local t = sharetable.query "loop" return rawequal(t, t.self), rawequal(t.self.self.list[1], t), t.self.list[1].self.v, ({ [t] = 5 })[t.self]`,
			"true true 1 5")
		r.Run(b, `local t = sharetable.query "loop" for i = 1, 20000 do t = t.list[1] end return t.v`, "1")
		r.Run(a, `sharetable.loadtable("both", { sharetable.query "dag", sharetable.query "loop", sharetable.query "dag" })`, "")
		r.Run(b, `local t = sharetable.query "both" return rawequal(t[1], t[3]), rawequal(t[1].a, t[3].b[1]), t[2].self.v`, "true true 1")
		r.Fails(a, `sharedata.new("loop", sharetable.query "loop")`, "contains itself")
		r.Fails(a, `sharedata.new("loop", { sharetable.query "loop" })`, "contains itself")
	})
}

func TestQueryAllGivesTheTablesByName(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a := r.Start("runner")
		r.Run(a, `for i = 1, 3 do sharetable.loadtable("t" .. i, { i }) end return dump(sharetable.queryall()), dump(sharetable.queryall { "t2", "no" })`,
			`"{t1={1=1},t2={1=2},t3={1=3}}" "{t2={1=2}}"`)
	})
}

func TestADatasheetFollowsItsBuilder(t *testing.T) {
	onBoth(t, sharedata.Config{}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		r.Fails(b, `datasheet.query "foobar"`, `datasheet: there is no table "foobar"`)
		r.Run(a, `builder.new("foobar", { a = 1, b = 2, c = { 3 } })`, "")
		r.Run(b, `t = datasheet.query "foobar" c = t.c return dump(t)`, `"{a=1,b=2,c={1=3}}"`)
		r.Run(a, `builder.update("foobar", { b = 4, c = { 5 } })`, "")
		r.Run(b, `return dump(t), dump(c), t.a`, `"{b=4,c={1=5}}" "{1=5}" nil`)
		r.Run(a, `builder.update("foobar", { a = 6, c = 7, d = 8 })`, "")
		r.Run(b, `return dump(t)`, `"{a=6,c=7,d=8}"`)
		r.Fails(b, `return c[1]`, "datasheet foobar: the key [c] doesn't exist after update")
		r.Fails(b, `t.a = 1`, "datasheet foobar is read-only")
		r.Fails(a, `builder.new("foobar", {})`, `datasheet: there is a table "foobar" already`)
		r.Fails(a, `builder.update("other", {})`, `datasheet: there is no table "other" to update`)
		r.Fails(a, `builder.new("other", "text")`, "datasheet other: the string is not what datasheet.builder.compile makes")
		r.Run(a, `local s = { 1 } text = builder.compile { n = 1, f = 1.5, s = "s", yes = true, no = false, list = { s, s, { x = s } } } builder.new("compiled", text)
			local c = datasheet.query "compiled" return type(text), dump(c)`, `"string" "{f=1.5,list={1={1=1},2={1=1},3={x={1=1}}},n=1,no=false,s=\"s\",yes=true}"`)
		r.Fails(a, `builder.update("compiled", text:sub(1, -2))`, "the compiled table is cut off")
		r.Fails(a, `builder.update("compiled", text .. "x")`, "1 bytes behind its end")
		r.Fails(a, `builder.compile(5)`, "a table is expected")
	})
}

func TestReadersOfStmSeeEachMessageOnce(t *testing.T) {
	onBoth(t, sharedata.Config{MaxCopies: 3}, func(t *testing.T, r *luatest.Node) {
		a, b := r.Start("runner"), r.Start("runner")
		copied := r.Call(a, "run", `obj = stm.new(skynet.pack(1, 2, { x = 3 })) local copy = stm.copy(obj) return (select(1, skynet.unpack(skynet.pack(copy))))`)
		r.Run(b, `reader = stm.newcopy(`+copied+`) local new, a, b, t = reader(skynet.unpack) return new, a, b, t.x, reader(skynet.unpack)`, "true 1 2 3 false")
		r.Run(a, `obj(skynet.pack("hello", 5)) obj(skynet.pack("world", 6))`, "")
		r.Run(b, `return reader(skynet.unpack)`, `true "world" 6`)
		r.Run(b, `return reader(skynet.unpack)`, `false`)
		r.Run(a, `obj "plain" other = stm.newcopy(stm.copy(obj)) return other(function(text, size, more) return text, size, more end, 7)`, `true "plain" 5 7`)
		r.Run(b, `return reader(function(text) return text:upper() end)`, `true "PLAIN"`)
		r.Fails(b, `stm.newcopy(`+copied+`)`, "there is no copy", "each stm.copy is good for one stm.newcopy")
		r.Fails(a, `for i = 1, 4 do stm.copy(obj) end`, "3 copies wait for their stm.newcopy")
		r.Fails(a, `stm.new(nil)`, "a string, or what skynet.pack returns, is expected, got nil")
		r.Run(a, `obj "bad"`, "")
		r.Run(b, `return pcall(reader, function(text) error({}) end)`, `false {}`)
	})
}
