package tcp

import (
	"sync"
	"time"
)

const (
	// slack is how late a read deadline may be.
	slack = 100 * time.Millisecond
	// slots of the wheel are this many times slack ahead: what is later goes around again.
	slots = 1024
)

// wheel keeps the read deadlines of all connections of a poller, so that each costs a place in a list and no timer of the runtime. It turns only while there are
// any.
type wheel struct {
	start time.Time

	mu      sync.Mutex
	slots   [slots]*timer
	turned  int64 // the last slot whose time has come, counted from start
	pending int
	timer   *time.Timer
	turning bool
	stopped bool
}

// timer is the deadline of a connection.
type timer struct {
	conn       *conn
	next, prev *timer
	due        int64 // in slots from start; 0 when it is in none
}

func (w *wheel) init() {
	w.start = time.Now().Add(-slack)
	w.timer = time.AfterFunc(time.Hour, w.turn)
	w.timer.Stop()
}

// slotOf is the first one that is over when t has come.
func (w *wheel) slotOf(t time.Time) int64 { return max(1, int64(t.Sub(w.start)/slack)+1) }

// set moves the deadline; the zero time takes it away. It tells whether it has passed already.
func (w *wheel) set(t *timer, at time.Time) (late bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remove(t)
	now := time.Now()
	late = !at.IsZero() && !now.Before(at)
	t.conn.lateRead.Store(late)
	if at.IsZero() || late || w.stopped {
		return late
	}
	if !w.turning {
		w.turned = w.slotOf(now) - 1 // nothing has been due meanwhile
		w.turning = true
		w.timer.Reset(slack)
	}
	w.insert(t, max(w.slotOf(at), w.turned+1))
	return false
}

func (w *wheel) insert(t *timer, due int64) {
	head := &w.slots[due%slots]
	t.due, t.next, t.prev = due, *head, nil
	if *head != nil {
		(*head).prev = t
	}
	*head = t
	w.pending++
}

func (w *wheel) remove(t *timer) {
	if t.due == 0 {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.slots[t.due%slots] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.due, t.next, t.prev = 0, nil, nil
	w.pending--
}

// turn wakes those whose deadlines have passed.
func (w *wheel) turn() {
	var due []*timer
	w.mu.Lock()
	now := w.slotOf(time.Now()) - 1
	for ; w.turned < now; w.turned++ {
		for t := w.slots[(w.turned+1)%slots]; t != nil; {
			next := t.next
			if t.due <= now {
				w.remove(t)
				t.conn.lateRead.Store(true)
				due = append(due, t)
			}
			t = next
		}
	}
	if w.pending > 0 && !w.stopped {
		w.timer.Reset(slack)
	} else {
		w.turning = false
	}
	w.mu.Unlock()
	for _, t := range due {
		t.conn.wakeReader()
	}
}

func (w *wheel) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}
