// Package gopher puts github.com/yuin/gopher-lua, a Lua 5.1 in pure Go, behind the seam of package vm. It is the second engine, for scripts that were written for
// Lua 5.1; the first is faster and its VMs take less memory. What Lua 5.4 has and it lacks is added where that is possible from outside; package vmtest lists
// what is left.
package gopher

import (
	"container/list"
	"fmt"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"github.com/skua-go/skua/lua/vm"
)

// Name is the engine's name in the configuration.
const Name = "gopher"

// maxArray is the largest key of the array part of a table. A key up to it makes an array of its size (4 MB for this one); what is beyond is hashed. The length
// of a table counts the array part only, so no list gets longer: table.insert says so.
const maxArray = 1 << 18

// Config tells an Engine what its VMs get. The zero value works.
type Config struct {
	// TextIntegers gives scripts an integer beyond 2^53 as a string. By default such an integer is refused with an error, since this engine's numbers are
	// float64 and would round it.
	TextIntegers bool
	// CodeCache bounds the source text, in bytes, whose compiled code is kept for the VMs to come; the least recently used goes first. VMs that run it keep
	// what they have. Default 64 MiB.
	CodeCache int
}

// Engine makes VMs that share the code that they load. It is safe for concurrent use.
type Engine struct {
	cfg Config
	o   offsets
	ops [lua.OP_NOP + 1]instruction

	pcall, xpcall shim

	template *lua.LState // of all threads
	pieces   sync.Pool   // of *pieceList, all empty: see stack.go

	mu    sync.Mutex
	code  map[codeKey]*list.Element
	order *list.List // of *code, the most recently used first
	size  int        // of all their sources
}

type codeKey struct{ chunk, source string }

type code struct {
	key   codeKey
	proto *lua.FunctionProto
}

// New makes an Engine. It fails if gopher-lua is not the version that it was written for.
func New(cfg Config) (*Engine, error) {
	o, err := layout()
	if err != nil {
		return nil, err
	}
	if cfg.CodeCache <= 0 {
		cfg.CodeCache = 64 << 20
	}
	setArrayLimit()
	e := &Engine{cfg: cfg, o: o, ops: jumpTable, template: template(), code: map[codeKey]*list.Element{}, order: list.New()}
	e.pieces.New = func() any { return new(pieceList) }
	e.ops[lua.OP_CONCAT] = e.concat
	e.ops[lua.OP_VARARG] = e.varargs
	e.ops[lua.OP_EQ] = e.comparing(lua.OP_EQ, func(x, y lua.LNumber) bool { return x == y })
	e.ops[lua.OP_LT] = e.comparing(lua.OP_LT, func(x, y lua.LNumber) bool { return x < y })
	e.ops[lua.OP_LE] = e.comparing(lua.OP_LE, func(x, y lua.LNumber) bool { return x <= y })
	e.ops[lua.OP_GETTABLE] = e.getTable
	e.ops[lua.OP_SETTABLE] = e.setTable()
	e.ops[lua.OP_SETTABLEKS] = e.setField()
	e.ops[lua.OP_SETLIST] = e.growing(lua.OP_SETLIST)
	e.ops[lua.OP_NEWTABLE] = newTable
	e.ops[lua.OP_CLOSURE] = e.closure
	if e.pcall, err = newShim(pcallSource, 0); err != nil {
		return nil, err
	}
	if e.xpcall, err = newShim(xpcallSource, 1); err != nil {
		return nil, err
	}
	return e, nil
}

// setArrayLimit sets the library's variable once: its VMs read it without a lock.
var setArrayLimit = sync.OnceFunc(func() { lua.MaxArrayIndex = maxArray }) //nolint:gochecknoglobals // of the library

// Name is the engine's name in the configuration.
func (e *Engine) Name() string { return Name }

// Check compiles a chunk.
func (e *Engine) Check(chunk, source string) error {
	_, err := compile(chunkName(chunk), source)
	return err
}

// load compiles a chunk, or finds what was compiled before: compiled code does not change, so all VMs can run it.
func (e *Engine) load(chunk, source string) (*lua.FunctionProto, error) {
	key := codeKey{chunkName(chunk), source}
	e.mu.Lock()
	if at, ok := e.code[key]; ok {
		e.order.MoveToFront(at)
		e.mu.Unlock()
		return at.Value.(*code).proto, nil //nolint:forcetypeassert // nothing else is in there
	}
	e.mu.Unlock()
	proto, err := compile(key.chunk, source) // two may do it at once; the first that is done is kept
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if at, ok := e.code[key]; ok {
		return at.Value.(*code).proto, nil //nolint:forcetypeassert // see above
	}
	e.code[key] = e.order.PushFront(&code{key, proto})
	e.size += len(source)
	for e.size > e.cfg.CodeCache && e.order.Len() > 1 {
		oldest := e.order.Remove(e.order.Back()).(*code) //nolint:forcetypeassert // see above
		delete(e.code, oldest.key)
		e.size -= len(oldest.key.source)
	}
	return proto, nil
}

// shim is a function of Lua that calls in the loop of its caller, see resume.go.
type shim struct {
	proto   *lua.FunctionProto
	handler int // the register of the message handler, 0 if there is none
	ok      int // the register of false behind an error; the error goes into the next one
	failed  int // where the code goes on that returns these two
}

// The last line is not reached from those above: catch goes on there.
const (
	pcallSource = `local direct, inner = ...
return function(f, ...)
local ok, problem = false, nil
if direct() then return true, f(...) end
do return inner(f, ...) end
return ok, problem
end`
	xpcallSource = `local direct, inner = ...
return function(f, handler, ...)
local ok, problem = false, nil
if direct() then return true, f(...) end
do return inner(f, handler, ...) end
return ok, problem
end`
)

func newShim(source string, handler int) (shim, error) {
	chunk, err := compile("[G]", source)
	if err != nil {
		return shim{}, fmt.Errorf("gopher: a constant of ours: %w", err)
	}
	s := shim{proto: chunk.FunctionPrototypes[0], handler: handler, ok: -1, failed: -1}
	for register, local := range s.proto.DbgLocals { // a function with `...` has a hidden one, so they are not counted here
		if local.Name == "ok" {
			s.ok = register
		}
	}
	for pc, line := range s.proto.DbgSourcePositions {
		if line == 6 {
			s.failed = pc
			break
		}
	}
	if s.failed < 0 || s.ok < 0 {
		return shim{}, fmt.Errorf("gopher: the compiler has left out %q", "return ok, problem")
	}
	s.proto = chunk
	return s, nil
}

// shimOf is the shim that a function is, if it is one.
func (e *Engine) shimOf(p *lua.FunctionProto) *shim {
	switch p {
	case e.pcall.proto.FunctionPrototypes[0]:
		return &e.pcall
	case e.xpcall.proto.FunctionPrototypes[0]:
		return &e.xpcall
	}
	return nil
}

var _ vm.Engine = (*Engine)(nil)
