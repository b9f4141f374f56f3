package store

import (
	"container/heap"
	"time"

	"github.com/skua-go/skua/actor"
)

// place is where a document waits to be written.
type place uint8

const (
	nowhere place = iota
	queued
	sent // it is being written
)

// outbox is the documents that are to be written, and the state of the database as the last batch found it. One batch is on its way at a time; what
// changes meanwhile gathers for the next, so the busier the store is, the larger its batches become.
type outbox struct {
	queue   queue
	batch   []*document // on its way
	pending int         // in queue and batch
	timer   *actor.Timer
	wakes   time.Time // when timer fires

	failures int
	retryAt  time.Time
	since    time.Time // when the database went away
	cause    error     // why

	stopping bool
	release  func() // lets the stopping service end
}

// down tells whether the database could not be reached when it was last tried.
func (o *outbox) down() bool { return o.failures > 0 }

// want asks for a document's newest content to be written by a certain time. What was asked for earlier still counts, so a document that changes all the
// time is not put off for ever.
func (o *outbox) want(d *document, by time.Time) {
	if d.next.IsZero() || by.Before(d.next) {
		d.next = by
	}
	o.put(d, d.next)
}

// put queues a document, or moves it ahead in the queue. One that is being written is queued again when the outcome is known: see Service.settle.
func (o *outbox) put(d *document, due time.Time) {
	switch d.place {
	case nowhere:
		d.place, d.due = queued, due
		o.pending++
		heap.Push(&o.queue, d)
	case queued:
		if due.Before(d.due) {
			d.due = due
			heap.Fix(&o.queue, d.index)
		}
	case sent:
	}
}

// putBack queues a document whose write was not done, or may not have been.
func (o *outbox) putBack(d *document, due time.Time) {
	d.place, d.due = queued, due
	heap.Push(&o.queue, d)
}

// done takes a document out whose write has an outcome.
func (o *outbox) done(d *document) {
	d.place = nowhere
	o.pending--
}

// maxBatchBytes bounds the bodies of one batch, so that one of large documents is done within Config.Timeout.
const maxBatchBytes = 16 << 20

// take removes up to n documents whose time has come, the most overdue first.
func (o *outbox) take(n int, now time.Time) []*document {
	var batch []*document
	for bytes := 0; len(o.queue) > 0 && len(batch) < n; {
		d := o.queue[0]
		if d.due.After(now) && !o.stopping {
			break
		}
		if bytes += d.size(); bytes > maxBatchBytes && len(batch) > 0 {
			break
		}
		heap.Pop(&o.queue)
		d.place = sent
		batch = append(batch, d)
	}
	return batch
}

// size is that of the body which is to be written next.
func (d *document) size() int {
	if d.write != nil {
		return len(d.write.Body)
	}
	return len(d.known)
}

// prepare is the write to be done for a document: the one whose outcome is not known, or one of its newest content.
func (d *document) prepare() Write {
	if d.write == nil {
		d.write = &Write{Kind: d.kind, ID: d.id, Version: d.version, Epoch: d.epoch, Nonce: NewNonce(), Body: d.known}
		d.next = time.Time{}
		d.told, d.waiting = d.waiting, nil
	}
	return *d.write
}

// queue is a heap of documents, the one that is due first at the top.
type queue []*document

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is part of heap.Interface.
func (q *queue) Push(x any) {
	d := x.(*document) //nolint:forcetypeassert // see put
	d.index = len(*q)
	*q = append(*q, d)
}

// Pop is part of heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	if last == 0 {
		*q = nil // what an outage has grown goes back
	}
	return d
}
