package lua_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lib/pack"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

// newMixedNode is newNode with engines for single services; all others are on the default one.
func newMixedNode(t *testing.T, engines map[string]vm.Engine, files ...string) *node {
	t.Helper()
	tree := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		tree[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	log := &logtest.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	rt, err := lua.NewRuntime(lua.Config{Scripts: tree, Library: scripts.FS(), Log: logger, Budget: time.Second, Engines: engines})
	if err != nil {
		t.Fatal(err)
	}
	sys := actor.New(actor.Config{Log: logger, CallTimeout: 20 * time.Second})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	if _, err := sys.Spawn(rt.Launcher()); err != nil {
		t.Fatal(err)
	}
	return &node{t, sys, rt, log}
}

func gopherEngine(t *testing.T, cfg gopher.Config) vm.Engine {
	t.Helper()
	e, err := gopher.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// large is 2^53 + 1, the first integer that a float64 does not have.
const large = 1<<53 + 1

const integerScript = `
local skynet = require "skynet"
local M = {}
function M.engine() return math.maxinteger == 2 ^ 53 end
function M.echo(self, ...) return ... end
function M.ask(self, to, cmd, ...) return skynet.call(to, "lua", cmd, ...) end
function M.caught(self, to) return pcall(skynet.call, to, "lua", "large") end
function M.kind(self, v) return type(v), v end
function M.json(self, text) return require "cjson".decode(text).player.id end
function M.msgpack(self, bytes) return require "msgpack".decode(bytes).player.id end
function M.bson(self, bytes) return require "bson".decode(bytes).player.id end
function M.protobuf(self, bytes)
  local pb = require "protobuf"
  pb.load('syntax = "proto3"; message Player { int64 id = 1; } message Doc { Player player = 1; }')
  return pb.decode("Doc", bytes).player.id
end
return M`

const onLua54 = `
local skynet = require "skynet"
local M = {}
local doc = { player = { name = "ann", id = (1 << 53) + 1 } }
function M.large() return doc end
function M.keyed(self, to) return skynet.call(to, "lua", "echo", { [doc.player.id] = true }) end
function M.add(self, a, b) return a + b end
function M.ask(self, to, cmd, ...) return skynet.call(to, "lua", cmd, ...) end
function M.json() return require "cjson".encode(doc) end
function M.msgpack() return require "msgpack".encode(doc) end
function M.bson() return tostring(require "bson".encode(doc)) end
function M.protobuf()
  local pb = require "protobuf"
  pb.load('syntax = "proto3"; message Player { int64 id = 1; } message Doc { Player player = 1; }')
  return pb.encode("Doc", { player = { id = doc.player.id } })
end
return M`

func TestServicesOnTwoEnginesCallEachOther(t *testing.T) {
	n := newMixedNode(t, map[string]vm.Engine{"world.old": gopherEngine(t, gopher.Config{})}, "world/old.lua", integerScript, "new.lua", onLua54)
	old, recent := n.start("world/old"), n.start("new")
	if l, err := n.call(old, "engine"); err != nil || !l.At(0).Bool() {
		t.Fatalf("the service is not on its engine: %v %v", l, err)
	}
	for name, c := range map[string][2]actor.Ref{"lua54 to gopher": {recent, old}, "gopher to lua54": {old, recent}} {
		cmd := "add"
		if c[1] == old {
			cmd = "echo"
		}
		l, err := n.call(c[0], "ask", int64(c[1].ID()), cmd, 7, 5)
		if got, _ := l.At(0).Int(); err != nil || cmd == "add" && got != 12 || cmd == "echo" && got != 7 {
			t.Errorf("%s: %v %v", name, l, err)
		}
	}
}

func TestAnIntegerThatTheEngineCantHoldIsRefusedWithItsField(t *testing.T) {
	n := newMixedNode(t, map[string]vm.Engine{"old": gopherEngine(t, gopher.Config{})}, "old.lua", integerScript, "new.lua", onLua54)
	old, recent := n.start("old"), n.start("new")
	const beyond = "integer 9007199254740993 is beyond 2^53"
	check := func(what string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), beyond) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := n.call(old, "echo", "x", map[string]any{"player": map[string]any{"ids": []any{1, large}}})
	check("an argument", err, "argument 2.player.ids[2]: ")
	_, err = n.call(recent, "keyed", int64(old.ID()))
	check("a key", err, "argument 1, a key: ")
	_, err = n.call(old, "ask", int64(recent.ID()), "large")
	check("a result", err, "argument 1.player.id: ")
	if l, err := n.call(old, "caught", int64(recent.ID())); err != nil || l.At(0).Bool() || !strings.Contains(l.At(1).String(), "argument 1.player.id: "+beyond) {
		t.Errorf("where the script could catch it: %v %v", l, err)
	}
	for format, field := range map[string]string{"json": "/player/id: ", "msgpack": "player.id: ", "bson": "player.id: ", "protobuf": "player.id: "} {
		bytes, err := n.call(recent, format)
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.call(old, format, bytes.At(0).Any())
		check(format, err, field)
	}
	// What fits passes, to the last integer.
	if l, err := n.call(old, "echo", 1<<53, -1<<53); err != nil || l.At(0).String() != "9007199254740992" || l.At(1).String() != "-9007199254740992" {
		t.Errorf("%v %v", l, err)
	}
}

func TestAnIntegerThatTheEngineCantHoldIsTextWhereTheServiceAsksForThat(t *testing.T) {
	engines := map[string]vm.Engine{"old": gopherEngine(t, gopher.Config{TextIntegers: true})}
	n := newMixedNode(t, engines, "old.lua", integerScript, "new.lua", onLua54)
	old, recent := n.start("old"), n.start("new")
	const digits = "9007199254740993"
	if l, err := n.call(old, "kind", large); err != nil || l.At(0).String() != `"string"` || l.At(1).String() != `"`+digits+`"` {
		t.Errorf("an argument: %v %v", l, err)
	}
	for _, format := range []string{"json", "msgpack", "bson", "protobuf"} {
		bytes, err := n.call(recent, format)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := n.call(old, format, bytes.At(0).Any()); err != nil || l.At(0).String() != `"`+digits+`"` {
			t.Errorf("%s: %v %v", format, l, err)
		}
	}
}

func TestPackedValuesThatTheEngineCantHoldAreRefusedWithTheirField(t *testing.T) {
	m := lua54.Engine{}.New(vm.Options{})
	defer m.Close()
	s := m.Main()
	s.PushString("first")
	if err := s.Load("main.lua", "return { player = { ids = { 1, (1 << 53) + 1 } } }"); err != nil {
		t.Fatal(err)
	}
	s.Call(0, 1)
	data, err := pack.Encode(s, 1)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[bool]string{false: "player.ids[2]: the integer 9007199254740993 is beyond 2^53", true: ""} {
		m := gopherEngine(t, gopher.Config{TextIntegers: text}).New(vm.Options{})
		t.Cleanup(m.Close)
		switch n, err := pack.Decode(m.Main(), data); {
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%v", err)
		case want == "" && (err != nil || n != 2):
			t.Errorf("%d values, %v", n, err)
		}
	}
}
