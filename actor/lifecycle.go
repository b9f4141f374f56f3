package actor

import (
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// restarts is the history that supervision decides by.
type restarts struct {
	times   []time.Time
	waiting bool // for the pause and for the children to end
	paused  bool // the pause is not over
}

func (p *process) handleSystem() {
	for {
		p.mu.Lock()
		msgs := p.system
		p.system = nil
		p.urgent.Store(false)
		p.mu.Unlock()
		if len(msgs) == 0 {
			return
		}
		for i, m := range msgs {
			p.handleOne(m, msgs[i+1:])
		}
	}
}

// handleOne does what one message of the system says. Should it panic, those behind it go back.
func (p *process) handleOne(m systemMsg, behind []systemMsg) {
	done := false
	defer func() {
		if !done && len(behind) > 0 {
			p.mu.Lock()
			p.system = append(slices.Clone(behind), p.system...)
			p.urgent.Store(true)
			p.mu.Unlock()
		}
	}()
	switch m.op {
	case opStart:
		p.start()
	case opStop:
		p.beginStop(m.err)
	case opChildEnded:
		delete(p.children, m.proc)
		p.childrenEnded()
	case opRestart:
		if p.restarts.waiting { // else it was stopped meanwhile
			p.restarts.paused = false
			p.childrenEnded()
		}
	}
	done = true
}

// start makes the actor and runs its Start.
func (p *process) start() {
	p.actor = p.spec.New()
	s, ok := p.actor.(Starter)
	if ok {
		p.ctx.in = frame{}
		if err := s.Start(&p.ctx); err != nil {
			p.reportStart(err)
			p.abandon(err)
			return
		}
	}
	p.reportStart(nil)
}

func (p *process) reportStart(err error) {
	first := !p.startTold
	p.startTold = true
	if first && p.started != nil {
		p.started <- err
		return
	}
	if err != nil {
		p.ctx.Log().Error("start failed", "error", err)
	}
}

// failed is called after a panic: the asker is told, and supervision decides how to go on.
func (p *process) failed(reason any) {
	stack := string(debug.Stack())
	p.sys.fails.Add(1)
	err := &Error{Code: Failed, Actor: p.ctx.Name(), Text: fmt.Sprint(reason), Stack: stack}
	p.ctx.Log().Error("handler failed", "panic", err.Text, "message", fmt.Sprintf("%T", p.ctx.in.msg), "stack", stack)
	if r := p.ctx.in.req; r != nil {
		r.answer(nil, err)
	}
	p.ctx.in = frame{}
	p.mu.Lock()
	stopped := p.state != alive
	p.mu.Unlock()
	if stopped {
		p.hookDone = true
		p.endIfDone()
		return
	}
	if !p.startTold {
		p.reportStart(err)
		p.abandon(err)
		return
	}
	pause, ok := p.allowRestart(time.Now())
	if !ok {
		p.abandon(fmt.Errorf("%w: %w", ErrExhausted, err))
		return
	}
	p.beginRestart(pause)
}

// abandon stops an actor whose state can't be trusted: without its Stop, and without what it was waiting for.
func (p *process) abandon(reason error) {
	p.hookDone = true
	p.endLife()
	p.beginStop(reason)
}

// allowRestart tells how long to wait before the next restart, or that there were too many.
func (p *process) allowRestart(now time.Time) (time.Duration, bool) {
	sup := p.spec.Supervision
	p.restarts.times = slices.DeleteFunc(p.restarts.times, func(t time.Time) bool { return now.Sub(t) > sup.Within })
	n := len(p.restarts.times)
	if n >= sup.Limit {
		return 0, false
	}
	p.restarts.times = append(p.restarts.times, now)
	return sup.Backoff << min(n, 6), true
}

// beginRestart ends the actor's present life. Its messages wait, its children are stopped, what it waited for is forgotten.
func (p *process) beginRestart(pause time.Duration) {
	p.mu.Lock()
	p.paused = true
	p.mu.Unlock()
	p.endLife()
	p.restarts.waiting, p.restarts.paused = true, true
	(&restartTimer{p: p}).arm(pause)
	p.stopChildren(&Error{Code: Stopped, Actor: p.ctx.Name(), Text: "restarts"})
}

type restartTimer struct {
	timerNode
	p *process
}

func (t *restartTimer) arm(d time.Duration) {
	t.due = t
	t.p.sys.wheel.add(&t.timerNode, t.p.sys.tickAfter(d))
}

func (t *restartTimer) expire() { t.p.tell(systemMsg{op: opRestart}) }

// endLife forgets all timers, waits, watches and unanswered requests of the actor's present life.
func (p *process) endLife() {
	p.life++
	p.holds = 0
	for p.timers != nil {
		p.timers.Cancel()
	}
	if p.cancel != nil {
		p.cancel()
		p.base, p.cancel = nil, nil
	}
	for ref := range p.watching {
		if target := p.sys.process(ref); target != nil {
			target.removeWatcher(p)
		}
	}
	p.watching = nil
	p.failOpen()
}

// failOpen answers all requests that were left for later.
func (p *process) failOpen() {
	for {
		p.openMu.Lock()
		r := p.open
		p.openMu.Unlock()
		if r == nil {
			return
		}
		if !r.answer(nil, &Error{Code: Stopped, Actor: p.ctx.Name()}) {
			p.closeRequest(r) // whoever answered has not come to this yet
		}
	}
}

func (p *process) stopChildren(reason error) {
	p.endingChildren = true
	for child := range p.children {
		child.tell(systemMsg{op: opStop, err: reason})
	}
	p.childrenEnded()
}

// childrenEnded goes on with what had to wait for the children.
func (p *process) childrenEnded() {
	if !p.endingChildren || len(p.children) > 0 {
		return
	}
	p.mu.Lock()
	stop := p.state == stopping
	p.mu.Unlock()
	if stop {
		// The clock starts now, not earlier: children have clocks of their own, and this actor is still there for them.
		p.startTimer(p.spec.StopTimeout, 0, frame{}, p.stopTooLate)
		p.runStopHook()
		p.endIfDone()
		return
	}
	if !p.restarts.waiting || p.restarts.paused {
		return
	}
	p.restarts.waiting = false
	p.endingChildren = false
	p.mu.Lock()
	p.paused = false
	p.mu.Unlock()
	p.sys.restart.Add(1)
	p.start()
}

// beginStop refuses new messages, fails those that wait, and stops the children; what remains to be done then decides when the actor ends.
func (p *process) beginStop(reason error) {
	p.mu.Lock()
	if p.state != alive {
		p.mu.Unlock()
		return
	}
	p.state = stopping
	resting := p.paused
	p.paused = false
	waiting := p.queue
	p.queue = nil
	p.mu.Unlock()
	if resting {
		p.hookDone = true // the life that Stop would have been for has ended
	}
	p.restarts.waiting = false
	p.stopReason = reason
	rest := append(slices.Clone(p.batch[p.pos:]), waiting...)
	clear(p.batch[p.pos:])
	p.pos = len(p.batch)
	var keep []envelope
	for _, e := range rest {
		if e.kind.ordinary() {
			p.refuse(e)
			continue
		}
		keep = append(keep, e)
	}
	if len(keep) > 0 {
		p.mu.Lock()
		p.queue = append(keep, p.queue...)
		p.mu.Unlock()
	}
	p.stopChildren(reason)
}

func (p *process) refuse(e envelope) {
	switch {
	case e.kind != kindMessage:
	case e.req != nil:
		e.req.answer(nil, &Error{Code: Stopped, Actor: p.ctx.Name()})
	default:
		p.sys.dead.add(p.sys, p.self, e.from, e.msg, Stopped)
	}
}

func (p *process) runStopHook() {
	if p.hookDone {
		return
	}
	p.hookDone = true
	if s, ok := p.actor.(Stopper); ok {
		p.ctx.in = frame{}
		s.Stop(&p.ctx, p.stopReason)
		p.ctx.in = frame{}
	}
}

func (p *process) stopTooLate() {
	p.ctx.Log().Warn("did not stop in time", "timeout", p.spec.StopTimeout, "waiting for", p.holds)
	p.holds = 0
}

// endIfDone ends a stopping actor that waits for nothing any more.
func (p *process) endIfDone() {
	if !p.endingChildren || !p.hookDone || p.holds > 0 || len(p.children) > 0 {
		return
	}
	p.mu.Lock()
	if p.state != stopping {
		p.mu.Unlock()
		return
	}
	p.state = dead
	waiting := p.queue
	p.queue, p.system = nil, nil
	p.mu.Unlock()
	for _, e := range waiting {
		p.refuse(e)
	}
	p.endLife()
	p.actor = nil
	p.unregister()
	p.openMu.Lock()
	p.ended = true
	watchers, onEnd := p.watchers, p.onEnd
	p.watchers, p.onEnd = nil, nil
	p.openMu.Unlock()
	for w := range watchers {
		w.post(envelope{kind: kindTerminated, msg: Terminated{Ref: p.self, Reason: p.stopReason}}, nil)
	}
	if p.parent != nil {
		p.parent.tell(systemMsg{op: opChildEnded, proc: p})
	}
	for _, ch := range onEnd {
		close(ch)
	}
}

func (p *process) unregister() {
	s := p.sys
	s.mu.Lock()
	if p.spec.Name != "" {
		delete(s.names, p.spec.Name)
	}
	for _, name := range p.aliases {
		delete(s.names, name)
	}
	p.aliases, p.gone = nil, true
	if p.parent == nil {
		s.removeRoot(p)
	}
	s.mu.Unlock()
	s.table.remove(p)
}
