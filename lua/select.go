package lua

import (
	"fmt"
	"strconv"
	"strings"

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

// term treats a service as one that has ended: calls that wait for it fail, and what it waits for here is not answered.
func (h *Host) term(of actor.Ref) {
	err := &actor.Error{Code: actor.Stopped, Actor: of.String(), Text: "skynet.term"}
	for co := h.live; co != nil; co = co.next {
		if co.wait.kind == waitCall && co.wait.to == of {
			h.fail(co, err)
		}
	}
	for id, a := range h.asks {
		if a.to == of {
			a.call.Cancel()
			h.c.Resume(func() { h.arrive(id, a, nil, err) })()
		}
	}
	for r := range h.held {
		if r.source == of {
			r.used = true
			delete(h.held, r)
		}
	}
}

// fail has a call fail as soon as the running coroutine waits or ends.
func (h *Host) fail(co *coroutine, err error) {
	co.wait.call.Cancel()
	life, id := co.life, co.wait.id
	h.c.Resume(func() {
		if co.life == life && co.wait.id == id && co.wait.kind == waitCall {
			w := co.wait
			co.wait = wait{}
			h.goOn(co, w, nil, err)
		}
		h.runNext()
	})()
}

func (h *Host) apiTerm(s vm.State) int {
	h.term(h.address(s, 1))
	return 0
}

// innerStopThread takes a coroutine out of what it waits for, so that it does not go on, and returns it; nil if there is none that waits. Who waits for an
// answer of its handler gets an error. Argument 1 is the coroutine, or a part of how it prints.
func (h *Host) innerStopThread(s vm.State) int {
	name, byName := s.String(1)
	if !byName && s.Type(1) != vm.Thread {
		s.Errorf("skynet.killthread: a coroutine or a part of its name is expected, got %s", s.Type(1))
	}
	is := func(co *coroutine) bool {
		if !byName {
			return s.Same(1, co.th)
		}
		s.PushThread(co.th)
		text := s.Text(-1)
		s.Pop(1)
		return strings.Contains(text, name)
	}
	co := h.stopThread(s, is)
	if co == nil {
		return 0
	}
	if c, ok := co.th.(threadCloser); ok {
		c.CloseThread()
	}
	s.PushThread(co.th)
	return 1
}

// threadCloser is a thread that the host can end while it waits: its variables that are to be closed are, and it can't be resumed any more.
type threadCloser interface{ CloseThread() }

func (h *Host) stopThread(s vm.State, is func(co *coroutine) bool) *coroutine {
	for _, b := range h.forks.items[h.forks.head:] {
		if b.co.life == b.life && is(b.co) {
			h.drop(&b.co.job)
			b.co.life++
			return b.co
		}
	}
	for t := h.timers; t != nil; t = t.next {
		if t.co != nil && is(t.co) {
			t.unlink()
			if t.timer != nil {
				t.timer.Cancel()
			}
			s.Unref(t.fn)
			return t.co
		}
	}
	for co := h.live; co != nil; co = co.next {
		if co.wait.kind == waitNone || co.wait.kind == waitEver || co == h.cur || !is(co) {
			continue
		}
		h.dropWait(co)
		h.unlink(co)
		co.life++
		err := &Error{Script: h.script, Message: h.script + ": the handler's coroutine was stopped (skynet.killthread)"}
		if co.request && !co.replied {
			co.promise.Reply(nil, err)
		}
		if co.ends {
			co.span.End(err)
		}
		return co
	}
	return nil
}

// apiTask tells what waits: task() how many, task(t) fills t with their stacks, task(session) is the stack of one, task(coroutine) is its session,
// and task("init") is the stack of the start function.
func (h *Host) apiTask(s vm.State) int {
	switch s.Type(1) {
	case vm.None, vm.Nil:
		n := int64(0)
		h.tasks(func(*coroutine, int64, func() string) { n++ })
		s.PushInt(n)
		return 1
	case vm.Table:
		h.tasks(func(co *coroutine, id int64, stack func() string) {
			s.PushString(h.taskName(s, co, id))
			s.PushString(stack())
			s.RawSet(1)
		})
		return 0
	case vm.Number:
		want, _ := s.Int(1)
		found := "No session"
		h.tasks(func(_ *coroutine, id int64, stack func() string) {
			if id == want {
				found = stack()
			}
		})
		s.PushString(found)
		return 1
	case vm.Thread:
		session := int64(0)
		h.tasks(func(co *coroutine, id int64, _ func() string) {
			if co != nil && s.Same(1, co.th) {
				session = id
			}
		})
		if session == 0 {
			return 0
		}
		s.PushInt(session)
		return 1
	}
	if what, _ := s.String(1); what != "init" {
		s.Errorf(`skynet.task: nothing, a table, a session, a coroutine or "init" is expected, got %s`, s.Text(1))
	}
	if h.starter == nil {
		return 0
	}
	s.PushString(h.starter.th.Traceback(""))
	return 1
}

func (h *Host) taskName(s vm.State, co *coroutine, id int64) string {
	name := "timer"
	if co != nil {
		s.PushThread(co.th)
		name = s.Text(-1)
		s.Pop(1)
	}
	return fmt.Sprintf("%s session: %d", name, id)
}

// tasks calls f with each coroutine that waits and each timer; co is nil for a timer without one.
func (h *Host) tasks(f func(co *coroutine, id int64, stack func() string)) {
	for co := h.live; co != nil; co = co.next {
		if co.wait.kind != waitNone && co != h.cur {
			f(co, co.wait.id, func() string { return co.th.Traceback("") })
		}
	}
	for t := h.timers; t != nil; t = t.next {
		f(t.co, t.id, func() string {
			if t.trace != "" {
				return t.trace
			}
			return "timer"
		})
	}
}

// apiUniqTask gives the stacks of what waits, those that are the same once: by how many there are and their sessions.
func (h *Host) apiUniqTask(s vm.State) int {
	type group struct {
		count    int
		sessions []string
	}
	const shown = 10
	groups := map[string]*group{}
	h.tasks(func(_ *coroutine, id int64, stack func() string) {
		text := stack()
		g := groups[text]
		if g == nil {
			g = &group{}
			groups[text] = g
		}
		if g.count++; g.count < shown {
			g.sessions = append(g.sessions, strconv.FormatInt(id, 10))
		}
	})
	s.NewTable(0, len(groups))
	for stack, g := range groups {
		more := ""
		if g.count > shown {
			more = "..."
		}
		s.PushString(fmt.Sprintf("%d\tsessions:[%s%s]\n", g.count, strings.Join(g.sessions, ","), more))
		s.PushString(stack)
		s.RawSet(-3)
	}
	return 1
}
