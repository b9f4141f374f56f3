package lua

import (
	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
)

// begun is a coroutine that is to run, as it was when that was decided: wait is 0 for one that has not begun. A fork whose coroutine nobody has been given
// is only a job.
type begun struct {
	co   *coroutine
	life uint64
	wait int64
	fork *job
}

const (
	// maxNext bounds what a handler can put off, and maxRound how much of that runs before other messages do.
	maxNext  = 100_000
	maxRound = 1000
	// maxTimers bounds the timers of a service.
	maxTimers = 1_000_000
)

// wanted tells whether somebody takes the result of the running function.
func wanted(s vm.State) bool { return s.Wants() != 0 }

// takeCall keeps the function at index i and the arguments behind it as the job of a coroutine.
func takeCall(s vm.State, j *job, i int) {
	for n := s.Top(); n > i; n-- {
		j.args = append(j.args, s.Ref())
	}
	s.SetTop(i)
	j.fn, j.owned = s.Ref(), true
}

// drop forgets a job that is not going to run.
func (h *Host) drop(j *job) {
	s := h.vm.Main()
	if j.owned {
		s.Unref(j.fn)
	}
	for _, ref := range j.args {
		s.Unref(ref)
	}
	*j = job{args: j.args[:0]}
}

// apiFork runs a function behind the present message, as part of no request, and returns its coroutine.
func (h *Host) apiFork(s vm.State) int {
	h.still(s, "skynet.fork")
	checkFunction(s, 1, "skynet.fork")
	if h.leaving {
		return 0
	}
	if h.forks.len() >= maxNext {
		s.Errorf("skynet.fork: %d functions wait to run already", maxNext)
	}
	if !wanted(s) {
		fork := &job{}
		takeCall(s, fork, 1)
		h.forks.add(begun{fork: fork})
		return 0
	}
	co := h.coroutine()
	takeCall(s, &co.job, 1)
	h.forks.add(begun{co: co, life: co.life})
	s.PushThread(co.th)
	return 1
}

// beginFork runs what was forked, as part of no request.
func (h *Host) beginFork(b begun) {
	co := b.co
	switch {
	case b.fork != nil:
		co = h.coroutine()
		co.job = *b.fork
	case co.life != b.life:
		return // it has been stopped meanwhile
	}
	h.c.Detached(func() { h.begin(co) })
}

// timer is a skynet.timeout that is not due yet.
type timer struct {
	h          *Host
	fn         int
	id         int64
	co         *coroutine // that is to run fn, if the script has been given it; else one is taken when it is due
	timer      *actor.Timer
	trace      string // where it was made, see skynet.trace_timeout
	off        bool
	next, prev *timer
}

// apiTimeout runs the function of argument 2 when the time in 1/100 s of argument 1 has passed, as part of no request, and returns its coroutine.
func (h *Host) apiTimeout(s vm.State) int {
	h.still(s, "skynet.timeout")
	cs := timeAt(s, 1, "skynet.timeout")
	checkFunction(s, 2, "skynet.timeout")
	if h.timerCount >= maxTimers {
		s.Errorf("skynet.timeout: this service has %d timers already", maxTimers)
	}
	h.sessions++
	t := &timer{h: h, id: h.sessions}
	if h.traceTimers {
		t.trace = s.Traceback("TIMER")
	}
	s.SetTop(2)
	t.fn = s.Ref()
	if t.next = h.timers; t.next != nil {
		t.next.prev = t
	}
	h.timers = t
	h.timerCount++
	h.c.Detached(func() { t.timer = h.in(cs, t.due) })
	if !wanted(s) {
		return 0
	}
	t.co = h.coroutine()
	t.co.wait.id = t.id
	s.PushThread(t.co.th)
	return 1
}

// unlink takes the timer off its service's list, and tells whether it was there.
func (t *timer) unlink() bool {
	if t.off {
		return false
	}
	t.off = true
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		t.h.timers = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev = nil, nil
	t.h.timerCount--
	return true
}

// due runs the function.
func (t *timer) due() {
	if !t.unlink() {
		return
	}
	h, co := t.h, t.co
	if co == nil {
		co = h.coroutine()
	}
	co.wait.id = 0
	co.job.fn, co.job.owned = t.fn, true
	h.begin(co)
	h.runNext()
}

// runNext runs what was put off until after the present message: first those who were woken, then what was forked.
func (h *Host) runNext() {
	if h.cur != nil {
		return
	}
	for range maxRound {
		switch {
		case h.woken.len() > 0:
			h.wake(h.woken.take())
		case h.forks.len() > 0:
			h.beginFork(h.forks.take())
		default:
			return
		}
	}
	if !h.nextLater {
		h.nextLater = true // functions that fork on and on must not keep messages away
		h.c.Detached(func() {
			h.c.Resume(func() {
				h.nextLater = false
				h.runNext()
			})()
		})
	}
}

// queue is a first-in first-out list.
type queue struct {
	items []begun
	head  int
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) add(b begun) { q.items = append(q.items, b) }

func (q *queue) take() begun {
	b := q.items[q.head]
	q.items[q.head] = begun{}
	if q.head++; q.head == len(q.items) {
		const keep = 1024
		if cap(q.items) > keep {
			q.items = nil
		}
		q.items, q.head = q.items[:0], 0
	}
	return b
}
