package gopher

import (
	"context"
	"reflect"
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// The library makes a thread together with the globals of a VM of its own, 7 KB that are thrown away, and with room for all calls that it may ever make. Here a
// thread is a copy of one that the library has made once, with parts of its own, and the VM's.

const (
	// firstRegisters is how many registers a thread begins with.
	firstRegisters = 64
	// rootRegisters is how many the root has: it gets one value when a thread hands over.
	rootRegisters = 8
)

// registry is lua.registry.
type registry struct {
	array   []lua.LValue
	top     int
	growBy  int //nolint:unused // by the library only
	maxSize int //nolint:unused // by the library only
	alloc   *numbers
	handler interface{ registryOverflow() }
}

// numbers is lua.allocator, where the library has place for the numbers that a VM makes.
type numbers struct {
	size          int
	fptrs         []float64
	fheader       *reflect.SliceHeader //nolint:staticcheck // of the library
	scratchValue  lua.LValue
	scratchValueP *[2]unsafe.Pointer
}

// blockNumbers is how many numbers are made at once.
const blockNumbers = 32

func newNumbers() *numbers {
	n := &numbers{size: blockNumbers, scratchValue: lua.LNumber(0)}
	n.fheader = (*reflect.SliceHeader)(unsafe.Pointer(&n.fptrs))            //nolint:gosec,staticcheck // as the library has it
	n.scratchValueP = (*[2]unsafe.Pointer)(unsafe.Pointer(&n.scratchValue)) //nolint:gosec // as the library has it
	return n
}

// state is an LState and what belongs to it.
type state struct {
	l     lua.LState
	reg   registry
	stack stack
	first [1]*piece // the stack's list while that is all
	t     thread
}

// template makes what all LStates of an engine are copied from.
func template() *lua.LState {
	return lua.NewState(lua.Options{
		CallStackSize: pieceFrames, MinimizeStackMemory: true, RegistrySize: 128, RegistryMaxSize: 1 << 20, RegistryGrowStep: 256, SkipOpenLibs: true,
	})
}

// newGlobals makes the part of a VM that its threads share.
func (o *offsets) newGlobals() *lua.Global {
	g := &lua.Global{
		Registry: &lua.LTable{Metatable: lua.LNil}, // nothing is kept there; what the library reserves for it would be kept
		Global:   &lua.LTable{Metatable: lua.LNil},
	}
	*(*map[int]lua.LValue)(unsafe.Add(unsafe.Pointer(g), o.metatables)) = map[int]lua.LValue{} //nolint:gosec // see frame
	return g
}

// newState makes an LState. The numbers are those of the VM: its threads don't run at the same time.
func (e *Engine) newState(g *lua.Global, n *numbers, registers int) *state {
	s := &state{l: *e.template}
	s.l.G, s.l.Env = g, g.Global
	s.reg = *e.o.registers(e.template)
	s.reg.array, s.reg.alloc = make([]lua.LValue, registers), n
	s.first[0] = &piece{}
	s.stack.segments = s.first[:]
	e.o.own(s)
	return s
}

// newThread makes a thread that is not known to Lua yet.
func (m *machine) newThread() *thread {
	t := m.makeThread()
	m.remember(t)
	m.took(threadSize)
	return t
}

func (m *machine) makeThread() *thread {
	s := m.engine.newState(m.root.G, m.numbers, firstRegisters)
	t := &s.t
	t.Context, t.m, t.l, t.stack, t.first, t.want = context.Background(), m, &s.l, &s.stack, s.first[:], lua.MultRet
	s.l.SetContext(t)
	*m.o.loop(&s.l) = m.loop // in place of the loop that asks the context before each instruction
	// The library closes the upvalues of the whole thread when an error is raised, also those of functions that go on behind pcall, which then no longer share
	// their variables with closures. It does not while it believes that there is a message handler. unwind closes those that have to be.
	*m.o.hasErrorFunc(&s.l) = true
	s.l.Panic = raised
	return t
}
