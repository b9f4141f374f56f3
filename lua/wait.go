package lua

import (
	"fmt"
	"math"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua/vm"
)

// wait is what a coroutine waits for.
type wait struct {
	kind  waitKind
	id    int64 // the session of the wait, as Skynet calls it; 0 if there is none
	call  actor.Call
	to    actor.Ref
	proto *protocol // that unpacks the answer, nil if it is left packed
	timer *actor.Timer
	token int // a reference to what skynet.wakeup names
	woken bool
}

type waitKind uint8

const (
	waitNone waitKind = iota
	waitCall
	waitSleep
	waitWake   // until skynet.wakeup
	waitModule // for what a module in Go waits for
	waitEver   // the service ends
)

// beginWait prepares the running coroutine for a Yield that the library will resume.
func (h *Host) beginWait(s vm.State, kind waitKind, what string) *coroutine {
	co := h.cur
	if co == nil {
		s.Errorf("%s: a wait is possible in a handler only", what)
	}
	h.dropWait(co) // of one that could not begin: where the engine can't yield, it ends with an error at once
	co.yield = yieldWait
	h.sessions++
	co.wait.kind, co.wait.id = kind, h.sessions
	return co
}

// dropWait ends what a coroutine waits for, so that it does not come to it any more.
func (h *Host) dropWait(co *coroutine) {
	w := &co.wait
	if w.kind == waitNone {
		return
	}
	switch w.kind {
	case waitCall:
		w.call.Cancel()
	case waitSleep, waitWake:
		if w.timer != nil {
			w.timer.Cancel()
		}
		h.forgetToken(co)
	}
	*w = wait{}
}

// timed bounds the timeout of a call by the deadline that a coroutine that has been woken had before.
func (co *coroutine) timed(timeout time.Duration) time.Duration {
	if !co.adrift || co.deadline.IsZero() || co.replied {
		return timeout
	}
	return min(timeout, max(time.Until(co.deadline), 1))
}

// ask sends a request for the running coroutine and waits for the answer.
func (h *Host) ask(s vm.State, to actor.Ref, msg any, timeout time.Duration, p *protocol, what string) int {
	co := h.beginWait(s, waitCall, what)
	co.wait.to, co.wait.proto = to, p
	co.wait.call = h.c.AskFor(to, msg, co.timed(timeout), co.answer)
	return s.Yield(0)
}

// answered goes on with a coroutine when its call has been answered.
func (h *Host) answered(co *coroutine, v any, err error) {
	if co.wait.kind != waitCall {
		return
	}
	w := co.wait
	co.wait = wait{}
	h.goOn(co, w, v, err)
	h.runNext()
}

// goOn resumes a coroutine with an answer.
func (h *Host) goOn(co *coroutine, w wait, v any, err error) {
	s := co.th
	if err == nil {
		var n int
		if n, err = h.pushAnswer(s, w.proto, v); err == nil {
			h.resume(co, n, false)
			return
		}
	}
	if raised, ok := err.(raisedError); ok { //nolint:errorlint // it is never wrapped
		raised.main.Move(s, 1)
	} else {
		h.pushError(s, err)
	}
	h.resume(co, 1, true)
}

// raisedError is an error of a script's function that unpacks; its value is on top of the main thread.
type raisedError struct{ main vm.State }

func (raisedError) Error() string { return "an error of the script" }

// pushAnswer pushes the values of an answer and returns how many there are.
func (h *Host) pushAnswer(s vm.State, p *protocol, v any) (int, error) {
	raw, l, err := answerOf(v)
	if err != nil {
		return 0, err
	}
	switch {
	case p == nil:
		pushBuffer(s, raw, l)
		return 2, nil
	case p.unpack == 0 && !raw:
		return PushList(s, l), nil
	}
	main := h.vm.Main()
	top := main.Top()
	main.PushFunc("unpack", func(s vm.State) int { return h.pushUnpacked(s, p, raw, l) })
	h.began = time.Time{}
	if err := main.PCall(0, vm.VariadicResults); err != nil {
		return 0, raisedError{main}
	}
	n := main.Top() - top
	main.Move(s, n)
	return n, nil
}

// answerOf is an answer as scripts can read it.
func answerOf(v any) (raw bool, l value.List, err error) {
	switch v := v.(type) {
	case value.List:
		return false, v, nil
	case Bytes:
		return true, textList(string(v)), nil
	case nil:
		return false, value.List{}, nil
	case actor.Ref:
		var b value.Builder
		if v.IsRemote() {
			b.String(v.Address())
		} else {
			b.Int(int64(v.ID()))
		}
		return false, b.List(), nil
	}
	var b value.Builder
	if err := b.Any(v); err != nil {
		return false, value.List{}, fmt.Errorf("lua: the answer is a %T, which no script can read", v)
	}
	return false, b.List(), nil
}

// centiseconds is a time in 1/100 s, of which a script may give a fraction.
func centiseconds(cs float64) time.Duration {
	const most = float64(1<<62) / float64(10*time.Millisecond)
	return time.Duration(min(max(cs, 0), most) * float64(10*time.Millisecond))
}

// in runs f when the time in 1/100 s has passed; no time at all is as soon as the messages that wait now have been handled.
func (h *Host) in(cs float64, f func()) *actor.Timer {
	if cs <= 0 {
		h.c.Resume(f)()
		return nil
	}
	return h.c.After(centiseconds(cs), f)
}

func timeAt(s vm.State, i int, what string) float64 {
	cs, ok := s.Float(i)
	if !ok || math.IsNaN(cs) {
		s.Errorf("%s: a time in 1/100 s is expected as argument %d, got %s", what, i, s.Type(i))
	}
	return cs
}

// maxSleepers bounds the coroutines that sleep or wait.
const maxSleepers = 1_000_000

// sleepOn prepares a wait under the token at index i; without one, under the coroutine that calls.
func (h *Host) sleepOn(s vm.State, i int, kind waitKind, what string) *coroutine {
	if len(h.sleepers) >= maxSleepers {
		s.Errorf("%s: %d coroutines of this service sleep or wait already", what, maxSleepers)
	}
	if t := s.Type(i); t == vm.None || t == vm.Nil {
		s.SetTop(i - 1)
		s.PushThread(s)
	} else {
		s.SetTop(i)
	}
	if f, ok := s.Float(i); ok && math.IsNaN(f) {
		s.Errorf("%s: the token is not a number", what)
	}
	if h.tokens == 0 {
		s.NewTable(0, 4)
		h.tokens = s.Ref()
		h.sleepers = map[int64]*coroutine{}
	}
	s.Push(h.tokens)
	s.Copy(i)
	s.RawGet(i + 1)
	if s.Type(-1) != vm.Nil {
		s.Errorf("%s: the token is used by another wait", what)
	}
	s.Pop(1)
	co := h.beginWait(s, kind, what)
	if co.request && !co.replied && !co.adrift {
		co.deadline, _ = h.c.Deadline()
	}
	s.Copy(i)
	s.PushInt(co.wait.id)
	s.RawSet(i + 1)
	s.Pop(1)
	co.wait.token = s.Ref()
	h.sleepers[co.wait.id] = co
	h.traced(s, co, "sleep")
	return co
}

// forgetToken takes a coroutine off those that can be woken.
func (h *Host) forgetToken(co *coroutine) {
	delete(h.sleepers, co.wait.id)
	s := h.vm.Main()
	s.Push(h.tokens)
	s.Push(co.wait.token)
	s.PushNil()
	s.RawSet(-3)
	s.Pop(1)
	s.Unref(co.wait.token)
}

// apiSleep lets the time in 1/100 s of argument 1 pass; it returns "BREAK" if skynet.wakeup of the token, argument 2, ended it early.
func (h *Host) apiSleep(s vm.State) int {
	cs := timeAt(s, 1, "skynet.sleep")
	return h.sleep(s, cs, h.sleepOn(s, 2, waitSleep, "skynet.sleep"))
}

func (h *Host) apiYield(s vm.State) int {
	s.SetTop(1)
	return h.sleep(s, 0, h.sleepOn(s, 2, waitSleep, "skynet.yield"))
}

func (h *Host) sleep(s vm.State, cs float64, co *coroutine) int {
	id := co.wait.id
	co.wait.timer = h.in(cs, func() {
		if co.wait.id == id && !co.wait.woken {
			h.dropWait(co)
			h.resume(co, 0, false)
		}
		h.runNext()
	})
	return s.Yield(0)
}

// apiWait waits until skynet.wakeup of the token, argument 1.
func (h *Host) apiWait(s vm.State) int {
	h.sleepOn(s, 1, waitWake, "skynet.wait")
	return s.Yield(0)
}

// apiWakeup has who waits under the token of argument 1 go on as soon as the running coroutine waits or ends.
func (h *Host) apiWakeup(s vm.State) int {
	if h.tokens == 0 || s.Type(1) == vm.None || s.Type(1) == vm.Nil {
		s.PushBool(false)
		return 1
	}
	s.SetTop(1)
	s.Push(h.tokens)
	s.Copy(1)
	s.RawGet(2)
	id, _ := s.Int(-1)
	co := h.sleepers[id]
	if co != nil && !co.wait.woken {
		co.wait.woken = true
		if co.wait.timer != nil {
			co.wait.timer.Cancel()
			co.wait.timer = nil
		}
		h.woken.add(begun{co: co, life: co.life, wait: id})
	}
	s.PushBool(co != nil)
	return 1
}

// wake resumes a coroutine that skynet.wakeup has named. It goes on as part of its own message: the trace and the deadline of that are its own, not those of who
// woke it.
func (h *Host) wake(b begun) {
	co := b.co
	if co.life != b.life || co.wait.id != b.wait {
		return
	}
	n := 0
	if co.wait.kind == waitSleep {
		n = 1
	}
	h.dropWait(co)
	if n == 1 {
		co.th.PushString("BREAK")
	}
	co.adrift = true
	h.c.Within(co.span, func() { h.resume(co, n, false) })
}
