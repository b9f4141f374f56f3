package gopher

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/skua-go/skua/lua/vm"
)

// How a wait of the host goes through coroutines that a script has made. The coroutine that waits leaves its loop like any other; coroutine.resume, which ran
// it, finds that this is no yield for the script and lets its own thread wait in that call, and so on up to the thread that the host has resumed. When the host
// goes on with that one, the innermost goes on; once it yields to its script or ends, its coroutine.resume returns in the next one, as a wait does.

// Yield hands the n values on top to the host, through all coroutines that the script has resumed within each other.
func (t *thread) Yield(n int) int {
	for at := t; at != nil && at.inner == nil; at = at.resumer { // one that waits in its resume, and those above it, have been left already
		at.mustLeave(t)
	}
	t.host = true
	return t.leave(n)
}

// mustLeave raises an error in the running thread if t can't be left.
func (t *thread) mustLeave(running *thread) {
	switch {
	case t == t.m.main:
		running.Errorf("attempt to yield from outside a coroutine")
	case !t.outermost(t.frame()):
		running.Errorf("attempt to yield across a Go-call boundary: with the engine %s a wait is possible in functions, coroutines, iterators, pcall and "+
			"xpcall, not in metamethods and callbacks of the library", Name)
	}
}

// leave ends the loop of the running function of Go, whose call goes on with what the thread is resumed with.
func (t *thread) leave(n int) int {
	t.box = t.take(n)
	t.want = t.frame().NRet
	t.l.SetTop(0)
	t.yields = true
	t.l.Parent = t.m.root // to whom the library hands over
	return -1
}

// waitIn lets the thread wait in its coroutine.resume, or its call of a function of coroutine.wrap, for a coroutine that waits for the host.
func (t *thread) waitIn(co *thread, wraps bool) int {
	t.inner, t.wraps, t.host = co, wraps, true
	back := t.leave(0)
	t.takeOver(co)
	return back
}

// takeOver puts the values of a coroutine in the place of the thread's own.
func (t *thread) takeOver(co *thread) {
	clear(t.box)
	t.box = append(t.box[:0], co.box...)
	clear(co.box)
	co.box = co.box[:0]
}

// Resume starts the thread, or goes on where it or the innermost coroutine that it has resumed waits.
func (t *thread) Resume(n int) vm.Status {
	if why := t.unresumable(); why != "" && !t.waitsForHost() {
		return t.refused(why)
	}
	return t.enter(n, nil)
}

// Throw goes on like Resume, but raises the value on top at the place of the wait, as it is. A thread that has not begun fails with it.
func (t *thread) Throw() vm.Status {
	if why := t.unresumable(); why != "" && !t.waitsForHost() {
		return t.refused(why)
	}
	return t.enter(0, t.pop())
}

// Blocked tells whether the thread, or a coroutine that it has resumed, waits for the host: coroutine.status can't tell such a one from others.
func (t *thread) Blocked() bool { return t.state == waiting && t.host }

// waitsForHost tells whether the host may go on with the thread: it waits, and the host is who has resumed it.
func (t *thread) waitsForHost() bool { return t.Blocked() && t.resumer == nil }

// unresumable tells why a script cannot resume the thread, empty if it can.
func (t *thread) unresumable() string {
	switch {
	case t.state == finished || t.state == failed:
		return "cannot resume dead coroutine"
	case t.state == running || t.host:
		return "cannot resume non-suspended coroutine"
	}
	return ""
}

// refused leaves the error of a Resume that is not possible.
func (t *thread) refused(why string) vm.Status {
	t.box = []lua.LValue{lua.LString(why)}
	return vm.Failed
}

// enter goes on with a thread that can: with the n values on top of its stack, or with an error where it waits.
func (t *thread) enter(n int, problem lua.LValue) vm.Status {
	m := t.m
	outer := m.root.G.CurrentThread
	m.depth++
	status := t.goOn(t.box[len(t.box)-n:], problem)
	m.depth--
	m.root.G.CurrentThread = outer
	if m.depth == 0 {
		m.idle()
	}
	return status
}

func (t *thread) goOn(args []lua.LValue, problem lua.LValue) vm.Status {
	if co := t.inner; co != nil {
		co.box = append(co.box[:0], args...)
		co.refuse, t.refuse = t.refuse, ""
		t.state = running // for whoever asks meanwhile
		status := co.enter(len(args), problem)
		if co.host {
			t.state = waiting
			t.takeOver(co)
			return vm.Yielded
		}
		t.inner, co.resumer = nil, nil
		t.state = waiting
		args, problem = t.resultsOf(co, status)
	}
	if t.refuse != "" {
		problem = lua.LString(t.where(t.frame()) + t.refuse)
		t.refuse = ""
	}
	t.host = false
	return t.resume(args, problem)
}

// resultsOf are the results of the call that the coroutine ran in, or its error.
func (t *thread) resultsOf(co *thread, status vm.Status) (results []lua.LValue, problem lua.LValue) {
	if t.wraps && status == vm.Failed {
		return nil, co.value(-1)
	}
	clear(t.box)
	t.box = t.box[:0]
	if !t.wraps {
		t.box = append(t.box, lua.LBool(status != vm.Failed))
	}
	t.box = append(t.box, co.box...)
	if status != vm.Failed {
		clear(co.box)
		co.box = co.box[:0]
	}
	return t.box, nil
}
