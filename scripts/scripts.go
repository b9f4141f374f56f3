// Package scripts is the library that Lua services find with require.
package scripts

import (
	"embed"
	"io/fs"
)

//go:embed *.lua snax/*.lua skynet/*.lua skynet/*/*.lua skua/*.lua skua/*/*.lua
var files embed.FS

// FS is the library's files.
func FS() embed.FS { return files }

//go:embed meta
var meta embed.FS

// Meta is annotation files for LuaLS, the language server: a file a module, under the path that require has for it. `skua check` takes the names of the library from them.
func Meta() fs.FS {
	sub, err := fs.Sub(meta, "meta")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}
