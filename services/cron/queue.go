package cron

import (
	"cmp"
	"time"

	"github.com/skua-go/skua/actor"
)

// key is what tells jobs apart.
type key struct {
	to      actor.Ref
	service string
	name    string
}

// job is one of the service's.
type job struct {
	key
	expr   string
	times  timetable
	msg    any
	script bool // it was added by a script, which gets its ticks as messages of a type of their own

	order  uint64 // of the adding: of jobs that are due at once, the oldest goes first
	place  int    // in the queue
	next   time.Time
	last   time.Time
	behind int // times missed since the last tick, up to MaxMissed

	count, missed, absent int64
}

func (j *job) info() Job {
	return Job{
		Name: j.name, Expr: j.expr, Zone: j.times.zone.String(), To: j.to, Service: j.service,
		Next: j.next, Last: j.last, Count: j.count, Missed: j.missed, Absent: j.absent,
	}
}

// compare is the order in which jobs are due; no two are equal.
func (j *job) compare(other *job) int {
	return cmp.Or(j.next.Compare(other.next), cmp.Compare(j.order, other.order))
}

// queue is a heap of jobs (container/heap), the one that is due first in front.
type queue []*job

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].compare(q[j]) < 0 }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is for container/heap.
func (q *queue) Push(x any) {
	j := x.(*job) //nolint:forcetypeassert // what the service pushes
	j.place = len(*q)
	*q = append(*q, j)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	old := *q
	n := len(old) - 1
	j := old[n]
	old[n] = nil
	*q = old[:n]
	return j
}
