package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Lease is one that this node has taken. All methods may be called from any goroutine.
type Lease struct {
	l           *Leases
	key, id     string
	epoch       uint64
	incarnation uint64
	since       time.Time
	meta        []byte

	acked  atomic.Int64 // when the last write began that was acknowledged, as time since life.base
	once   sync.Once
	cancel context.CancelFunc // ends an attempt to renew
	done   chan struct{}      // not held any more
	back   chan struct{}      // nothing is written for it any more
	cause  error              // set before done is closed
	taken  bool               // by another: nothing is to be given back

	// Only keep uses these.
	revision uint64
	number   uint64      // of the last write
	begun    []time.Time // when each write since the last acknowledged one began
}

// Key is the key of the lease.
func (x *Lease) Key() string { return x.key }

// Epoch is the fencing token: higher than that of whoever had the lease before, also in the past of former clusters on the same bucket.
func (x *Lease) Epoch() uint64 { return x.epoch }

// Held tells whether nobody else can have the lease now. It takes no lock.
func (x *Lease) Held() bool {
	select {
	case <-x.done:
		return false
	default:
		return time.Now().Before(x.fence())
	}
}

// Done is closed when the lease is not held any more: it was released, or lost.
func (x *Lease) Done() <-chan struct{} { return x.done }

// Err is nil while the lease is held or when it was released, and wraps ErrLost with the reason when it was lost.
func (x *Lease) Err() error {
	select {
	case <-x.done:
		return x.cause
	default:
		return nil
	}
}

// fence is until when the lease can be trusted as things are.
func (x *Lease) fence() time.Time {
	until := x.l.life.base.Add(time.Duration(x.acked.Load()) + x.l.cfg.trust())
	if seen := x.l.life.seenUntil(x.since); seen.Before(until) {
		return seen
	}
	return until
}

// ends is until when no other node takes the lease for one that has not been renewed, as long as its own is not taken for dead.
func (x *Lease) ends() time.Time {
	return x.l.life.base.Add(time.Duration(x.acked.Load()) + x.l.cfg.TTL)
}

// Release gives the lease back, to the one who has waited longest if anybody has. It is not held any more from the begin of the call. It blocks until others can take it, or until ctx ends: then it is
// still given back as soon as that works, or ends by itself. The error is that of ctx, or wraps ErrLost if the lease had been lost before.
func (x *Lease) Release(ctx context.Context) error {
	x.Resign()
	select {
	case <-x.back:
		return x.cause
	case <-ctx.Done():
		return fmt.Errorf("lease: giving %s back: %w", x.key, context.Cause(ctx))
	}
}

// Resign is Release for who does not wait for others to be able to take the lease.
func (x *Lease) Resign() { x.end("", nil) }

// end has it not held any more; reason is empty when it was released.
func (x *Lease) end(reason string, cause error) {
	x.once.Do(func() {
		if cause != nil {
			x.cause = fmt.Errorf("%w: %s: %w", ErrLost, x.key, cause)
			x.taken = errors.Is(cause, errTaken)
			x.l.metrics.lost.WithLabelValues(reason).Inc()
			x.l.log.Warn("lease: lost", "key", x.key, "epoch", x.epoch, "reason", cause)
		}
		close(x.done)
		x.cancel()
	})
}

var (
	errTaken   = errors.New("another has it")
	errFenced  = errors.New("it could not be renewed in time")
	errUnheard = errors.New("this node was cut off from NATS")
)

func (x *Lease) entry(number uint64) *entry {
	e := &entry{Node: x.l.node.Name(), Incarnation: x.incarnation, ID: x.id, N: number, Since: x.since, Meta: x.meta}
	if number > 1 {
		e.Epoch = x.epoch
	}
	return e
}

// keep renews the lease until it ends, and gives it back. ctx ends with the lease.
func (x *Lease) keep(ctx context.Context) {
	defer close(x.back)
	x.renewals(ctx)
	x.giveBack() //nolint:contextcheck // when ctx has ended
	x.l.drop(x)
}

func (x *Lease) renewals(ctx context.Context) {
	cfg := &x.l.cfg
	next := x.l.life.base.Add(time.Duration(x.acked.Load()) + cfg.renewal())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now, fence := time.Now(), x.fence()
		if !now.Before(fence) {
			if fence.Before(x.l.life.base.Add(time.Duration(x.acked.Load()) + cfg.trust())) {
				x.end("unheard", errUnheard)
			} else {
				x.end("fenced", errFenced)
			}
			return
		}
		if !now.Before(next) {
			next = x.renew(ctx, fence)
			continue
		}
		timer.Reset(min(next.Sub(now), fence.Sub(now)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// renew writes the lease again, and tells when the next time is.
func (x *Lease) renew(ctx context.Context, fence time.Time) time.Time {
	l := x.l
	attempt, cancel := context.WithDeadline(ctx, fence)
	defer cancel()
	x.number++
	begun := time.Now()
	x.begun = append(x.begun, begun)
	revision, err := l.put(attempt, x.key, x.entry(x.number), x.revision)
	if err == nil {
		x.confirm(revision, begun)
		return begun.Add(l.cfg.renewal())
	}
	if ctx.Err() != nil {
		return begun
	}
	l.metrics.failed.WithLabelValues("renew").Inc()
	if !errors.Is(err, errConflict) {
		l.log.Debug("lease: not renewed, it is tried again", "key", x.key, "error", err)
		return time.Now().Add(pause)
	}
	// The key is another's, or has ended, or it has a write of this lease that was not acknowledged.
	found, at, err := l.load(attempt, x.key)
	switch {
	case err != nil:
	case found != nil && found.ID == x.id:
		if i := x.unacknowledged(found.N); i >= 0 && at > x.revision {
			x.confirm(at, x.begun[i])
		}
	case at > x.revision || at == 0 && found == nil:
		x.end("taken", errTaken)
	}
	return time.Now().Add(pause / 10)
}

// unacknowledged is which of the writes since the last acknowledged one has a number; -1 if it was before them.
func (x *Lease) unacknowledged(number uint64) int {
	return len(x.begun) - 1 - int(x.number-number)
}

// confirm notes that a write which began then was done.
func (x *Lease) confirm(revision uint64, begun time.Time) {
	x.revision = revision
	x.acked.Store(int64(begun.Sub(x.l.life.base)))
	for len(x.begun) > 0 && !x.begun[0].After(begun) {
		x.begun = x.begun[1:]
	}
	l := x.l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.see(x.key, x.entry(x.number), revision)
}

// giveBack writes that the lease is free, or for whom. Where somebody of this node is next, there is nothing to write: the entry is one that nobody holds.
func (x *Lease) giveBack() {
	l := x.l
	heir, local := l.heir(x)
	for !x.taken && !local && time.Now().Before(x.ends()) {
		var at uint64
		var err error
		var e *entry
		if heir == nil {
			at, err = l.purge(context.Background(), x.key, x.revision)
		} else {
			e = &entry{Node: l.node.Name(), Incarnation: x.incarnation, ID: x.id, Epoch: x.epoch, Since: x.since, Next: heir}
			at, err = l.put(context.Background(), x.key, e, x.revision)
		}
		if err == nil {
			l.mu.Lock()
			l.see(x.key, e, at)
			l.mu.Unlock()
			return
		}
		if errors.Is(err, errConflict) {
			found, at, err := l.load(context.Background(), x.key)
			if err == nil && (found == nil || found.ID != x.id) {
				return
			}
			if err == nil {
				x.revision = max(x.revision, at)
			}
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}
