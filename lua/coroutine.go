package lua

import (
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// coroutine runs one handler at a time, from its first instruction through all its waits to its end, and then the next.
type coroutine struct {
	th      vm.State
	yield   yield
	push    func(s vm.State) int // puts the next handler and its arguments onto the stack
	promise actor.Promise        // the request that its handler has to answer
	request bool
	replied bool // or the duty to reply has been taken over
	session int64
	source  actor.Ref
	ticket  uint64                          // counts waits and their ends, see wait
	done    func(co *coroutine, err *Error) // takes the results from the thread's stack, or the error
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
// would need the engine to make them from a function with `...`.
const loopSource = `local take, done = ...
local function run(f, ...) done(f(...)) end
return function() repeat run(take()) until false end`

// openLoop makes the function that all coroutines of the service run.
func (h *Host) openLoop() error {
	s := h.vm.Main()
	if err := s.Load("=skua", loopSource); err != nil {
		return err
	}
	s.PushFunc("take", func(s vm.State) int {
		push := h.cur.push
		h.cur.push = nil
		return push(s) + 1
	})
	s.PushFunc("done", func(s vm.State) int {
		h.cur.yield = yieldDone
		return s.Yield(s.Top())
	})
	s.Call(2, 1)
	h.loop = s.Ref()
	return nil
}

// run starts a handler: push puts a function and its arguments onto the thread it gets, and returns how many arguments there are.
func (h *Host) run(co coroutine, push func(s vm.State) int) {
	var c *coroutine
	if n := len(h.pool); n > 0 {
		c = h.pool[n-1]
		h.pool = h.pool[:n-1]
		co.th, co.ticket, co.push = c.th, c.ticket+1, push
		*c = co
		c.th.SetTop(0)
		h.resume(c, 0)
		return
	}
	c = &co
	c.th, c.push = h.vm.Main().NewThread(), push
	c.th.Push(h.loop)
	h.resume(c, 0)
}

// resume lets a coroutine go on with the n values on its stack's top, until it waits or ends.
func (h *Host) resume(c *coroutine, n int) {
	outer := h.cur
	if outer == nil {
		h.began = time.Now()
	}
	h.cur, c.yield = c, yieldNone
	c.ticket++
	status := c.th.Resume(n)
	h.cur = outer
	switch {
	case status == vm.Failed:
		h.fail(c, h.errorOf(c.th))
	case status == vm.Yielded && c.yield == yieldWait:
	case status == vm.Yielded && c.yield == yieldDone:
		if c.done != nil {
			c.done(c, nil)
		}
		c.done = nil
		c.promise = actor.Promise{}
		if len(h.pool) < poolSize {
			h.pool = append(h.pool, c)
		}
	default:
		h.fail(c, &Error{
			Script: h.script, Message: "attempt to yield from outside a coroutine",
			Traceback: c.th.Traceback("attempt to yield from outside a coroutine"),
		})
	}
}

func (h *Host) fail(c *coroutine, err *Error) {
	if c.done != nil {
		c.done(c, err)
		return
	}
	h.log.Error("script failed", "error", err.Message, "traceback", err.Traceback)
}

// errorOf makes an Error of the value on top of a thread that failed.
func (h *Host) errorOf(s vm.State) *Error {
	e := &Error{Script: h.script}
	if s.Type(-1) == vm.Table {
		top := s.Top()
		if l, err := TakeList(s, top); err == nil {
			e.Value = l
		}
		s.SetTop(top)
	}
	e.Message = h.text(s)
	e.Traceback = s.Traceback(e.Message)
	return e
}

// text is tostring of the value on top of a thread that may have failed; its __tostring may fail too.
func (h *Host) text(s vm.State) string {
	if s.Type(-1) != vm.Table && s.Type(-1) != vm.Userdata {
		return s.Text(-1)
	}
	h.began = time.Now()
	main := h.vm.Main()
	top := main.Top()
	defer main.SetTop(top)
	main.PushFunc("tostring", func(s vm.State) int {
		s.PushString(s.Text(1))
		return 1
	})
	s.Copy(-1)
	s.Move(main, 1)
	if err := main.PCall(1, 1); err != nil {
		return "an error value whose __tostring fails: " + err.Error()
	}
	text, _ := main.String(-1)
	return text
}

// waiter is one wait of a coroutine. Where the engine can't yield, the wait ends with an error at once, and what was to end it must not end a later one.
type waiter struct {
	co     *coroutine
	ticket uint64
}

func (w waiter) waits() bool { return w.co.ticket == w.ticket }

// wait prepares the running coroutine for a Yield that the library will resume.
func (h *Host) wait(s vm.State, what string) waiter {
	if h.cur == nil {
		s.Errorf("%s: a wait is possible in a handler only", what)
	}
	if s != h.cur.th {
		s.Errorf("%s: a wait is not possible in a coroutine that the script made itself", what)
	}
	h.cur.yield = yieldWait
	h.cur.ticket++
	return waiter{h.cur, h.cur.ticket}
}
