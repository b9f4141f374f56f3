package actor

import (
	"sync"
	"sync/atomic"
	"time"
)

// dispatcher runs processes that have messages on a stack of parked workers. The last one that parked goes first, because its goroutine's
// stack has already grown and its caches are warm. When none is parked a new one starts, so no actor waits for another.
//
// An actor that a handler wakes is kept back for the same worker, which runs it next: a request and its answer then take no switch between
// goroutines. If the handler, or what is left of its batch, takes longer than that saves, another worker gets it: after handOver messages, or
// after one to two milliseconds, which rescue watches over.
type dispatcher struct {
	mu      sync.Mutex
	parked  []*worker
	workers []*worker
	closed  bool
	running sync.WaitGroup

	watched atomic.Bool // rescue is on its way
	done    <-chan struct{}
}

type worker struct {
	d     *dispatcher
	next  chan *process
	after atomic.Pointer[process] // to be run behind the present process
	index int                     // in dispatcher.workers
	seen  *process                // what rescue found here the last time
}

const (
	// maxParked workers stay for later; more than that end when they have nothing to do.
	maxParked = 256
	// handOver is how many messages a worker handles before another one gets what it has kept back.
	handOver = 8
	// rescueRest is how many milliseconds with nothing to watch over end the watch.
	rescueRest = 100
)

// schedule has p run soon: by w, the worker that woke it, or by another one.
func (d *dispatcher) schedule(p *process, w *worker) {
	if w != nil && w.after.Load() == nil && w.after.CompareAndSwap(nil, p) {
		if !d.watched.Load() && d.watched.CompareAndSwap(false, true) {
			d.running.Go(d.rescue)
		}
		return
	}
	d.run(p)
}

func (d *dispatcher) run(p *process) {
	d.mu.Lock()
	if n := len(d.parked); n > 0 {
		w := d.parked[n-1]
		d.parked[n-1] = nil
		d.parked = d.parked[:n-1]
		d.mu.Unlock()
		w.next <- p
		return
	}
	w := &worker{d: d, next: make(chan *process, 1), index: len(d.workers)}
	d.workers = append(d.workers, w)
	d.running.Add(1)
	d.mu.Unlock()
	go w.work(p)
}

func (w *worker) work(p *process) {
	defer w.d.running.Done()
	for p != nil {
		p.run(w)
		if p = w.after.Swap(nil); p != nil {
			continue
		}
		if !w.d.park(w) {
			return
		}
		p = <-w.next
	}
}

// give hands what w has kept back to another worker.
func (w *worker) give() {
	if p := w.after.Swap(nil); p != nil {
		w.d.run(p)
	}
}

func (d *dispatcher) park(w *worker) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.parked) >= maxParked {
		last := len(d.workers) - 1
		d.workers[w.index] = d.workers[last]
		d.workers[w.index].index = w.index
		d.workers[last] = nil
		d.workers = d.workers[:last]
		return false
	}
	d.parked = append(d.parked, w)
	return true
}

// rescue looks each millisecond for processes that wait behind a long handler, until there has been nothing that waits for a while.
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
		// Whoever has kept a process back before it could see that nobody watches any more is seen now.
		if !d.look() || !d.watched.CompareAndSwap(false, true) {
			return
		}
		quiet = 0
	}
}

// look has other workers run what has waited since the last look, and tells whether anything waits.
func (d *dispatcher) look() (waiting bool) {
	var late []*process
	d.mu.Lock()
	for _, w := range d.workers {
		p := w.after.Load()
		waiting = waiting || p != nil
		if p != nil && p == w.seen && w.after.CompareAndSwap(p, nil) {
			late = append(late, p)
			p = nil
		}
		w.seen = p
	}
	d.mu.Unlock()
	for _, p := range late {
		d.run(p)
	}
	return waiting
}

// close ends all workers that are idle now or will be, and waits for them.
func (d *dispatcher) close() {
	d.mu.Lock()
	d.closed = true
	for _, w := range d.parked {
		w.next <- nil
	}
	d.parked = nil
	d.mu.Unlock()
	d.running.Wait()
}
