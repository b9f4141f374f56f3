package lua

import (
	"fmt"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// detached runs f soon as part of no request: what it asks has deadlines of its own.
func (h *Host) detached(f func()) {
	h.next = append(h.next, func() { h.c.Detached(f) })
}

// takeCall keeps the function at index i and the arguments behind it, and returns how to push them.
func takeCall(s vm.State, i int) func(s vm.State) int {
	refs := make([]int, 0, s.Top())
	for n := s.Top(); n > i; n-- {
		refs = append(refs, s.Ref())
	}
	s.SetTop(i)
	f := s.Ref()
	return func(s vm.State) int {
		s.Push(f)
		s.Unref(f)
		for n := len(refs) - 1; n >= 0; n-- {
			s.Push(refs[n])
			s.Unref(refs[n])
		}
		return len(refs)
	}
}

func (h *Host) apiFork(s vm.State) int {
	checkFunction(s, 1, "skynet.fork")
	if len(h.next) >= maxNext {
		s.Errorf("skynet.fork: %d functions wait to run already", maxNext)
	}
	push := takeCall(s, 1)
	h.detached(func() { h.run(coroutine{}, push) })
	return 0
}

func (h *Host) apiTimeout(s vm.State) int {
	cs, ok := s.Float(1)
	if !ok {
		s.Errorf("skynet.timeout: a time in 1/100 s is expected, got %s", s.Type(1))
	}
	checkFunction(s, 2, "skynet.timeout")
	push := takeCall(s, 2)
	h.c.Detached(func() {
		h.in(cs, h.after(func() { h.run(coroutine{}, push) }))
	})
	return 0
}

// in runs f when the time in 1/100 s has passed; no time at all is as soon as the messages that wait now have been handled.
func (h *Host) in(cs float64, f func()) *actor.Timer {
	if cs <= 0 {
		h.c.Resume(f)()
		return nil
	}
	return h.c.After(centiseconds(cs), f)
}

// apiSleep waits for the time in 1/100 s of argument 1 under the number of argument 2, by which apiWakeup ends it early.
func (h *Host) apiSleep(s vm.State) int {
	cs, ok := s.Float(1)
	if !ok {
		s.Errorf("skynet.sleep: a time in 1/100 s is expected, got %s", s.Type(1))
	}
	id, _ := s.Int(2)
	sl := &sleeper{waiter: h.wait(s, "skynet.sleep")}
	h.sleepers[id] = sl
	sl.timer = h.in(cs, h.after(func() {
		if h.sleepers[id] == sl {
			delete(h.sleepers, id)
			if sl.waits() {
				h.resume(sl.co, 0)
			}
		}
	}))
	return s.Yield(0)
}

// apiWait waits under the number of argument 1 until apiWakeup.
func (h *Host) apiWait(s vm.State) int {
	id, _ := s.Int(1)
	h.sleepers[id] = &sleeper{waiter: h.wait(s, "skynet.wait")}
	return s.Yield(0)
}

func (h *Host) apiWakeup(s vm.State) int {
	id, _ := s.Int(1)
	sl, ok := h.sleepers[id]
	if !ok {
		return 0
	}
	delete(h.sleepers, id)
	if sl.timer != nil {
		sl.timer.Cancel()
	}
	h.next = append(h.next, func() {
		if sl.waits() {
			sl.co.th.PushString("BREAK")
			h.resume(sl.co, 1)
		}
	})
	return 0
}

func (h *Host) apiSelf(s vm.State) int {
	s.PushInt(int64(h.c.Self().ID()))
	return 1
}

func (h *Host) apiAddress(s vm.State) int {
	if id, ok := s.Int(1); ok {
		s.PushString(fmt.Sprintf(":%08x", id))
	} else {
		s.PushString(s.Text(1))
	}
	return 1
}

func (h *Host) apiLocalName(s vm.State) int {
	name, _ := s.String(1)
	ref, ok := h.c.System().Lookup(strings.TrimPrefix(name, "."))
	if !ok {
		return 0
	}
	s.PushInt(int64(ref.ID()))
	return 1
}

func (h *Host) apiRegister(s vm.State) int {
	name, ok := s.String(1)
	name = strings.TrimPrefix(name, ".")
	if !ok || name == "" {
		s.Errorf("skynet.register: a name is expected, got %s", s.Type(1))
	}
	ref := h.c.Self()
	if s.Top() >= 2 {
		ref = h.address(s, 2)
	}
	if err := h.c.System().Register(name, ref); err != nil {
		s.Errorf("skynet.register: %s", err.Error())
	}
	return 0
}

// apiExit ends the service behind the present message; the coroutine that calls it does not go on.
func (h *Host) apiExit(s vm.State) int {
	if h.cur != nil && s == h.cur.th {
		h.cur.yield = yieldWait
		h.leave()
		return s.Yield(0)
	}
	h.leave()
	return 0
}

func (h *Host) apiKill(s vm.State) int {
	h.c.Stop(h.address(s, 1), nil)
	return 0
}

func (h *Host) apiAbort(vm.State) int {
	h.rt.cfg.Abort()
	return 0
}

// apiNow is the time in 1/100 s since the runtime started, by the clock of the actors: tests of scripts move it.
func (h *Host) apiNow(s vm.State) int {
	s.PushInt(int64(h.c.System().Now().Sub(h.rt.started) / (10 * time.Millisecond)))
	return 1
}

func (h *Host) apiTime(s vm.State) int {
	s.PushFloat(float64(h.c.System().Now().UnixMilli()/10) / 100)
	return 1
}

func (h *Host) apiStartTime(s vm.State) int {
	s.PushInt(h.rt.started.Unix())
	return 1
}

func (h *Host) apiHPC(s vm.State) int {
	s.PushInt(time.Since(h.rt.started).Nanoseconds())
	return 1
}

func (h *Host) apiGetenv(s vm.State) int {
	key, _ := s.String(1)
	if v, ok := h.rt.getenv(key); ok {
		s.PushString(v)
		return 1
	}
	return 0
}

func (h *Host) apiSetenv(s vm.State) int {
	key, ok := s.String(1)
	if !ok || s.Type(2) == vm.None {
		s.Errorf("skynet.setenv: a name and a value are expected")
	}
	if err := h.rt.setenv(key, s.Text(2)); err != nil {
		s.Errorf("%s", err.Error())
	}
	return 0
}

func (h *Host) apiError(s vm.State) int {
	h.log.Info(joined(s, 1))
	return 0
}
