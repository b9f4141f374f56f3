package store

import (
	"container/heap"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
)

// place is where a document waits to be written.
type place uint8

const (
	nowhere place = iota
	queued        // in outbox.saves
	hasty         // in outbox.commits
	sent          // it is being written
)

// batch is documents that are being written together. No document is in two of them, so the writes of one stay in order.
type batch struct {
	docs    []*document
	mixed   bool // of all that was due, not of commits only
	commits bool // there are some among them
	began   time.Time
}

// outbox is the documents that are to be written, and the state of the database as the last batch found it. Saves gather while a batch is on its way, so the
// busier the store is, the larger its batches become. A commit goes out at once; those that come while Config.Parallel batches are on
// their way, or before a Serial backend one of commits, gather as well.
type outbox struct {
	saves   queue
	commits queue // those that somebody waits for
	batches int   // on their way
	mixed   bool  // one of them is
	hasty   int   // so many of them have commits
	turning bool  // the turn is on its way, see Service.pumpInTurn
	pending int   // documents in queues and batches
	bytes   int   // of content that waits to be written
	soon    bool  // a pump is on its way
	timer   *actor.Timer
	wakes   time.Time // when timer fires

	held     []waiter // of commits that are done, see pressure.go
	pressed  bool     // the log has warned
	failures int
	narrow   int       // how often the size of a batch is halved
	failed   time.Time // when a batch did last
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
		o.pending++
		o.putBack(d, due)
	case queued, hasty:
		if d.place == queued && d.awaited() {
			heap.Remove(&o.saves, d.index)
			if d.due.Before(due) {
				due = d.due
			}
			o.putBack(d, due)
			return
		}
		if due.Before(d.due) {
			d.due = due
			heap.Fix(o.queueOf(d), d.index)
		}
	case sent:
	}
}

func (o *outbox) queueOf(d *document) *queue {
	if d.place == hasty {
		return &o.commits
	}
	return &o.saves
}

// putBack queues a document that is in no queue.
func (o *outbox) putBack(d *document, due time.Time) {
	d.place, d.due = queued, due
	if d.awaited() {
		d.place = hasty
	}
	heap.Push(o.queueOf(d), d)
}

// done takes a document out whose write has an outcome.
func (o *outbox) done(d *document) {
	d.place = nowhere
	o.pending--
}

// maxBatchBytes bounds the bodies of one batch, so that one of large documents is done within Config.Timeout.
const maxBatchBytes = 16 << 20

// maxNarrow bounds outbox.narrow: batches of 256 KiB, or 7 documents of 500.
const maxNarrow = 6

// size is how many documents and bytes go into a batch. After one that failed it is half as much, after one that was answered double again: on a way that is too
// slow for a whole batch within Config.Timeout, the same one would fail for ever.
func (o *outbox) size(cfg *Config) (docs, bytes int) {
	return max(1, cfg.Batch>>o.narrow), maxBatchBytes >> o.narrow
}

// take begins a batch of documents whose time has come, the most overdue first; nil: there are none, or they have to wait for a batch.
func (o *outbox) take(cfg *Config, now time.Time) *batch {
	mixed, all := !o.mixed, !cfg.serial || o.hasty == 0
	if o.batches >= cfg.Parallel || !mixed && (o.down() || !all) {
		return nil
	}
	b := &batch{mixed: mixed, began: now}
	docs, most := o.size(cfg)
	saves := mixed && (!all || len(o.saves) > 0 && (!o.saves[0].due.After(now) || o.stopping))
	if !saves && len(o.commits) <= docs && o.commits.fit(most) && (o.commits.due(now) || o.stopping) {
		b.all(&o.commits)
	} else {
		o.fill(b, all, docs, most)
	}
	if len(b.docs) == 0 {
		return nil
	}
	o.batches++
	o.mixed = o.mixed || mixed
	if b.commits {
		o.hasty++
	}
	return b
}

// fill takes what is most overdue; all: also commits.
func (o *outbox) fill(b *batch, all bool, docs, most int) {
	for bytes := 0; len(b.docs) < docs; {
		q := &o.commits
		if b.mixed && (!all || len(o.commits) == 0 || len(o.saves) > 0 && o.saves[0].due.Before(o.commits[0].due)) {
			q = &o.saves
		}
		if len(*q) == 0 || (*q)[0].due.After(b.began) && !o.stopping {
			break
		}
		d := (*q)[0]
		if bytes += d.size(); bytes > most && len(b.docs) > 0 {
			break
		}
		heap.Pop(q)
		b.commits = b.commits || d.place == hasty
		d.place = sent
		b.docs = append(b.docs, d)
	}
}

// all takes a whole queue of commits, which needs no order then.
func (b *batch) all(commits *queue) {
	b.docs = *commits
	b.commits = len(b.docs) > 0
	for _, d := range b.docs {
		d.place = sent
	}
	*commits = make(queue, 0, len(b.docs)) // the next batch is often of the same owners
}

// end takes a batch out that has come back.
func (o *outbox) end(b *batch) {
	o.batches--
	if b.commits {
		o.hasty--
	}
	if b.mixed {
		o.mixed = false
	}
}

// next is when a document in the queues is due, if there is one that may be taken then.
func (o *outbox) next() (due time.Time, some bool) {
	for _, q := range []queue{o.commits, o.saves} {
		if len(q) > 0 && (!some || q[0].due.Before(due)) {
			due, some = q[0].due, true
		}
	}
	return due, some
}

// waiting calls f for all documents in the queues.
func (o *outbox) each(f func(d *document)) {
	for _, q := range []queue{o.commits, o.saves} {
		for _, d := range q {
			f(d)
		}
	}
}

// awaited tells whether somebody waits for the document to be written.
func (d *document) awaited() bool { return len(d.told)+len(d.waiting) > 0 }

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
		d.write = &Write{Kind: d.kind, ID: d.id, Version: d.version, Epoch: d.epoch, Nonce: NewNonce(), Body: d.known, Delete: len(d.known) == 0}
		if same(d.change.from, d.written) && same(d.change.to, d.known) {
			d.write.Patch = d.change.patch
		}
		d.change = delta{} // which would keep the old content
		d.next = time.Time{}
		d.told, d.waiting = d.waiting, nil
	}
	return *d.write
}

// delta is how content that was handed in differs from what there was before, where to check it has told so.
type delta struct {
	from, to bson.Raw
	patch    *Patch // nil: not known
}

// check tells whether content may be handed in, and how it differs from what is known, if that is easily told.
func (d *document) check(body bson.Raw) (*Patch, error) {
	if !d.checked { // a database may have more than we would give it
		return nil, CheckBody(d.kind, d.id, body)
	}
	return checkedDiff(d.kind, d.id, d.known, body)
}

// same tells whether two contents are one in memory.
func same(a, b bson.Raw) bool { return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0] }

// writing is a batch on its way to the database. It is used outside the actor.
type writing struct {
	writes []Write
	bases  []bson.Raw // what each write changes; empty: there is no content
}

// changed leaves out what changes nothing, gives the others their patches and tells where they were.
func (w *writing) changed() (writes []Write, at []int) {
	writes, at = w.writes[:0], make([]int, 0, len(w.writes))
	for i, write := range w.writes {
		switch base := w.bases[i]; {
		case len(base) == 0 && write.Delete:
			continue
		case len(base) > 0 && !write.Delete:
			if write.Patch == nil {
				write.Patch = Diff(base, write.Body)
			}
			if write.Patch != nil && write.Patch.IsEmpty() {
				continue
			}
		}
		writes, at = append(writes, write), append(at, i)
	}
	return writes, at
}

// queue is a heap of documents, the one that is due first at the top.
type queue []*document

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// fit tells whether the bodies of all have no more bytes than these.
func (q queue) fit(most int) bool {
	for _, d := range q {
		if most -= d.size(); most < 0 {
			return false
		}
	}
	return true
}

// due tells whether the time of all has come.
func (q queue) due(now time.Time) bool {
	for _, d := range q {
		if d.due.After(now) {
			return false
		}
	}
	return true
}

// Push is part of heap.Interface.
func (q *queue) Push(x any) {
	d := x.(*document) //nolint:forcetypeassert // see putBack
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
