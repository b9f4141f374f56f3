package netlab

import (
	"container/heap"
	"sync"
	"time"
)

// Due holds packets until they are due; of those due at the same time the first comes first. Its methods may be called from any goroutine.
type Due struct {
	mu     sync.Mutex
	items  items
	count  uint64
	closed bool
	wake   chan struct{} // there is an earlier one, or it is closed
}

type item struct {
	at     time.Time
	number uint64
	packet []byte
}

// NewDue makes one that is empty.
func NewDue() *Due { return &Due{wake: make(chan struct{}, 1)} }

// Push adds a packet, which it keeps.
func (d *Due) Push(at time.Time, packet []byte) {
	d.mu.Lock()
	d.count++
	heap.Push(&d.items, item{at, d.count, packet})
	d.mu.Unlock()
	d.signal()
}

func (d *Due) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Deliver calls write with each packet when its time has come. It blocks until Close; one goroutine calls it.
func (d *Due) Deliver(write func(packet []byte)) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		packet, wait, closed := d.pop(time.Now())
		switch {
		case closed:
			return
		case packet != nil:
			write(packet)
			continue
		}
		timer.Reset(wait)
		select {
		case <-d.wake:
		case <-timer.C:
		}
	}
}

// pop takes a packet that is due, or tells how long there is none.
func (d *Due) pop(now time.Time) (packet []byte, wait time.Duration, closed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.items) == 0 {
		return nil, time.Hour, d.closed
	}
	if wait := d.items[0].at.Sub(now); wait > 0 {
		return nil, wait, false
	}
	return heap.Pop(&d.items).(item).packet, 0, false //nolint:forcetypeassert // there is nothing else in it
}

// Close ends Deliver. What was not due yet is lost.
func (d *Due) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.signal()
}

type items []item

func (s items) Len() int { return len(s) }

func (s items) Less(i, j int) bool {
	if s[i].at.Equal(s[j].at) {
		return s[i].number < s[j].number
	}
	return s[i].at.Before(s[j].at)
}

func (s items) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

func (s *items) Push(x any) { *s = append(*s, x.(item)) } //nolint:forcetypeassert // Due.Push only

func (s *items) Pop() any {
	old := *s
	x := old[len(old)-1]
	old[len(old)-1] = item{}
	*s = old[:len(old)-1]
	return x
}
