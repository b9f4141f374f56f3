package netlab

import (
	"container/heap"
	"time"
)

// Queue holds packets by when they are due; of those due at the same time the first comes first. It has no lock.
type Queue struct {
	items items
	count uint64
}

type item struct {
	at     time.Time
	number uint64
	packet []byte
}

// Push adds a packet, which it keeps.
func (q *Queue) Push(at time.Time, packet []byte) {
	q.count++
	heap.Push(&q.items, item{at, q.count, packet})
}

// Pop returns a packet that is due, or how long there is none.
func (q *Queue) Pop(now time.Time) (packet []byte, wait time.Duration) {
	if len(q.items) == 0 {
		return nil, time.Hour
	}
	if wait := q.items[0].at.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&q.items).(item).packet, 0 //nolint:forcetypeassert // there is nothing else in it
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

func (s *items) Push(x any) { *s = append(*s, x.(item)) } //nolint:forcetypeassert // Queue.Push only

func (s *items) Pop() any {
	old := *s
	x := old[len(old)-1]
	old[len(old)-1] = item{}
	*s = old[:len(old)-1]
	return x
}
