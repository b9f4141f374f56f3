package lease

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"time"
)

// line is what this node knows of a key: who has it, and who stands in line.
type line struct {
	key      string
	revision uint64 // the newest that is known
	entry    *entry // nil if there is none
	at       time.Time
	queue    []*waiter       // on this node, in order
	wants    map[string]want // other nodes that wait while the lease is held here, by name
	lease    *Lease          // held here
	changed  chan struct{}   // closed when there is something new
	pins     int             // how many look at it now
}

// waiter is one who waits.
type waiter struct {
	id    uint64
	since time.Time
	told  string // the holder that was told of it last
	tell  time.Time
}

// verdict is what is to be done about a key.
type verdict struct {
	free     bool
	revision uint64
	former   *entry    // whom the lease is taken from
	again    time.Time // when it may be free, zero if that is not known
	holder   string    // the node to tell that one waits; empty for none
	id       string    // what it holds
}

// lineOf is the line of a key, made if need be. The lock is held.
func (l *Leases) lineOf(key string) *line {
	ln := l.lines[key]
	if ln == nil {
		ln = &line{key: key, changed: make(chan struct{})}
		l.lines[key] = ln
	}
	return ln
}

// notify wakes those who stand in line. The lock is held.
func (ln *line) notify() {
	close(ln.changed)
	ln.changed = make(chan struct{})
}

// forget drops a line that nobody is interested in. The lock is held.
func (l *Leases) forget(ln *line) {
	if ln.entry == nil && ln.lease == nil && len(ln.queue) == 0 && ln.pins == 0 {
		delete(l.lines, ln.key)
	}
}

// Acquire takes the lease, and waits its turn for it: until it has it, or ctx ends. Those who wait on one node take turns in order; of several nodes the one that has waited longest is next. The key is one
// that Key makes, meta is what others see of the holder: 4 KB at most. The errors are that of ctx, ErrKey, ErrTooMany and ErrClosed.
func (l *Leases) Acquire(ctx context.Context, key string, meta []byte) (*Lease, error) {
	if err := check(key, meta); err != nil {
		return nil, err
	}
	w, err := l.enqueue(key)
	if err != nil {
		return nil, err
	}
	defer l.dequeue(key, w)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l.mu.Lock()
		ln := l.lineOf(key)
		first, changed := ln.queue[0] == w, ln.changed
		v := l.judge(ln, time.Now())
		l.mu.Unlock()
		wait := l.cfg.again()
		if first {
			lease, until, err := l.turn(ctx, key, meta, w, v)
			if lease != nil || err != nil {
				return lease, err
			}
			wait = until
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lease: waiting for %s: %w", key, context.Cause(ctx))
		case <-l.closing:
			return nil, fmt.Errorf("%w: waiting for %s", ErrClosed, key)
		case <-changed:
		case <-timer.C:
			l.refresh(ctx, key, first)
		}
	}
}

// turn does what the first in line can do, and tells how long to wait before the next time.
func (l *Leases) turn(ctx context.Context, key string, meta []byte, w *waiter, v verdict) (*Lease, time.Duration, error) {
	now := time.Now()
	wait := l.cfg.again()
	if !v.free {
		if v.holder != "" && (w.told != v.id || now.Sub(w.tell) >= wait) {
			w.told, w.tell = v.id, now
			l.sayWant(key, v.holder, w.id, now.Sub(w.since))
		}
		if !v.again.IsZero() {
			wait = min(wait, max(v.again.Sub(now), time.Millisecond))
		}
		return nil, wait, nil
	}
	lease, err := l.take(ctx, key, meta, v)
	switch {
	case err == nil:
		return lease, 0, nil
	case errors.Is(err, ErrTooMany) || errors.Is(err, ErrClosed):
		return nil, 0, err
	case errors.Is(err, errConflict): // another was faster
		return nil, time.Duration(mrand.Int64N(int64(5*time.Millisecond)) + 1), nil
	}
	l.metrics.failed.WithLabelValues("take").Inc()
	return nil, pause, nil
}

// refresh reads a key, in case that the news of it have not come.
func (l *Leases) refresh(ctx context.Context, key string, first bool) {
	if !first {
		return
	}
	if _, _, err := l.load(ctx, key); err != nil {
		l.log.Debug("lease: not read", "key", key, "error", err)
	}
}

// Try takes the lease if it is free and nobody stands in line. Otherwise the error is a HeldError, which is ErrHeld and has the holder. Others are ErrKey, ErrTooMany, ErrNoName,
// ErrClosed, that of ctx, and what keeps JetStream from answering. It blocks for a round trip or some.
func (l *Leases) Try(ctx context.Context, key string, meta []byte) (*Lease, error) {
	if err := check(key, meta); err != nil {
		return nil, err
	}
	if !l.node.Lease().Held {
		return nil, fmt.Errorf("%w: %s", ErrNoName, key)
	}
	l.mu.Lock()
	ln := l.lineOf(key)
	ln.pins++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		ln.pins--
		l.forget(ln)
	}()
	return l.try(ctx, ln, meta)
}

func (l *Leases) try(ctx context.Context, ln *line, meta []byte) (*Lease, error) {
	key, read := ln.key, false
	for range 8 {
		l.mu.Lock()
		v := l.judge(ln, time.Now())
		queued := len(ln.queue) > 0
		h := ln.entry.holder(key, ln.revision)
		l.mu.Unlock()
		if queued || !v.free && read {
			return nil, &HeldError{h}
		}
		if !v.free { // as far as it is known here
			if _, _, err := l.load(ctx, key); err != nil {
				return nil, fmt.Errorf("lease: %s: %w", key, err)
			}
			read = true
			continue
		}
		lease, err := l.take(ctx, key, meta, v)
		if !errors.Is(err, errConflict) {
			return lease, err
		}
	}
	return nil, &HeldError{Holder{Key: key}}
}

// HeldError is ErrHeld with who holds the lease; a Holder without a Node is one that is just being handed on.
type HeldError struct{ Holder Holder }

func (e *HeldError) Error() string {
	if e.Holder.Node == "" {
		return fmt.Sprintf("%s: %s is being handed on", ErrHeld, e.Holder.Key)
	}
	return fmt.Sprintf("%s: %s by node %s, incarnation %d, epoch %d", ErrHeld, e.Holder.Key, e.Holder.Node, e.Holder.Incarnation, e.Holder.Epoch)
}

// Is tells that it is ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

func check(key string, meta []byte) error {
	if len(meta) > maxMeta {
		return fmt.Errorf("%w %q: meta: found %d bytes, expected at most %d", ErrKey, key, len(meta), maxMeta)
	}
	return checkKey(key)
}

func (l *Leases) enqueue(key string) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, fmt.Errorf("%w: %s", ErrClosed, key)
	}
	if l.waiting >= l.cfg.MaxWaiting {
		l.metrics.refused.WithLabelValues("waiting").Inc()
		return nil, fmt.Errorf("%w: %d wait for leases on this node", ErrTooMany, l.waiting)
	}
	l.waiters++
	w := &waiter{id: l.waiters, since: time.Now()}
	ln := l.lineOf(key)
	ln.queue = append(ln.queue, w)
	l.waiting++
	return w, nil
}

// dequeue lets the next one come forward.
func (l *Leases) dequeue(key string, w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.lineOf(key)
	ln.queue = slices.DeleteFunc(ln.queue, func(o *waiter) bool { return o == w })
	l.waiting--
	ln.notify()
	l.tidy(ln)
	l.forget(ln)
}

// judge tells what can be done about a key now. The lock is held.
func (l *Leases) judge(ln *line, now time.Time) verdict {
	e := ln.entry
	v := verdict{revision: ln.revision}
	switch {
	case !l.node.Lease().Held:
		// Who can't prove its own name takes nothing.
	case e == nil:
		v.free = true
	case e.Next != nil:
		gone, _ := l.life.gone(*e.Next, time.Time{}, now)
		v.again = ln.at.Add(l.cfg.reserve())
		v.free = gone || !now.Before(v.again) || e.Next.Node == l.node.Name() && e.Next.Incarnation == l.incarnation
	case l.ours(e):
		v.free = !l.isMine(e)
	default:
		v.free, v.again = l.life.gone(place{e.Node, e.Incarnation}, ln.at, now)
		v.holder, v.id = e.Node, e.ID
		// Its holder does not trust it any more by then, whoever that is. One that was renewed without this node's knowledge has another revision.
		if ends := ln.at.Add(l.cfg.TTL); !now.Before(ends) {
			v.free = true
		} else if v.again.IsZero() || ends.Before(v.again) {
			v.again = ends
		}
		if v.free {
			v.former = e
		}
	}
	return v
}

func (l *Leases) ours(e *entry) bool {
	return e.Node == l.node.Name() && e.Incarnation == l.incarnation && e.Next == nil
}

// isMine tells whether an entry is of a lease that is held here. One that is not was written for somebody who waits no more.
func (l *Leases) isMine(e *entry) bool {
	_, mine := l.mine[e.ID]
	return mine
}

// take writes the key, as one that is free at the verdict's revision.
func (l *Leases) take(ctx context.Context, key string, meta []byte, v verdict) (*Lease, error) {
	life, cancel := context.WithCancel(context.Background())
	x := &Lease{l: l, key: key, id: newID(), since: time.Now(), meta: meta, done: make(chan struct{}), back: make(chan struct{}), cancel: cancel}
	l.mu.Lock()
	x.incarnation = l.incarnation
	err := l.admit(x)
	l.mu.Unlock()
	if err != nil {
		cancel()
		return nil, err
	}
	defer l.tasks.Done()
	begun := time.Now()
	revision, err := l.put(ctx, key, x.entry(1), v.revision)
	if err != nil {
		// The key is another's, or the write was slow, and has been done all the same.
		found, at, lost := l.load(ctx, key)
		if lost != nil || found == nil || found.ID != x.id {
			cancel()
			l.drop(x)
			return nil, err
		}
		revision = at
	}
	x.epoch, x.revision, x.number = revision, revision, 1
	x.acked.Store(int64(begun.Sub(l.life.base)))
	l.begin(life, x) //nolint:contextcheck // ctx is for the taking only
	l.metrics.taken.Inc()
	if v.former != nil {
		l.metrics.takenOver.Inc()
		l.log.Info("lease: taken over", "key", key, "epoch", x.epoch, "from", v.former.Node, "its_incarnation", v.former.Incarnation)
	}
	return x, nil
}

// admit counts a lease in that is about to be taken. The lock is held.
func (l *Leases) admit(x *Lease) error {
	if l.ended {
		return fmt.Errorf("%w: %s", ErrClosed, x.key)
	}
	if len(l.mine) >= l.cfg.MaxHeld {
		l.metrics.refused.WithLabelValues("held").Inc()
		return fmt.Errorf("%w: this node holds %d leases", ErrTooMany, len(l.mine))
	}
	l.mine[x.id] = struct{}{}
	l.tasks.Add(1) // until it is taken or not
	return nil
}

// drop forgets a lease that was not taken, or is not any more.
func (l *Leases) drop(x *Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.mine, x.id)
	delete(l.held, x)
	ln := l.lineOf(x.key)
	if ln.lease == x {
		ln.lease = nil
	}
	ln.notify()
	l.tidy(ln)
	l.forget(ln)
}

// begin has a lease held from now on.
func (l *Leases) begin(life context.Context, x *Lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.lineOf(x.key)
	ln.lease = x
	l.held[x] = struct{}{}
	l.see(x.key, x.entry(1), x.revision)
	switch {
	case ln.revision > x.revision && (ln.entry == nil || ln.entry.ID != x.id):
		x.end("taken", errTaken)
	case l.incarnation != x.incarnation:
		x.end("name", errNewIncarnation)
	case l.ended:
		x.end("", nil)
	}
	l.tasks.Go(func() { x.keep(life) })
}

// tidy takes away an entry of this node that nobody here holds or waits for. The lock is held.
func (l *Leases) tidy(ln *line) {
	e := ln.entry
	if e == nil || ln.pins > 0 || ln.lease != nil || len(ln.queue) > 0 || !l.ours(e) || l.isMine(e) || l.ended {
		return
	}
	ln.pins++
	revision := ln.revision
	l.tasks.Go(func() {
		at, err := l.purge(l.ctx, ln.key, revision)
		l.mu.Lock()
		defer l.mu.Unlock()
		ln.pins--
		if err == nil {
			l.see(ln.key, nil, at)
		} else {
			l.log.Debug("lease: not given back, it ends by itself", "key", ln.key, "error", err)
		}
		l.forget(ln)
	})
}

func newID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
