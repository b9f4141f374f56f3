package actor

import "sync"

// dispatcher runs processes that have messages on a stack of parked workers. The last one that parked goes first, because its goroutine's
// stack has already grown and its caches are warm. When none is parked a new one starts, so no actor ever waits for another.
type dispatcher struct {
	mu      sync.Mutex
	parked  []*worker
	closed  bool
	running sync.WaitGroup
}

type worker struct{ next chan *process }

// maxParked workers stay for later; more than that end when they have nothing to do.
const maxParked = 256

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
	d.running.Add(1)
	d.mu.Unlock()
	go d.work(&worker{next: make(chan *process, 1)}, p)
}

func (d *dispatcher) work(w *worker, p *process) {
	defer d.running.Done()
	for p != nil {
		p.run()
		if !d.park(w) {
			return
		}
		p = <-w.next
	}
}

func (d *dispatcher) park(w *worker) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.parked) >= maxParked {
		return false
	}
	d.parked = append(d.parked, w)
	return true
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
