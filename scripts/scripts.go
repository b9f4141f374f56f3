// Package scripts is the library that Lua services find with require.
package scripts

import "embed"

//go:embed *.lua skynet/*.lua skynet/*/*.lua skua/*.lua
var files embed.FS

// FS is the library's files.
func FS() embed.FS { return files }
