package lua54

import (
	"fmt"

	"github.com/skua-go/skua/lua/vm"
)

// thread is a coroutine: a stack of values, and a frame for each function on it. What runs its functions of Lua is one Go loop (run), which calls of Lua's
// functions, metamethods, iterators and pcall go through without nesting, so that all of them can wait.
type thread struct {
	object
	m      *machine
	stack  []value
	frames []frame
	open   *upvalue // variables on the stack that closures share
	tbc    []int    // variables on the stack that are to be closed
	base   int      // where the values begin that a State shows: those of the function of Go that runs, or what waits for the host
	top    int      // behind the last of them
	state  state
	nested int     // calls from Go on this thread's Go stack that a wait can't leave
	depth  int     // threads and calls from Go below this one
	parent *thread // that has resumed it
	waits  bool    // Yield can reach the host: nothing on the way down is called from Go
	failed value   // what ended it
}

type state uint8

const (
	suspended state = iota // also: not started
	running
	normal // has resumed another
	waiting
	dead
)

// frame is a function that runs.
type frame struct {
	fn    *closure // nil for functions of Go
	g     *goFunc
	child *thread // of frameResume: the thread that it runs
	fun   int     // where the function is on the stack; its results go there
	base  int     // its first register, or its first argument
	pc    int
	want  int // how many results the caller takes, all if it is below 0
	extra int // arguments beyond the parameters, below base
	aux   int // what is left to do of an opConcat
	kind  frameKind
	meta  bool // called by an instruction that goes on with the result, see finish
}

type frameKind uint8

const (
	frameLua frameKind = iota
	frameGo
	framePCall
	frameXPCall
	frameResume // coroutine.resume
	frameWrap   // a function that coroutine.wrap has made
)

const (
	firstStack = 24
	maxStack   = 1_000_000
	maxFrames  = 200_000
	frameSize  = 96
	// errorFrames and errorStack are what a message handler has behind a stack overflow.
	errorFrames = 200
	errorStack  = 10_000
	maxNested   = 195 // calls from Go within calls from Go
)

// goFunc is a function of Go. Those with a special are done by the loop itself.
type goFunc struct {
	object
	name    string
	f       vm.Func
	special special
	co      *thread // of what coroutine.wrap makes
}

type special uint8

const (
	ordinary special = iota
	isPCall
	isXPCall
	isResume
	isWrap
	isNext
	isYield
)

func newGoFunc(name string, f vm.Func) *goFunc {
	return &goFunc{object: object{kindGoFunc, shared, hashOf(name)}, name: name, f: f}
}

// grow makes room for n values from index at on.
func (th *thread) grow(at, n int) {
	if at+n <= len(th.stack) {
		return
	}
	size := max(2*len(th.stack), at+n+8)
	switch {
	case at+n > maxStack+errorStack:
		panic(&thrown{v: stringValue("error in error handling")})
	case at+n > maxStack && len(th.stack) <= maxStack:
		th.resizeStack(maxStack + errorStack)
		th.errorf("stack overflow")
	case at+n <= maxStack:
		size = min(size, maxStack)
	}
	th.resizeStack(size)
}

func (th *thread) resizeStack(size int) {
	stack := make([]value, size)
	copy(stack, th.stack)
	th.m.allocated += int64(size) * valueSize
	th.stack = stack
	for u := th.open; u != nil; u = u.next {
		u.p = &stack[u.at]
	}
}

// shrink gives back what a stack overflow has taken, when its error has been caught: the next overflow is one again.
func (th *thread) shrink() {
	if cap(th.frames) > maxFrames && len(th.frames) < maxFrames/2 {
		th.frames = append(make([]frame, 0, 2*len(th.frames)+4), th.frames...)
	}
	if len(th.stack) <= maxStack {
		return
	}
	used := th.top
	for i := range th.frames {
		f := &th.frames[i]
		used = max(used, f.base)
		if f.fn != nil {
			used = max(used, f.base+f.fn.p.regs)
		}
	}
	if used < maxStack/2 {
		th.resizeStack(2*used + firstStack)
	}
}

// drop forgets what the thread holds.
func (th *thread) drop() {
	th.closeUpvalues(0)
	th.frames, th.tbc, th.base, th.top = nil, nil, 0, 0
	th.stack = make([]value, firstStack)
}

// findUpvalue is the shared variable of the stack at an index.
func (th *thread) findUpvalue(at int) *upvalue {
	link := &th.open
	for *link != nil && (*link).at > at {
		link = &(*link).next
	}
	if *link != nil && (*link).at == at {
		return *link
	}
	u := &upvalue{p: &th.stack[at], next: *link, at: at}
	*link = u
	th.m.allocated += 48
	return u
}

// closeUpvalues takes the shared variables from index at on off the stack.
func (th *thread) closeUpvalues(at int) {
	for u := th.open; u != nil && u.at >= at; u = th.open {
		th.open = u.next
		u.next = nil
		u.v = *u.p
		u.p = &u.v
	}
}

// thrown is what a Go panic carries an error of Lua in.
type thrown struct{ v value }

func (t *thrown) Error() string {
	if t.v.isString() {
		return t.v.text()
	}
	return fmt.Sprintf("(error object is a %s value)", typeName(t.v))
}

func (th *thread) throw(v value) { panic(&thrown{v}) }

// errorf raises an error with the position of the function that runs.
func (th *thread) errorf(format string, args ...any) {
	th.throw(stringValue(th.where(0) + fmt.Sprintf(format, args...)))
}

// where is the position of the level-th function of the thread, if it is one of Lua: "file:line: ".
func (th *thread) where(level int) string {
	i := th.level(level)
	if i < 0 || th.frames[i].fn == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", th.frames[i].fn.p.chunk, th.frames[i].line())
}

// calledFrom is the place of whoever has called the running function of Go, which is no function of the host's library: where(1) if all are.
func (th *thread) calledFrom() string {
	of, i := th.m.library, th.level(1)
	if of == nil || i < 0 || th.frames[i].fn == nil || !of(th.frames[i].fn.p.chunk) {
		return th.where(1)
	}
	for level := 2; ; level++ {
		i := th.level(level)
		if i < 0 {
			return th.where(1)
		}
		if fn := th.frames[i].fn; fn != nil && !of(fn.p.chunk) {
			return th.where(level)
		}
	}
}

// level is the index of the frame that is so many functions below the top, or -1. Frames of specials count as functions of Go.
func (th *thread) level(n int) int {
	if i := len(th.frames) - 1 - n; n >= 0 && i >= 0 {
		return i
	}
	return -1
}

func (f *frame) line() int {
	if f.fn == nil {
		return -1
	}
	return f.fn.p.lineAt(f.pc - 1)
}

func (p *proto) lineAt(pc int) int {
	if pc < 0 {
		pc = 0
	}
	if pc >= len(p.lines) {
		return 0
	}
	return int(p.lines[pc])
}
