package actor

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// dispatcher runs processes that have messages: as many workers as there are cores take them from one queue, first in first out. An actor that a handler wakes
// is kept back for the same worker, which runs it next: a request and its answer then take no switch between goroutines.
//
// A handler should not block, but no actor may have to wait for one that does: rescue looks each millisecond, and lets more workers in while some are stuck.
// Workers that are not needed are parked on a stack. The last one that parked goes first, because its goroutine's stack has already grown and its caches are warm.
type dispatcher struct {
	cores     int
	start     time.Time
	done      <-chan struct{}
	scheduler Scheduler // instead of all this, for tests
	monitor   monitor
	guests    guests

	ready atomic.Int32 // processes in the queue, for those who look without the lock

	mu         sync.Mutex
	head, tail *process
	parked     []*worker
	workers    []*worker
	seeking    bool   // a worker is awake and looks for work, so nobody need be woken
	stuck      int    // workers that are in one handler for long, at rescue's last look
	surplus    int    // workers that were let in for others, and are too many now that nobody is in a long handler
	taken      uint64 // processes from the queue
	seen       uint64 // taken at rescue's last look
	closed     bool
	running    sync.WaitGroup

	watched atomic.Bool // rescue is on its way
}

type worker struct {
	d         *dispatcher
	wake      chan struct{}
	after     atomic.Pointer[process] // to be run behind the present process
	current   atomic.Pointer[process] // the present process; nil while the worker has none
	goroutine atomic.Pointer[[]byte]  // its number
	yielded   int64                   // when it last let other goroutines have its core
	clock     int64                   // the end of the last thing that it did, in ns since d.start
	part      uint8                   // where it counts its times
	guest     bool                    // it belongs to a goroutine from outside,
	begun     int64                   // which has had it since then

	// Of the process that it runs.
	in        frame  // the message that is being handled
	kept      *frame // the same, for continuations that share it; nil until there are any
	forwarded bool   // the request in it
	one       [1]envelope
	batch     []envelope // what was taken from the mailbox,
	pos       int        // handled up to here,
	counted   int        // and counted up to here
	emptied   []envelope // the last batch, to be the next queue

	// Guarded by d.mu.
	woken  bool // to seek work, and has not come to it yet
	index  int  // in dispatcher.workers
	seen   *process
	rounds uint32
	still  int      // looks since it has begun something
	behind *process // what it had kept back
}

const (
	// maxParked workers stay for later; more than that end when they have nothing to do.
	maxParked = 256
	// handOver is how many messages a worker handles before it looks how long others wait for what it has kept back,
	handOver = 8
	// and keepFor is how many ns they may. Shorter handlers are over before another core could have begun.
	keepFor = 50_000
	// maxStreak is how often a worker prefers what it has kept back to what waits in the queue.
	maxStreak = 32
	// seeks is how often a worker looks for work before it parks. Waking it would cost its waker more than this costs.
	seeks = 30
)

func (d *dispatcher) init(s *System) {
	d.cores, d.start = max(2, runtime.GOMAXPROCS(0)), time.Now()
	d.done, d.scheduler = s.quiet, s.cfg.Scheduler
	d.monitor = monitor{d: d, log: s.log, limit: s.cfg.StuckAfter, explain: s.cfg.Explain}
}

// now is the time in ns since the dispatcher was made.
func (d *dispatcher) now() int64 { return int64(time.Since(d.start)) }

// schedule has p run soon: by w, the worker that woke it, or by another one.
func (d *dispatcher) schedule(p *process, w *worker) {
	if d.scheduler == nil && w != nil && w.d == d && w.after.Load() == nil && w.after.CompareAndSwap(nil, p) {
		d.watch()
		return
	}
	d.push(p)
}

// push puts p into the queue.
func (d *dispatcher) push(p *process) {
	if d.scheduler != nil {
		d.scheduler.Ready(Runnable{p})
		return
	}
	d.mu.Lock()
	d.enqueue(p)
	d.wakeOne()
	d.watch() // under the lock, so that p can't have ended before, and the system with it
	d.mu.Unlock()
}

// enqueue puts p at the end of the queue. The lock is held.
func (d *dispatcher) enqueue(p *process) {
	if d.tail == nil {
		d.head = p
	} else {
		d.tail.nextReady = p
	}
	d.tail = p
	d.ready.Add(1)
}

// working is how many workers are neither parked nor stuck. The lock is held.
func (d *dispatcher) working() int { return len(d.workers) - len(d.parked) - d.stuck }

// wakeOne gets one more worker to work if fewer than there are cores do. The lock is held.
func (d *dispatcher) wakeOne() {
	if !d.seeking && d.working() < d.cores {
		d.enlist()
	}
}

// enlist gets one more worker to work. The lock is held.
func (d *dispatcher) enlist() {
	d.seeking = true
	if n := len(d.parked); n > 0 {
		w := d.parked[n-1]
		d.parked[n-1] = nil
		d.parked = d.parked[:n-1]
		w.woken = true
		w.wake <- struct{}{}
		return
	}
	w := &worker{d: d, wake: make(chan struct{}, 1), index: len(d.workers), part: uint8(len(d.workers) % timeParts), woken: true}
	d.workers = append(d.workers, w)
	d.running.Add(1)
	go w.work(nil)
}

// pop takes the first process from the queue. The lock is held.
func (d *dispatcher) pop() *process {
	p := d.head
	if p == nil {
		return nil
	}
	d.head, p.nextReady = p.nextReady, nil
	if d.head == nil {
		d.tail = nil
	}
	d.ready.Add(-1)
	d.taken++
	return p
}

// work runs processes until the worker is not needed. p is the one with which a predecessor, whose goroutine was ended by its handler, was busy.
func (w *worker) work(p *process) {
	finished := false
	id := goroutineID()
	w.goroutine.Store(&id)
	defer func() {
		if finished {
			w.d.running.Done()
			return
		}
		go w.work(w.current.Load()) // a handler called runtime.Goexit
	}()
	for {
		if p == nil {
			w.current.Store(nil)
			w.enter(frame{}) // keep nothing alive
			if p = w.d.take(w); p == nil {
				break
			}
			w.clock = w.d.now()
			w.yielded = w.clock
			w.d.monitor.watch()
		}
		for streak := 0; p != nil; streak++ {
			w.current.Store(p)
			p.run(w)
			if w.after.Load() == nil {
				p = nil
				continue
			}
			p = w.after.Swap(nil)
			if p != nil && streak >= maxStreak && w.d.ready.Load() > 0 {
				w.d.push(p)
				p = nil
			}
		}
	}
	finished = true
}

// take waits for a process to run; nil ends the worker.
func (d *dispatcher) take(w *worker) *process {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		woken := w.woken
		if woken {
			w.woken, d.seeking = false, false
		}
		if !woken && d.surplus > 0 && d.working() > d.cores && !d.closed {
			d.surplus--
			if !d.park(w) {
				return nil
			}
			continue
		}
		if p := d.pop(); p != nil {
			if d.head != nil {
				d.wakeOne()
			}
			return p
		}
		if d.closed {
			d.remove(w)
			return nil
		}
		if d.seek() || d.closed {
			continue
		}
		if !d.park(w) {
			return nil
		}
	}
}

// park waits until the worker is woken, or tells that it is one too many. The lock is held, but not meanwhile.
func (d *dispatcher) park(w *worker) bool {
	if len(d.parked) >= maxParked {
		d.remove(w)
		return false
	}
	d.parked = append(d.parked, w)
	d.mu.Unlock()
	<-w.wake
	d.mu.Lock()
	return true
}

// seek looks for work for a while, if no other worker does, and tells whether there is some. The lock is held, but not meanwhile.
func (d *dispatcher) seek() bool {
	if d.seeking {
		return false
	}
	d.seeking = true
	d.mu.Unlock()
	for n := 0; n < seeks && d.ready.Load() == 0; n++ {
		runtime.Gosched()
	}
	d.mu.Lock()
	d.seeking = false
	return d.head != nil
}

func (d *dispatcher) remove(w *worker) {
	last := len(d.workers) - 1
	d.workers[w.index] = d.workers[last]
	d.workers[w.index].index = w.index
	d.workers[last] = nil
	d.workers = d.workers[:last]
}

// yieldAfter is how many ns a worker keeps its core. Busy workers would else let the goroutines of connections wait until Go preempts them, 10 ms later.
const yieldAfter = 100_000

// yield lets other goroutines run. What it takes is nobody's time.
func (w *worker) yield(times int) {
	counted := w.d.now()
	for range times {
		runtime.Gosched()
	}
	w.yielded = w.d.now()
	w.clock += w.yielded - counted
}

// idle tells whether no other actor waits for the worker.
func (w *worker) idle() bool { return w.after.Load() == nil && w.d.ready.Load() == 0 }

// give lets another worker have what w has kept back.
func (w *worker) give() {
	if p := w.after.Swap(nil); p != nil {
		w.d.push(p)
	}
}

// close ends all workers that are idle now or will be, and waits for them.
func (d *dispatcher) close() {
	d.guests.close()
	d.mu.Lock()
	d.closed = true
	for _, w := range d.parked {
		w.wake <- struct{}{}
	}
	d.parked = nil
	d.mu.Unlock()
	d.running.Wait()
}
