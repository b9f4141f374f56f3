package lua54

import "github.com/skua-go/skua/lua/vm"

func coroutineLibrary() goLibrary {
	return goLibrary{
		"create": coCreate, "wrap": coWrap, "resume": unreachable, "yield": unreachable, "status": coStatus, "running": coRunning,
		"isyieldable": coIsYieldable, "close": coClose,
	}
}

func (th *thread) newCoroutine() *thread {
	if k := th.value(1).kind(); k != kindClosure && k != kindGoFunc {
		th.wrongType(1, "function")
	}
	co := th.m.newThread()
	co.pushValue(th.value(1))
	return co
}

func coCreate(th *thread) int { return th.one(value{o: &th.newCoroutine().object}) }

func coWrap(th *thread) int {
	g := &goFunc{object: th.m.object(kindGoFunc), special: isWrap, co: th.newCoroutine()}
	g.f = func(vm.State) int { return unreachable(th) }
	return th.one(value{o: &g.object})
}

func (th *thread) checkThread(i int) *thread {
	v := th.value(i)
	if v.kind() != kindThread {
		th.wrongType(i, "coroutine")
	}
	return v.o.thread()
}

//nolint:gochecknoglobals // constants
var stateNames = map[state]*str{
	suspended: constant("suspended"), running: constant("running"), normal: constant("normal"), waiting: constant("normal"), dead: constant("dead"),
}

func coStatus(th *thread) int {
	return th.one(value{o: &th.checkThread(1).stateName().object})
}

// stateName is the state as scripts see it. One that waits for the host is like one that has resumed another, unless the host itself resumes it.
func (th *thread) stateName() *str {
	if th.state == waiting && th.parent == nil {
		return stateNames[suspended]
	}
	return stateNames[th.state]
}

func coRunning(th *thread) int {
	th.pushValue(value{o: &th.object})
	th.pushValue(boolValue(th == th.m.main))
	return 2
}

func coIsYieldable(th *thread) int {
	co := th
	if th.Top() > 0 {
		co = th.checkThread(1)
	}
	return th.one(boolValue((co.parent != nil || co.waits && co.state == running) && co.nested == 0))
}

func coClose(th *thread) int {
	co := th.checkThread(1)
	if co.state != suspended && co.state != dead {
		th.Errorf("cannot close a %s coroutine", co.stateName().s)
	}
	err := co.failed
	co.state, co.failed = dead, value{}
	co.depth, co.nested, co.waits = th.depth+th.nested+1, 0, false
	err = co.closeErr(0, err)
	co.drop()
	if err.o != nil {
		th.pushValue(boolValue(false))
		th.pushValue(err)
		return 2
	}
	return th.one(boolValue(true))
}

// CloseThread ends a thread that the host does not resume any more: variables that are to be closed are, also those of coroutines that wait with it. Errors in
// that are lost with the thread.
func (th *thread) CloseThread() {
	if th.state != suspended && th.state != waiting {
		return
	}
	if n := len(th.frames); n > 0 && th.frames[n-1].child != nil {
		th.frames[n-1].child.CloseThread()
	}
	outer := th.m.running
	th.state, th.parent = dead, nil
	th.depth, th.nested, th.waits = 1, 0, false
	if outer != nil {
		th.depth = outer.depth + outer.nested + 1
	}
	th.m.running = th
	th.closeErr(0, value{})
	th.m.running = outer
	th.drop()
}
