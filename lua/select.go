package lua

import (
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// ask is a request that nobody waits in: skynet.request makes several and takes the answers as they come.
type ask struct {
	call     actor.Call
	to       actor.Ref
	proto    *protocol
	selector int // a reference to the object that gets the answer
}

// maxAsks bounds the requests of skynet.request that are on their way.
const maxAsks = 100_000

// innerArrived keeps the function that is called with each answer: f(selector, id, ok, ...).
func (h *Host) innerArrived(s vm.State) int {
	checkFunction(s, 1, "arrived")
	s.SetTop(1)
	h.arrived = s.Ref()
	return 0
}

// innerAsk sends a request: ask(selector, address, type, ...). It returns its number.
func (h *Host) innerAsk(s vm.State) int {
	const what = "skynet.request"
	if len(h.asks) >= maxAsks {
		s.Errorf("%s: %d requests wait for an answer already", what, maxAsks)
	}
	to := h.address(s, 2)
	p := h.protocolAt(s, 3)
	msg := h.packed(s, p, 4)
	timeout := h.c.System().CallTimeout()
	if co := h.cur; co != nil {
		timeout = co.timed(timeout)
		h.traceOut(&msg)
	}
	s.SetTop(1)
	h.sessions++
	id := h.sessions
	a := &ask{to: to, proto: p, selector: s.Ref()}
	if h.asks == nil {
		h.asks = map[int64]*ask{}
	}
	h.asks[id] = a
	a.call = h.c.AskFor(to, msg, timeout, func(v any, err error) { h.arrive(id, a, v, err) })
	s.PushInt(id)
	return 1
}

// arrive hands an answer over.
func (h *Host) arrive(id int64, a *ask, v any, err error) {
	if h.asks[id] != a {
		return
	}
	delete(h.asks, id)
	main := h.vm.Main()
	top := main.Top()
	defer main.SetTop(top)
	main.Push(h.arrived)
	main.Push(a.selector)
	main.Unref(a.selector)
	main.PushInt(id)
	main.PushBool(true)
	n := 0
	if err == nil {
		n, err = h.pushAnswer(main, a.proto, v)
	}
	if err != nil {
		if _, raised := err.(raisedError); raised { //nolint:errorlint // it is never wrapped
			main.Remove(-2) // the true
			main.PushBool(false)
			main.Insert(main.Top() - 1)
		} else {
			main.Pop(1)
			main.PushBool(false)
			h.pushError(main, err)
		}
		n = 1
	}
	h.began = time.Time{}
	if err := main.PCall(3+n, 0); err != nil {
		h.report("skynet.request failed", h.raised())
	}
	h.runNext()
}

// innerCancel gives a request up: cancel(id).
func (h *Host) innerCancel(s vm.State) int {
	id, _ := s.Int(1)
	if a := h.asks[id]; a != nil {
		delete(h.asks, id)
		a.call.Cancel()
		s.Unref(a.selector)
	}
	return 0
}
