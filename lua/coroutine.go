package lua

import (
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// coroutine runs one handler at a time, from its first instruction through all its waits to its end, and then the next.
type coroutine struct {
	h     *Host // whose handler it runs
	th    vm.State
	yield yield
	job   job
	wait  wait

	promise actor.Promise // the request that its handler has to answer
	lent    *Lent         // that request, if it is one
	request bool
	replied bool // or the duty to reply has been taken over
	foreign bool // its session is not the runtime's: somebody made it up, see skynet.redirect
	session int64
	source  actor.Ref

	span     actor.Span // of its message
	ends     bool       // the span ends with the handler
	trace    string     // the tag of skynet.trace
	untraced bool
	adrift   bool      // it was woken by another handler, so what the runtime knows of its own message is lost:
	deadline time.Time // until when its asker waits

	measured *measured // its handler, if somebody counts it

	watch stopwatch
	done  func(co *coroutine, err *Error) // takes the results from the thread's stack, or the error

	answer func(any, error) // its part of the runtime's continuation of a call
	life   uint64           // counts the handlers
	behind string           // the version that it has begun with, if the VM has gone over to another one that its code is not of
	live   bool             // it is in the host's list of those that have begun and not ended
	next   *coroutine
	prev   *coroutine
}

// job is what a coroutine is to run.
type job struct {
	fn    int   // a reference to the function
	owned bool  // which is this job's own
	args  []int // references to arguments
	state bool  // or: the service's state, and the message's values
	msg   Message
	proto *protocol            // or: session, source, and what the protocol makes of the message
	list  bool                 // or: the message's values alone
	push  func(s vm.State) int // or, in place of the function too: what pushes it and its arguments, and returns how many these are
}

type yield uint8

const (
	yieldNone yield = iota // by coroutine.yield, outside of any coroutine of the script's own
	yieldWait              // by the library: something will resume it
	yieldDone              // the handler has returned
)

// poolSize bounds the coroutines that a service keeps for later.
const poolSize = 64

// loopSource is what a pooled coroutine runs: a handler and its arguments from take, its results to done, over and over. It is a loop, since a tail call
// would need the engine to make them from a function with `...`. "take and f" is f without a name: stacks and profiles then tell where the handler begins, and do
// not call each of them by the name that it has here.
const loopSource = `local take, done = ...
local function run(f, ...) done((take and f)(...)) end
return function() repeat run(take()) until false end`

// openLoop makes the function that all coroutines of the service run.
func (h *Host) openLoop() error {
	s := h.vm.Main()
	if err := s.Load("="+hostChunk, loopSource); err != nil {
		return err
	}
	h.pushVerb(s, "take", (*Host).take)
	h.pushVerb(s, "done", func(h *Host, s vm.State) int {
		h.cur.yield = yieldDone
		return s.Yield(s.Top())
	})
	s.Call(2, 1)
	h.loop = s.Ref()
	return nil
}

// take pushes the function that the running coroutine is to run, and its arguments.
func (h *Host) take(s vm.State) int {
	co := h.cur
	j := &co.job
	if push := j.push; push != nil {
		j.push = nil
		return 1 + push(s)
	}
	s.Push(j.fn)
	if j.owned {
		s.Unref(j.fn)
		j.owned = false
	}
	n := 1
	switch {
	case j.proto != nil:
		s.PushInt(co.session)
		pushAddress(s, co.source)
		n += 2 + h.pushUnpacked(s, j.proto, j.msg.Raw, j.msg.Args)
	case j.state:
		s.Push(h.state)
		n += 1 + PushList(s, j.msg.Args)
	case j.list:
		n += PushList(s, j.msg.Args)
	default:
		for i := len(j.args) - 1; i >= 0; i-- {
			s.Push(j.args[i])
			s.Unref(j.args[i])
		}
		n += len(j.args)
		j.args = j.args[:0]
	}
	j.msg = Message{}
	return n
}

// coroutine gives a coroutine that runs nothing yet.
func (h *Host) coroutine() *coroutine {
	if n := len(h.pool); n > 0 {
		co := h.pool[n-1]
		h.pool = h.pool[:n-1]
		co.h = h
		return co
	}
	co := &coroutine{h: h, th: h.vm.Main().NewThread(), session: noSession}
	co.th.Push(h.loop)
	co.answer = func(v any, err error) { co.h.answered(co, v, err) }
	return co
}

// retire keeps a coroutine whose handler has returned for the next one.
func (h *Host) retire(co *coroutine) {
	h.unlink(co)
	life := co.life + 1
	if len(h.pool) >= poolSize || h.vm == nil {
		co.life = life
		return
	}
	co.reset(life)
	co.th.SetTop(0)
	h.pool = append(h.pool, co)
}

// reset makes the coroutine ready for another handler. It leaves alone what is as it has to be: a store of a pointer is not cheap while the collector runs.
func (co *coroutine) reset(life uint64) {
	j := &co.job
	j.fn, j.owned, j.state, j.list, j.args = 0, false, false, false, j.args[:0]
	if j.proto != nil {
		j.proto = nil
	}
	if j.push != nil {
		j.push = nil
	}
	if co.wait.kind != waitNone {
		co.wait = wait{}
	}
	if co.request {
		co.promise = actor.Promise{}
	}
	if co.lent != nil {
		co.lent = nil
	}
	if co.span != nil {
		co.span = nil
	}
	if co.measured != nil {
		co.measured = nil
	}
	if co.trace != "" {
		co.trace = ""
	}
	if !co.deadline.IsZero() {
		co.deadline = time.Time{}
	}
	if co.watch.on || co.watch.sum != 0 {
		co.watch = stopwatch{}
	}
	co.yield, co.session, co.source, co.done, co.life = yieldNone, noSession, actor.Ref{}, nil, life
	co.request, co.replied, co.foreign, co.ends, co.untraced, co.adrift = false, false, false, false, false, false
}

// begin runs the coroutine's job until its first wait or its end.
func (h *Host) begin(co *coroutine) {
	h.link(co)
	h.resume(co, 0, false)
}

func (h *Host) link(co *coroutine) {
	co.live = true
	co.next = h.live
	if h.live != nil {
		h.live.prev = co
	}
	h.live = co
}

func (h *Host) unlink(co *coroutine) {
	if !co.live {
		return
	}
	co.live = false
	if co.behind != "" {
		h.caughtUp(co)
	}
	if co.prev != nil {
		co.prev.next = co.next
	} else {
		h.live = co.next
	}
	if co.next != nil {
		co.next.prev = co.prev
	}
	co.next, co.prev = nil, nil
}

// resume lets a coroutine go on with the n values on its stack's top, until it waits or ends; or it raises the value on top where the coroutine waits.
func (h *Host) resume(co *coroutine, n int, throw bool) {
	outer := h.cur
	if outer == nil {
		h.began = time.Time{} // tick looks at the clock
		if g := h.guard.Load(); g != nil {
			h.slice(g, true)
		}
	}
	h.cur, co.yield = co, yieldNone
	co.watch.resumed()
	var status vm.Status
	if throw {
		status = co.th.Throw()
	} else {
		status = co.th.Resume(n)
	}
	co.watch.stopped()
	if outer == nil {
		if g := h.guard.Load(); g != nil {
			h.slice(g, false)
		}
	}
	h.cur = outer
	var failure *Error
	switch {
	case status == vm.Failed:
		failure = h.errorOf(co.th)
		h.end(co, failure)
	case status == vm.Yielded && co.yield == yieldWait:
		if co.wait.kind == waitEver { // skynet.exit: its variables are closed as those of the others have been
			h.stopCoroutine(co, nil)
		}
	case status == vm.Yielded && co.yield == yieldDone:
		h.dropWait(co)
		if co.done != nil {
			co.done(co, nil)
		}
		h.retire(co)
	default:
		const msg = "attempt to yield from outside a coroutine"
		h.end(co, &Error{Script: h.script, Message: msg, Traceback: stackOf(co.th)})
	}
	if h.hooks != nil && outer == nil {
		h.hasRun()
	}
	h.weigh(failure)
}

// end is for a coroutine that has failed, and can't run anything any more.
func (h *Host) end(co *coroutine, err *Error) {
	h.dropWait(co)
	h.unlink(co)
	co.life++
	h.closeFailed(co)
	if co.done != nil {
		co.done(co, err)
		return
	}
	h.report("script failed", err)
}

// closeFailed ends the variables of a coroutine that has failed: those that are to be closed are, with the error, which Lua leaves to coroutine.close.
func (h *Host) closeFailed(co *coroutine) {
	s := h.vm.Main()
	top := s.Top()
	defer s.SetTop(top)
	s.Global("coroutine")
	if s.Type(-1) != vm.Table {
		return
	}
	s.PushString("close")
	s.RawGet(top + 1)
	if s.Type(-1) != vm.Function {
		return
	}
	s.PushThread(co.th)
	h.began = time.Time{}
	if err := s.PCall(1, 0); err != nil {
		h.report("close failed", h.raised())
	}
}
