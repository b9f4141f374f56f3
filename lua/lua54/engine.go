// Package lua54 is a Lua 5.4 engine behind the seam vm, made for a server of many small scripts that wait a lot: a coroutine costs a few hundred bytes and a switch
// some ten nanoseconds, functions, metamethods, iterators, pcall and coroutines that the script makes itself can all wait, VMs share the code of a script and the
// library, and steps and memory are counted.
//
// The language is that of the Lua 5.4 reference manual. What differs: bytecode is neither written nor read, __close can't wait, the collector is Go's: weak tables
// are emptied and __gc runs when a VM's memory is measured, see collectgarbage.
package lua54

import (
	"sync"

	"github.com/skua-go/skua/lua/vm"
)

// Name is what a configuration calls the engine.
const Name = "lua54"

// Engine makes VMs. The zero Engine works; one from New also keeps the code of scripts, so that many VMs of one script share it.
type Engine struct{ cache *cache }

// New makes an engine that keeps code. A process needs one.
func New() Engine { return Engine{&cache{code: map[source]*proto{}}} }

// Name is "lua54".
func (Engine) Name() string { return Name }

type cache struct {
	mu   sync.Mutex
	code map[source]*proto
}

type source struct{ chunk, text string }

// maxCache bounds the scripts whose code is kept. A project has fewer; beyond it is forgotten and made again.
const maxCache = 4096

// Check compiles a chunk without running it; the error names chunk:line.
func (e Engine) Check(chunk, text string) error {
	_, err := e.load(chunk, text)
	return err
}

func (e Engine) load(chunk, text string) (*proto, error) {
	if e.cache == nil {
		return compile(chunk, text)
	}
	key := source{chunk, text}
	e.cache.mu.Lock()
	p := e.cache.code[key]
	e.cache.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := compile(chunk, text)
	if err != nil {
		return nil, err
	}
	e.cache.mu.Lock()
	defer e.cache.mu.Unlock()
	if len(e.cache.code) >= maxCache {
		clear(e.cache.code)
	}
	e.cache.code[key] = p
	return p, nil
}

// New makes a VM with the libraries that o allows.
func (e Engine) New(o vm.Options) vm.VM {
	m := &machine{engine: e, tick: o.Tick, library: o.Library, fuel: tickEvery, pace: tickEvery}
	m.main = m.newThread()
	m.main.state = running
	m.running = m.main
	m.openLibraries(o.Trusted)
	return m
}
