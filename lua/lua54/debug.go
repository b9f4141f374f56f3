package lua54

import (
	"fmt"
	"strings"
)

// debugLibrary has what tells about the VM's own functions and stacks. Only trusted scripts get what reaches into others' variables.
func debugLibrary(trusted bool) goLibrary {
	lib := goLibrary{"traceback": debugTraceback, "getinfo": debugGetInfo}
	if trusted {
		for name, f := range (goLibrary{
			"getlocal": debugGetLocal, "getmetatable": debugGetMetatable, "setmetatable": debugSetMetatable, "getupvalue": debugGetUpvalue,
			"setupvalue": debugSetUpvalue, "upvalueid": debugUpvalueID, "upvaluejoin": debugUpvalueJoin, "gethook": nothing, "sethook": nothing,
			"getuservalue": nothing, "getregistry": debugGetRegistry,
		}) {
			lib[name] = f
		}
	}
	return lib
}

func nothing(th *thread) int { return th.one(value{}) }

// ofThread is the thread that an optional first argument names, and the index of the argument behind it.
func (th *thread) ofThread() (*thread, int) {
	if v := th.value(1); v.kind() == kindThread {
		return v.o.thread(), 2
	}
	return th, 1
}

func debugTraceback(th *thread) int {
	co, i := th.ofThread()
	msg := th.value(i)
	if msg.o != nil && !msg.isString() && !msg.isNumber() {
		return th.one(msg)
	}
	level := int64(0)
	if co == th {
		level = 1
	}
	if th.value(i+1).o != nil {
		level = th.checkInt(i + 1)
	}
	text := ""
	if msg.o != nil {
		text = th.text(msg) + "\n"
	}
	return th.one(th.m.newString(text + co.traceback("", int(max(level, 0)))))
}

func debugGetInfo(th *thread) int {
	co, i := th.ofThread()
	what := "flnSrtu"
	if v := th.value(i + 1); v.isString() {
		what = v.text()
	}
	th.SetTop(max(th.Top(), i))
	info := th.m.newTable(0, 12)
	set := func(k string, v value) { th.m.grown(info.setStr(th.m.newString(k).o.str(), v)) }
	var fn value
	line := -1
	name, kind := "", ""
	tail := false
	switch v := th.value(i); v.kind() {
	case kindClosure, kindGoFunc:
		fn = v
	default:
		level := th.checkInt(i)
		at := co.level(int(min(max(level, -1), maxFrames)))
		if at < 0 {
			return th.one(value{})
		}
		f := &co.frames[at]
		if f.fn != nil {
			fn = value{o: &f.fn.object}
		} else {
			fn = value{o: &f.g.object}
		}
		line = f.line()
		kind, name = co.calledAs(at)
	}
	if strings.ContainsAny(what, "S") {
		th.sourceInfo(fn, set)
	}
	if strings.Contains(what, "l") {
		set("currentline", intValue(int64(line)))
	}
	if strings.Contains(what, "n") {
		if name != "" {
			set("name", th.m.newString(name))
		}
		set("namewhat", th.m.newString(kind))
	}
	if strings.Contains(what, "t") {
		set("istailcall", boolValue(tail))
	}
	if strings.Contains(what, "u") {
		th.upvalueInfo(fn, set)
	}
	if strings.Contains(what, "f") {
		set("func", fn)
	}
	if strings.Contains(what, "L") && fn.kind() == kindClosure {
		lines := th.m.newTable(0, 0)
		for _, l := range fn.o.closure().p.lines {
			lines.setInt(int64(l), boolValue(true))
		}
		set("activelines", value{o: &lines.object})
	}
	return th.one(value{o: &info.object})
}

func (th *thread) sourceInfo(fn value, set func(string, value)) {
	if fn.kind() == kindGoFunc {
		set("source", th.m.newString("=[C]"))
		set("short_src", th.m.newString("[C]"))
		set("what", th.m.newString("C"))
		set("linedefined", intValue(-1))
		set("lastlinedefined", intValue(-1))
		return
	}
	p := fn.o.closure().p
	set("source", th.m.newString("@"+p.chunk))
	set("short_src", th.m.newString(p.chunk))
	what := "Lua"
	if p.line == 0 {
		what = "main"
	}
	set("what", th.m.newString(what))
	set("linedefined", intValue(int64(p.line)))
	set("lastlinedefined", intValue(int64(p.endLine)))
}

func (th *thread) upvalueInfo(fn value, set func(string, value)) {
	if fn.kind() == kindGoFunc {
		set("nups", intValue(0))
		set("nparams", intValue(0))
		set("isvararg", boolValue(true))
		return
	}
	p := fn.o.closure().p
	set("nups", intValue(int64(len(p.ups))))
	set("nparams", intValue(int64(p.params)))
	set("isvararg", boolValue(p.vararg))
}

func debugGetLocal(th *thread) int {
	co, i := th.ofThread()
	n := int(th.checkInt(i + 1))
	if v := th.value(i); v.kind() == kindClosure {
		p := v.o.closure().p
		if n >= 1 && n <= p.params {
			return th.one(th.m.newString(p.localName(n-1, 0)))
		}
		return th.one(value{})
	}
	at := co.level(int(min(max(th.checkInt(i), -1), maxFrames)))
	if at < 0 {
		th.badArg(i, "level out of range")
	}
	f := &co.frames[at]
	if f.fn == nil || n < 1 || n > f.fn.p.regs {
		return th.one(value{})
	}
	name := f.fn.p.localName(n-1, f.pc-1)
	if name == "" {
		return th.one(value{})
	}
	th.pushValue(th.m.newString(name))
	th.pushValue(co.stack[f.base+n-1])
	return 2
}

func debugGetMetatable(th *thread) int {
	if !th.Metatable(1) {
		th.PushNil()
	}
	return 1
}

func debugSetMetatable(th *thread) int {
	th.m.setMetatable(th.value(1), th.value(2).asTable())
	return th.one(th.value(1))
}

func (th *thread) upvalueAt(i, n int) (*closure, int) {
	v := th.value(i)
	if v.kind() != kindClosure {
		return nil, 0
	}
	k := th.checkInt(n)
	cl := v.o.closure()
	if k < 1 || k > int64(len(cl.up)) {
		return nil, 0
	}
	return cl, int(k) - 1
}

func debugGetUpvalue(th *thread) int {
	cl, n := th.upvalueAt(1, 2)
	if cl == nil {
		return 0
	}
	th.pushValue(th.m.newString(cl.p.ups[n].name))
	th.pushValue(*cl.up[n].p)
	return 2
}

func debugSetUpvalue(th *thread) int {
	cl, n := th.upvalueAt(1, 2)
	if cl == nil {
		return 0
	}
	*cl.up[n].p = th.value(3)
	return th.one(th.m.newString(cl.p.ups[n].name))
}

func debugUpvalueID(th *thread) int {
	cl, n := th.upvalueAt(1, 2)
	if cl == nil {
		return th.one(value{})
	}
	return th.one(th.m.newString(fmt.Sprintf("%p", cl.up[n])))
}

func debugUpvalueJoin(th *thread) int {
	to, n := th.upvalueAt(1, 2)
	from, k := th.upvalueAt(3, 4)
	if to == nil || from == nil {
		th.badArg(2, "invalid upvalue index")
	}
	to.up[n] = from.up[k]
	th.m.ahead = nil // it would not see that
	return 0
}

// debugGetRegistry gives an empty table: what the VM keeps is not in one.
func debugGetRegistry(th *thread) int { return th.one(value{o: &th.m.newTable(0, 0).object}) }
