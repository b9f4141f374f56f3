package transport

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// crew runs short jobs of connections: what is to be written that no reading goroutine writes, and the reading of connections that have no goroutine. Workers are
// few, because a goroutine a job is the dearest part of a broadcast. A job may wait for its client; when all workers do, the watch lets twice as many in.
type crew struct {
	srv     *server
	few     int // workers that are let in at once
	done    chan struct{}
	watched atomic.Bool
	running sync.WaitGroup

	mu     sync.Mutex
	jobs   []job // a ring
	head   int
	waits  int // jobs in it
	busy   int // workers that are not parked
	looks  int // those of them that look for a job
	parked []chan struct{}
	taken  uint64 // jobs
	seen   uint64 // taken at the watch's last look
	closed bool
}

// job is something to do for a connection.
type job struct {
	conn *Conn
	do   func(*Conn)
}

const (
	// maxParked workers stay for later.
	maxParked = 16
	// crewTurns is how often a worker lets others run and looks for another job before it parks, because waking it costs more.
	crewTurns = 2
	// keptJobs is the largest ring that is kept.
	keptJobs = 1 << 10
)

func (w *crew) init(s *server) {
	w.srv, w.few, w.done = s, max(4, 2*runtime.GOMAXPROCS(0)), make(chan struct{})
}

// submit has a job done soon. It never blocks. There are no more jobs than two a connection.
func (w *crew) submit(c *Conn, do func(*Conn)) {
	w.mu.Lock()
	w.push(job{c, do})
	w.ask()
	w.mu.Unlock()
	w.srv.watch()
}

// ask lets one more worker in if there are few and none looks for a job already. Whoever finds one asks for the next. The lock is held.
func (w *crew) ask() {
	if w.looks == 0 && w.busy < w.few {
		w.enlist()
	}
}

// push appends to the ring. The lock is held, here and below.
func (w *crew) push(j job) {
	if w.waits == len(w.jobs) {
		larger := make([]job, max(16, 2*len(w.jobs)))
		n := copy(larger, w.jobs[w.head:])
		copy(larger[n:], w.jobs[:w.head])
		w.jobs, w.head = larger, 0
	}
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
		wake := w.parked[n-1]
		w.parked = w.parked[:n-1]
		wake <- struct{}{}
		return
	}
	w.running.Go(w.work)
}

func (w *crew) work() {
	finished := false
	defer func() {
		if !finished { // a handler called runtime.Goexit
			w.mu.Lock()
			w.busy--
			w.enlist()
			w.mu.Unlock()
		}
	}()
	wake := make(chan struct{}, 1)
	for looking := true; ; looking = false {
		j, ok := w.next(wake, looking)
		if !ok {
			break
		}
		j.do(j.conn)
	}
	finished = true
}

// next waits for a job; false ends the worker. It is counted in looks if that is so.
func (w *crew) next(wake chan struct{}, looking bool) (job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for turns := 0; ; {
		if w.waits > 0 {
			if looking {
				w.looks--
			}
			j := w.pop()
			if w.waits > 0 {
				w.ask()
			}
			return j, true
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
		w.parked = append(w.parked, wake)
		w.mu.Unlock()
		<-wake // who wakes it counts it
		w.mu.Lock()
		turns = 0
	}
}

// rescue lets more workers in when jobs wait and none has been begun since the last look. It tells whether any wait.
func (w *crew) rescue() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waits == 0 {
		return false
	}
	if w.taken == w.seen {
		for range min(w.waits, w.busy) {
			w.enlist()
		}
	}
	w.seen = w.taken
	return true
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
