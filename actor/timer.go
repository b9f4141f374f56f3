package actor

import "time"

// Timer is a pending After or Every of an actor. Only that actor may use it.
type Timer struct {
	timerNode
	life   uint32
	off    bool
	p      *process
	in     *frame
	period time.Duration
	at     time.Duration // of a periodic timer: when it is due, since the wheel was made
	f      func()

	nextTimer, prevTimer *Timer // links of p.timers
}

func (p *process) startTimer(d, period time.Duration, in *frame, f func()) *Timer {
	t := &Timer{p: p, in: in, life: p.life, period: period, f: f}
	t.due = t
	t.nextTimer = p.timers
	if p.timers != nil {
		p.timers.prevTimer = t
	}
	p.timers = t
	t.at = p.sys.wheel.passed() + min(d, longest)
	p.sys.wheel.add(&t.timerNode, tickAt(t.at))
	return t
}

func (t *Timer) frame() frame {
	if t.in == nil {
		return frame{}
	}
	return *t.in
}

// Cancel disarms the timer and tells whether it was still to fire. After it, f does not run.
func (t *Timer) Cancel() bool {
	if t.off {
		return false
	}
	t.end()
	t.p.sys.wheel.cancel(&t.timerNode)
	return true
}

// end takes the timer off its actor's list.
func (t *Timer) end() {
	t.off = true
	if t.prevTimer != nil {
		t.prevTimer.nextTimer = t.nextTimer
	} else {
		t.p.timers = t.nextTimer
	}
	if t.nextTimer != nil {
		t.nextTimer.prevTimer = t.prevTimer
	}
	t.nextTimer, t.prevTimer = nil, nil
}

// expire is called on the wheel's goroutine.
func (t *Timer) expire() { t.p.post(envelope{kind: kindResume, msg: t}, nil) }

// fire is called in the actor.
func (t *Timer) fire() {
	if t.off {
		return
	}
	if t.period == 0 {
		t.end()
	} else {
		// The next time is counted from the last one, so that a late firing does not shift all others; those missed are left out.
		late := t.p.sys.wheel.passed() - t.at
		missed := max(0, (late-1)/t.period)
		t.at += t.period + missed*t.period //nolint:durationcheck // a count
		t.p.sys.wheel.add(&t.timerNode, tickAt(t.at))
	}
	t.f()
}
