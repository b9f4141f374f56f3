// Package sharedata keeps tables that scripts of all services read without a copy of their own: configuration, mostly. A table is made once, outside of the
// VMs, and is never changed; what a script gets of it is a small proxy for each table that it looks at, whose fields come straight from there. An update is
// another table under the same name.
//
// It is behind four modules for scripts, which differ in what an update means for those who have a table already:
//
//	skynet.sharedata   they read the new one
//	skynet.datasheet   they read the new one
//	skynet.sharetable  they read the old one until they call update
//	skynet.stm         a message that one service writes and others read when they like
//
// A service changes over to a new version between two messages or behind a wait, never within a handler that does not wait. It has changed over when it gets
// what was sent to it after the update.
//
// Text and files that make tables are run in VMs of their own, off all actors, within the bounds of Config.
package sharedata

import (
	"io/fs"
	"log/slog"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

// ServiceName is the name of the actor that runs what makes tables.
const ServiceName = "sharedata"

// CoreName is the module that the scripts of the library are written with.
const CoreName = "skynet.sharedata.core"

// Config tells a Service what it needs and its bounds. The zero value works, without files.
type Config struct {
	// Files is where the names of files are looked for, and the modules that they require: the project's scripts. Nil is none.
	Files fs.FS
	// Engine runs them. Default lua54.
	Engine vm.Engine
	// LoadTimeout bounds the making of one table from a text or a file. Default 60 s.
	LoadTimeout time.Duration
	// LoadMemory bounds, in bytes, the VM that does it, as far as its engine can tell. Default 1 GiB.
	LoadMemory int64
	// MaxLoads is how many may wait until others of the same name are done. Default 1,000; beyond it, requests fail with actor.ErrOverloaded.
	MaxLoads int
	// MaxValues bounds the values of one table with all that is in it. Default 10,000,000; each takes some 30 bytes.
	MaxValues int
	// MaxNames bounds the tables of each of the three modules. Default 10,000.
	MaxNames int
	// MaxCopies bounds the copies of stm that nobody has opened yet. Default 100,000.
	MaxCopies int
	// Log gets what the files print. Default slog.Default().
	Log *slog.Logger
}

func (cfg *Config) defaults() {
	if cfg.Engine == nil {
		cfg.Engine = lua54.Engine{}
	}
	if cfg.LoadTimeout <= 0 {
		cfg.LoadTimeout = time.Minute
	}
	if cfg.LoadMemory <= 0 {
		cfg.LoadMemory = 1 << 30
	}
	if cfg.MaxLoads <= 0 {
		cfg.MaxLoads = 1000
	}
	if cfg.MaxValues <= 0 {
		cfg.MaxValues = 10_000_000
	}
	if cfg.MaxNames <= 0 {
		cfg.MaxNames = 10_000
	}
	if cfg.MaxCopies <= 0 {
		cfg.MaxCopies = 100_000
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
}

// Service is the shared tables of one node.
type Service struct {
	cfg    Config
	reg    registry
	copies copies
}

// New makes a Service without tables. Its Module belongs to the node's lua.Config, its Spec among the node's actors.
func New(cfg Config) *Service {
	cfg.defaults()
	return &Service{cfg: cfg, reg: registry{maxNames: cfg.MaxNames}, copies: copies{limit: cfg.MaxCopies}}
}

// Spec is how to spawn the actor that makes tables of texts and files. It needs no other service; those that use it are to be spawned later.
func (srv *Service) Spec() actor.Spec {
	return actor.Spec{Name: ServiceName, New: func() actor.Actor { return newLoader(srv) }}
}

// Module is what the scripts skynet.sharedata, skynet.sharetable, skynet.datasheet and skynet.stm are written with.
func (srv *Service) Module() lua.Module {
	return lua.Module{Name: CoreName, Open: srv.open}
}
