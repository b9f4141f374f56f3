package lua_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/lib"
)

func TestServicesFindTheModulesOfData(t *testing.T) {
	script := "local M = {}\nfunction M.start()\n"
	for _, m := range lib.Modules(nil) {
		script += "assert(type(require \"" + m.Name + "\") == \"table\")\n"
	}
	script += "assert(require \"cjson.safe\".null == require \"cjson\".null)\nend\nreturn M"
	n := newNode(t, "user.lua", script)
	if _, err := n.launch("user"); err != nil {
		t.Fatal(err)
	}
	if !n.rt.Has("cjson.safe") || n.rt.Has("cjson.none") {
		t.Error("Has does not tell what require finds")
	}
}

func TestAProjectsOwnModuleGoesBeforeThatOfTheSameName(t *testing.T) {
	n := newNode(t, "json.lua", "return { mine = true }", "user.lua", `
local M = {}
function M.start() assert(require "json".mine) end
return M`)
	if _, err := n.launch("user"); err != nil {
		t.Fatal(err)
	}
}

func TestProtoFilesAreFoundBesideTheScripts(t *testing.T) {
	n := newNode(t, "proto/a.proto", `syntax = "proto3"; import "proto/b.proto"; message A { B b = 1; }`, "proto/b.proto", `syntax = "proto3"; message B { int64 id = 1; }`, "user.lua", `
local M = {}
function M.start()
  local pb = require "protobuf"
  pb.load_file("proto/a.proto")
  assert(pb.decode("A", pb.encode("A", { b = { id = 9007199254740993 } })).b.id == 9007199254740993)
  local ok, err = pcall(pb.load_file, "../../etc/passwd")
  assert(not ok)
  error(err)
end
return M`)
	_, err := n.launch("user")
	if err == nil || !strings.Contains(err.Error(), "is not a name of a file of the project") {
		t.Fatal(err)
	}
}
