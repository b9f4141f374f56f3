package mongodb

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// lane writes what a service sends through a client without waiting, in its order.
type lane struct {
	node *Clients
	link *link
	log  *slog.Logger

	mu      sync.Mutex
	queue   []*sent
	bytes   int
	running bool
	tail    *sent // the newest

	said   time.Time // when a loss was last logged
	unsaid int       // the losses since then
	why    []any     // the last one's collection and reason
	over   bool      // the client is given up: nobody will ask for what was not logged
}

// sent is writes to a collection.
type sent struct {
	db, coll string
	models   []driver.WriteModel
	bytes    int
	done     chan struct{} // closed when they are answered, or given up
}

// wait waits until it is written, and so all before it; nil is nothing to wait for.
func (w *sent) wait(ctx context.Context) error {
	if w == nil {
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// last is what was sent last and is not written yet, or nil.
func (l *lane) last() *sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail
}

func (l *lane) drained(ctx context.Context) error { return l.last().wait(ctx) }

// add takes writes in; false if there is no room now, or the node stops.
func (l *lane) add(w *sent) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 && (len(l.queue) >= l.node.cfg.MaxQueued || l.bytes+w.bytes > l.node.cfg.MaxQueuedBytes) {
		return false
	}
	if !l.running {
		l.node.retain(l.link) // a write that had to wait for room may come behind the end of its client
		if !l.node.task(l.run) {
			l.node.release(l.link)
			return false
		}
	}
	l.running = true
	l.queue = append(l.queue, w)
	l.bytes += w.bytes
	l.tail = w
	l.node.cfg.Metrics.queued.Inc()
	return true
}

// run writes until nothing waits.
func (l *lane) run() {
	defer l.node.release(l.link)
	for {
		batch := l.take()
		if batch == nil {
			return
		}
		l.write(batch)
		l.settle(batch)
	}
}

// take gives the next writes that go to one collection; they stay counted until settle. nil if there are none, and then the runner ends.
func (l *lane) take() []*sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.running, l.tail, l.queue = false, nil, nil
		return nil
	}
	const most = 8 << 20 // bytes
	first, models, bytes := l.queue[0], 0, 0
	n := 0
	for _, w := range l.queue {
		if w.db != first.db || w.coll != first.coll || n > 0 && (models+len(w.models) > l.node.cfg.Batch || bytes+w.bytes > most) {
			break
		}
		n, models, bytes = n+1, models+len(w.models), bytes+w.bytes
	}
	return l.queue[:n:n]
}

func (l *lane) settle(batch []*sent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range batch {
		l.bytes -= w.bytes
		close(w.done)
		l.queue[i] = nil
	}
	l.queue = l.queue[len(batch):]
	l.node.cfg.Metrics.queued.Sub(float64(len(batch)))
}

// write does the writes in order, each as if it were alone: one that is refused stops no other.
func (l *lane) write(batch []*sent) {
	var models []driver.WriteModel
	for _, w := range batch {
		models = append(models, w.models...)
	}
	ctx, cancel := context.WithTimeout(l.node.ctx, l.node.cfg.Timeout)
	defer cancel()
	for len(models) > 0 {
		reply, err := l.link.write(ctx, batch[0].db, batch[0].coll, models, true)
		if err != nil {
			l.lost(batch[0], len(models), err.Error())
			return
		}
		refusal, at := refused(reply)
		switch {
		case refusal == "":
			return
		case at < 0: // of all of them
			l.lost(batch[0], len(models), refusal)
			return
		}
		l.lost(batch[0], 1, refusal)
		models = models[at+1:]
	}
}

// refused finds the first error in the reply to an ordered write, and at which write it ended; -1: it concerns all.
func refused(reply bson.Raw) (why string, at int) {
	if first, ok := reply.Lookup("writeErrors", "0").DocumentOK(); ok {
		why, _ := first.Lookup("errmsg").StringValueOK()
		at, _ := first.Lookup("index").AsInt64OK()
		return "refused: " + why, int(at)
	}
	if concern, ok := reply.Lookup("writeConcernError").DocumentOK(); ok {
		why, _ := concern.Lookup("errmsg").StringValueOK()
		return "written, but not yet to as many members as it should be: " + why, -1
	}
	if ok, _ := reply.Lookup("ok").AsFloat64OK(); ok != 1 {
		why, _ := reply.Lookup("errmsg").StringValueOK()
		return "refused: " + why, -1
	}
	return "", 0
}

// lost tells of writes that nobody waits for: at most one line a second, and one at the end.
func (l *lane) lost(w *sent, n int, why string) {
	l.node.cfg.Metrics.lost.Add(float64(n))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsaid += n
	l.why = []any{"collection", fmt.Sprintf("%s.%s", w.db, w.coll), "error", why}
	if l.over || time.Since(l.said) >= time.Second {
		l.say()
	}
}

// end logs the losses that were not logged yet, and later ones at once.
func (l *lane) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.say()
}

// say logs the losses since it was last called. The caller has the lock.
func (l *lane) say() {
	if l.unsaid > 0 {
		l.log.Error("writes to MongoDB that nobody waits for were lost", append(l.why, "writes", l.unsaid)...)
		l.said, l.unsaid = time.Now(), 0
	}
}
