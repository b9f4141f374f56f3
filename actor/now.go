package actor

import "sync"

// guests are goroutines from outside that run actors for a while, see System.SendNow. Each has a worker meanwhile, which rescue and the monitor look at as they
// do at the dispatcher's own; but guests count as nobody's cores, and are never waited for.
type guests struct {
	mu     sync.Mutex
	idle   []*worker
	all    []*worker // the idle ones too
	closed bool
	gone   chan struct{} // closed when the last one has left, after closed
}

const (
	// maxGuests workers without a guest stay for later.
	maxGuests = 64
	// guestShare is how many messages of one actor a guest handles,
	guestShare = 64
	// and guestTime how many ns it stays, between messages: whoever it is has work of its own.
	guestTime = 200_000
)

// SendNow is Send for a caller that has time: when the actor has nothing to do, its turn, and the turns of those that it wakes, run on the calling goroutine
// before SendNow returns. A request from outside then costs no switch between goroutines. When the actor is busy, the message waits as any other, and SendNow
// returns at once; so it does when a System's Config has a Scheduler.
//
// Everything else is as with Send: messages are handled in the order sent, an actor handles one at a time, failures are supervised, and a handler that
// does not return is logged. After some 200 µs what is left is handed to the system's own workers. The caller must hold no lock that a handler might want,
// must not be in a handler itself, and has to bear with one that blocks, which then blocks the caller. A handler that calls runtime.Goexit ends the
// caller's goroutine, not the actor's work.
func (s *System) SendNow(to Ref, msg any) {
	p := s.process(to)
	if p == nil {
		s.sendAway(to, Ref{}, msg, nil)
		return
	}
	w := s.disp.invite()
	if code := p.post(envelope{msg: msg}, w); code != 0 {
		s.dead.add(s, to, Ref{}, msg, code)
	}
	if w != nil {
		w.visit(w.after.Swap(nil))
	}
}

// invite gives the calling goroutine a worker, unless actors are run by others only.
func (d *dispatcher) invite() *worker {
	if d.scheduler != nil {
		return nil
	}
	g := &d.guests
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	if n := len(g.idle); n > 0 {
		w := g.idle[n-1]
		g.idle[n-1] = nil
		g.idle = g.idle[:n-1]
		return w
	}
	w := &worker{d: d, guest: true, index: len(g.all), part: uint8(len(g.all) % timeParts)}
	g.all = append(g.all, w)
	return w
}

// dismiss takes the worker back.
func (d *dispatcher) dismiss(w *worker) {
	g := &d.guests
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.idle) < maxGuests {
		g.idle = append(g.idle, w)
	} else {
		last := len(g.all) - 1
		g.all[w.index] = g.all[last]
		g.all[w.index].index = w.index
		g.all[last] = nil
		g.all = g.all[:last]
	}
	if g.closed && len(g.idle) == len(g.all) {
		close(g.gone)
	}
}

// visit runs p, and those that it wakes, on the calling goroutine, and gives the worker back.
func (w *worker) visit(p *process) {
	finished := p == nil
	defer func() {
		if finished {
			w.d.dismiss(w)
			return
		}
		go w.visit(w.current.Load()) // a handler called runtime.Goexit; it ends as the others do
	}()
	if p == nil {
		return
	}
	w.clock = w.d.now()
	w.begun, w.yielded = w.clock, w.clock
	w.d.monitor.watch()
	for p != nil {
		w.current.Store(p)
		p.run(w)
		if w.clock-w.begun > guestTime {
			w.give()
		}
		p = nil
		if w.after.Load() != nil {
			p = w.after.Swap(nil)
		}
	}
	w.current.Store(nil)
	w.enter(frame{}) // keep nothing alive
	recycle(w.emptied)
	w.emptied = nil
	finished = true
}

// hasStayed tells whether a guest should leave the actor, of which it has handled so many messages, to others.
func (w *worker) hasStayed(handled int) bool {
	return w.guest && handled > 0 && (handled >= guestShare || w.clock-w.begun > guestTime)
}

// busy calls f with each guest that runs an actor.
func (g *guests) busy(f func(w *worker, p *process)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.all {
		if p := w.current.Load(); p != nil {
			f(w, p)
		}
	}
}

// close lets nobody in any more and waits until the last one has left.
func (g *guests) close() {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		<-g.gone
		return
	}
	g.closed, g.gone = true, make(chan struct{})
	if len(g.idle) == len(g.all) {
		close(g.gone)
	}
	g.mu.Unlock()
	<-g.gone
}
