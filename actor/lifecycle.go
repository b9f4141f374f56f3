package actor

import "slices"

func (p *process) handleSystem() {
	for {
		p.mu.Lock()
		msgs := p.system.take()
		p.system = nil
		p.urgent.Store(false)
		p.mu.Unlock()
		if !p.begun {
			p.begun = true
			p.handleOne(func() { p.start(nil, nil) }, msgs)
		}
		if len(msgs) == 0 {
			return
		}
		for i, m := range msgs {
			p.handleOne(func() { p.handleSystemMsg(m) }, msgs[i+1:])
		}
	}
}

// handleOne does what one message of the system says. Should it panic, those behind it go back.
func (p *process) handleOne(do func(), behind []systemMsg) {
	done := false
	defer func() {
		if !done && len(behind) > 0 {
			p.mu.Lock()
			p.system = &systemMsgs{list: append(slices.Clone(behind), p.system.take()...)}
			p.urgent.Store(true)
			p.mu.Unlock()
		}
	}()
	do()
	done = true
}

func (p *process) handleSystemMsg(m systemMsg) {
	switch m.op {
	case opStop:
		p.beginStop(m.err)
	case opKill:
		p.kill(m.err)
	case opChildEnded:
		delete(p.children, m.proc)
		p.childrenEnded()
	case opChildFailed:
		p.restartSiblings(m)
	case opEscalated:
		if p.isStopping() { // it ends anyway, and properly
			return
		}
		p.fail(&Error{Code: Failed, Actor: p.name(), Text: m.err.Error()})
	case opRestart:
		p.endPause()
	case opRestarted:
		p.restartToo(m.pause)
	case opAlarm:
		p.alarmed()
	case opTap, opUntap:
		p.setTap(m.tap, m.op == opTap)
	case opHold, opRelease:
		p.hold(m.op == opHold)
	case opLook, opBeat: // that it was come to is all
	}
}

func (p *process) isStopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state != alive
}

// start makes the actor and runs its Start. from is its predecessor that failed, if there was one.
func (p *process) start(from Actor, failure error) {
	p.actor = p.anew()
	p.noteBody()
	p.worker.enter(frame{})
	if h, ok := p.actor.(Inheritor); ok && from != nil {
		h.Inherit(from, failure)
	}
	if s, ok := p.actor.(Starter); ok {
		if err := s.Start(&p.ctx); err != nil {
			p.startFailed(err)
			return
		}
	}
	p.reportStart(nil)
}

// startFailed ends an actor that can't begin; one that was there before tries again.
func (p *process) startFailed(err error) {
	if p.startTold {
		p.fail(&Error{Code: Failed, Actor: p.name(), Text: "start: " + err.Error()})
		return
	}
	p.reportStart(err)
	p.forsake(err)
}

// reportStart tells whoever waits for the first Start.
func (p *process) reportStart(err error) {
	if p.startTold {
		return
	}
	p.openMu.Lock()
	p.startTold = true
	begin := p.begin
	if begin != nil {
		begin.err = err
		close(begin.done)
	}
	if err == nil {
		p.begin = nil // nobody who comes later has to wait
	}
	p.openMu.Unlock()
	if err != nil && begin == nil {
		p.ctx.Log().Error("start failed", "error", err)
	}
}

// beginning is a first Start for which somebody outside of all actors waits.
type beginning struct {
	done chan struct{}
	err  error // when done is closed
}

// whenBegun is nil when the first Start is over and was no failure.
func (p *process) whenBegun() *beginning {
	p.openMu.Lock()
	defer p.openMu.Unlock()
	if p.begin == nil && !p.startTold {
		p.begin = &beginning{done: make(chan struct{})}
	}
	return p.begin
}

// whenEnded is closed when the actor has ended.
func (p *process) whenEnded() <-chan struct{} {
	p.openMu.Lock()
	defer p.openMu.Unlock()
	if p.end == nil {
		p.end = make(chan struct{})
		if p.ended {
			close(p.end)
		}
	}
	return p.end
}

// forsake stops an actor whose state can't be trusted: without its Stop, and without what it was waiting for.
func (p *process) forsake(reason error) {
	p.hookDone = true
	p.endLife()
	p.beginStop(reason)
}

// kill ends an actor, or hurries the end that it has begun.
func (p *process) kill(reason error) {
	p.killed = true
	if !p.endingChildren || p.restarts != nil && p.restarts.waiting {
		p.forsake(reason)
		return
	}
	p.hookDone = true
	p.holds = 0
	p.tellChildren(systemMsg{op: opKill, err: p.stopReason})
	p.endIfDone()
}

// endLife forgets all timers, waits, watches, subscriptions and unanswered requests of the actor's present life.
func (p *process) endLife() {
	p.giveUp()
	p.life++
	p.holds = 0
	for p.timers != nil {
		p.timers.Cancel()
	}
	if p.rare != nil {
		p.rare.atStop = nil
	}
	if p.rare != nil && p.rare.cancel != nil {
		p.rare.cancel()
		p.rare.base, p.rare.cancel = nil, nil
	}
	for ref := range p.watching {
		p.unwatch(ref)
	}
	p.watching = nil
	p.unsubscribeAll()
	p.failOpen()
}

func (p *process) stopChildren(reason error) {
	p.endingChildren = true
	m := systemMsg{op: opStop, err: reason}
	if p.killed {
		m.op = opKill
	}
	p.tellChildren(m)
	p.childrenEnded()
}

func (p *process) tellChildren(m systemMsg) {
	for child := range p.children {
		child.tell(m)
	}
}

// childrenEnded goes on with what had to wait for the children.
func (p *process) childrenEnded() {
	if !p.endingChildren || len(p.children) > 0 {
		return
	}
	p.mu.Lock()
	stop := p.state == stopping
	p.mu.Unlock()
	if !stop {
		p.restartIfReady()
		return
	}
	p.runStopHook()
	if p.holds > 0 {
		// The clock starts now, not earlier: children have clocks of their own, and this actor is still there for them.
		p.startTimer(p.opts.stopTimeout, 0, nil, p.stopTooLate)
	}
	p.endIfDone()
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
	p.paused, p.held = false, false
	waiting := p.waiting()
	p.mu.Unlock()
	if resting {
		p.hookDone = true // the life that Stop would have been for has ended
	}
	if p.restarts != nil {
		p.restarts.waiting = false
	}
	p.stopReason = reason
	w := p.worker
	rest := append(slices.Clone(w.batch[w.pos:]), waiting...)
	clear(w.batch[w.pos:])
	w.batch = w.batch[:w.pos]
	var keep []envelope
	for _, e := range rest {
		if e.kind.ordinary() {
			p.refuse(e)
			continue
		}
		keep = append(keep, e)
	}
	p.putFirst(keep)
	p.stopChildren(reason)
}

// putFirst puts messages before those that wait.
func (p *process) putFirst(e []envelope) {
	if len(e) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch l := p.limits; {
	case p.state == dead:
	case l != nil:
		for _, m := range slices.Backward(e) {
			p.putBack(m)
		}
	default:
		p.addBlock(slices.Clone(e), true)
	}
}

func (p *process) refuse(e envelope) {
	switch {
	case !e.kind.bounded():
	case e.req != nil:
		e.req.answer(nil, &Error{Code: Stopped, Actor: p.name()})
	default:
		p.sys.dead.add(p.sys, p.self, e.from, e.content(), Stopped)
	}
}

func (p *process) runStopHook() {
	if p.hookDone {
		return
	}
	p.hookDone = true
	if s, ok := p.actor.(Stopper); ok {
		p.worker.enter(frame{})
		s.Stop(&p.ctx, p.stopReason)
		p.worker.enter(frame{})
	}
	if p.rare == nil {
		return
	}
	for len(p.rare.atStop) > 0 { // each may take others back
		f := p.rare.atStop[0]
		p.rare.atStop = p.rare.atStop[1:]
		(*f)()
		p.worker.enter(frame{})
	}
}

func (p *process) stopTooLate() {
	p.ctx.Log().Warn("did not stop in time", "timeout", p.opts.stopTimeout, "waiting for", p.holds)
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
	waiting := p.waiting()
	p.system = nil
	p.mu.Unlock()
	for _, e := range waiting {
		p.refuse(e)
	}
	p.endLife()
	p.actor = nil
	p.noteBody()
	p.unregister()
	p.openMu.Lock()
	p.ended = true
	watchers, end := p.watchers, p.end
	p.watchers = nil
	p.openMu.Unlock()
	for w := range watchers {
		w.post(envelope{kind: kindTerminated, msg: Terminated{Ref: p.self, Reason: p.stopReason}}, nil)
	}
	if p.parent != nil {
		p.parent.tell(systemMsg{op: opChildEnded, proc: p})
	}
	if end != nil {
		close(end)
	}
}

func (p *process) unregister() {
	s := p.sys
	s.mu.Lock()
	if p.named != "" {
		delete(s.names, p.named)
	}
	if p.aliases != nil {
		for _, name := range *p.aliases {
			delete(s.names, name)
		}
	}
	p.aliases, p.gone = nil, true
	if p.parent == nil {
		s.removeRoot(p)
	}
	s.mu.Unlock()
	s.table.remove(p)
}

// unwatch has nobody tell p of the other's end.
func (p *process) unwatch(ref Ref) {
	if remote := ref.away(); remote != nil {
		remote.Unwatch(p.self, ref)
	} else if target := p.sys.process(ref); target != nil {
		target.removeWatcher(p)
	}
}

func (p *process) addWatcher(w *process) bool {
	p.openMu.Lock()
	defer p.openMu.Unlock()
	if p.ended {
		return false
	}
	if p.watchers == nil {
		p.watchers = map[*process]struct{}{}
	}
	p.watchers[w] = struct{}{}
	return true
}

func (p *process) removeWatcher(w *process) {
	p.openMu.Lock()
	defer p.openMu.Unlock()
	delete(p.watchers, w)
}
