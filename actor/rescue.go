package actor

import "time"

// rescueRest is how many milliseconds with nothing to watch over end the watch.
const rescueRest = 100

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

// look counts the workers that have been in one batch since the last look, lets others in for them, and gives them what these have kept back. It tells
// whether anything waits.
func (d *dispatcher) look() (waiting bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stuck = 0
	var late *process
	for _, w := range d.workers {
		p := w.current.Load()
		var rounds uint32
		if p != nil {
			p.mu.Lock()
			rounds = p.rounds
			p.mu.Unlock()
			if p == w.seen && rounds == w.rounds {
				d.stuck++
			}
		}
		w.seen, w.rounds = p, rounds
		kept := w.after.Load()
		waiting = waiting || kept != nil
		if kept != nil && kept == w.behind && w.after.CompareAndSwap(kept, nil) {
			kept.nextReady, late = late, kept
			kept = nil
		}
		w.behind = kept
	}
	for late != nil {
		p := late
		late, p.nextReady = p.nextReady, nil
		if d.tail == nil {
			d.head = p
		} else {
			d.tail.nextReady = p
		}
		d.tail = p
		d.ready.Add(1)
	}
	waiting = waiting || d.head != nil
	// As many again as are stuck: should these get stuck too, twice as many come a millisecond later.
	free := d.cores - (len(d.workers) - len(d.parked) - d.stuck)
	if free > 0 {
		for range min(int(d.ready.Load()), max(free, d.stuck)) {
			d.enlist()
		}
	}
	return waiting
}
