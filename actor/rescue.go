package actor

import "time"

// rescueRest is how many milliseconds with nothing to watch over end the watch.
const rescueRest = 10

// watch has rescue look after those that wait, unless it does already.
func (d *dispatcher) watch() {
	if !d.watched.Load() && d.watched.CompareAndSwap(false, true) {
		d.running.Go(d.rescue)
	}
}

// rescue looks each millisecond for processes that wait behind long handlers, until there has been nothing that waits for a while.
func (d *dispatcher) rescue() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for quiet := 0; ; {
		select {
		case <-tick.C:
		case <-d.done:
			return
		}
		quiet++
		if d.look() {
			quiet = 0
		}
		if quiet < rescueRest {
			continue
		}
		d.watched.Store(false)
		// Whoever has made a process wait before it could see that nobody watches any more is seen now.
		if !d.look() || !d.watched.CompareAndSwap(false, true) {
			return
		}
		quiet = 0
	}
}

// stuckAfter is how many looks in one batch make a worker count as stuck. It is longer than others may take its core away from it.
const stuckAfter = 20

// look gives to others what stuck workers have kept back, and lets more workers in when the queue stands still. It tells whether anything waits.
func (d *dispatcher) look() (waiting bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stuck = 0
	long := false
	for _, w := range d.workers {
		if w.progressed() {
			w.still = 0
		} else if w.still++; w.still >= stuckAfter {
			d.stuck++
		}
		long = long || w.still > 1
		waiting = d.release(w) || waiting
	}
	d.guests.busy(func(w *worker, _ *process) { waiting = d.release(w) || waiting })
	d.surplus = 0
	if !long {
		d.surplus = max(0, d.working()-d.cores)
	}
	if d.head == nil {
		return waiting
	}
	// Either all that work are in long handlers; then as many more, and should these get stuck too, twice as many a millisecond later. Or those who should
	// be let in for the stuck ones have not been.
	more := d.cores - d.working()
	if d.taken == d.seen {
		more = max(more, len(d.workers)-len(d.parked))
	}
	d.seen = d.taken
	for range min(int(d.ready.Load()), more) {
		d.enlist()
	}
	return true
}

// release takes from a worker what it has kept back since the last look. It tells whether there was any. The lock is held.
func (d *dispatcher) release(w *worker) bool {
	kept := w.after.Load()
	waits := kept != nil
	if waits && kept == w.behind && w.after.CompareAndSwap(kept, nil) {
		d.enqueue(kept)
		kept = nil
	}
	w.behind = kept
	return waits
}

// progressed tells whether the worker has begun something since the last look.
func (w *worker) progressed() bool {
	p := w.current.Load()
	var rounds uint32
	if p != nil {
		p.mu.Lock()
		rounds = p.rounds
		p.mu.Unlock()
	}
	same := p != nil && p == w.seen && rounds == w.rounds
	w.seen, w.rounds = p, rounds
	return !same
}
