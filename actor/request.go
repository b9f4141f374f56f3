package actor

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// request is one question on its way: who asked, what to do with the answer, and until when. It is answered at most once, by whoever
// comes first: the handler, its deadline, the end of the actor that was asked, or an asker that gives up.
type request struct {
	sys    *System
	asker  *process                // nil when the question came from outside of all actors
	parent atomic.Pointer[request] // as part of which it was asked, if that is not answered
	then   func(any, error)
	in     frame // the message that the asker was handling
	to     Ref
	when   int64 // its deadline, in ticks
	since  int64 // when it was asked, in ns of the dispatcher; 0 if it is not measured
	life   uint32
	inline bool  // then is called by whoever completes the request, and not in the asker
	depth  uint8 // how many requests waited for this one when it was made
	hops   uint8 // how often it has been forwarded
	before uint8 // how many requests of other nodes wait for it
	listed bool  // in sys.waits
	open   bool  // in callee.open, guarded by callee.openMu

	state     atomic.Uint32
	opening   atomic.Bool // it is, or is about to be, in callee.open
	followed  atomic.Bool // the callee does something that ends when nobody waits any more
	callee    *process
	forwarded atomic.Pointer[request]
	call      atomic.Uint64        // its number with the Remote that has it; 0 if none has
	span      atomic.Pointer[Span] // of its handler

	value any
	err   error

	nextOpen, prevOpen   *request // of callee.open, guarded by callee.openMu
	nextAsked, prevAsked *request // of asker.asked, which the asker's worker owns
	kids                 *request // asked as part of this one and not answered yet; the callee's worker owns them
	nextKid, prevKid     *request
}

// States of a request.
const (
	unanswered uint32 = iota
	answered
	expired // its deadline has passed
	givenUp // the asker gave up, or ended
)

// abandoned tells whether nobody waits for an answer that has not come.
func (r *request) abandoned() bool { return r.state.Load() >= expired }

// abandon completes the request without an answer of whom it was sent to; with why, its own reason or that of the request on whose behalf it was made.
func (r *request) abandon(why uint32) {
	code := Canceled
	if why == expired {
		code = Deadline
	}
	r.complete(why, nil, &Error{Code: code, Actor: r.sys.nameOf(r.to)}, nil)
}

const (
	// maxHops is how often a request may be forwarded. What is handed on more often goes in a circle.
	maxHops = 64
	// maxDepth is how many requests may wait for each other in a chain.
	maxDepth = 100
)

// answer completes the request and tells whether this was its first answer.
func (r *request) answer(v any, err error) bool { return r.complete(answered, v, err, nil) }

func (r *request) complete(state uint32, v any, err error, w *worker) bool {
	if !r.state.CompareAndSwap(unanswered, state) {
		return false
	}
	if r.opening.Load() {
		r.callee.closeRequest(r)
	}
	r.endSpan(err)
	if r.since != 0 {
		r.measured(err)
	}
	if state >= expired {
		if next := r.forwarded.Load(); next != nil {
			next.complete(state, nil, err, w)
		}
		if r.followed.Load() {
			r.callee.post(envelope{kind: kindGivenUp, req: r}, w)
		}
		if call := r.call.Load(); call != 0 {
			r.to.away().GiveUp(r.to, call, state == expired)
		}
	}
	if r.inline {
		r.then(v, err)
		return true
	}
	r.value, r.err = v, err
	r.asker.post(envelope{kind: kindAnswer, req: r}, w)
	return true
}

// deadline is when nobody waits any more.
func (r *request) deadline() time.Time { return r.sys.wheel.machine(tickTime(r.when)) }

// whenIn is the deadline in ticks of another system, whose clock began at another time.
func (r *request) whenIn(s *System) int64 {
	if r.sys == s {
		return r.when
	}
	return tickAt(s.wheel.until(r.deadline()))
}

func (r *request) done() bool { return r.state.Load() != unanswered }

// wanted tells whether somebody still waits for the answer, and for what depends on it.
func (r *request) wanted() bool {
	for a := r.parent.Load(); a != nil && a.state.Load() != answered; a = a.parent.Load() {
		if a.abandoned() {
			r.abandon(a.state.Load())
			return false
		}
	}
	return !r.done()
}

// outside is a request that no actor made, so the wheel keeps its deadline.
type outside struct {
	request
	timerNode
}

func (o *outside) expire() {
	o.abandon(expired)
}

// Call is a request that an actor has made, so that it can give it up.
type Call struct{ r *request }

// Cancel gives the request up: its continuation does not run, and who handles it learns that nobody waits: what it has asked for or given to Go on behalf of it
// is given up too. It tells false when the answer has been dealt with before. Only the actor that asked may call it.
func (c Call) Cancel() bool {
	r := c.r
	if r == nil || r.then == nil {
		return false
	}
	p := r.asker
	r.abandon(givenUp)
	if r.life == p.life {
		p.unask(r)
		p.holds--
	}
	r.then = nil
	return true
}

// Promise answers a request later, from whatever message or goroutine has the answer. The zero Promise answers nobody.
type Promise struct{ req *request }

// Reply answers the request; it tells false when it had been answered before or nobody waits any more.
func (p Promise) Reply(v any, err error) bool {
	return p.req != nil && p.req.answer(v, err)
}

// Open tells whether somebody still waits for the answer.
func (p Promise) Open() bool { return p.req != nil && !p.req.done() }

// ask sends r. An answer, if only that there is nobody, comes to r in any case.
func (s *System) ask(r *request, from Ref, msg any, w *worker) {
	p := s.process(r.to)
	if p == nil {
		if remote := r.to.away(); remote != nil {
			s.askAway(remote, r, from, msg)
			return
		}
		r.answer(nil, s.absent(r.to))
		return
	}
	if r.callee == nil {
		r.callee = p
	}
	if p.serial() {
		chain := ""
		if r.waitsFor(p) {
			chain = r.chain(p)
		} else if r.asker != nil && r.asker.serial() {
			chain = s.waits.circle(r)
		}
		if chain != "" {
			r.answer(nil, &Error{Code: Cycle, Actor: p.name(), Text: chain})
			return
		}
	}
	if r.depth > maxDepth && r.waiting() > maxDepth {
		r.answer(nil, &Error{Code: Cycle, Actor: p.name(), Text: "too many wait for each other: " + r.chain(nil)})
		return
	}
	e := newEnvelope(msg, from, r.in.span) // a frame of the asker's, which others must not look into
	e.req = r
	if code := p.post(e, w); code != 0 {
		r.answer(nil, &Error{Code: code, Actor: s.nameOf(r.to)})
	}
}

// waitsFor tells whether the request was made on behalf of one that p has made, and will not be handled while p waits for that.
func (r *request) waitsFor(p *process) bool {
	for a := r; a != nil && !a.done(); a = a.parent.Load() { // what has been answered makes nobody wait
		if a.asker == p {
			return true
		}
	}
	return false
}

// waiting is how many requests wait for this one. Depth, which counts those that waited when it was made, is at least as large.
func (r *request) waiting() (n int) {
	n = int(r.before)
	for a := r.parent.Load(); a != nil && !a.done(); a = a.parent.Load() {
		n += 1 + int(a.before)
	}
	return n
}

// chain names who waits for whom, up to the actor that was asked; from is where it begins, nil for the last few.
func (r *request) chain(from *process) string {
	const some = 8
	names := []string{r.sys.nameOf(r.to)}
	for a := r; a != nil && a.asker != nil; a = a.parent.Load() {
		names = append(names, a.asker.name())
		if a.asker == from {
			break
		}
		if from == nil && len(names) == some {
			names = append(names, "...")
			break
		}
	}
	slices.Reverse(names)
	return strings.Join(names, " waits for ")
}

// alarm wakes an actor when an answer that it waits for is late. It is set to the earliest deadline that there was, not to each one: most answers come in
// time, and then nothing was set and nothing needs be taken back.
type alarm struct {
	timerNode
	p  *process
	at int64 // never when it is not set
}

func (a *alarm) expire() { a.p.tell(systemMsg{op: opAlarm}) }

// awaits has the actor wait for r's answer.
func (p *process) awaits(r *request) {
	p.holds++
	r.nextAsked = p.asked
	if p.asked != nil {
		p.asked.prevAsked = r
	}
	p.asked = r
	if parent := r.parent.Load(); parent != nil {
		r.nextKid = parent.kids
		if parent.kids != nil {
			parent.kids.prevKid = r
		}
		parent.kids = r
		p.follow(parent)
	}
	p.alarmAt(r.when)
}

// serial tells whether the actor finishes one message before it takes the next.
func (p *process) serial() bool { return p.limits != nil && p.limits.serial }

// follow has the actor learn when nobody waits for r any more.
func (p *process) follow(r *request) {
	r.followed.Store(true)
	if r.abandoned() { // and whoever made it so may not have seen that somebody follows
		p.post(envelope{kind: kindGivenUp, req: r}, nil)
	}
}

func (p *process) alarmAt(when int64) {
	if p.alarm == nil {
		p.alarm = &alarm{p: p, at: never}
		p.alarm.due = p.alarm
	}
	if when >= p.alarm.at {
		return
	}
	p.alarm.at = when
	p.sys.wheel.cancel(&p.alarm.timerNode)
	p.sys.wheel.add(&p.alarm.timerNode, when)
}

// unask is the opposite of awaits.
func (p *process) unask(r *request) {
	if r.listed {
		p.sys.waits.remove(r)
	}
	if r.prevAsked != nil {
		r.prevAsked.nextAsked = r.nextAsked
	} else {
		p.asked = r.nextAsked
	}
	if r.nextAsked != nil {
		r.nextAsked.prevAsked = r.prevAsked
	}
	r.nextAsked, r.prevAsked = nil, nil
	parent := r.parent.Swap(nil) // else a ring of requests would keep all that ever were
	if parent == nil {
		return
	}
	if r.prevKid != nil {
		r.prevKid.nextKid = r.nextKid
	} else {
		parent.kids = r.nextKid
	}
	if r.nextKid != nil {
		r.nextKid.prevKid = r.prevKid
	}
	r.nextKid, r.prevKid = nil, nil
}

// answered goes on with the answer to what this actor asked.
func (p *process) answered(r *request) {
	if r.life != p.life || r.then == nil {
		return
	}
	p.unask(r)
	p.holds--
	p.worker.enter(r.in)
	then := r.then
	r.in, r.then = frame{}, nil // others may keep the request; what led to it ends here
	then(r.value, r.err)
}

// alarmed ends the requests that are late, and waits for the next one.
func (p *process) alarmed() {
	if p.alarm == nil {
		return
	}
	p.alarm.at = never
	now, next := p.sys.wheel.ticks(), never
	for r := p.asked; r != nil; r = r.nextAsked {
		switch {
		case r.done():
		case r.when <= now:
			r.abandon(expired)
		default:
			next = min(next, r.when)
		}
	}
	if next != never {
		p.alarmAt(next)
	}
}

// giveUp ends all that the actor has asked for, because it ends itself or begins a new life.
func (p *process) giveUp() {
	for p.asked != nil {
		r := p.asked
		p.unask(r)
		r.abandon(givenUp)
		r.then = nil
	}
	if p.alarm != nil {
		p.sys.wheel.cancel(&p.alarm.timerNode)
		p.alarm.at = never
	}
}

// dropWork ends what was begun for a request for whose answer nobody waits any more.
func (p *process) dropWork(r *request) {
	for kid := r.kids; kid != nil; kid = kid.nextKid {
		kid.abandon(r.state.Load())
	}
	if p.rare == nil {
		return
	}
	for w := p.rare.works; w != nil; w = w.next {
		if w.in.req == r {
			w.cancel()
		}
	}
}

// keepOpen remembers a request that its handler has left for later, so that its asker hears if the actor ends before.
func (p *process) keepOpen(r *request) {
	if r.done() {
		return
	}
	p.openMu.Lock()
	defer p.openMu.Unlock()
	// Whoever completes the request from now on sees that it is opening and waits for the lock; whoever did before is seen here.
	r.opening.Store(true)
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
	if !r.open {
		p.openMu.Unlock()
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
	free := p.open == nil
	p.openMu.Unlock()
	if free && p.serial() {
		p.tell(systemMsg{op: opLook})
	}
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
		if !r.answer(nil, &Error{Code: Stopped, Actor: p.name()}) {
			p.closeRequest(r) // whoever answered has not come to this yet
		}
	}
}
