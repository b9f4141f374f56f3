package gopher

import (
	"strings"
	"weak"

	lua "github.com/yuin/gopher-lua"

	"github.com/skua-go/skua/lua/vm"
)

const (
	// tickEvery is how many instructions pass between two calls of Options.Tick.
	tickEvery = 10_000
	// maxString bounds the strings that one operation can make of small ones.
	maxString = 256 << 20
	// callDepth bounds the calls within calls of a thread. Each needs 80 bytes, and each that goes through Go some 1 KB of Go's stack.
	callDepth = 1600
	// tidySteps is how many there are for whoever catches the error of a time that is over.
	tidySteps = 10_000
)

// machine is a VM.
type machine struct {
	engine  *Engine
	o       *offsets
	root    *lua.LState // runs nothing: threads are made from it, and hand over to it when they wait
	main    *thread
	numbers *numbers
	callGo  loop // the library's own loop: it knows how to begin with a function of Go
	loop    loop // run
	tick    func() error
	library func(chunk string) bool // see vm.Options

	count       int  // instructions until the next look at the clock
	every       int  // from one to the next
	pace        int  // the same, while nothing is interrupted
	interrupted bool // tick has found that the time is over
	depth       int  // of coroutines that have resumed coroutines

	ends    []func()     // what the library does when the VM is closed
	refs    []lua.LValue // what Ref was given; 0 is nil
	free    []int
	threads []weak.Pointer[thread]
	sweep   int // how many threads there may be before those that are gone are taken off

	ran  int // instructions since the last survey, see compact.go
	look int // how many of them until the next

	limit int64   // how many bytes the VM may keep, 0 if as many as it likes; see memory.go
	size  int64   // what the last survey has found
	grown int64   // what has been taken since
	most  int64   // how much may be taken until the next
	found int     // how many values the last survey has seen
	patch *survey // the last search for functions, until its end; see patch.go
}

// New makes a VM with the libraries that o allows.
func (e *Engine) New(o vm.Options) vm.VM {
	numbers := newNumbers()
	root := &e.newState(e.o.newGlobals(), numbers, rootRegisters).l
	m := &machine{engine: e, o: &e.o, root: root, numbers: numbers, tick: o.Tick, library: o.Library, count: tickEvery, every: tickEvery, pace: tickEvery, refs: []lua.LValue{lua.LNil}}
	m.callGo, m.loop = *e.o.loop(root), m.run
	m.look, m.most = firstLook, noLimit
	m.main = m.makeThread()
	m.main.state = running
	m.main.stack.segments = append(make([]*piece, 0, mainPieces), m.main.first...)[:mainPieces]
	root.G.MainThread = m.main.l
	root.G.CurrentThread = m.main.l
	m.openLibraries(o.Trusted)
	return m
}

// run is the loop that runs the instructions of a thread, in place of the library's. It counts them, which costs 3 to 4 %; the library's own way to stop a script,
// a context that is asked before each, costs 27 %, and still 11 to 28 % if that context only counts (fib and a loop over a table).
func (m *machine) run(l *lua.LState, base *frame) {
	at := m.o.frame(l)
	if *at == nil {
		return
	}
	if (*at).Fn.IsG {
		m.callGo(l, base)
		return
	}
	ops := &m.engine.ops
	for {
		f := *at
		inst := f.Fn.Proto.Code[f.Pc]
		f.Pc++
		if m.count--; m.count <= 0 {
			m.ask(l)
		}
		if ops[inst>>26](l, inst, base) == 1 {
			return
		}
	}
}

// spend counts steps of a function of Go like instructions.
func (m *machine) spend(l *lua.LState, steps int) {
	if m.count -= steps; m.count <= 0 {
		m.ask(l)
	}
}

// SetPace has tick called each so many instructions, 0 is the usual, and returns how many these are usually. Only the VM's own goroutine may call it, as all else.
func (m *machine) SetPace(steps int) (usual int) {
	if steps <= 0 {
		steps = tickEvery
	}
	m.ran += m.every - m.count
	m.pace, m.every, m.count = steps, steps, steps
	return tickEvery
}

// Running is the thread that runs now.
func (m *machine) Running() vm.State { return stateOf(m.root.G.CurrentThread) }

// ask asks tick whether the time is over. Whoever catches its error has tidySteps to give a lock back, say; then the next one comes, and from then on at once, until
// nothing is left to catch it.
func (m *machine) ask(l *lua.LState) {
	m.ran += m.every - m.count
	m.count = m.pace
	t := stateOf(l)
	var err error
	if m.tick != nil {
		err = m.tick()
	}
	again := m.interrupted
	if m.interrupted = err != nil; !m.interrupted {
		m.every = m.pace
		m.count = m.pace
		m.watch(t)
		return
	}
	if m.every = min(tidySteps, m.pace); again {
		m.every = 1
	}
	m.count = m.every
	f := t.frame()
	for f != nil && t.where(f) == "" {
		f = f.Parent
	}
	t.raise(lua.LString(t.where(f) + err.Error()))
}

// ref keeps a value.
func (m *machine) ref(v lua.LValue) int {
	if v == lua.LNil {
		return 0
	}
	if n := len(m.free); n > 0 {
		i := m.free[n-1]
		m.free = m.free[:n-1]
		m.refs[i] = v
		return i
	}
	m.refs = append(m.refs, v)
	return len(m.refs) - 1
}

func (m *machine) unref(i int) {
	if i == 0 {
		return
	}
	m.refs[i] = lua.LNil
	m.free = append(m.free, i)
}

// remember keeps threads in sight of compact, but not alive.
func (m *machine) remember(t *thread) {
	if len(m.threads) >= max(m.sweep, 32) {
		m.forget()
		m.sweep = 2 * len(m.threads)
	}
	m.threads = append(m.threads, weak.Make(t))
}

// forget takes threads off that are gone or have ended.
func (m *machine) forget() {
	kept := m.threads[:0]
	for _, w := range m.threads {
		if t := w.Value(); t != nil && t.state != finished && t.state != failed {
			kept = append(kept, w)
		}
	}
	clear(m.threads[len(kept):])
	m.threads = kept
}

// Main is the thread for the host.
func (m *machine) Main() vm.State { return m.main }

// Close lets go of everything. No thread of the VM may be used afterwards.
func (m *machine) Close() {
	for _, end := range m.ends {
		end()
	}
	m.ends = nil
	m.refs, m.free, m.threads = nil, nil, nil
}

// concat is the instruction `..` with a bound on its result.
func (e *Engine) concat(l *lua.LState, inst uint32, base *frame) int {
	f := *e.o.frame(l)
	reg := e.o.registers(l)
	size := 0
	for i := f.LocalBase + int(inst&0x1ff); i <= f.LocalBase+int(inst>>9)&0x1ff; i++ {
		if s, ok := reg.array[i].(lua.LString); ok {
			size += len(s)
		}
	}
	if size > maxString {
		l.RaiseError("resulting string too large")
	}
	if m := stateOf(l).m; size > smallString {
		m.alloc(stateOf(l), stringSize+size)
		m.count -= size / 64
	} else {
		m.took(stringSize + size)
	}
	return jumpTable[lua.OP_CONCAT](l, inst, base)
}

// chunkName is the name as it stands in positions: a leading = or @ only says what kind of name it is.
func chunkName(chunk string) string {
	if strings.HasPrefix(chunk, "=") || strings.HasPrefix(chunk, "@") {
		return chunk[1:]
	}
	return chunk
}
