package gopher

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/skua-go/skua/lua/vm"
)

func checkThread(l *lua.LState, i int) *thread {
	co, ok := l.Get(i).(*lua.LState)
	if !ok {
		wrongType(l, i, "coroutine")
	}
	return stateOf(co)
}

func makeCoroutine(l *lua.LState) *thread {
	if _, ok := l.Get(1).(*lua.LFunction); !ok {
		wrongType(l, 1, "function")
	}
	co := stateOf(l).m.newThread()
	co.scripts = true
	co.box = append(co.box, l.Get(1))
	return co
}

func coCreate(l *lua.LState) int {
	l.Push(makeCoroutine(l).l)
	return 1
}

func coWrap(l *lua.LState) int {
	co := makeCoroutine(l)
	l.Push(l.NewClosure(func(l *lua.LState) int { // with the thread as an upvalue, for those who look for what lives
		t := stateOf(l)
		if why := co.unresumable(); why != "" {
			t.Errorf("%s", why)
		}
		switch status := co.resumeFrom(t, 1); {
		case status == vm.Failed:
			t.raise(co.value(-1))
		case co.host:
			return t.waitIn(co, true)
		}
		return co.handOver(l)
	}, co.l))
	return 1
}

func coResume(l *lua.LState) int {
	t, co := stateOf(l), checkThread(l, 1)
	if why := co.unresumable(); why != "" {
		l.Push(lua.LFalse)
		l.Push(lua.LString(why))
		return 2
	}
	status := co.resumeFrom(t, 2)
	if co.host {
		return t.waitIn(co, false)
	}
	l.Push(lua.LBool(status != vm.Failed))
	return 1 + co.handOver(l)
}

// resumeFrom resumes with the arguments of a thread from index i on.
func (t *thread) resumeFrom(caller *thread, i int) vm.Status {
	if t.m.depth >= maxNested {
		return t.end(failed, lua.LString("C stack overflow: too many coroutines resume each other"))
	}
	n := 0
	for top := caller.l.GetTop(); i <= top; i++ {
		t.push(caller.value(i))
		n++
	}
	t.resumer = caller
	status := t.enter(n, nil)
	if !t.host {
		t.resumer = nil
	}
	return status
}

// handOver pushes what a coroutine has left for whoever resumed it.
func (t *thread) handOver(l *lua.LState) int {
	n := len(t.box)
	for _, v := range t.box {
		l.Push(v)
	}
	if t.state != failed { // then coroutine.close tells the error once more
		clear(t.box)
		t.box = t.box[:0]
	}
	return n
}

// coYield is coroutine.yield: it goes to the nearest resume.
func coYield(l *lua.LState) int {
	t := stateOf(l)
	if t.resumer == nil { // only the host has resumed it
		t.Errorf("attempt to yield from outside a coroutine")
	}
	t.mustLeave(t)
	return t.leave(l.GetTop())
}

func coStatus(l *lua.LState) int {
	l.Push(lua.LString(checkThread(l, 1).status(stateOf(l))))
	return 1
}

// status is what coroutine.status tells the thread that asks. A coroutine that waits for the host is as active as the one that has resumed it: "normal". One
// of the host's own is "suspended" while it waits, as in Skynet.
func (t *thread) status(asks *thread) string {
	switch {
	case t.state == finished || t.state == failed:
		return "dead"
	case t == asks:
		return "running"
	case t.state == running || t.host && t.resumer != nil:
		return "normal"
	}
	return "suspended"
}

func coRunning(l *lua.LState) int {
	t := stateOf(l)
	l.Push(l)
	l.Push(lua.LBool(t == t.m.main))
	return 2
}

func coIsYieldable(l *lua.LState) int {
	t := stateOf(l)
	l.Push(lua.LBool(t.outermost(t.frame())))
	return 1
}

func coClose(l *lua.LState) int {
	co := checkThread(l, 1)
	switch status := co.status(stateOf(l)); {
	case status == "running" || status == "normal":
		stateOf(l).Errorf("cannot close a %s coroutine", status)
	case co.host:
		stateOf(l).Errorf("cannot close a coroutine that waits for the host")
	case co.state == failed && len(co.box) > 0:
		problem := co.box[len(co.box)-1]
		co.box = nil
		l.Push(lua.LFalse)
		l.Push(problem)
		return 2
	case co.state == waiting:
		co.closeUpvalues(0)
	}
	co.state, co.box = finished, nil
	l.Push(lua.LTrue)
	return 1
}

// maxTrace bounds the lines of a traceback at each end.
const maxTrace = 11

// Traceback describes the thread's stack, also that of one that has failed.
func (t *thread) Traceback(msg string) string {
	var b strings.Builder
	if msg != "" {
		b.WriteString(msg)
		b.WriteByte('\n')
	}
	t.trace(&b, t.frame(), 0)
	return b.String()
}

func (t *thread) trace(b *strings.Builder, f *frame, level int) {
	b.WriteString("stack traceback:")
	for ; level > 0 && f != nil; level-- {
		f = f.Parent
	}
	depth := 0
	for p := f; p != nil; p = p.Parent {
		depth++
	}
	for i := 0; f != nil; f, i = f.Parent, i+1 {
		if i >= maxTrace && i < depth-maxTrace {
			if i == maxTrace {
				fmt.Fprintf(b, "\n\t...\t(skipping %d levels)", depth-2*maxTrace)
			}
			continue
		}
		b.WriteString("\n\t")
		b.WriteString(t.describe(f))
		if f.TailCall > 0 && !f.Fn.IsG {
			b.WriteString("\n\t(...tail calls...)")
		}
	}
}

func (t *thread) describe(f *frame) string {
	name := nameOf(f)
	if f.Fn.IsG {
		if name == "" {
			name = "?"
		}
		return "[G]: in function '" + name + "'"
	}
	p := f.Fn.Proto
	if s := t.m.engine.shimOf(p); s != nil {
		if s.handler > 0 {
			return "[G]: in function 'xpcall'"
		}
		return "[G]: in function 'pcall'"
	}
	switch {
	case p.LineDefined == 0:
		return t.where(f) + "in main chunk"
	case name == "":
		return fmt.Sprintf("%sin function <%s:%d>", t.where(f), p.SourceName, p.LineDefined)
	}
	return fmt.Sprintf("%sin function '%s'", t.where(f), name)
}

// nameOf is the name by which a frame was called, empty if its caller is not of Lua.
func nameOf(f *frame) string {
	if f == nil || f.Parent == nil || f.Parent.Fn.IsG || f.TailCall > 0 {
		return ""
	}
	pc := f.Parent.Pc - 1
	for _, call := range f.Parent.Fn.Proto.DbgCalls {
		if call.Pc == pc && call.Name != "?" {
			return call.Name
		}
	}
	return ""
}

func debugTraceback(l *lua.LState) int {
	t, arg := stateOf(l), 1
	of, level := t, 1
	if co, ok := l.Get(1).(*lua.LState); ok {
		of, arg = stateOf(co), 2
		if of != t {
			level = 0
		}
	}
	var b strings.Builder
	switch v := l.Get(arg).(type) {
	case lua.LString:
		b.WriteString(string(v) + "\n")
	case lua.LNumber:
		b.WriteString(v.String() + "\n")
	default:
		if v != lua.LNil {
			l.Push(v) // what is no text is handed back as it is
			return 1
		}
	}
	of.trace(&b, of.frame(), optInt(l, arg+1, level))
	l.Push(lua.LString(b.String()))
	return 1
}

// debugGetInfo is debug.getinfo of a level or a function; it can't name a thread.
func debugGetInfo(l *lua.LState) int {
	t := stateOf(l)
	info := l.CreateTable(0, 12)
	var fn *lua.LFunction
	switch v := l.Get(1).(type) {
	case *lua.LFunction:
		fn = v
	case lua.LNumber:
		f := t.frame()
		for i := checkInt(l, 1); i > 0 && f != nil; i-- {
			f = f.Parent
		}
		if f == nil || v < 0 {
			l.Push(lua.LNil)
			return 1
		}
		fn = f.Fn
		line := -1
		if !fn.IsG && f.Pc > 0 {
			line = fn.Proto.DbgSourcePositions[f.Pc-1]
		}
		info.RawSetString("currentline", lua.LNumber(line))
		info.RawSetString("istailcall", lua.LBool(f.TailCall > 0))
		if name := nameOf(f); name != "" {
			info.RawSetString("name", lua.LString(name))
			info.RawSetString("namewhat", lua.LString(""))
		}
	default:
		wrongType(l, 1, "function or level")
	}
	info.RawSetString("func", fn)
	if fn.IsG || t.m.engine.shimOf(fn.Proto) != nil {
		for k, v := range map[string]lua.LValue{
			"what": lua.LString("C"), "source": lua.LString("=[G]"), "short_src": lua.LString("[G]"), "linedefined": lua.LNumber(-1),
			"lastlinedefined": lua.LNumber(-1), "nups": lua.LNumber(0), "nparams": lua.LNumber(0), "isvararg": lua.LTrue,
		} {
			info.RawSetString(k, v)
		}
		l.Push(info)
		return 1
	}
	p := fn.Proto
	what := "Lua"
	if p.LineDefined == 0 {
		what = "main"
	}
	for k, v := range map[string]lua.LValue{
		"what": lua.LString(what), "source": lua.LString("@" + p.SourceName), "short_src": lua.LString(p.SourceName),
		"linedefined": lua.LNumber(p.LineDefined), "lastlinedefined": lua.LNumber(p.LastLineDefined), "nups": lua.LNumber(p.NumUpvalues),
		"nparams": lua.LNumber(p.NumParameters), "isvararg": lua.LBool(p.IsVarArg&lua.VarArgIsVarArg != 0),
	} {
		info.RawSetString(k, v)
	}
	l.Push(info)
	return 1
}
