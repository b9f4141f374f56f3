// Package lua54 puts github.com/speedata/go-lua, a Lua 5.4 in pure Go, behind the seam of package vm. It is the default engine.
package lua54

import (
	"errors"
	"fmt"
	"strings"

	lua "github.com/speedata/go-lua"

	"github.com/skua-go/skua/lua/vm"
)

// Engine makes Lua 5.4 VMs.
type Engine struct{}

// Name is the engine's name in the configuration.
func (Engine) Name() string { return "lua54" }

// machine is a VM.
type machine struct {
	main  *lua.State
	tick  lua.Hook
	every int // instructions from one tick to the next
}

// tickEvery is how many instructions pass between two calls of Options.Tick. Fewer cost more; more let tidy come late.
const tickEvery = 10_000

// New makes a VM with the libraries that o allows.
func (Engine) New(o vm.Options) vm.VM {
	m := &machine{main: lua.NewState()}
	l := m.main
	lua.AtPanic(l, unprotected)
	if o.Trusted {
		lua.OpenLibraries(l)
	} else {
		openSandboxed(l)
	}
	l.PushGoFunction(loadSource)
	l.SetGlobal("load")
	mendLibrary(l)
	l.Global("coroutine")
	l.PushGoFunction(func(l *lua.State) int { return thread{l}.Yield(l.Top()) })
	l.SetField(-2, "yield") // the engine's own has the defect that thread.Yield tells of
	l.Pop(1)
	m.every = tickEvery
	if o.Tick != nil {
		m.tick = func(l *lua.State, _ lua.Debug) {
			m.tidy(l)
			err := o.Tick()
			every := m.every
			if m.every = tickEvery; err != nil {
				m.every = 1 // a script that catches the error gets the next one at once, until nothing is left to catch it
			}
			if every != m.every || err != nil || lua.DebugHookCount(l) != m.every {
				m.hook(l)
			}
			if err != nil {
				interrupt(l, err)
			}
		}
		m.hook(l)
		hookNewThreads(l, m)
	}
	l.NewTable()
	l.SetField(lua.RegistryIndex, refsField)
	return m
}

// unprotected is called for an error that the engine believes nobody catches. It is mistaken about those behind a first caught one in a coroutine (v0.1.10,
// Resume: only its first run is marked as protected, but what panics in the others is recovered too), and would write each of them to the standard logger.
func unprotected(l *lua.State) int {
	text := "an error that is a " + l.TypeOf(-1).String()
	if l.TypeOf(-1) == lua.TypeString {
		text, _ = l.ToString(-1)
	}
	panic(lua.RuntimeError(text))
}

// interrupt raises err, but not through the message handler of an xpcall, which the engine would run within the hook: without a hook, so for ever.
func interrupt(l *lua.State, err error) {
	lua.Where(l, 0) // the function that runs: the hook is none of its own
	at, _ := l.ToString(-1)
	l.Pop(1)
	l.PushString(at + err.Error())
	panic(lua.RuntimeError(at + err.Error())) // as the engine's throw does
}

func (m *machine) hook(l *lua.State) {
	if m.tick != nil {
		lua.SetDebugHook(l, m.tick, lua.MaskCount, m.every)
	}
}

// tidy keeps the thread's list of upvalues short: see upvalues.go. A script that fills it fast is looked at more often.
func (m *machine) tidy(l *lua.State) {
	const many, often = 200, 2_000
	switch forgotten := upValues().forgetClosed(l); {
	case forgotten > many && lua.DebugHookCount(l) != often:
		lua.SetDebugHook(l, m.tick, lua.MaskCount, often)
	case forgotten < many/50 && lua.DebugHookCount(l) == often:
		m.hook(l)
	}
}

// hookNewThreads makes coroutine.create and coroutine.wrap hand the hook on, which the engine does not do by itself: a script could else
// run for ever in a coroutine of its own.
func hookNewThreads(l *lua.State, m *machine) {
	l.Global("coroutine")
	l.Field(-1, "create")
	l.PushGoClosure(func(l *lua.State) int {
		l.PushValue(lua.UpValueIndex(1))
		l.Insert(1)
		l.Call(l.Top()-1, 1)
		m.hook(l.ToThread(-1))
		return 1
	}, 1)
	l.SetField(-2, "create")
	l.Pop(1)
	err := lua.LoadBuffer(l, wrapSource, "=coroutine", "t")
	if err == nil {
		err = l.ProtectedCall(0, 0, 0)
	}
	if err != nil {
		panic(fmt.Sprintf("lua54: prelude: %v", err)) // the source is a constant of ours
	}
}

// wrapSource is coroutine.wrap on top of create. Errors pass on with the position they have.
const wrapSource = `
local create, resume, error = coroutine.create, coroutine.resume, error
local function results(ok, ...)
  if ok then return ... end
  error((...), 0)
end
function coroutine.wrap(f)
  local co = create(f)
  local function step(...) return results(resume(co, ...)) end
  return step
end`

// sandboxedOS are the functions of os that tell the time and touch nothing.
var sandboxedOS = []string{"clock", "date", "difftime", "time"} //nolint:gochecknoglobals // a constant

// sandboxedDebug are the functions of debug that only look.
var sandboxedDebug = []string{"traceback", "getinfo"} //nolint:gochecknoglobals // a constant

func openSandboxed(l *lua.State) {
	for _, lib := range []lua.RegistryFunction{
		{Name: "_G", Function: lua.BaseOpen},
		{Name: "coroutine", Function: lua.CoroutineOpen},
		{Name: "table", Function: lua.TableOpen},
		{Name: "string", Function: lua.StringOpen},
		{Name: "math", Function: lua.MathOpen},
		{Name: "utf8", Function: lua.UTF8Open},
		{Name: "os", Function: lua.OSOpen},
		{Name: "debug", Function: lua.DebugOpen},
	} {
		lua.Require(l, lib.Name, lib.Function, true)
		l.Pop(1)
	}
	keepOnly(l, "os", sandboxedOS)
	keepOnly(l, "debug", sandboxedDebug)
	for _, name := range []string{"dofile", "loadfile", "collectgarbage"} {
		l.PushNil()
		l.SetGlobal(name)
	}
}

// loadSource is load that takes source only, since bytecode from outside can break the engine, and that mends it.
func loadSource(l *lua.State) int {
	l.SetTop(4)
	source, err := chunkText(l)
	name := "=(load)"
	if s, ok := l.ToString(2); ok {
		name = s
	} else if s, ok := l.ToString(1); ok {
		name = s
	}
	if err == nil {
		err = compile(l, name, source)
	}
	if err != nil {
		l.PushNil()
		l.PushString(err.Error())
		return 2
	}
	if !l.IsNil(4) {
		l.PushValue(4)
		if _, ok := lua.SetUpValue(l, -2, 1); !ok {
			l.Pop(1)
		}
	}
	return 1
}

// chunkText is the source that load was given: a string, or a function that returns it piece by piece.
func chunkText(l *lua.State) (string, error) {
	if s, ok := l.ToString(1); ok {
		return s, nil
	}
	if !l.IsFunction(1) {
		return "", fmt.Errorf("bad argument #1 to 'load' (string or function expected, got %s)", lua.TypeNameOf(l, 1))
	}
	var b strings.Builder
	for {
		l.PushValue(1)
		if err := l.ProtectedCall(0, 1, 0); err != nil {
			msg, _ := l.ToString(-1)
			l.Pop(1)
			return "", errors.New(msg)
		}
		piece, ok := l.ToString(-1)
		l.Pop(1)
		if !ok || piece == "" {
			return b.String(), nil
		}
		b.WriteString(piece)
	}
}

func keepOnly(l *lua.State, lib string, names []string) {
	l.NewTable()
	l.Global(lib)
	for _, name := range names {
		l.Field(-1, name)
		l.SetField(-3, name)
	}
	l.Pop(1)
	l.PushValue(-1)
	l.SetGlobal(lib)
	lua.SubTable(l, lua.RegistryIndex, "_LOADED")
	l.PushValue(-2)
	l.SetField(-2, lib)
	l.Pop(2)
}

// Check compiles a chunk.
func (Engine) Check(chunk, source string) error {
	l := lua.NewState()
	return load(l, chunk, source)
}

func load(l *lua.State, chunk, source string) error {
	if !strings.HasPrefix(chunk, "=") {
		chunk = "@" + chunk // the name of a file; one that begins with = is shown as it is
	}
	return compile(l, chunk, source)
}

// compile pushes the function of a source.
func compile(l *lua.State, name, source string) error {
	if strings.HasPrefix(source, "\x1b") {
		return errors.New("attempt to load a binary chunk")
	}
	source = mend(source)
	if strings.HasPrefix(source, "#") {
		source = "--" + source // a first line for the shell; the line count stays
	}
	return loadText(l, name, source)
}

func loadText(l *lua.State, name, source string) error {
	if err := lua.LoadBuffer(l, source, name, "t"); err != nil {
		msg, ok := l.ToString(-1)
		l.Pop(1)
		if !ok {
			msg = err.Error()
		}
		return errors.New(msg)
	}
	return nil
}

func (m *machine) Main() vm.State { return thread{m.main} }

// Memory is not known to this engine: its values live in Go's heap.
func (m *machine) Memory() int64 { return 0 }

// Close leaves everything to Go's garbage collector.
func (m *machine) Close() {}
