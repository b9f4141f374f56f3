// Package vm is the seam between the host of scripts and a Lua engine. It has the shape of Lua's C API, which those who write Lua modules know and
// every engine in Go offers in some form, so that the library for scripts is written once.
//
// A State is one thread (coroutine) of a VM with its own stack. Indices count from 1 at the bottom of the frame and from -1 at its top. A VM and all its
// threads belong to one goroutine at a time.
package vm

// Type is what Lua's type function tells.
type Type uint8

// The types. None is an index beyond the stack.
const (
	None Type = iota
	Nil
	Boolean
	Number
	String
	Table
	Function
	Userdata
	Thread
)

var typeNames = [...]string{"no value", "nil", "boolean", "number", "string", "table", "function", "userdata", "thread"} //nolint:gochecknoglobals // a constant

func (t Type) String() string { return typeNames[t] }

// Func is a function of Go that Lua calls: arguments are on the stack from 1, and the last n values that it leaves there, which it returns as n, are its
// results. It may raise an error with Errorf or Raise, which do not return to it, and wait with `return s.Yield(n)`.
type Func func(s State) int

// Status is how Resume ended.
type Status uint8

// Yielded threads can be resumed, Finished ones can't; both leave their values on the thread's stack. Failed ones leave the error value there.
const (
	Yielded Status = iota
	Finished
	Failed
)

// State is a thread of a VM.
type State interface {
	Top() int
	SetTop(n int)
	Pop(n int)
	Copy(i int)   // pushes the value at i
	Insert(i int) // moves the top value to i
	Remove(i int)

	Type(i int) Type
	IsInt(i int) bool              // a number of the integer subtype
	Bool(i int) bool               // Lua's truth
	Int(i int) (int64, bool)       // a number that is an integer, whatever its subtype
	Float(i int) (float64, bool)   // a number
	String(i int) (string, bool)   // a string; numbers are not converted
	Userdata(i int) any            // what PushUserdata got, else nil
	Text(i int) string             // what tostring makes of it, with __tostring
	Len(i int) int                 // of a table without metamethods, or of a string
	Next(table int) bool           // pops a key, pushes the next key and its value
	Equal(i, j int) bool           // without metamethods
	Same(i int, thread State) bool // the value at i is this thread

	PushNil()
	PushBool(v bool)
	PushInt(v int64)
	PushFloat(v float64)
	PushString(v string)
	PushBytes(v []byte) // as a string; they are copied
	PushFunc(name string, f Func)
	PushUserdata(v any)
	PushThread(thread State)

	NewTable(array, fields int)
	RawGet(table int) // pops a key, pushes the value
	RawSet(table int) // pops a value and, below it, a key
	RawGetInt(table int, k int64)
	RawSetInt(table int, k int64) // pops a value
	Field(table int, k string)    // pushes table[k], with metamethods
	SetField(table int, k string) // pops a value
	Global(k string)
	SetGlobal(k string)
	SetMetatable(i int) // pops the metatable
	// Metatable pushes the metatable of the value at i, if it has one.
	Metatable(i int) bool

	// Index, SetIndex, Length and Less are t[k], t[k] = v, #v and a < b of Lua, with metamethods, which can't wait when called from here.
	Index(i int)        // pops a key, pushes the value
	SetIndex(i int)     // pops a value and, below it, a key
	Length(i int) int64 // an error of the script if __len gives no integer
	Less(i, j int) bool
	// Exact tells whether the engine has integers of 64 bits; else its numbers are floats, and integers up to 2^53 are exact.
	Exact() bool
	// Spend counts n steps of work done in Go, each worth about an instruction, so that Options.Tick gets its turn: it raises Tick's error.
	Spend(n int)
	// Alloc says that so many bytes are about to be taken for the script, and raises "not enough memory" if the VM's limit has no room for them.
	Alloc(bytes int)

	// Ref pops a value and keeps it until Unref under the number that it returns; 0 is nil. Push gets it back.
	Ref() int
	Push(ref int)
	Unref(ref int)

	// Load compiles a chunk and pushes its function; the error names chunk:line.
	Load(chunk, source string) error
	// Call calls the function below n arguments; errors pass through.
	Call(args, results int)
	// PCall is Call that returns an error of the function and leaves its value on the stack.
	PCall(args, results int) error
	// NewThread makes a thread of the same VM. The host keeps it by holding the State.
	NewThread() State
	// Resume starts the function on the thread's stack, or goes on behind its Yield, with the n values on top.
	Resume(n int) Status
	// Throw goes on like Resume, but raises the value on top at the place of the wait, as it is. A thread that has not begun fails with it.
	Throw() Status
	// CloseThread ends a thread that waits or has not begun, and is not going to be resumed: where the language has variables that are to be closed, they are.
	CloseThread()
	// Wants is how many results the caller of the running function takes, all if it is below 0.
	Wants() int
	// Yield waits for the host: it gives the n values on top to the host's Resume, through coroutines that the script has made itself, all of which wait then;
	// the next Resume or Throw goes on in the innermost. It is used as `return s.Yield(n)`, and raises an error where the engine can't wait.
	Yield(n int) int
	// Move pops n values and pushes them onto another thread of the same VM.
	Move(to State, n int)

	// Errorf raises an error with the position of the function that called.
	Errorf(format string, args ...any)
	// Raise raises the value on top.
	Raise()
	// Traceback describes the thread's stack as Lua's debug.traceback does.
	Traceback(msg string) string
}

// VariadicResults is the number of results for Call and PCall that keeps all.
const VariadicResults = -1

// Options are what a VM may be told when it is made.
type Options struct {
	// Trusted gives scripts io, all of os but exit, dofile, loadfile, and what the engine has of debug. Others get what cannot reach the host.
	Trusted bool
	// Tick is called about every 100,000 instructions of a thread that the host has made; an error that it returns is raised in the script.
	// Whoever catches it has 10,000 instructions to tidy up; then Tick is called about every instruction, until it returns nil, and nobody has time to go on.
	Tick func() error
	// Library tells which chunks are of the host's library, not the script's: an error that a function of Go raises has the place of the innermost function that is in none of
	// these, since what it is called with comes from there. Default nil: none are.
	Library func(chunk string) bool
}

// VM is one Lua machine with its globals.
type VM interface {
	// Main is the thread that the VM starts with. It can't yield.
	Main() State
	// Memory is an estimate of the VM's own memory in bytes, 0 if the engine can't tell.
	Memory() int64
	// SetMemoryLimit sets how many bytes the VM may keep; 0 is no limit. A script whose VM keeps more gets the error "not enough memory" where it asks for more,
	// or at one of its next steps.
	SetMemoryLimit(bytes int64)
	Close()
}

// Engine makes VMs.
type Engine interface {
	Name() string
	New(o Options) VM
	// Check compiles a chunk without running it; the error names chunk:line.
	Check(chunk, source string) error
}
