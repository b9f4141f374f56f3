package actor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
)

// process is an actor with its mailbox and everything that the runtime keeps about it. Fields without a lock belong to the worker that
// runs it; there is one at a time.
type process struct {
	mailbox
	sys    *System
	self   Ref
	named  string
	anew   func() Actor
	opts   *options
	parent *process
	actor  Actor
	ctx    Context
	worker *worker // that runs it, or has last

	holds    int32  // answers, work and Holds that have not come back
	life     uint32 // counts restarts
	asked    *request
	alarm    *alarm // for the deadlines of asked
	children map[*process]struct{}
	watching map[Ref]struct{} // whose end this actor is to be told
	timers   *Timer
	restarts *restarts
	rare     *rare

	begun          bool // New and Start have been called
	observed       bool // somebody wants to know of each message
	startTold      bool // the result of the first Start is known
	endingChildren bool // children are being stopped, for an end or a restart
	hookDone       bool // Stop has been called, or need not be
	killed         bool // its children end as it does
	stopReason     error

	openMu    sync.Mutex
	ended     bool
	bodyLines atomic.Uint32 // of the caches, for Prefetch
	open      *request      // requests that were handled but not answered yet
	watchers  map[*process]struct{}
	begin     *beginning
	end       chan struct{}

	// Guarded by sys.mu.
	gone               bool // it has no names any more, and must not get one
	aliases            *[]string
	nextRoot, prevRoot *process

	nextReady *process // in the dispatcher's queue, guarded by its lock

	body atomic.Pointer[byte] // where actor points to, for Prefetch
}

// rare is what few actors have.
type rare struct {
	log      *slog.Logger
	base     context.Context //nolint:containedctx // the lifetime of work that this actor gave away
	cancel   context.CancelFunc
	works    *work    // given away, not come back
	topics   []string // subscribed to
	taps     []*tap
	handling Span // of the message that is being handled and is no request
	atStop   []*func()
}

func (p *process) more() *rare {
	if p.rare == nil {
		p.rare = &rare{}
	}
	return p.rare
}

// systemMsg is what the runtime itself tells a process.
type systemMsg struct {
	op    op
	err   error
	proc  *process
	pause int64
	tap   *tap
}

// systemMsgs are those that wait. There is mostly one.
type systemMsgs struct {
	list  []systemMsg
	first [1]systemMsg
}

func (s *systemMsgs) take() []systemMsg {
	if s == nil {
		return nil
	}
	return s.list
}

type op uint8

const (
	opStop op = iota
	opKill
	opChildEnded
	opChildFailed
	opEscalated
	opRestart
	opRestarted
	opAlarm
	opLook
	opBeat
	opTap
	opUntap
	opHold
	opRelease
)

// resume is something that goes on in an actor: work that came back, a call from outside.
type resume struct {
	life uint32
	held bool
	in   frame
	work *work
	run  func()
}

// fairShare is how many messages an actor may handle while others wait for a worker.
const fairShare = 256

// run handles messages until there are none, or the actor ends or pauses.
func (p *process) run(w *worker) {
	if len(w.batch) > 0 { // of a predecessor whose goroutine was ended by a handler
		p.finishBatch(w, !p.halted())
	}
	handled, looks := 0, 0
	for {
		if p.urgent.Load() {
			p.step(w)
			continue
		}
		switch {
		case handled >= streaming && !w.guest && w.counted > 0 && w.counted < smallBatch && w.idle():
			w.yield(lookRest) // each look stops the sender for a moment
		case w.clock-w.yielded > yieldAfter:
			w.yield(1)
		}
		waits := p.limits != nil && p.busyWithLast()
		p.mu.Lock()
		if w.counted > 0 {
			handled += p.count(w)
		}
		if p.system != nil {
			p.mu.Unlock()
			continue
		}
		if p.state == dead || p.resting() {
			p.rest(w)
			return
		}
		if w.hasStayed(handled) || handled >= fairShare && w.d.ready.Load() > 0 {
			p.mu.Unlock()
			w.d.push(p)
			return
		}
		if !p.fetch(w, waits) {
			if looks >= maxLooks || handled < streaming || w.guest || !w.idle() || p.state != alive {
				p.rest(w)
				return
			}
			// Whoever keeps it so busy will send more at once: looking again is cheaper than being woken again.
			p.mu.Unlock()
			looks++
			w.yield(lookRest)
			continue
		}
		looks = 0
		p.mu.Unlock()
		p.finishBatch(w, true)
	}
}

const (
	// streaming is how many messages in a row make an actor look for more before it rests,
	streaming = 16
	// up to maxLooks times in a row,
	maxLooks = 4
	// with lookRest turns of others in between, so that more than one message has come.
	lookRest = 16
	// smallBatch is how many messages are too few to look for more of them at once.
	smallBatch = 64
)

// fetch takes what is to be handled next. The mailbox's lock is held.
func (p *process) fetch(w *worker, waits bool) bool {
	if p.limits != nil {
		e, ok := p.pop(waits)
		if !ok {
			return false
		}
		w.one[0] = e
		w.batch = w.one[:]
	} else {
		n := p.length()
		if n == 0 {
			return false
		}
		w.batch, w.emptied = p.takeBlock(w.emptied)
		p.most = max(p.most, uint32(n))
		p.calmDown(w, n)
	}
	w.pos, w.counted = 0, 0
	p.taken = uint32(len(w.batch))
	p.rounds++
	return true
}

// rest leaves the process to whoever wakes it. The mailbox's lock is held, and released.
func (p *process) rest(w *worker) {
	p.scheduled = false
	if p.limits == nil && p.length() == 0 {
		p.keepSmall(w.emptied)
		w.emptied = nil
	}
	p.mu.Unlock()
}

// count adds what the worker has done since it last counted, and returns how many messages that were. The mailbox's lock is held.
func (p *process) count(w *worker) int {
	now := w.d.now()
	p.busy += now - w.clock
	n := w.counted
	if n > 0 {
		p.opts.times.add(w.part, now-w.clock, n)
	}
	w.clock = now
	w.counted = 0
	p.processed += uint64(n)
	p.taken = 0
	return n
}

// finishBatch handles what the worker has taken from the mailbox, and puts back what can't be handled now.
func (p *process) finishBatch(w *worker, goOn bool) {
	for goOn && w.pos < len(w.batch) {
		goOn = p.step(w)
	}
	p.putFirst(w.batch[w.pos:])
	w.counted = w.pos
	clear(w.batch)
	if p.limits == nil {
		recycle(w.emptied)
		w.emptied = reusable(w.batch)
	}
	w.batch, w.pos = nil, 0
}

// step handles messages of the batch until it is empty, one panics, or the actor may not go on; the latter is false.
func (p *process) step(w *worker) (goOn bool) {
	if turn := p.opts.turn; turn != nil {
		turn.Lock()
		defer turn.Unlock()
	}
	p.worker = w // in its turn, and not before: others who share the turn may look
	done := false
	defer func() {
		if done {
			return
		}
		r := recover()
		if r == nil {
			r = errGoexit // the goroutine ends, and another one goes on for it
		}
		p.failed(r)
		goOn = !p.halted()
	}()
	goOn = p.steps()
	done = true
	return goOn
}

func (p *process) steps() bool {
	w := p.worker
	for {
		if p.urgent.Load() {
			p.handleSystem()
			if p.halted() {
				return false
			}
		}
		if w.pos >= len(w.batch) {
			return true
		}
		e := &w.batch[w.pos]
		w.pos++
		if w.pos&(handOver-1) == 0 && w.after.Load() != nil && w.d.now()-w.clock > keepFor {
			w.give()
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
	return p.state == dead || p.resting()
}

func (p *process) handle(e *envelope) {
	w := p.worker
	switch e.kind {
	case kindMessage, kindTraced:
		p.receive(e)
	case kindAnswer:
		p.answered(e.req)
	case kindResume:
		switch m := e.msg.(type) {
		case *Timer:
			if m.life == p.life {
				w.enter(m.frame())
				m.fire()
			}
		case *resume:
			p.resumed(m)
		}
	case kindTerminated:
		t := e.msg.(Terminated) //nolint:forcetypeassert // nothing else has this kind
		if _, watches := p.watching[t.Ref]; watches {
			delete(p.watching, t.Ref)
			p.receive(e)
		}
	case kindDrain:
		reason, _ := e.msg.(error)
		p.tell(systemMsg{op: opStop, err: reason})
	case kindGivenUp:
		p.dropWork(e.req)
	case kindGone:
	}
}

func (p *process) receive(e *envelope) {
	r := e.req
	if r != nil && !r.wanted() {
		return
	}
	w := p.worker
	w.enter(frame{msg: e.content(), from: e.from, req: r})
	if p.observed {
		p.observe(e)
	}
	p.actor.Receive(&p.ctx, w.in.msg)
	if r != nil {
		if !w.forwarded {
			p.keepOpen(r)
		}
	} else if p.observed {
		p.endSpan(nil)
	}
}

// resumed goes on with what work has brought back, or what was called from outside.
func (p *process) resumed(m *resume) {
	if m.work != nil {
		p.worked(m.work)
	}
	if m.life != p.life {
		return
	}
	p.worker.enter(m.in)
	if m.held {
		p.holds--
	}
	m.run()
}

// busyWithLast tells whether a serial actor has not finished its last message.
func (p *process) busyWithLast() bool {
	if !p.limits.serial {
		return false
	}
	if p.holds > 0 {
		return true
	}
	p.openMu.Lock()
	defer p.openMu.Unlock()
	return p.open != nil
}

func (p *process) name() string {
	if p.named != "" {
		return p.named
	}
	return p.self.String()
}

func (p *process) lifetime() context.Context {
	m := p.more()
	if m.base == nil {
		m.base, m.cancel = context.WithCancel(p.sys.ctx)
	}
	return m.base
}
