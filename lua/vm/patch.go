package vm

import "time"

// What an engine offers for replacing the code of functions in VMs that live on: see package lua/reload, which is written against this.
//
// The three handles below are the engine's own, comparable with ==, and mean something to the engine and the VM that they come from only.
type (
	// Code is the compiled form of one function. VMs of the engine share it.
	Code any
	// Closure is a function of Lua that lives in a VM.
	Closure any
	// Cell is a variable that functions of a VM share: an upvalue.
	Cell any
)

// CodeInfo describes a Code.
type CodeInfo struct {
	Upvalues  []string // names, in the order of a Closure's cells
	Inner     []Code   // of the functions that stand in it, in the order in which the compiler met them
	Line, End int      // of the function's first and last line
}

// Unit is a source that was compiled at once. The engine makes one for each text that it compiles, and forgets it with its code.
type Unit struct {
	Chunk, Source string
	Main          Code // of the chunk itself
}

// Patching is an Engine whose VMs are Patchers.
type Patching interface {
	Engine
	// Compile gives the code that Load would make a function of.
	Compile(chunk, source string) (*Unit, error)
	// Describe tells what a code is made of.
	Describe(c Code) CodeInfo
	// Graft lets a function that c makes, the inner-th, have other code from now on, whose upvalues have to be named as those of the code that it replaces, in the
	// same order. It is for code that no VM runs yet.
	Graft(c Code, inner int, with Code) error
	// Forget lets go of what is kept of a source for VMs to come.
	Forget(chunk, source string)
}

// Frame is a function that is under way in a thread that waits.
type Frame struct {
	Thread State
	Code   Code
	Unit   *Unit
}

// Found is what Survey finds. It is to be used only until its Undo has been called.
type Found struct {
	Groups []Group
	Frames []Frame
}

// Group is the functions that have the same code: a VM may have thousands of them, of a few codes.
type Group struct {
	Code     Code
	Unit     *Unit // where it is from
	Closures []Closure
}

// Undo puts back what has been changed since Survey.
type Undo interface {
	// Restore gives all tables, variables and functions back what they had. Nothing of the VM may run meanwhile.
	Restore()
	// Done lets go of what Restore would need.
	Done()
}

// Patcher is a VM whose functions can get other code. Its methods may be called only while none of its functions runs.
type Patcher interface {
	// Ahead does a part of the walk of the next Survey, which has to be for the same key and want, and returns before that has taken much longer than d; more
	// tells that there is more to do. Between the parts the VM may run. Engines that can't tell what has changed meanwhile do nothing.
	Ahead(key any, want func(chunk string) bool, d time.Duration) (more bool)
	// Survey walks over all that the VM reaches and gives the functions of the chunks that want names, also those that threads which wait are in. With keep, it
	// remembers what all tables and variables hold. What Ahead has done for the key is not done again.
	Survey(key any, want func(chunk string) bool, keep bool) (Found, Undo)
	// Runs tells whether a thread that waits, or one that it has resumed and that waits with it, is in a function of such a source.
	Runs(th State, of func(u *Unit) bool) bool
	// Resumed is the coroutine that a thread which waits has resumed, and that waits with it; nil if there is none.
	Resumed(th State) State
	// UnitOf is where the function's code is from, nil if nobody knows.
	UnitOf(c Closure) *Unit
	CodeOf(c Closure) Code
	CellOf(c Closure, i int) Cell
	// Swap gives a function other code, and other cells unless cells is nil. Whoever has the function has it with that code; calls of it that have begun go on
	// with the old one. It belongs to the last Survey, which must have found the function.
	Swap(c Closure, code Code, cells []Cell)
	// SwapAll is Swap for all functions of a group, which keep their cells.
	SwapAll(g Group, code Code)
	// Join gives a function another cell in place of its i-th.
	Join(c Closure, i int, cell Cell)
	NewCell() Cell
	// NewClosure makes a function of the code. A cell that is nil is a new one.
	NewClosure(code Code, cells []Cell) Closure
	// Environment is the cell with the globals, nil in an engine whose functions have them otherwise.
	Environment() Cell

	// PushClosure and PushCell push a function, and what a cell holds, onto the stack of Main; SetCell pops a value from there into the cell. ClosureAt is the
	// function of Lua at an index of it, nil if there is none.
	PushClosure(c Closure)
	ClosureAt(i int) Closure
	PushCell(c Cell)
	SetCell(c Cell)
}
