// Package arena is the demo world: its configuration, its rules in Lua and its page, embedded so that the node can serve it without any file.
package arena

import (
	"embed"
	"io/fs"
)

//go:embed skua.toml scripts web
var files embed.FS

// Files is the project's directory, as `skua run` takes one: skua.toml, scripts and web.
func Files() fs.FS { return files }
