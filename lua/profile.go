package lua

import (
	"time"

	"github.com/skua-go/skua/lua/vm"
)

// stopwatch counts the time that a coroutine runs, its waits left out.
type stopwatch struct {
	on    bool
	since time.Time
	sum   time.Duration
}

func (w *stopwatch) resumed() {
	if w.on {
		w.since = time.Now()
	}
}

func (w *stopwatch) stopped() {
	if w.on {
		w.sum += time.Since(w.since)
	}
}

// profiled is the coroutine that skynet.profile is about: the running one, which may be named as argument 1.
func (h *Host) profiled(s vm.State, what string) *coroutine {
	co := h.cur
	if co == nil {
		s.Errorf("%s: only a handler can be measured", what)
	}
	if s.Type(1) == vm.Thread && !s.Same(1, co.th) && !s.Same(1, s) {
		s.Errorf("%s: only the running coroutine can be measured", what)
	}
	return co
}

// innerProfileStart begins to count the time that the handler runs.
func (h *Host) innerProfileStart(s vm.State) int {
	co := h.profiled(s, "profile.start")
	if co.watch.on {
		s.Errorf("profile.start: it has been called for this coroutine already")
	}
	co.watch = stopwatch{on: true, since: time.Now()}
	return 0
}

// innerProfileStop returns the time, in seconds.
func (h *Host) innerProfileStop(s vm.State) int {
	co := h.profiled(s, "profile.stop")
	if !co.watch.on {
		s.Errorf("profile.stop: profile.start has not been called for this coroutine")
	}
	co.watch.stopped()
	s.PushFloat(co.watch.sum.Seconds())
	co.watch = stopwatch{}
	return 1
}

// innerHandler pushes the coroutine that the running handler began in.
func (h *Host) innerHandler(s vm.State) int {
	if h.cur == nil {
		return 0
	}
	s.PushThread(h.cur.th)
	return 1
}
