package gate

import (
	"sync"
	"time"
)

// waiting are the sessions that wait for their clients, in the order in which their windows end: all windows are equally long. One timer of the gate's actor
// is enough for all of them, and a session that has its client needs none.
type waiting struct {
	mu             sync.Mutex
	oldest, newest *Session
	count, limit   int
	watched        bool // the gate's actor has a timer, or has been told to make one
}

// add takes a session in. When there are too many it takes out the one that has waited longest.
func (w *waiting) add(s *Session, until time.Time) (evicted *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= w.limit {
		evicted = w.oldest
		w.unlink(evicted)
	}
	s.until, s.older = until, w.newest
	if w.newest == nil {
		w.oldest = s
	} else {
		w.newest.newer = s
	}
	w.newest = s
	w.count++
	return evicted
}

func (w *waiting) remove(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlink(s)
}

func (w *waiting) has(s *Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !s.until.IsZero()
}

func (w *waiting) size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func (w *waiting) unlink(s *Session) {
	if s.until.IsZero() {
		return
	}
	if s.older == nil {
		w.oldest = s.newer
	} else {
		s.older.newer = s.newer
	}
	if s.newer == nil {
		w.newest = s.older
	} else {
		s.newer.older = s.older
	}
	s.older, s.newer, s.until = nil, nil, time.Time{}
	w.count--
}

// due takes out the sessions whose window has ended, a batch at a time, and tells when the next one's does; zero: nobody waits, and nobody watches
// any more.
func (w *waiting) due(now time.Time) (ended []*Session, next time.Time) {
	const batch = 256
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.oldest != nil && !w.oldest.until.After(now) && len(ended) < batch {
		ended = append(ended, w.oldest)
		w.unlink(w.oldest)
	}
	if w.oldest == nil {
		w.watched = false
		return ended, time.Time{}
	}
	return ended, w.oldest.until
}

// watch tells whether the caller has to tell the gate's actor that there is somebody to watch.
func (w *waiting) watch() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched || w.oldest == nil {
		return false
	}
	w.watched = true
	return true
}

// watchWaiting makes sure that the gate's actor has its timer.
func (g *Gate) watchWaiting() {
	if !g.waiting.watch() {
		return
	}
	if players, ok := g.sys.Lookup(g.cfg.Name); ok { // a gate that ends, ends all sessions
		g.sys.Send(players, watch{})
	}
}
