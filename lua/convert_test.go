package lua_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// showing is a script whose tables show what their metamethod __pairs gives.
const showing = `
local skynet = require "skynet"

local function shows(t)
  return setmetatable({ hidden = print }, { __pairs = function() return next, t, nil end })
end

local M = {}

function M.echo(self, ...) return ... end

function M.sends(self)
  local t = shows { 1, 2, 3, name = "x", deep = shows { er = shows {} } }
  local got = skynet.call(skynet.self(), "lua", "echo", t)
  return #got, got[3], got.name, got.hidden == nil, next(got.deep.er) == nil, type(got.deep.er)
end

function M.packs(self)
  local got = skynet.unpack(skynet.pack(shows { 4, 5, deep = shows { "x" } }))
  local text = skynet.unpack(skynet.packstring(shows { 6 }))
  return #got, got[2], got.deep[1], text[1]
end

function M.encodes(self)
  local t = shows { list = shows { 1, 2 }, n = 3 }
  local parts = {}
  for _, name in ipairs { "cjson", "msgpack", "bson" } do
    local codec = require(name)
    local got = codec.decode(codec.encode(t))
    parts[#parts + 1] = #got.list .. got.list[2] .. got.n
  end
  local pb = require "protobuf"
  pb.load [[syntax = "proto3"; message A { repeated int64 list = 1; int64 n = 2; map<string, int64> m = 3; A a = 4; }]]
  local got = pb.decode("A", pb.encode("A", shows { list = shows { 1, 2 }, n = 3, m = shows { x = 7 }, a = shows { n = 8 } }))
  parts[#parts + 1] = #got.list .. got.list[2] .. got.n .. got.m.x .. got.a.n
  return table.concat(parts, " "), require "cjson".encode(shows { shows {}, shows { 1 } })
end

function M.raises(self)
  skynet.call(skynet.self(), "lua", "echo", { x = setmetatable({}, { __pairs = function() error("not today", 0) end }) })
end

function M.returns(self)
  return setmetatable({}, { __pairs = function() error("not today", 0) end })
end

function M.throws(self)
  error(setmetatable({}, { __pairs = function() return next, { code = "mine" }, nil end }))
end

function M.refuses(self)
  skynet.call(skynet.self(), "lua", "echo", { x = shows { y = { print } } })
end

function M.endless(self)
  local n = 0
  skynet.call(skynet.self(), "lua", "echo", setmetatable({}, { __pairs = function() return function() for _ = 1, 200 do n = n + 1 end return n, n end end }))
end

function M.caught(self)
  local _, e = pcall(skynet.call, skynet.self(), "lua", "throws")
  return e.code
end

return M`

func TestATableIsSentAsWhatPairsShows(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", showing)
		a := n.start("main")
		for cmd, want := range map[string]string{
			"sends":   `3 3 "x" true true "table"`,
			"packs":   `2 5 "x" 6`,
			"encodes": `"223 223 223 22378" "[{},[1]]"`,
		} {
			l, err := n.call(a, cmd)
			if err != nil {
				t.Errorf("%s: %v", cmd, err)
				continue
			}
			texts := make([]string, 0, l.Len())
			for _, v := range l.All {
				texts = append(texts, v.String())
			}
			if got := strings.Join(texts, " "); got != want {
				t.Errorf("%s: got %s, want %s", cmd, got, want)
			}
		}
		for cmd, want := range map[string]string{
			"raises":  "not today",
			"refuses": "argument 2.x.y[1]: a function cannot be sent",
			"endless": "CPU budget exceeded",
			"returns": "result: argument 1: not today",
		} {
			if _, err := n.call(a, cmd); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %s", cmd, err, want)
			}
		}
		if l, err := n.call(a, "caught"); err != nil || l.Len() != 1 || l.At(0).String() != `"mine"` {
			t.Error(l, err)
		}
	})
}

// slow is a State that leaves the conversion of messages to the host.
type slow struct{ vm.State }

// drawn adds a value to a message.
func drawn(t *rapid.T, b *value.Builder, depth int) {
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		b.Nil()
	case 1:
		b.Bool(rapid.Bool().Draw(t, "bool"))
	case 2:
		b.Int(rapid.Int64Range(-1<<53, 1<<53).Draw(t, "int"))
	case 3:
		b.Float(rapid.Float64Range(-1e6, 1e6).Draw(t, "float"))
	case 4:
		b.String(rapid.StringN(0, 8, 60).Draw(t, "text"))
	default:
		if depth == 0 {
			b.Nil()
			return
		}
		drawnTable(t, b, depth)
	}
}

func drawnTable(t *rapid.T, b *value.Builder, depth int) {
	_ = b.Begin()
	for range rapid.IntRange(0, 4).Draw(t, "items") {
		drawn(t, b, depth-1)
	}
	key := rapid.OneOf(rapid.Map(rapid.SampledFrom([]string{"a", "b", "c", "id", "name", "x", strings.Repeat("long", 20)}), func(k string) any { return k }),
		rapid.Map(rapid.IntRange(5, 12), func(k int) any { return k }), rapid.SampledFrom([]any{true, false, 1.5, -0.25, -1, 1000, 1 << 40}))
	for _, k := range rapid.SliceOfNDistinct(key, 0, 12, func(k any) any { return k }).Draw(t, "keys") {
		b.ValueKey(value.Of(k).At(0))
		drawn(t, b, depth-1)
	}
	b.End()
}

// plainly is a value in maps and slices, by which it can be compared: nothing is told of the order of fields, or of which part of a table an item is in.
func plainly(v value.Value) any {
	if v.Kind() != value.Table {
		if f, ok := v.Float(); ok {
			return f // engines without integers tell none from a float that has no fraction
		}
		return v.Any()
	}
	fields := map[string]any{}
	set := func(key string, v value.Value) {
		if fields[key] = plainly(v); v.IsNil() {
			delete(fields, key)
		}
	}
	for i, e := range v.Items {
		set(fmt.Sprint(i), e)
	}
	for k, e := range v.Pairs {
		set(k.String(), e)
	}
	return fields
}

// TestEnginesConvertMessagesAsTheHostDoes: an engine's own conversion of messages gives what the host makes of them by the seam, one value after the other.
func TestEnginesConvertMessagesAsTheHostDoes(t *testing.T) {
	for _, e := range []vm.Engine{lua54.New(), gopherEngine(t, gopher.Config{})} {
		t.Run(e.Name(), func(t *testing.T) {
			m := e.New(vm.Options{})
			defer m.Close()
			s := m.Main()
			rapid.Check(t, func(t *rapid.T) {
				var b value.Builder
				for range rapid.IntRange(1, 3).Draw(t, "values") {
					drawn(t, &b, 3)
				}
				sent := b.List()
				for _, into := range []vm.State{s, slow{s}} {
					s.SetTop(0)
					if n := lua.PushList(into, sent); n != sent.Len() || s.Top() != n {
						t.Fatalf("%d values are %d, and %d on the stack", sent.Len(), n, s.Top())
					}
					for _, out := range []vm.State{s, slow{s}} {
						got, err := lua.TakeList(out, 1)
						if err != nil || got.Len() != sent.Len() {
							t.Fatal(err, got.Len())
						}
						for i, v := range sent.All {
							if want, got := plainly(v), plainly(got.At(i)); !reflect.DeepEqual(got, want) {
								t.Errorf("%T to %T: %v became %v", into, out, want, got)
							}
						}
					}
				}
			})
		})
	}
}

const changing = `
local skynet = require "skynet"
local M = {}

function M.echo(self, ...) return ... end

local function fresh() return skynet.call(skynet.self(), "lua", "echo", { id = 1, name = "ann", gold = 2.5 }) end

local function all(t)
  local parts = {}
  for k, v in pairs(t) do parts[#parts + 1] = k .. "=" .. tostring(v) end
  table.sort(parts)
  return table.concat(parts, " ")
end

-- Tables that have the names of one that came before are changed without that one, or any that comes after, being another.
function M.changes(self)
  local before = fresh()
  local t = fresh()
  t.level, t.id = 3, nil
  t.name = "bob"
  before.rank = 9
  local one = all(t)
  t.id = 7
  for i = 1, 100 do t["k" .. i] = i end
  for i = 1, 100 do t["k" .. i] = nil end
  t[1], t[5000] = "first", "far"
  local two = all(t)
  for k in pairs(t) do t[k] = nil end
  return one, two, next(t) == nil, all(before), all(fresh())
end

return M`

func TestATableOfAMessageIsTheReceiversOwn(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", changing)
		l, err := n.call(n.start("main"), "changes")
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"gold=2.5 level=3 name=bob", "1=first 5000=far gold=2.5 id=7 level=3 name=bob", "", "gold=2.5 id=1 name=ann rank=9", "gold=2.5 id=1 name=ann"} {
			if got, ok := l.At(i).Str(); ok && got != want || !ok && !l.At(i).Bool() {
				t.Errorf("%d: got %v, want %s", i, l.At(i), want)
			}
		}
	})
}
