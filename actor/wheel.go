package actor

import (
	"math/bits"
	"sync"
	"time"
)

// wheel is a hierarchical timing wheel (Varghese and Lauck, 1987) with 1 ms ticks: adding and cancelling a timer take constant time
// however many there are, and while none is due nothing runs, because each level keeps a bitmap of its occupied slots.
type wheel struct {
	start  time.Time
	clock  *Clock // instead of the machine's time; nil, mostly
	wake   chan struct{}
	firing sync.Mutex // held from taking out what is due until it has been told

	mu     sync.Mutex
	now    int64 // ticks that have been processed
	next   int64 // when the driver wakes; never if there is nothing to wait for
	idle   bool  // nothing has been added since the driver found nothing
	levels [levels]level
}

const (
	tick      = time.Millisecond
	idleLook  = 1000 // ticks after which the driver looks once more before it rests
	levels    = 7    // 64^7 ms, 139 years
	slotShift = 6
	slots     = 1 << slotShift
	never     = int64(1)<<62 - 1
)

type level struct {
	occupied uint64
	heads    [slots]*timerNode
	tails    [slots]*timerNode
}

// timerNode is embedded in what waits for a moment, so that waiting allocates nothing.
type timerNode struct {
	next, prev *timerNode
	when       int64
	level      int8
	slot       int8
	queued     bool
	due        expirer
}

// expirer is told once when its moment has come. It is called on the wheel's goroutine and must not block.
type expirer interface{ expire() }

// tickTime is how long it takes to tick n.
func tickTime(n int64) time.Duration { return time.Duration(n) * tick }

// tickAt is the first tick at which d has passed in full.
func tickAt(d time.Duration) int64 { return int64((d + tick - 1) / tick) }

func newWheel(clock *Clock) *wheel {
	w := &wheel{start: time.Now(), clock: clock, wake: make(chan struct{}, 1), next: never}
	if clock != nil {
		clock.wheel = w
	}
	return w
}

// ticks is the time now, in ticks since the wheel was made.
func (w *wheel) ticks() int64 { return int64(w.passed() / tick) }

// add arms n for the tick `when`, at the earliest the next one. The caller must not add a node that is queued.
func (w *wheel) add(n *timerNode, when int64) {
	w.mu.Lock()
	w.idle = false
	n.when = max(when, w.now+1)
	w.insert(n)
	wake := n.when < w.next
	if wake {
		w.next = n.when
	}
	w.mu.Unlock()
	if wake {
		w.poke()
	}
}

// cancel disarms n and tells whether it was still armed.
func (w *wheel) cancel(n *timerNode) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !n.queued {
		return false
	}
	w.unlink(n)
	return true
}

func (w *wheel) insert(n *timerNode) {
	lv := 0
	if diff := uint64(n.when ^ w.now); diff >= slots {
		lv = min((bits.Len64(diff)-1)/slotShift, levels-1)
	}
	slot := (n.when >> (lv * slotShift)) & (slots - 1)
	l := &w.levels[lv]
	n.level, n.slot, n.queued = int8(lv), int8(slot), true
	n.prev, n.next = l.tails[slot], nil
	if n.prev != nil {
		n.prev.next = n
	} else {
		l.heads[slot] = n
	}
	l.tails[slot] = n
	l.occupied |= 1 << slot
}

func (w *wheel) unlink(n *timerNode) {
	l := &w.levels[n.level]
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.heads[n.slot] = n.next
		if n.next == nil {
			l.occupied &^= 1 << n.slot
		}
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.tails[n.slot] = n.prev
	}
	n.next, n.prev, n.queued = nil, nil, false
}

// upcoming is the level and slot to process next and the tick at which that has to happen.
func (w *wheel) upcoming() (lv, slot int, at int64, ok bool) {
	for lv := range w.levels {
		occupied := w.levels[lv].occupied
		if occupied == 0 {
			continue
		}
		shift := lv * slotShift
		cur := int(w.now>>shift) & (slots - 1)
		ahead := bits.TrailingZeros64(bits.RotateLeft64(occupied, -cur))
		slot := (cur + ahead) & (slots - 1)
		at := (w.now>>shift + int64(ahead)) << shift
		return lv, slot, max(at, w.now), true
	}
	return 0, 0, never, false
}

// expired advances the wheel to tick `to` and returns the timers that are due, in the order of their ticks and, in a tick, of their making.
func (w *wheel) expired(to int64, due []*timerNode) []*timerNode {
	for {
		lv, slot, at, ok := w.upcoming()
		if !ok || at > to {
			w.now = max(w.now, to)
			w.next = at
			if !ok && !w.idle {
				// Timers come and go, mostly without firing. Were there no alarm now, the next one would have to wake the driver, and so would each
				// that follows a cancelled one.
				w.idle = true
				w.next = w.now + idleLook
			}
			return due
		}
		w.now = at
		l := &w.levels[lv]
		n := l.heads[slot]
		l.heads[slot], l.tails[slot] = nil, nil
		l.occupied &^= 1 << slot
		for n != nil {
			next := n.next
			n.next, n.prev, n.queued = nil, nil, false
			if n.when <= at {
				due = append(due, n)
			} else {
				w.insert(n)
			}
			n = next
		}
	}
}

// drive fires timers until done is closed.
func (w *wheel) drive(done <-chan struct{}) {
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	var due []*timerNode
	for {
		w.firing.Lock()
		w.mu.Lock()
		due = w.expired(w.ticks(), due[:0])
		next := w.next
		w.mu.Unlock()
		for i, n := range due {
			n.due.expire()
			due[i] = nil
		}
		w.firing.Unlock()
		if cap(due) > 4096 {
			due = nil
		}
		if next == never {
			alarm.Stop()
		} else {
			alarm.Reset(tickTime(next) - w.passed())
		}
		select {
		case <-done:
			return
		case <-w.wake:
		case <-alarm.C:
		}
	}
}
