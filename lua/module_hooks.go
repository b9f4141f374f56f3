package lua

import (
	"errors"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// hooks are what modules in Go are told by the service that they act for.
type hooks struct {
	ran    []func()
	ending []func(reason error, done func())
	told   []func(msg any) bool
	closed []func()
}

func (h *Host) hook() *hooks {
	h = h.active()
	if h.hooks == nil {
		h.hooks = &hooks{}
	}
	return h.hooks
}

// Ran has f called each time that a script's function that the host has begun or continued has waited or ended, for the rest of the service's life. It is called
// in the service's actor, while no function of the script runs.
func (h *Host) Ran(f func()) {
	hooks := h.hook()
	hooks.ran = append(hooks.ran, f)
}

// Ending has f called when the service has been stopped and its own function stop has returned. Handlers that still wait may go on yet. The service ends when
// done has been called, by any goroutine. What fails, and what is killed by the runtime, is not told.
func (h *Host) Ending(f func(reason error, done func())) {
	hooks := h.hook()
	hooks.ending = append(hooks.ending, f)
}

// Told has f called with the messages that are no script's: f tells whether it is one for the module, which may answer it. It runs in the service's actor.
func (h *Host) Told(f func(msg any) bool) {
	hooks := h.hook()
	hooks.told = append(hooks.told, f)
}

// Closed has f called when the service has ended and nobody runs it any more; the VM is still there. A service that the launcher does not know is not told.
func (h *Host) Closed(f func()) {
	hooks := h.hook()
	hooks.closed = append(hooks.closed, f)
}

func (h *Host) isClosed() {
	if h.hooks == nil {
		return
	}
	for _, f := range h.hooks.closed {
		f()
	}
}

func (h *Host) hasRun() {
	for _, f := range h.hooks.ran {
		f()
	}
}

func (h *Host) isEnding(reason error) {
	if h.hooks == nil {
		return
	}
	for _, f := range h.hooks.ending {
		f(reason, h.c.Hold())
	}
}

func (h *Host) tell(msg any) bool {
	if h.hooks == nil {
		return false
	}
	for _, f := range h.hooks.told {
		if f(msg) {
			return true
		}
	}
	return false
}

// Name is what logs call the service.
func (h *Host) Name() string { return h.active().script }

// Shares tells whether the service is one of several agents of its VM.
func (h *Host) Shares() bool { return h.active().shares }

// Has tells whether require would find a module of this name.
func (h *Host) Has(module string) bool { return h.rt.Has(module) }

// Protect calls f on the VM's main thread, outside of any coroutine: nothing that it calls can wait. An error that is raised there is returned. It leaves the
// stack as it was. Only the service's actor may call it.
func (h *Host) Protect(f func(s vm.State)) error {
	h = h.active()
	if h.vm == nil {
		return errors.New("lua: the service has ended")
	}
	main := h.vm.Main()
	top := main.Top()
	defer main.SetTop(top)
	if h.cur == nil {
		h.began = time.Time{} // tick looks at the clock
	}
	main.PushFunc("protected", func(s vm.State) int {
		f(s)
		return 0
	})
	if err := main.PCall(0, 0); err != nil {
		return h.errorOf(main)
	}
	return nil
}

// PushError pushes the error value that scripts get for err: a table with code, message and traceback, see Error.
func (h *Host) PushError(s vm.State, err error) { h.active().pushError(s, err) }

// Ask sends a request of a module in Go for the running coroutine, and lets it wait for the answer, at most for the time that the system gives a call. The function
// that Lua has called returns what Ask does. push gets the answer: it puts the results of that function onto the coroutine's stack and returns how many there are,
// or returns an error, which is then raised where the coroutine waits; it runs in the service's actor and must not raise an error itself. what names the function
// where no wait is possible, which is an error of the script: Ask does not return then.
func (h *Host) Ask(s vm.State, what string, to actor.Ref, msg any, push func(s vm.State, v any, err error) (int, error)) int {
	h = h.active()
	co := h.beginWait(s, waitCall, what)
	id := co.wait.id
	co.wait.to = to
	co.wait.call = h.c.AskFor(to, msg, co.timed(h.c.System().CallTimeout()), func(v any, err error) {
		if co.wait.id != id {
			return
		}
		co.wait = wait{}
		n, err := push(co.th, v, err)
		if err != nil {
			h.pushError(co.th, err)
			n = 1
		}
		h.resume(co, n, err != nil)
		h.runNext()
	})
	return s.Yield(0)
}

// Request sends a request of a module in Go that is part of nothing that the script does; then runs in the service's actor, and what it forks right behind it.
func (h *Host) Request(to actor.Ref, msg any, timeout time.Duration, then func(v any, err error)) {
	h = h.active()
	h.c.Detached(func() {
		h.c.AskFor(to, msg, timeout, func(v any, err error) {
			then(v, err)
			h.runNext()
		})
	})
}

// After calls f in the service's actor when d has passed, as part of nothing that the script does, and runs what it forks right behind it.
func (h *Host) After(d time.Duration, f func()) (t *actor.Timer) {
	h = h.active()
	h.c.Detached(func() {
		t = h.c.After(d, func() {
			f()
			h.runNext()
		})
	})
	return t
}
