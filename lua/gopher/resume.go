package gopher

import (
	"fmt"
	"runtime"

	lua "github.com/yuin/gopher-lua"

	"github.com/skua-go/skua/lua/vm"
)

// How threads wait, one by one; wait.go is about those that have resumed each other. The library runs a function of Lua that a function of Lua calls in the same Go loop, so a wait can be taken out of it: the loop ends, and
// another one goes on with the frames of the thread. What a function of Go, a metamethod or an iterator calls has a loop of its own within the first, which a
// wait would have to leave for good: the library then ends the coroutine as if it had succeeded. Here that is an error.
//
// pcall and xpcall therefore are functions of Lua (protectSource) that call in the same loop. Nothing of Go stands between them and what they call, so that
// can wait; an error unwinds to Resume, which finds their frame, cuts the thread down to it and goes on there. This needs no goroutine, no thread and no memory
// for a protected call. Where they are called in an inner loop they can't be found like this: there they recover by themselves, and waits are refused.

// maxNested bounds coroutines that resume coroutines: each takes Go stack.
const maxNested = 190

func (t *thread) frame() *frame { return *t.m.o.frame(t.l) }

// outermost tells whether the frame f and all below run in the thread's outermost loop. Only such frames can wait, or be returned to behind an error.
func (t *thread) outermost(f *frame) bool {
	if t.fixed > 0 || t == t.m.main {
		return false
	}
	for p := f.Parent; p != nil; p = p.Parent {
		if p.Fn.IsG {
			return false
		}
		if op := int(p.Fn.Proto.Code[p.Pc-1] >> 26); op != lua.OP_CALL && op != lua.OP_TAILCALL {
			return false
		}
	}
	return true
}

// take is the n values on top of the running thread.
func (t *thread) take(n int) []lua.LValue {
	if n == 0 {
		return t.box[:0]
	}
	values := t.box[:0]
	top := t.l.GetTop()
	for i := top - n + 1; i <= top; i++ {
		values = append(values, t.value(i))
	}
	return values
}

// resume starts or goes on with the thread itself: with values, or with an error where it waits.
func (t *thread) resume(args []lua.LValue, problem lua.LValue) vm.Status {
	t.lend()
	status := t.run(args, problem)
	t.giveBack()
	return status
}

func (t *thread) run(args []lua.LValue, problem lua.LValue) vm.Status {
	starts := t.state == fresh
	fn := lua.LNil
	if starts {
		if i := len(t.box) - len(args) - 1; i >= 0 {
			fn = t.box[i]
		}
	}
	t.state = running
	t.m.root.G.CurrentThread = t.l
	if problem != nil {
		t.want = 0
		clear(t.box)
		t.box = t.box[:0]
		if starts {
			return t.end(failed, problem)
		}
	} else {
		problem = t.step(starts, fn, args)
	}
	for problem != nil {
		if !t.catch(problem) {
			return t.end(failed, problem)
		}
		problem = t.step(false, nil, nil)
	}
	t.countRegisters()
	if t.yields {
		t.yields = false
		t.state = waiting
		t.m.root.SetTop(0) // the library has told it that all is well
		return vm.Yielded
	}
	t.box = t.take(t.l.GetTop())
	t.l.SetTop(0)
	t.state = finished
	return vm.Finished
}

func (t *thread) end(s threadState, problem lua.LValue) vm.Status {
	t.state = s
	t.closeUpvalues(0)
	clear(t.box)
	t.box = append(t.box[:0], problem)
	return vm.Failed
}

// step runs the thread until it waits or ends; what it raised and nobody in an inner loop caught is the result.
func (t *thread) step(starts bool, fn lua.LValue, args []lua.LValue) (problem lua.LValue) {
	defer func() {
		if r := recover(); r != nil {
			problem = problemOf(r)
		}
	}()
	l := t.l
	l.Parent = nil
	if starts {
		l.Push(fn)
		for _, v := range args {
			l.Push(v)
		}
		n := len(args)
		clear(t.box)
		t.box = t.box[:0]
		l.Call(n, lua.MultRet)
		return nil
	}
	if args != nil || t.want > 0 {
		// The waiting call gets as many results as it takes: the library would leave registers as they are, or write over others.
		for i, v := range args {
			if t.want < 0 || i < t.want {
				l.Push(v)
			}
		}
		for i := len(args); i < t.want; i++ {
			l.Push(lua.LNil)
		}
	}
	t.want = 0
	clear(t.box)
	t.box = t.box[:0]
	if t.stack.depth() > 0 { // the function that waited may have been the last of the thread
		t.m.run(l, nil)
	}
	return nil
}

// problemOf is the error value of what was recovered.
func problemOf(r any) lua.LValue {
	switch r := r.(type) {
	case *lua.ApiError:
		if r.Object == nil {
			return lua.LNil
		}
		return r.Object
	case string:
		if r == "lua callstack overflow" {
			return lua.LString("stack overflow")
		}
		return lua.LString(r)
	case runtime.Error:
		return lua.LString("engine: " + r.Error())
	default:
		return lua.LString(fmt.Sprint(r))
	}
}

// catch cuts the thread down to its innermost pcall or xpcall and makes that return false and the error, if there is one.
func (t *thread) catch(problem lua.LValue) bool {
	for f := t.frame(); f != nil; f = f.Parent {
		if f.Fn.IsG {
			continue
		}
		s := t.m.engine.shimOf(f.Fn.Proto)
		if s == nil || f.Pc > s.failed {
			continue // none, or one that returns an error already: what is raised in there is not its own
		}
		if s.handler > 0 {
			problem = t.handle(t.m.o.registers(t.l).array[f.LocalBase+s.handler], problem)
		}
		t.fixed = 0
		t.unwind(f, f.Idx+1, f.LocalBase)
		t.l.SetTop(int(f.Fn.Proto.NumUsedRegisters))
		f.Pc = s.failed
		t.l.Replace(s.ok+1, lua.LFalse)
		t.l.Replace(s.ok+2, problem)
		return true
	}
	return false
}

// unwind makes f the thread's innermost frame again, with all upvalues from the register `from` on closed.
func (t *thread) unwind(f *frame, sp, from int) {
	t.closeUpvalues(from)
	t.stack.cut(sp)
	*t.m.o.frame(t.l) = f
	*t.m.o.hasErrorFunc(t.l) = true
}

func (t *thread) closeUpvalues(from int) {
	at := t.m.o.openUpvalues(t.l)
	for *at != nil && (*at).index < from {
		at = &(*at).next
	}
	rest := *at
	*at = nil
	for rest != nil {
		next := rest.next
		rest.next = nil
		rest.value, rest.closed = rest.reg.array[rest.index], true
		if rest.value == nil {
			rest.value = lua.LNil
		}
		rest = next
	}
}

// handle gives an error to a message handler, where it was raised: the handler can look at the stack. It can't wait.
func (t *thread) handle(handler, problem lua.LValue) (result lua.LValue) {
	if t.m.interrupted && t.m.every == 1 {
		return problem // the handler has no time either
	}
	t.fixed++
	defer func() {
		t.fixed--
		if r := recover(); r != nil {
			result = problemOf(r)
		}
	}()
	t.l.Push(handler)
	t.l.Push(problem)
	t.l.Call(1, 1)
	return t.pop()
}

// protected calls the function below n arguments in a loop of its own. After an error the stack is as it was before the function was pushed.
func (t *thread) protected(n, results int, handler lua.LValue) (problem lua.LValue) {
	f, sp, fixed := t.frame(), t.stack.depth(), t.fixed
	base := t.l.GetTop() - n - 1
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		problem = problemOf(r)
		if handler != nil {
			problem = t.handle(handler, problem)
		}
		t.fixed = fixed
		local := 0
		if f != nil {
			local = f.LocalBase
		}
		t.unwind(f, sp, local+base)
		t.SetTop(base)
	}()
	t.l.Call(n, results)
	return nil
}

func (t *thread) Call(args, results int) { t.l.Call(args, results) }

func (t *thread) PCall(args, results int) error {
	problem := t.protected(args, results, nil)
	if problem == nil {
		return nil
	}
	t.push(problem)
	if s, ok := problem.(lua.LString); ok {
		return &lua.ApiError{Type: lua.ApiErrorRun, Object: s}
	}
	return fmt.Errorf("an error that is a %s", typeOf(problem))
}

// where is the position of a frame as it stands in front of messages, empty for a function of Go.
func (t *thread) where(f *frame) string {
	if f == nil || f.Fn.IsG || t.m.engine.shimOf(f.Fn.Proto) != nil {
		return ""
	}
	line := 0
	if at := f.Pc - 1; at >= 0 && at < len(f.Fn.Proto.DbgSourcePositions) {
		line = f.Fn.Proto.DbgSourcePositions[at]
	}
	return fmt.Sprintf("%s:%d: ", f.Fn.Proto.SourceName, line)
}

// calledFrom is the innermost frame from f on that is of no function of the host's library: f if all are.
func (t *thread) calledFrom(f *frame) *frame {
	ofScript := func(f *frame) bool {
		return !f.Fn.IsG && t.m.engine.shimOf(f.Fn.Proto) == nil && !t.m.library(f.Fn.Proto.SourceName)
	}
	if t.m.library == nil || f == nil || f.Fn.IsG || !t.m.library(f.Fn.Proto.SourceName) {
		return f
	}
	for at := f.Parent; at != nil; at = at.Parent {
		if ofScript(at) {
			return at
		}
	}
	return f
}

// Errorf raises an error at the line that called the running function of Go.
func (t *thread) Errorf(format string, args ...any) {
	at := ""
	if f := t.frame(); f != nil && t.state == running {
		if f.Fn.IsG {
			f = f.Parent
		}
		at = t.where(t.calledFrom(f))
	}
	t.raise(lua.LString(at + fmt.Sprintf(format, args...)))
}

func (t *thread) raise(v lua.LValue) { panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: v}) }

func (t *thread) Raise() { t.raise(t.pop()) }
