// Package lib is the part of the library for scripts that is computation only: formats of data, and the functions of cryptography that Skynet has. The modules
// are written against package vm, so that they are the same on every engine.
package lib

import (
	"io/fs"

	"github.com/skua-go/skua/lua/lib/bson"
	"github.com/skua-go/skua/lua/lib/crypt"
	"github.com/skua-go/skua/lua/lib/json"
	"github.com/skua-go/skua/lua/lib/msgpack"
	"github.com/skua-go/skua/lua/lib/protobuf"
	"github.com/skua-go/skua/lua/vm"
)

// Module is a module for scripts. Open pushes it; it is called once in each VM that requires it.
type Module struct {
	Name string
	Open func(s vm.State)
}

// Modules are all modules of a node. Files that scripts name, those of protobuf, are in files. Some require others of them, by the global function require.
func Modules(files fs.FS) []Module {
	return []Module{
		{"cjson", json.Open},
		{"cjson.safe", json.OpenSafe},
		{"json", json.OpenAlias},
		{"msgpack", msgpack.Open},
		{"bson", bson.Open},
		{"protobuf", protobuf.NewLibrary(files).Open},
		{"skynet.crypt", crypt.Open},
		{"md5", crypt.OpenMD5},
	}
}
