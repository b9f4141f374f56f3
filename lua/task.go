package lua

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

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
	s.PushThread(co.th)
	return 1
}

func (h *Host) stopThread(s vm.State, is func(co *coroutine) bool) *coroutine {
	for _, b := range h.forks.items[h.forks.head:] {
		if b.co != nil && b.co.life == b.life && is(b.co) {
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
		err := &Error{Script: h.script, Message: h.script + ": the handler's coroutine was stopped (skynet.killthread)"}
		if co.request && !co.replied {
			co.promise.Reply(nil, err)
		}
		h.stopCoroutine(co, err)
		return co
	}
	return nil
}

// stopCoroutine has a coroutine that waits not go on.
func (h *Host) stopCoroutine(co *coroutine, why error) {
	h.dropWait(co)
	h.unlink(co)
	co.life++
	if co.ends {
		co.span.End(why)
	}
	co.th.CloseThread()
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
	s.PushString(stackOf(h.starter.th))
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
			f(co, co.wait.id, func() string { return stackOf(co.th) })
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
