package actor

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
)

// process is an actor with its mailbox and everything that the runtime keeps about it. Fields without a lock belong to the worker that
// runs it; there is one at a time.
type process struct {
	mailbox
	sys    *System
	self   Ref
	spec   Spec
	parent *process
	actor  Actor
	ctx    Context
	log    *slog.Logger

	worker  *worker    // that runs it
	emptied []envelope // the last batch, to be the next queue
	batch   []envelope // what was taken from the mailbox,
	pos     int        // handled up to here

	life     uint32 // counts restarts
	holds    int    // answers, work and Holds that have not come back
	children map[*process]struct{}
	timers   *Timer
	started  chan error // gets the result of the first Start, for Spawn from outside; nil for a child
	restarts restarts

	startTold      bool // the result of the first Start is known
	endingChildren bool // children are being stopped, for an end or a restart
	hookDone       bool // Stop has been called, or need not be
	stopReason     error

	base   context.Context //nolint:containedctx // the lifetime of work that this actor gave away
	cancel context.CancelFunc

	openMu   sync.Mutex
	open     *request // requests that were handled but not answered yet
	watchers map[*process]struct{}
	onEnd    []chan struct{}
	ended    bool

	watching map[Ref]struct{} // whose end this actor is to be told

	// Guarded by sys.mu.
	aliases            []string
	gone               bool // it has no names any more, and must not get one
	nextRoot, prevRoot *process
}

// systemMsg is what the runtime itself tells a process.
type systemMsg struct {
	op   op
	err  error
	proc *process
}

type op uint8

const (
	opStart op = iota
	opStop
	opChildEnded
	opRestart
)

// resume is something that goes on in an actor: work that came back, a call from outside.
type resume struct {
	life uint32
	in   frame
	held bool
	run  func()
}

// post puts e into the mailbox, and tells why it can't: the actor has ended, or is about to and takes no new messages.
func (p *process) post(e envelope, w *worker) Code {
	p.mu.Lock()
	if p.state != alive && (p.state == dead || e.kind.ordinary()) {
		p.mu.Unlock()
		return Stopped
	}
	if len(p.queue) == cap(p.queue) {
		p.queue = grown(p.queue)
	}
	p.queue = append(p.queue, e)
	warn := len(p.queue) >= p.warnAt
	if warn {
		p.warnAt *= 2
	}
	wake := !p.scheduled && !p.paused
	if wake {
		p.scheduled = true
	}
	n := len(p.queue)
	p.mu.Unlock()
	if wake {
		p.sys.disp.schedule(p, w)
	}
	if warn {
		p.sys.log.Warn("mailbox is long", "actor", p.sys.nameOf(p.self), "messages", n, "newest", fmt.Sprintf("%T", e.msg))
	}
	return 0
}

// tell gives the process a message of the system, ahead of all others.
func (p *process) tell(m systemMsg) {
	p.mu.Lock()
	if p.state == dead {
		p.mu.Unlock()
		return
	}
	p.system = append(p.system, m)
	p.urgent.Store(true)
	wake := !p.scheduled
	p.scheduled = true
	p.mu.Unlock()
	if wake {
		p.sys.disp.run(p)
	}
}

// run handles messages until there are none, or the actor ends or pauses.
func (p *process) run(w *worker) {
	p.worker = w
	handled := 0
	for {
		p.mu.Lock()
		if len(p.system) > 0 {
			p.mu.Unlock()
			p.step()
			continue
		}
		if len(p.queue) == 0 && handled >= streaming && p.state == alive {
			// Whoever keeps it so busy will send more at once: looking again is cheaper than being woken again.
			handled = 0
			p.mu.Unlock()
			runtime.Gosched()
			continue
		}
		if p.state == dead || p.paused || len(p.queue) == 0 {
			p.scheduled = false
			p.warnAt = firstWarning
			if len(p.queue) == 0 {
				p.queue = restingQueue(p.queue, p.emptied)
				p.emptied = nil
			}
			p.mu.Unlock()
			return
		}
		p.batch, p.pos, p.queue = p.queue, 0, p.emptied
		p.emptied = nil
		if len(p.batch) < firstWarning {
			p.warnAt = firstWarning // not before: an actor that stays behind would warn at each batch
		}
		p.mu.Unlock()
		for p.pos < len(p.batch) && p.step() {
		}
		handled += p.pos
		p.putBack()
	}
}

// streaming is how many messages in a row make an actor look for more before it rests.
const streaming = 16

// putBack returns what was not handled to the head of the mailbox, and the batch to those who need one.
func (p *process) putBack() {
	rest := p.batch[p.pos:]
	if len(rest) > 0 {
		p.mu.Lock()
		if p.state != dead {
			p.queue = append(slices.Clone(rest), p.queue...)
		}
		p.mu.Unlock()
	}
	clear(p.batch)
	p.ctx.in = frame{}
	p.emptied = p.batch[:0]
	p.batch, p.pos = nil, 0
}

// step handles messages of the batch until it is empty, one panics, or the actor may not go on; the latter is false.
func (p *process) step() (goOn bool) {
	defer func() {
		if r := recover(); r != nil {
			p.failed(r)
			goOn = !p.halted()
		}
	}()
	for {
		if p.urgent.Load() {
			p.handleSystem()
			if p.halted() {
				return false
			}
		}
		if p.pos >= len(p.batch) {
			return true
		}
		e := &p.batch[p.pos]
		p.pos++
		if p.pos&(handOver-1) == 0 && p.worker.after.Load() != nil {
			p.worker.give()
		}
		p.handle(e)
		if p.endingChildren {
			p.endIfDone()
			if p.halted() {
				return false
			}
		}
	}
}

func (p *process) halted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == dead || p.paused
}

func (p *process) handle(e *envelope) {
	switch e.kind {
	case kindMessage:
		p.receive(e)
	case kindAnswer:
		r := e.req
		if r.life == p.life {
			p.ctx.in = r.in
			p.release()
			r.then(r.value, r.err)
		}
	case kindResume:
		switch m := e.msg.(type) {
		case *Timer:
			if m.life == p.life {
				p.ctx.in = m.in
				m.fire()
			}
		case *resume:
			if m.life == p.life {
				p.ctx.in = m.in
				if m.held {
					p.release()
				}
				m.run()
			}
		}
	case kindTerminated:
		t := e.msg.(Terminated) //nolint:forcetypeassert // nothing else has this kind
		if _, watches := p.watching[t.Ref]; watches {
			delete(p.watching, t.Ref)
			p.receive(e)
		}
	case kindDrain:
		p.tell(systemMsg{op: opStop})
	}
}

func (p *process) receive(e *envelope) {
	if e.req != nil && e.req.done() {
		return // nobody waits any more: its deadline has passed
	}
	p.ctx.in = frame{msg: e.msg, from: e.from, req: e.req}
	p.actor.Receive(&p.ctx, e.msg)
	if e.req != nil {
		p.keepOpen(e.req)
	}
}

// release ends a hold. The actor may end with it, but only after the continuation that follows, see endIfDone.
func (p *process) release() { p.holds-- }

// keepOpen remembers a request that its handler has left for later, so that its asker hears if the actor ends before.
func (p *process) keepOpen(r *request) {
	if r.moved || r.done() {
		return
	}
	p.openMu.Lock()
	defer p.openMu.Unlock()
	if r.done() {
		return
	}
	r.open = true
	r.nextOpen = p.open
	if p.open != nil {
		p.open.prevOpen = r
	}
	p.open = r
}

func (p *process) closeRequest(r *request) {
	p.openMu.Lock()
	defer p.openMu.Unlock()
	if !r.open {
		return
	}
	r.open = false
	if r.prevOpen != nil {
		r.prevOpen.nextOpen = r.nextOpen
	} else {
		p.open = r.nextOpen
	}
	if r.nextOpen != nil {
		r.nextOpen.prevOpen = r.prevOpen
	}
	r.nextOpen, r.prevOpen = nil, nil
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

// whenEnded is closed when the process has ended.
func (p *process) whenEnded() <-chan struct{} {
	ch := make(chan struct{})
	p.openMu.Lock()
	defer p.openMu.Unlock()
	if p.ended {
		close(ch)
		return ch
	}
	p.onEnd = append(p.onEnd, ch)
	return ch
}

func (p *process) lifetime() context.Context {
	if p.base == nil {
		p.base, p.cancel = context.WithCancel(p.sys.ctx)
	}
	return p.base
}
