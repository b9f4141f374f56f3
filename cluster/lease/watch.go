package lease

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// watcher is one who hears of holders.
type watcher struct {
	pattern string
	f       func(Holder)
	wake    chan struct{}
	// What it has not heard yet, and what it has. The lock of Leases guards both.
	pending []string
	due     map[string]struct{}
	told    map[string]uint64 // by key, the epoch
}

// Watch has f called with who holds a lease now, and with each further holder, in order and by one goroutine, until cancel is called; a call that has begun then may go on. A holder without a Node says that nobody
// has it. Holders that were replaced meanwhile are left out. A pattern that ends in ".*" is for all leases of that kind: it begins with those that somebody has. f must not wait for long.
func (l *Leases) Watch(pattern string, f func(Holder)) (cancel func()) {
	w := &watcher{pattern: pattern, f: f, wake: make(chan struct{}, 1), due: map[string]struct{}{}, told: map[string]uint64{}}
	ctx, stop := context.WithCancel(l.ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		stop()
		return stop
	}
	l.watchers[w] = struct{}{}
	if !strings.HasSuffix(pattern, ".*") {
		w.add(pattern)
	}
	for key, ln := range l.lines {
		if w.matches(key) && ln.entry != nil {
			w.add(key)
		}
	}
	l.tasks.Go(func() { l.tell(ctx, w) })
	return func() {
		stop()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, w)
	}
}

func (w *watcher) matches(key string) bool {
	if kind, all := strings.CutSuffix(w.pattern, "*"); all {
		return strings.HasPrefix(key, kind)
	}
	return w.pattern == key
}

// add has w hear of a key. The lock of Leases is held.
func (w *watcher) add(key string) {
	if _, due := w.due[key]; due {
		return
	}
	w.due[key] = struct{}{}
	w.pending = append(w.pending, key)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next is the next holder to tell of.
func (l *Leases) next(w *watcher) (Holder, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(w.pending) > 0 {
		key := w.pending[0]
		w.pending = w.pending[1:]
		delete(w.due, key)
		h := Holder{Key: key}
		if ln := l.lines[key]; ln != nil {
			h = ln.entry.holder(key, ln.revision)
		}
		before, known := w.told[key]
		if known && before == h.Epoch {
			continue
		}
		w.told[key] = h.Epoch
		if h.Node == "" && w.pattern != key {
			delete(w.told, key)
			if !known {
				continue
			}
		}
		return h, true
	}
	return Holder{}, false
}

func (l *Leases) tell(ctx context.Context, w *watcher) {
	for {
		h, ok := l.next(w)
		if ctx.Err() != nil {
			return
		}
		if ok {
			w.f(h)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
	}
}

// Holder reads who has a lease: a Holder without a Node if nobody has. What it tells may be some milliseconds old. It blocks for a round trip; the errors are ErrKey and what keeps JetStream from answering.
func (l *Leases) Holder(ctx context.Context, key string) (Holder, error) {
	if err := checkKey(key); err != nil {
		return Holder{}, err
	}
	e, revision, err := l.load(ctx, key)
	if err != nil {
		return Holder{}, fmt.Errorf("lease: who holds %s: %w", key, err)
	}
	return e.holder(key, revision), nil
}

// List is who holds what, by key, as this node knows it: most of them at the most, and how many there are.
func (l *Leases) List(most int) (list []Holder, all int) {
	l.mu.Lock()
	for key, ln := range l.lines {
		if h := ln.entry.holder(key, ln.revision); h.Node != "" {
			list = append(list, h)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(list, func(a, b Holder) int { return strings.Compare(a.Key, b.Key) })
	all = len(list)
	return list[:min(all, most)], all
}

// see notes an entry, nil if there is none, that was found at a revision. The lock is held.
func (l *Leases) see(key string, e *entry, revision uint64) {
	ln := l.lines[key]
	if ln == nil && e == nil {
		return
	}
	if ln == nil {
		ln = l.lineOf(key)
	}
	if revision <= ln.revision {
		return
	}
	former := ln.entry
	ln.revision, ln.entry, ln.at = revision, e, time.Now()
	if x := ln.lease; x != nil && revision > x.epoch && (e == nil || e.ID != x.id) {
		x.end("taken", errTaken)
	}
	if !same(former, e) {
		l.changed(ln)
	}
	l.tidy(ln)
	l.forget(ln)
}

// vanished notes that a key has not even a mark. The lock is held.
func (l *Leases) vanished(key string) {
	ln := l.lines[key]
	if ln == nil || ln.lease != nil {
		return
	}
	former := ln.entry
	ln.revision, ln.entry = 0, nil
	if former != nil {
		l.changed(ln)
	}
	l.forget(ln)
}

func (l *Leases) changed(ln *line) {
	ln.notify()
	for w := range l.watchers {
		if w.matches(ln.key) {
			w.add(ln.key)
		}
	}
}

// same tells whether two entries are of one holder.
func same(a, b *entry) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID && (a.Next == nil) == (b.Next == nil)
}

// watchAgain is the pause before the bucket is watched anew.
const watchAgain = 500 * time.Millisecond

// watch keeps what is known of the bucket up to date. It returns when all of it is known.
func (l *Leases) watch(ctx context.Context) error {
	ready := make(chan struct{})
	l.tasks.Go(func() {
		for l.ctx.Err() == nil {
			if err := l.follow(ready); err != nil {
				l.metrics.failed.WithLabelValues("watch").Inc()
				l.log.Debug("lease: the bucket is not watched, it is tried again", "bucket", l.cfg.Bucket, "error", err)
			}
			select {
			case <-l.ctx.Done():
			case <-time.After(watchAgain):
			}
		}
	})
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("lease: watching bucket %s: %w", l.cfg.Bucket, context.Cause(ctx))
	}
}

// follow watches the bucket until that ends.
func (l *Leases) follow(ready chan struct{}) error {
	there := map[string]struct{}{}
	return l.node.WatchBucket(l.ctx, l.kv, func(e jetstream.KeyValueEntry) {
		if e == nil {
			l.prune(there)
			there = nil
			select {
			case <-ready:
			default:
				close(ready)
			}
			return
		}
		if there != nil {
			there[e.Key()] = struct{}{}
		}
		l.update(e)
	})
}

func (l *Leases) update(e jetstream.KeyValueEntry) {
	var found *entry
	if e.Operation() == jetstream.KeyValuePut {
		found = decode(e.Value())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.see(e.Key(), found, e.Revision())
}

// prune notes that all keys have vanished that are not there.
func (l *Leases) prune(there map[string]struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.lines {
		if _, ok := there[key]; !ok {
			l.vanished(key)
		}
	}
}
