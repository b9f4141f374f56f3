package actor

import (
	"context"
	"slices"
)

// Scheduler decides when actors run, in place of the system's workers.
type Scheduler interface {
	// Ready is called when an actor has something to do, from any goroutine; it must not block and must not call Step itself. It is not called again for
	// that actor before a Step of it has returned false.
	Ready(r Runnable)
	// Await runs actors until done is closed. Who calls Spawn waits in it.
	Await(done <-chan struct{})
}

// Runnable is an actor that has something to do.
type Runnable struct{ p *process }

// Ref is the actor.
func (r Runnable) Ref() Ref { return r.p.self }

// Step has the actor handle its next message and whatever the runtime itself has told it, in the calling goroutine, and tells whether there is more to do.
// Steps of one actor must not overlap.
func (r Runnable) Step() (more bool) {
	p := r.p
	w := &worker{d: &p.sys.disp}
	w.clock = w.d.now()
	if p.urgent.Load() {
		p.step(w)
	} else {
		waits := p.limits != nil && p.busyWithLast()
		p.mu.Lock()
		ok := !p.resting() && p.state != dead && p.fetchOne(w, waits)
		p.mu.Unlock()
		if ok {
			p.finishBatch(w, true)
		}
	}
	waits := p.limits != nil && p.busyWithLast()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(w)
	p.scheduled = p.system != nil || !p.resting() && p.state != dead && p.has(waits)
	return p.scheduled
}

// fetchOne takes one message. The mailbox's lock is held.
func (p *process) fetchOne(w *worker, waits bool) bool {
	if p.limits != nil {
		return p.fetch(w, waits)
	}
	n := p.length()
	if n == 0 {
		return false
	}
	p.most = max(p.most, uint32(n))
	p.rounds++
	block, _ := p.takeBlock(nil)
	w.batch = block[:1:1]
	if len(block) > 1 {
		p.addBlock(block[1:], true)
	}
	return true
}

// has tells whether there is a message to be handled now. The mailbox's lock is held.
func (p *process) has(waits bool) bool {
	l := p.limits
	if l == nil {
		return p.length() > 0
	}
	if l.asideAt < len(l.aside) {
		return true
	}
	return !waits && slices.ContainsFunc(p.queue[l.head:], func(e envelope) bool { return e.kind != kindGone })
}

// await waits until done is closed, ctx ends, or end is closed.
func (s *System) await(ctx context.Context, done, end <-chan struct{}) {
	wait := func() {
		select {
		case <-done:
		case <-ctx.Done():
		case <-end:
		}
	}
	if s.disp.scheduler == nil {
		wait()
		return
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		wait()
	}()
	s.disp.scheduler.Await(over)
}
