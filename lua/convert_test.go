package lua_test

import (
	"strings"
	"testing"
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
  skynet.call(skynet.self(), "lua", "echo", setmetatable({}, { __pairs = function() return function() n = n + 1 return n, n end end }))
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
