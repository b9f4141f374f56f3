// Package lua hosts services that are written in Lua. A service is an actor with a VM of its own: each message runs a handler in a coroutine, and a handler
// that waits (skynet.call, skynet.sleep) lets the service take other messages meanwhile, as in Skynet.
//
// A script either calls skynet.start and skynet.dispatch as Skynet's do, or returns a table of handlers that take the service's state as their first argument:
//
//	local M = {}
//	function M.start(self, ...) self.n = 0 end   -- once, with newservice's arguments
//	function M.add(self, n) self.n = self.n + n return self.n end
//	function M.stop(self) end                    -- before the service ends
//	M.client = {}                                -- what clients may call, by route
//	function M.client.hello(self, request) return { hello = request.name } end
//	return M
package lua

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/lib"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
)

// Config tells a Runtime what its services get. Scripts is needed.
type Config struct {
	// Scripts are the project's: services, and modules that require finds.
	Scripts fs.FS
	// Library are modules that require finds after those of the project.
	Library fs.FS
	// Modules are modules in Go, which require finds before all others.
	Modules []Module
	// Engine runs the scripts. Default lua54.
	Engine vm.Engine
	// Engines run single services instead, by the name of the script (with dots or slashes). They, too, are shared: an Engine is made once.
	Engines map[string]vm.Engine
	// Trusted tells which services get what reaches the host (see vm.Options), by the name of the script with slashes, and of the VM's script where agents share
	// one. Default nil: none.
	Trusted func(script string) bool
	// Budget is how long a handler may compute without a wait before it gets an error. Default 1 s.
	Budget time.Duration
	// MemoryLimit is how many bytes a service's VM may keep: its script gets the error "not enough memory" where it asks for more, and if it keeps more when a
	// handler has ended, the service is stopped. Agents that share a VM share the limit. Default 0: no limit.
	MemoryLimit int64
	// Quarantine has a service that keeps more than MemoryLimit, or of which three handlers have exceeded Budget within a minute, put in quarantine for an operator to look at,
	// see actor.System.Quarantine, in place of being stopped, or going on. Up to 16 services are at a time; services that share a VM are never for its memory. Default false.
	Quarantine bool
	// StartTimeout bounds newservice. Default 30 s.
	StartTimeout time.Duration
	// AgentsPerVM is how many agents share a VM that the launcher chooses, see Launch.Shared. Default 256.
	AgentsPerVM int
	// Env is what skynet.getenv finds.
	Env map[string]string
	// Abort is called by skynet.abort. It must not block.
	Abort func()
	// Now is the time of os.time and os.date without one. Default nil: the machine's.
	Now func() time.Time
	// Log gets print, skynet.error and failures. Default slog.Default().
	Log *slog.Logger
}

// Module is a module for scripts that is written in Go. Open pushes it onto the stack of s; it is called once in each VM that requires it.
type Module struct {
	Name string
	Open func(h *Host, s vm.State)
}

// Runtime makes Lua services.
type Runtime struct {
	cfg     Config
	modules map[string]Module
	lib     map[string]Module    // found last, so that a project's own json.lua goes before
	engines map[string]vm.Engine // Config.Engines, by their names with slashes
	started time.Time
	library map[string]bool // the files of Config.Library that the project has not

	api      api
	failures failures
	hints    hints

	measuring atomic.Pointer[[]*Measurement] // nil if nothing is measured

	mu      sync.Mutex
	env     map[string]string
	version *reload.Version
	choose  func(script string) *reload.Version
}

// NewRuntime checks the configuration.
func NewRuntime(cfg Config) (*Runtime, error) {
	if cfg.Scripts == nil {
		return nil, errors.New("lua: Config.Scripts is nil")
	}
	if cfg.Engine == nil {
		cfg.Engine = lua54.New()
	}
	if cfg.Budget <= 0 {
		cfg.Budget = time.Second
	}
	if cfg.AgentsPerVM <= 0 {
		cfg.AgentsPerVM = 256
	}
	if cfg.StartTimeout <= 0 {
		cfg.StartTimeout = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Abort == nil {
		cfg.Abort = func() { cfg.Log.Warn("skynet.abort: nobody listens") }
	}
	rt := &Runtime{cfg: cfg, api: newAPI(), modules: map[string]Module{}, lib: map[string]Module{}, started: time.Now(), env: map[string]string{}}
	for _, m := range lib.Modules(cfg.Scripts) {
		rt.lib[m.Name] = Module{Name: m.Name, Open: func(_ *Host, s vm.State) { m.Open(s) }}
	}
	for _, m := range logModules() {
		rt.lib[m.Name] = m
	}
	rt.engines = make(map[string]vm.Engine, len(cfg.Engines))
	for script, e := range cfg.Engines {
		rt.engines[slashed(script)] = e
	}
	for k, v := range cfg.Env {
		rt.env[k] = v
	}
	for _, m := range cfg.Modules {
		rt.modules[m.Name] = m
	}
	rt.library = libraryOf(cfg)
	return rt, nil
}

// libraryOf are the files of the library that the project does not have, too. What can't be listed is none: this is for the places of errors only.
func libraryOf(cfg Config) map[string]bool {
	files := map[string]bool{}
	if cfg.Library == nil {
		return files
	}
	names, _ := Scripts(cfg.Library)
	for _, name := range names {
		if _, err := fs.Stat(cfg.Scripts, name); err != nil {
			files[name] = true
		}
	}
	return files
}

// ofLibrary tells whether a chunk is of the library, or of the host itself.
func (rt *Runtime) ofLibrary(chunk string) bool { return chunk == hostChunk || rt.library[chunk] }

// Spec is how to spawn a service of a script. The service is ready when it has answered Ready.
func (rt *Runtime) Spec(script string, args value.List) actor.Spec {
	name, maker := servedAs(script, args)
	return rt.spec(name, func() actor.Actor {
		return &Host{cell: newCell(), rt: rt, script: name, maker: maker, args: args, sessions: firstSession}
	})
}

// sharedSpec is Spec for a service of a VM with several.
func (rt *Runtime) sharedSpec(h *Host) actor.Spec {
	spec := rt.spec(h.script, func() actor.Actor { return h })
	spec.Turn = turn{h}
	return spec
}

// KindPrefix begins the actor.Spec.Kind of a service of a script, whose name is behind it.
const KindPrefix = "lua:"

func (rt *Runtime) spec(script string, newHost func() actor.Actor) actor.Spec {
	return actor.Spec{
		Kind: KindPrefix + script, New: newHost,
		// A script's errors are answered by its host. What panics here is a defect of the host or the engine, after which the VM can't be trusted.
		Supervision: actor.Supervision{Limit: -1},
	}
}

// EngineOf is the engine that runs the service of a script, and the modules that it requires.
func (rt *Runtime) EngineOf(script string) vm.Engine {
	if e := rt.engines[slashed(script)]; e != nil {
		return e
	}
	return rt.cfg.Engine
}

func (rt *Runtime) trusts(script string) bool {
	return rt.cfg.Trusted != nil && rt.cfg.Trusted(slashed(script))
}

// slashed is the name of a script with slashes, where it may have dots.
func slashed(script string) string { return strings.ReplaceAll(script, ".", "/") }

// source finds the text of a service or module: its name with dots as slashes, and .lua or /init.lua behind.
func (rt *Runtime) source(name string) (file, text string, err error) {
	var data []byte
	file, err = rt.find(name, func(tree fs.FS, file string) (err error) {
		data, err = fs.ReadFile(tree, file)
		return err
	})
	return file, string(data), err
}

// launchable is known for the script of a service: one of several versions may have it, which is chosen when the service begins.
func (rt *Runtime) launchable(script string) error {
	if rt.chooses() {
		return nil
	}
	return rt.known(script)
}

// known fails as source does, without reading the text.
func (rt *Runtime) known(name string) error {
	if v := rt.Version(); v != nil {
		if _, ok := v.Find(name); ok {
			return nil
		}
	}
	_, err := rt.find(name, func(tree fs.FS, file string) error {
		_, err := fs.Stat(tree, file)
		return err
	})
	return err
}

// find tries the files that a name may mean until there is one.
func (rt *Runtime) find(name string, try func(tree fs.FS, file string) error) (file string, err error) {
	base := slashed(name)
	tried := make([]string, 0, 4)
	for _, file := range []string{base + ".lua", base + "/init.lua"} {
		if !fs.ValidPath(file) {
			return "", fmt.Errorf("lua: %q is not a name of a script", name)
		}
		for _, tree := range []fs.FS{rt.cfg.Scripts, rt.cfg.Library} {
			if tree == nil {
				continue
			}
			err := try(tree, file)
			if err == nil {
				return file, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("lua: read %s: %w", file, err)
			}
		}
		tried = append(tried, file)
	}
	if why := absent(name); why != "" {
		return "", fmt.Errorf("lua: no script %q: %s", name, why)
	}
	return "", fmt.Errorf("lua: no script %q: neither %s is there", name, strings.Join(tried, " nor "))
}

// Has tells whether require would find a module of this name.
func (rt *Runtime) Has(name string) bool { return rt.hasInGo(name) || rt.known(name) == nil }

func (rt *Runtime) hasInGo(name string) bool {
	if _, ok := rt.modules[name]; ok || name == "skynet.core" {
		return true
	}
	_, ok := rt.lib[name]
	return ok
}

// getenv and setenv are the node's variables. A variable is set once.
func (rt *Runtime) getenv(key string) (string, bool) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	v, ok := rt.env[key]
	return v, ok
}

// maxEnv bounds what scripts can put there.
const maxEnv = 10_000

func (rt *Runtime) setenv(key, v string) error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if _, ok := rt.env[key]; ok {
		return fmt.Errorf("setenv: %q is set already", key)
	}
	if len(rt.env) >= maxEnv {
		return fmt.Errorf("setenv: %d variables are set already", maxEnv)
	}
	rt.env[key] = v
	return nil
}

// Scripts lists the Lua files of a tree, without those whose names, or folders, begin with a dot: editors put there what is none of the project's.
func Scripts(tree fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case !d.IsDir() && path.Ext(p) == ".lua":
			files = append(files, p)
		}
		return nil
	})
	sort.Strings(files)
	return files, err
}
