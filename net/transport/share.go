package transport

import "sync/atomic"

// shareJobs is how many jobs a worker takes at once, if many wait: it first reads from all of their connections, so that the kernel's way in stays in the
// processor's caches, and has what the handlers need loaded meanwhile.
const shareJobs = 16

// share is the jobs that a worker has taken behind the one that it is in. Only the worker begins them; the crew takes back what it is not going to begin soon.
type share struct {
	jobs [shareJobs]job
	n    int          // written by the worker, with the crew's lock
	at   atomic.Int32 // how many have been begun, or taken back; or dealt
}

// dealt is share.at while the worker reads ahead, and nobody may take back what it reads from.
const dealt = -1

// next begins with the next one.
func (s *share) next() (job, bool) {
	i := int(s.at.Add(1)) - 1
	if i >= s.n {
		return job{}, false
	}
	j := s.jobs[i]
	s.jobs[i] = job{}
	return j, true
}

// readAhead makes the first read of each job that reads, and of the one before.
func (w *crew) readAhead(me *worker, first job) {
	s := &me.share
	if s.n == 0 {
		s.at.Store(0)
		return
	}
	s.load(first)
	for c := range s.readers(first) {
		c.readAhead()
	}
	s.loadMore(first)
	if s.at.CompareAndSwap(dealt, 0) {
		return
	}
	s.at.Store(0)
	w.giveBack(me) // it has taken so long that the crew wanted them
}

// giveBack leaves the rest of the share to others.
func (w *crew) giveBack(me *worker) {
	w.mu.Lock()
	w.takeBack(me)
	w.ask()
	w.mu.Unlock()
}

// deal gives the worker its share of what waits behind the job that it has been given. The lock is held, here and below.
func (w *crew) deal(me *worker) {
	s := &me.share
	s.n = 0
	s.at.Store(dealt)
	for range min(shareJobs, w.waits/(2*w.few)) {
		s.jobs[s.n] = w.pop()
		s.n++
	}
}

// takeBack has others do what the worker has not begun.
func (w *crew) takeBack(me *worker) {
	s := &me.share
	begun := int(s.at.Swap(shareJobs))
	if begun == dealt {
		return // the worker will see it
	}
	for i := begun; i < s.n; i++ {
		w.reserve(1)
		w.push(s.jobs[i])
		s.jobs[i] = job{}
	}
}
