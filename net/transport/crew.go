package transport

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// crew runs short jobs of connections: what is to be written that no reading goroutine writes, and the reading of connections that have no goroutine. Workers are
// few, because a goroutine a job is the dearest part of a broadcast. A job may wait, for its client or for a lock that a handler wants: a worker that is in one for
// long does not count among the few, so clients that do not read hold up nobody else.
type crew struct {
	srv     *server
	few     int // workers that are let in at once
	done    chan struct{}
	slow    atomic.Bool   // the watch looks seldom
	crowded chan struct{} // then: a job waits because there are enough workers
	watched atomic.Bool
	running sync.WaitGroup

	mu     sync.Mutex
	jobs   []job // a ring
	head   int
	waits  int       // jobs in it
	busy   int       // workers that are not parked
	looks  int       // those of them that look for a job
	stuck  int       // those that have been in one for long
	at     []*worker // a job, and not for long
	round  uint64    // counts the watch's looks
	taken  uint64    // jobs
	seen   uint64    // taken at the last look
	parked []*worker
	closed bool
	lent   bool   // somebody is about to read who is none of them
	guest  worker // that is
}

// worker is one of the crew's goroutines, or a guest, see lend.
type worker struct {
	lent  bool
	wake  chan struct{}
	place int    // in crew.at; -1: it is not there
	begun uint64 // crew.round when its job began
	stuck bool
	since int64 // when it last let others have its core
	clock int64 // the end of its last step
	late  late
	share share
}

// job is something to do for a connection.
type job struct {
	conn *Conn // nil: the worker's own
	do   func(*Conn, *worker)
	read bool // do is readSteps
}

const (
	// maxParked workers stay for later.
	maxParked = 16
	// crewTurns is how often a worker lets others run and looks for another job before it parks, because waking it costs more.
	crewTurns = 2
	// crewSlice is how many ns a worker keeps its core. Go would leave it that for 10 ms, and there are several: who makes the work, such as a broadcast, would wait
	// for all of them, find its connections idle again, and have each frame written by itself. Much less would leave clients little of the cores beside those who
	// compute without end.
	crewSlice = 500_000
	// keptJobs is the largest ring that is kept.
	keptJobs = 1 << 14
)

func (w *crew) init(s *server) {
	w.srv, w.few, w.done = s, max(4, 2*runtime.GOMAXPROCS(0)), make(chan struct{})
	w.crowded = make(chan struct{}, 1)
	w.guest = worker{place: -1, lent: true}
}

// submit has a job done soon. It never blocks. There are no more jobs than two a connection.
func (w *crew) submit(c *Conn, do func(*Conn, *worker)) {
	w.add(job{conn: c, do: do})
}

// submitRead is submit for reading.
func (w *crew) submitRead(c *Conn) {
	w.add(job{c, (*Conn).readSteps, true})
}

func (w *crew) add(j job) {
	w.mu.Lock()
	w.reserve(1)
	w.push(j)
	if w.lent && j.read {
		w.mu.Unlock()
		return
	}
	w.call()
}

// submitAll is submit for many connections.
func (w *crew) submitAll(conns []*Conn, do func(*Conn, *worker)) {
	w.mu.Lock()
	w.reserve(len(conns))
	for _, c := range conns {
		w.push(job{conn: c, do: do})
	}
	w.call()
}

// call has what was pushed done. It gives the lock back.
func (w *crew) call() {
	w.ask()
	crowded := w.looks == 0
	w.mu.Unlock()
	if crowded && w.slow.Load() { // they may be stuck
		select {
		case w.crowded <- struct{}{}:
		default:
		}
	}
	w.srv.watch()
}

// ask lets one more worker in if there are few and none looks for a job already. Whoever finds one asks for the next. The lock is held.
func (w *crew) ask() {
	if w.looks == 0 && w.busy-w.stuck < w.few {
		w.enlist()
	}
}

// reserve makes room for n more jobs in the ring. The lock is held, here and below.
func (w *crew) reserve(n int) {
	if w.waits+n <= len(w.jobs) {
		return
	}
	larger := make([]job, max(16, 2*len(w.jobs), w.waits+n))
	m := copy(larger, w.jobs[w.head:])
	copy(larger[m:], w.jobs[:w.head])
	w.jobs, w.head = larger, 0
}

// push appends to the ring, which has room.
func (w *crew) push(j job) {
	w.jobs[(w.head+w.waits)%len(w.jobs)] = j
	w.waits++
}

func (w *crew) pop() job {
	j := w.jobs[w.head]
	w.jobs[w.head] = job{}
	w.head = (w.head + 1) % len(w.jobs)
	w.waits--
	w.taken++
	if w.waits == 0 && len(w.jobs) > keptJobs {
		w.jobs, w.head = nil, 0
	}
	return j
}

// enlist lets one more worker in, which looks for a job.
func (w *crew) enlist() {
	w.busy++
	w.looks++
	if n := len(w.parked); n > 0 {
		wake := w.parked[n-1].wake
		w.parked = w.parked[:n-1]
		wake <- struct{}{}
		return
	}
	w.running.Go(w.work)
}

func (w *crew) work() {
	finished := false
	me := &worker{wake: make(chan struct{}, 1), place: -1, since: w.srv.now(), late: late{srv: w.srv}}
	defer func() {
		if !finished { // a handler called runtime.Goexit
			me.late.abandon()
			w.mu.Lock()
			w.takeBack(me)
			w.leave(me)
			w.busy--
			w.enlist()
			w.mu.Unlock()
		}
	}()
	for looking := true; ; looking = false {
		j, ok := w.next(me, looking)
		if !ok {
			break
		}
		w.readAhead(me, j)
		for ; ok; j, ok = me.share.next() {
			j.do(j.conn, me)
			if me.clock-me.since >= crewSlice {
				w.giveBack(me)
			}
		}
	}
	finished = true
}

// next waits for a job; false ends the worker. It is counted in looks if that is so.
func (w *crew) next(me *worker, looking bool) (job, bool) {
	rests := len(me.late.conns) == 0 && w.srv.now()-me.since >= crewSlice
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leave(me)
	if rests { // behind leave: it is not in a job meanwhile
		w.mu.Unlock()
		runtime.Gosched()
		me.since = w.srv.now()
		w.mu.Lock()
	}
	for turns := 0; ; {
		if w.waits > 0 && (len(me.late.conns) == 0 || w.srv.now()-me.since < crewSlice) {
			if looking {
				w.looks--
			}
			j := w.pop()
			w.deal(me)
			w.begin(me)
			if w.waits > 0 {
				w.ask()
			}
			return j, true
		}
		if len(me.late.conns) > 0 {
			if looking {
				w.looks--
			}
			me.share.n = 0
			w.begin(me)
			return job{do: writeLate}, true
		}
		if !looking {
			looking = true
			w.looks++
		}
		if !w.closed && turns < crewTurns {
			turns++
			w.mu.Unlock()
			runtime.Gosched()
			w.mu.Lock()
			continue
		}
		w.busy--
		w.looks--
		if w.closed || len(w.parked) >= maxParked {
			return job{}, false
		}
		w.parked = append(w.parked, me)
		w.mu.Unlock()
		<-me.wake // who wakes it counts it
		me.since = w.srv.now()
		w.mu.Lock()
		turns = 0
	}
}

// begin notes that a worker has a job.
func (w *crew) begin(me *worker) {
	me.begun, me.place = w.round, len(w.at)
	w.at = append(w.at, me)
}

// leave notes that it has none, or that it has had it for long.
func (w *crew) leave(me *worker) {
	if me.stuck {
		me.stuck = false
		w.stuck--
	}
	if me.place < 0 {
		return
	}
	last := len(w.at) - 1
	w.at[me.place] = w.at[last]
	w.at[me.place].place = me.place
	w.at[last] = nil
	w.at = w.at[:last]
	me.place = -1
}

// rescue is the watch's look: workers that were in their job two looks ago are not waited for, and others let in for them if there is something to do. It tells
// whether anybody is to be looked after.
func (w *crew) rescue() bool {
	const long = 2
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round++
	for i := len(w.at) - 1; i >= 0; i-- {
		if me := w.at[i]; w.round-me.begun >= long {
			w.leave(me)
			me.stuck = true
			w.stuck++
			w.takeBack(me)
		}
	}
	more := min(w.waits-w.looks, w.few-(w.busy-w.stuck))
	if w.taken == w.seen { // all who are in wait: it gets ever more until some do not
		more = max(more, min(w.waits, w.busy))
	}
	w.seen = w.taken
	for range more {
		w.enlist()
	}
	return w.waits > 0 || len(w.at) > 0
}

// close ends the workers and the watch, and waits for them. All jobs have been done.
func (w *crew) close() {
	w.mu.Lock()
	w.closed = true
	for len(w.parked) > 0 {
		w.enlist()
	}
	w.mu.Unlock()
	close(w.done)
	w.running.Wait()
}
