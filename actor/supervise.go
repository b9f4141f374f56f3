package actor

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// restarts is the history that supervision decides by.
type restarts struct {
	timerNode // of the pause
	p         *process
	times     []time.Time
	waiting   bool  // for the pause and for the children to end
	paused    bool  // the pause is not over
	from      Actor // that failed,
	failure   error // with this
}

// failed is called after a panic: the asker is told, and supervision decides how to go on.
func (p *process) failed(reason any) {
	stack := string(debug.Stack())
	err := &Error{Code: Failed, Actor: p.name(), Text: fmt.Sprint(reason), Stack: stack}
	w := p.worker
	p.ctx.Log().Error("handler failed", "panic", err.Text, "message", typeName(w.in.msg), "stack", stack)
	if r := w.in.req; r != nil && !w.forwarded {
		r.answer(nil, err)
	}
	p.failSpan(err)
	w.enter(frame{})
	p.fail(err)
}

// fail has supervision decide how to go on after a failure.
func (p *process) fail(err error) {
	p.sys.fails.Add(1)
	p.mu.Lock()
	stopped := p.state != alive
	p.mu.Unlock()
	if stopped {
		p.hookDone, p.holds = true, 0
		p.endIfDone()
		return
	}
	if !p.startTold {
		p.reportStart(err)
		p.forsake(err)
		return
	}
	if r := p.restarts; r != nil && r.waiting { // its child has escalated while it is about to begin anew anyway
		return
	}
	pause, ok := p.allowRestart(time.Now())
	if !ok {
		p.exhausted(err)
		return
	}
	if p.parent != nil {
		p.parent.tell(systemMsg{op: opChildFailed, proc: p, pause: int64(pause)})
	}
	p.beginRestart(pause, err)
}

// exhausted ends an actor that has failed too often.
func (p *process) exhausted(err error) {
	err = fmt.Errorf("%w: %w", ErrExhausted, err)
	p.ctx.Log().Error("ends, because it failed too often", "error", err)
	if p.opts.supervision.Escalate && p.parent != nil {
		p.parent.tell(systemMsg{op: opEscalated, err: fmt.Errorf("child %s: %w", p.name(), err)})
	}
	p.forsake(err)
}

// allowRestart tells how long to wait before the next restart, or that there were too many.
func (p *process) allowRestart(now time.Time) (time.Duration, bool) {
	sup := p.opts.supervision
	r := p.history()
	r.times = slices.DeleteFunc(r.times, func(t time.Time) bool { return now.Sub(t) > sup.Within })
	n := len(r.times)
	if n >= sup.Limit {
		return 0, false
	}
	r.times = append(r.times, now)
	return sup.Backoff << min(n, 6), true
}

func (p *process) history() *restarts {
	if p.restarts == nil {
		p.restarts = &restarts{p: p}
		p.restarts.due = p.restarts
	}
	return p.restarts
}

// beginRestart ends the actor's present life. Its messages wait, its children are stopped, what it waited for is forgotten.
func (p *process) beginRestart(pause time.Duration, failure error) {
	p.mu.Lock()
	p.paused = true
	p.mu.Unlock()
	p.endLife()
	r := p.history()
	r.waiting, r.paused = true, true
	r.failure = failure
	if p.actor != nil {
		r.from = p.actor
	}
	p.sys.wheel.cancel(&r.timerNode)
	p.sys.wheel.add(&r.timerNode, p.sys.tickAfter(pause))
	p.stopChildren(&Error{Code: Stopped, Actor: p.name(), Text: "restarts"})
}

// expire ends the pause. It is called on the wheel's goroutine.
func (r *restarts) expire() { r.p.tell(systemMsg{op: opRestart}) }

func (p *process) endPause() {
	if p.restarts.waiting { // else it was stopped meanwhile
		p.restarts.paused = false
		p.childrenEnded()
	}
}

// restartIfReady makes the actor anew when its pause and its children are over.
func (p *process) restartIfReady() {
	r := p.restarts
	if !r.waiting || r.paused {
		return
	}
	r.waiting = false
	p.endingChildren = false
	p.mu.Lock()
	p.paused = false
	p.mu.Unlock()
	p.sys.restart.Add(1)
	from, failure := r.from, r.failure
	r.from, r.failure = nil, nil
	p.start(from, failure)
}

// restartSiblings restarts the other children of an actor whose child has failed.
func (p *process) restartSiblings(m systemMsg) {
	if !p.opts.allForOne || p.endingChildren {
		return
	}
	for child := range p.children {
		if child != m.proc {
			child.tell(systemMsg{op: opRestarted, pause: m.pause})
		}
	}
}

// errSibling is what an actor has failed with that is restarted because another one is.
var errSibling = errors.New("actor: another child of the same parent failed")

// restartToo restarts an actor that has not failed itself, and does not count it.
func (p *process) restartToo(pause int64) {
	p.mu.Lock()
	able := p.state == alive && !p.paused
	p.mu.Unlock()
	if able && p.startTold {
		p.beginRestart(time.Duration(pause), errSibling)
	}
}
