package lua54

import "fmt"

// outcome is what the loop has to do behind a call.
type outcome uint8

const (
	goOn  outcome = iota // with the frame on top
	leave                // the thread waits, or the frame that run was to stop at is on top
)

// status is how a thread has come back.
type status uint8

const (
	yielded  status = iota // by coroutine.yield
	held                   // it waits for the host
	finished               // its function has returned
	failed
)

// waitMark is what a function of Go returns that waits.
const waitMark = -1

// enter calls the value at index fun with the arguments behind it. Behind it either the new function's frame is on top, or those that have returned are gone.
func (th *thread) enter(fun, args, want, stop int, meta bool) outcome {
	for range maxCallChain {
		o := th.stack[fun].o
		if o != nil {
			switch o.kind {
			case kindClosure:
				th.push(o.closure(), fun, args, want).meta = meta
				return goOn
			case kindGoFunc:
				return th.enterGo(o.goFunc(), fun, args, want, stop, meta)
			}
		}
		args = th.callable(fun, args)
	}
	th.errorf("'__call' chain too long; possibly a loop")
	return leave
}

// maxCallChain bounds objects whose __call is an object with a __call.
const maxCallChain = 200

// callable puts the metamethod __call of the value at index fun before it.
func (th *thread) callable(fun, args int) int {
	v := th.stack[fun]
	method := th.m.methodOf(v, evCall)
	if method.o == nil {
		th.typeError(v, "call", fun)
	}
	th.m.fuel -= 4 + args/4 // a chain is work that no instruction stands for
	th.grow(fun+args+1, 2)
	copy(th.stack[fun+1:], th.stack[fun:fun+1+args])
	th.stack[fun] = method
	return args + 1
}

// push makes the frame of a function of Lua.
func (th *thread) push(cl *closure, fun, args, want int) *frame {
	p := cl.p
	base, extra := fun+1, 0
	if args > p.params && p.vararg {
		extra = args - p.params
		base += args
		th.grow(base, p.regs+1)
		for i := range p.params {
			th.stack[base+i] = th.stack[fun+1+i]
			th.stack[fun+1+i] = value{}
		}
	} else {
		if base+p.regs+1 > len(th.stack) {
			th.grow(base, p.regs+1)
		}
		for i := args; i < p.params; i++ {
			th.stack[base+i] = value{}
		}
	}
	f := th.pushFrame()
	f.fn, f.g, f.fun, f.base, f.pc, f.want, f.extra, f.kind, f.meta = cl, nil, fun, base, 0, want, extra, frameLua, false
	return f
}

func (th *thread) pushFrame() *frame {
	n := len(th.frames)
	if n < cap(th.frames) {
		th.frames = th.frames[:n+1]
		return &th.frames[n]
	}
	switch {
	case n >= maxFrames+errorFrames:
		panic(&thrown{v: stringValue("error in error handling")})
	case n >= maxFrames:
		th.frames = append(make([]frame, 0, maxFrames+errorFrames), th.frames...)
		th.errorf("stack overflow")
	}
	th.m.allocated += int64(n) * frameSize
	th.frames = append(make([]frame, 0, min(max(2*n, 4), maxFrames)), th.frames...)[:n+1]
	return &th.frames[n]
}

func (th *thread) pushGo(g *goFunc, fun, want int, kind frameKind, meta bool) *frame {
	f := th.pushFrame()
	f.fn, f.g, f.child, f.fun, f.base, f.pc, f.want, f.extra, f.kind, f.meta = nil, g, nil, fun, fun+1, 0, want, 0, kind, meta
	return f
}

func (th *thread) enterGo(g *goFunc, fun, args, want, stop int, meta bool) outcome {
	switch g.special {
	case ordinary, isNext:
	default:
		return th.enterSpecial(g, fun, args, want, stop, meta)
	}
	th.grow(fun+1+args, 20)
	th.pushGo(g, fun, want, frameGo, meta)
	th.base, th.top = fun+1, fun+1+args
	n := g.f(th)
	if n < 0 {
		return leave
	}
	return th.ret(th.top-n, n, stop)
}

func (th *thread) enterSpecial(g *goFunc, fun, args, want, stop int, meta bool) outcome {
	switch g.special {
	case isPCall:
		if args < 1 {
			th.badSpecial(g, fun, args, 1, "value expected")
		}
		th.pushGo(g, fun, want, framePCall, meta)
		return th.enter(fun+1, args-1, -1, stop, false)
	case isXPCall:
		if args < 2 {
			th.badSpecial(g, fun, args, 2, "function expected, got no value")
		}
		if k := th.stack[fun+2].kind(); k != kindClosure && k != kindGoFunc {
			th.badSpecial(g, fun, args, 2, "function expected, got "+th.m.typeNameOf(th.stack[fun+2]))
		}
		th.stack[fun+1], th.stack[fun+2] = th.stack[fun+2], th.stack[fun+1]
		th.pushGo(g, fun, want, frameXPCall, meta)
		return th.enter(fun+2, args-2, -1, stop, false)
	case isYield:
		th.pushGo(g, fun, want, frameGo, meta)
		th.base, th.top = fun+1, fun+1+args
		if th.parent == nil {
			th.throw(stringValue(th.where(1) + "attempt to yield from outside a coroutine"))
		}
		if th.nested > 0 {
			th.throw(stringValue(th.where(1) + "attempt to yield across a C-call boundary"))
		}
		return leave
	case isResume:
		switch {
		case args < 1:
			th.badSpecial(g, fun, args, 1, "coroutine expected, got no value")
		case th.stack[fun+1].kind() != kindThread:
			th.badSpecial(g, fun, args, 1, "coroutine expected, got "+th.m.typeNameOf(th.stack[fun+1]))
		}
		f := th.pushGo(g, fun, want, frameResume, meta)
		f.child = th.stack[fun+1].o.thread()
		return th.resumeChild(f.child, fun+2, args-1, stop)
	default:
		f := th.pushGo(g, fun, want, frameWrap, meta)
		f.child = g.co
		return th.resumeChild(g.co, fun+1, args, stop)
	}
}

// badSpecial raises the error of the i-th argument of a special, with its frame in place.
func (th *thread) badSpecial(g *goFunc, fun, args, i int, text string) {
	th.pushGo(g, fun, 0, frameGo, false)
	th.base, th.top = fun+1, fun+1+args
	th.badArg(i, "%s", text)
}

// ret ends the function on top with n results from index at on, and what below it only hands on the results.
func (th *thread) ret(at, n, stop int) outcome {
	for {
		f := &th.frames[len(th.frames)-1]
		fun, meta := f.fun, f.meta
		th.place(fun, at, n, f.want)
		th.frames = th.frames[:len(th.frames)-1]
		if len(th.frames) <= stop {
			th.base = fun
			return leave
		}
		c := &th.frames[len(th.frames)-1]
		switch c.kind {
		case frameLua:
			if meta {
				return th.finish(c, fun, stop)
			}
			return goOn
		case framePCall:
			at = c.fun
		case frameXPCall:
			at = c.fun + 1
		default:
			return leave
		}
		th.stack[at] = boolValue(true)
		n = th.top - at
	}
}

// place moves n results from index at to where they are wanted.
func (th *thread) place(fun, at, n, want int) {
	if want < 0 {
		want = n
	}
	n = min(n, want)
	if n <= 4 { // few are faster one by one
		for i := range n {
			th.stack[fun+i] = th.stack[at+i]
		}
	} else {
		copy(th.stack[fun:], th.stack[at:at+n])
	}
	for ; n < want; n++ {
		th.stack[fun+n] = value{}
	}
	th.top = fun + want
}

// resumeChild runs another thread with n arguments from index at on. The frame for it is on top.
func (th *thread) resumeChild(co *thread, at, n, stop int) outcome {
	if co.state != suspended || co == th {
		text := "cannot resume non-suspended coroutine"
		if co.state == dead {
			text = "cannot resume dead coroutine"
		}
		return th.childFailed(stringValue(text), false, stop)
	}
	co.hand(th.stack[at : at+n])
	return th.goOnWith(co, attempt{what: tryResume, n: n}, stop)
}

// hand puts values onto a thread that does not run.
func (th *thread) hand(values []value) {
	th.grow(th.top, len(values)+2)
	th.top += copy(th.stack[th.top:], values)
}

func (th *thread) goOnWith(co *thread, a attempt, stop int) outcome {
	if th.depth+th.nested >= maxNested {
		if a.what == tryResume {
			co.top -= a.n // it may be resumed later
		}
		return th.childFailed(stringValue("C stack overflow"), false, stop)
	}
	th.state = normal
	st := co.resume(th, a)
	th.state = running
	switch st {
	case held:
		f := &th.frames[len(th.frames)-1] // the host sees what co waits with on the thread that it has resumed
		th.base, th.top = f.base, f.base
		th.hand(co.stack[co.base:co.top])
		co.top = co.base
		return leave
	case failed:
		return th.childFailed(co.failed, true, stop)
	}
	f := &th.frames[len(th.frames)-1]
	results := co.stack[co.base:co.top]
	co.top = co.base
	at := f.fun
	if f.kind == frameResume {
		th.stack[at] = boolValue(true)
		at++
	}
	th.grow(at, len(results)+2)
	copy(th.stack[at:], results)
	if st == yielded {
		co.state = suspended
	}
	return th.ret(th.frames[len(th.frames)-1].fun, at+len(results)-th.frames[len(th.frames)-1].fun, stop)
}

// childFailed ends coroutine.resume with false and the error, and a function of coroutine.wrap with the error itself.
func (th *thread) childFailed(v value, ran bool, stop int) outcome {
	f := &th.frames[len(th.frames)-1]
	if f.kind == frameResume {
		th.grow(f.fun, 3)
		th.stack[f.fun], th.stack[f.fun+1] = boolValue(false), v
		return th.ret(f.fun, 2, stop)
	}
	if ran {
		v = f.child.closeErr(0, v)
	}
	if v.isString() {
		v = stringValue(th.where(1) + v.text())
	}
	th.throw(v)
	return leave
}

// resume runs the thread with the n values on its top, called by another thread, or by the host, which has none.
func (th *thread) resume(by *thread, a attempt) status {
	th.parent, th.waits, th.depth, th.nested = by, by == nil || by.waits && by.nested == 0, 1, 0
	if below := th.m.running; below != nil { // also where a function of Go resumes a thread of the host
		th.depth = below.depth + below.nested + 1
	}
	th.state, th.m.running = running, th
	st := th.execute(a, 0)
	if th.m.running = by; st != held {
		th.parent = nil
	}
	switch st {
	case yielded:
		th.state = suspended
	case held:
		th.state = waiting
	default:
		th.state = dead
	}
	return st
}

// attempt is what execute tries: it may raise an error.
type attempt struct {
	what      tried
	fun, n    int
	want      int
	err       value
	catchedBy int
}

type tried uint8

const (
	tryResume tried = iota // go on with n values
	tryThrow               // go on with an error
	tryCall                // call the function at fun
	tryCatch               // hand an error to the pcall at frame catchedBy
)

// execute runs until the frames are down to stop, or the thread waits. Errors go to the pcall that is nearest above stop; without one it fails, with the frames
// as they were.
func (th *thread) execute(a attempt, stop int) status {
	nested, base := th.nested, th.base
	for {
		st, err, ok := th.try(&a, stop)
		if ok {
			return st
		}
		th.nested = nested
		by := len(th.frames) - 1
		for by >= stop && th.frames[by].kind != framePCall && th.frames[by].kind != frameXPCall {
			by--
		}
		if by < stop || th.m.spent { // a pcall would get no further, and there can be a hundred thousand
			th.failed, th.base = err, base
			return failed
		}
		if f := &th.frames[by]; f.kind == frameXPCall {
			err = th.handled(th.stack[f.fun+1], err)
		}
		a = attempt{what: tryCatch, err: err, catchedBy: by}
	}
}

// handled is what a message handler makes of an error, with the stack as it is where that was raised. An error of the handler is one for the handler.
func (th *thread) handled(handler, err value) value {
	frames, nested := len(th.frames), th.nested
	for n := th.depth + nested; n < maxNested; n++ {
		v, ok := th.callHandler(handler, err)
		if ok {
			return v
		}
		th.frames, th.nested = th.frames[:frames], nested
		if th.m.spent {
			return v
		}
		err = v
	}
	return stringValue("error in error handling")
}

// handlerCost is how many steps it is worth to begin a message handler. One that fails at once takes no other.
const handlerCost = 100

func (th *thread) callHandler(handler, err value) (v value, ok bool) {
	defer func() {
		if !ok {
			v = th.problem(recover())
		}
	}()
	th.Spend(handlerCost)
	at := th.free()
	th.grow(at, 3)
	th.stack[at], th.stack[at+1] = handler, err
	th.callNested(at, 1, 1)
	return th.stack[at], true
}

// free is an index above all that is in use.
func (th *thread) free() int {
	if len(th.frames) == 0 {
		return th.top
	}
	f := &th.frames[len(th.frames)-1]
	if f.fn != nil {
		return max(f.base+f.fn.p.regs, min(th.top, len(th.stack)))
	}
	return max(th.top, f.base)
}

func (th *thread) try(a *attempt, stop int) (st status, err value, ok bool) {
	defer func() {
		if !ok {
			err = th.problem(recover())
		}
	}()
	var out outcome
	switch a.what {
	case tryResume:
		out = th.goOn(a.n)
	case tryThrow:
		out = th.goOnThrowing(a.err)
	case tryCall:
		out = th.enter(a.fun, a.n, a.want, stop, false)
	case tryCatch:
		out = th.catch(a, stop)
	}
	if out == goOn {
		th.run(stop)
	}
	if st = finished; len(th.frames) > stop {
		st = th.leftBy()
	}
	return st, value{}, true
}

// leftBy tells how a thread that has not finished came to leave its loop.
func (th *thread) leftBy() status {
	f := &th.frames[len(th.frames)-1]
	if f.g != nil && f.g.special == isYield {
		return yielded
	}
	return held
}

// goOn starts the thread's function, or ends the wait of the one on top.
func (th *thread) goOn(n int) outcome {
	if len(th.frames) == 0 {
		return th.enter(th.top-n-1, n, -1, 0, false)
	}
	f := &th.frames[len(th.frames)-1]
	if f.child != nil && f.child.state == waiting {
		f.child.hand(th.stack[th.top-n : th.top])
		return th.goOnWith(f.child, attempt{what: tryResume, n: n}, 0)
	}
	return th.ret(th.top-n, n, 0)
}

// goOnThrowing raises an error where the thread waits.
func (th *thread) goOnThrowing(err value) outcome {
	if n := len(th.frames); n > 0 {
		if co := th.frames[n-1].child; co != nil && co.state == waiting {
			return th.goOnWith(co, attempt{what: tryThrow, err: err}, 0)
		}
	}
	th.throw(err)
	return leave
}

// catch ends a pcall with false and the error.
func (th *thread) catch(a *attempt, stop int) outcome {
	f := &th.frames[a.catchedBy]
	th.frames = th.frames[:a.catchedBy+1]
	fun := f.fun
	th.top = fun + 2
	err := th.closeErr(fun+1, a.err)
	th.shrink()
	th.grow(fun, 3)
	th.stack[fun], th.stack[fun+1] = boolValue(false), err
	return th.ret(fun, 2, stop)
}

// problem is the error value of what has been recovered.
func (th *thread) problem(r any) value {
	if t, ok := r.(*thrown); ok {
		return t.v
	}
	return stringValue(fmt.Sprintf("%spanic: %v", th.anywhere(), r)) // a defect of a module in Go
}

// anywhere is the position of the topmost function of Lua.
func (th *thread) anywhere() string {
	for i := range th.frames {
		if pos := th.where(i); pos != "" {
			return pos
		}
	}
	return ""
}

// callNested calls from Go: what it calls can't wait.
func (th *thread) callNested(fun, args, want int) {
	if th.depth+th.nested >= maxNested {
		th.throw(stringValue(th.anywhere() + "C stack overflow"))
	}
	stop, base := len(th.frames), th.base
	th.nested++
	st := th.execute(attempt{what: tryCall, fun: fun, n: args, want: want}, stop)
	th.nested--
	th.base = base
	if st == failed { // no pcall in what it called: the error goes on from here
		v := th.failed
		th.failed = value{}
		th.throw(v)
	}
}
