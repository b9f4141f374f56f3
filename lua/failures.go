package lua

import (
	"sync"
	"time"
)

// failures keeps a log readable when something fails again and again: the first time that something fails in a place it is logged with its stack, and
// then once a minute with how often.
type failures struct {
	mu   sync.Mutex
	seen map[string]*repeated
}

type repeated struct {
	logged time.Time
	count  int
	armed  bool // a timer is going to log the count
}

const (
	// maxFailures bounds the table. When it is full, those that have been quiet for a minute go; if there are none, what is new is logged each time.
	maxFailures = 1000
	// maxFailureKey is how much of a message tells it from others.
	maxFailureKey = 256
	failureEvery  = time.Minute
)

// failure is something that the log is to get.
type failure struct {
	text      string
	message   string
	traceback string
	from      string
	warning   bool
}

// report logs an error of the script that nobody else gets to see, or that is a defect.
func (h *Host) report(text string, err *Error) {
	h.rt.failures.report(h, failure{text: text, message: err.Message, traceback: err.Traceback})
}

func (f *failures) report(h *Host, e failure) {
	key := h.script + "\x00" + e.text + "\x00" + e.message[:min(len(e.message), maxFailureKey)]
	first, again, arm := f.note(key, time.Now())
	if arm {
		h.c.Detached(func() { h.c.After(failureEvery, func() { f.flush(h, key, e) }) })
	}
	if !first {
		return
	}
	args := []any{"error", e.message}
	if e.traceback != "" {
		args = append(args, "traceback", e.traceback)
	}
	if e.from != "" {
		args = append(args, "from", e.from)
	}
	if again > 0 {
		args = append(args, "again", again)
	}
	if e.warning {
		h.log.Warn(e.text, args...)
		return
	}
	h.log.Error(e.text, args...)
}

// note counts a failure. It tells whether it is to be logged, with how many that have not been, and whether a timer has to be made that logs the count. A timer
// ends with the service that has made it: what it did not log is logged with the next one.
func (f *failures) note(key string, now time.Time) (first bool, again int, arm bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.seen[key]; r != nil {
		if now.Sub(r.logged) < failureEvery {
			r.count++
			arm = !r.armed
			r.armed = true
			return false, 0, arm
		}
		again = r.count
		*r = repeated{logged: now}
		return true, again, false
	}
	if f.seen == nil {
		f.seen = map[string]*repeated{}
	}
	if len(f.seen) >= maxFailures {
		for k, r := range f.seen {
			if now.Sub(r.logged) >= failureEvery {
				delete(f.seen, k)
			}
		}
	}
	if len(f.seen) < maxFailures {
		f.seen[key] = &repeated{logged: now}
	}
	return true, 0, false
}

// flush logs how often something has failed since it was last logged.
func (f *failures) flush(h *Host, key string, e failure) {
	f.mu.Lock()
	r := f.seen[key]
	n := 0
	if r != nil && r.count > 0 {
		n = r.count
		*r = repeated{logged: time.Now()}
	}
	f.mu.Unlock()
	if n > 0 {
		h.log.Error(e.text, "error", e.message, "again", n)
	}
}
