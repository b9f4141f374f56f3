package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
)

// pumpSoon calls pump behind the messages that wait already, so that commits which come together go out together.
func (s *Service) pumpSoon(c *actor.Context) {
	if s.out.soon || s.out.turning {
		return
	}
	s.out.soon = true
	c.Detached(func() {
		c.Resume(func() {
			s.out.soon = false
			s.pump(c)
		})()
	})
}

// pump starts the next batches if there is something to write and nothing stands against it.
func (s *Service) pump(c *actor.Context) {
	o := &s.out
	s.cfg.Metrics.waits(o)
	now := time.Now()
	if now.Before(o.retryAt) {
		s.wake(c, now, o.retryAt)
		return
	}
	for b := o.take(&s.cfg, now); b != nil; b = o.take(&s.cfg, now) {
		s.send(c, b)
	}
	if due, some := o.next(); some && due.After(now) {
		s.wake(c, now, due)
	}
}

// pumpInTurn calls pump when all actors that were ready to run have had their turn. Owners that have just been answered often have something new at once: a batch
// that began without them would make them wait for two, and owners that commit one change after the other would fall into groups which wait for each other.
func (s *Service) pumpInTurn(c *actor.Context) {
	if s.out.turning {
		return
	}
	s.out.turning = true
	c.Detached(func() {
		c.System().Send(s.turn, turned(c.Resume(func() {
			s.out.turning = false
			s.pump(c)
		})))
	})
}

// turn is an actor that comes behind those that were ready before it was sent a turned.
type turn struct{}

type turned func()

func (turn) Receive(_ *actor.Context, msg any) {
	if f, ok := msg.(turned); ok {
		f()
	}
}

func (s *Service) send(c *actor.Context, b *batch) {
	w := &writing{writes: make([]Write, 0, len(b.docs)), bases: make([]bson.Raw, 0, len(b.docs))}
	for _, d := range b.docs {
		w.writes = append(w.writes, d.prepare())
		w.bases = append(w.bases, d.written)
	}
	c.Detached(func() { s.apply(c, b, w) })
}

// errUnchanged is the result of a write that was not needed.
var errUnchanged = errors.New("the database has this content")

func (s *Service) apply(c *actor.Context, b *batch, w *writing) {
	c.Go(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		defer cancel()
		results := make([]error, len(w.writes))
		for i := range results {
			results[i] = errUnchanged
		}
		writes, at := w.changed()
		if len(writes) == 0 {
			return results, nil
		}
		began := time.Now()
		errs, err := s.cfg.Backend.Apply(ctx, writes)
		s.cfg.Metrics.applied(writes, time.Since(began))
		if err == nil && len(errs) != len(writes) {
			err = fmt.Errorf("store: the backend gave %d results for %d writes", len(errs), len(writes))
		}
		if err != nil {
			return nil, err
		}
		for i, j := range at {
			results[j] = errs[i]
		}
		return results, nil
	}, func(v any, err error) {
		results, _ := v.([]error)
		s.written(c, b, results, err)
	})
}

// wakeFor sees that pump is called when a document is due.
func (s *Service) wakeFor(c *actor.Context, due time.Time) {
	o := &s.out
	if o.mixed { // which calls it when it comes back
		return
	}
	if due.Before(o.retryAt) {
		due = o.retryAt
	}
	s.wake(c, time.Now(), due)
}

// wake calls pump at that time, or earlier.
func (s *Service) wake(c *actor.Context, now, at time.Time) {
	o := &s.out
	if o.timer != nil {
		if !o.wakes.After(at) {
			return
		}
		o.timer.Cancel()
	}
	o.wakes = at
	c.Detached(func() {
		o.timer = c.After(at.Sub(now), func() {
			o.timer = nil
			s.pump(c)
		})
	})
}

// written books what became of a batch. A second error concerns all of it: then any write may have been done or not.
func (s *Service) written(c *actor.Context, b *batch, results []error, err error) {
	o := &s.out
	o.end(b)
	var again []*document
	var cause error
	answered := false // by a database that works
	for i, d := range b.docs {
		result := err
		if err == nil {
			result = results[i]
		}
		if err == nil && !Retryable(result) {
			s.settle(c, d, result)
			answered = answered || result != errUnchanged //nolint:errorlint // our own, as it is
			continue
		}
		again = append(again, d)
		cause = result
		answered = answered || errors.Is(result, errMoved)
	}
	if answered {
		o.narrow = max(0, o.narrow-1)
	}
	if answered && o.down() {
		s.recovered(c)
	}
	switch {
	case len(again) == 0:
	case answered:
		s.later(c, again, cause)
	default:
		s.setBack(c, b, again, cause)
	}
	s.eased()
	s.endIfDone()
	if b.commits && s.cfg.serial && !o.stopping {
		s.pumpInTurn(c)
		return
	}
	s.pump(c)
}

// settle ends a write that was done, or that was refused for good.
func (s *Service) settle(c *actor.Context, d *document, err error) {
	s.out.done(d)
	w := d.write
	d.write = nil
	switch {
	case err == nil:
		s.cfg.Metrics.writes.Inc()
		d.version, d.written = w.Version+1, w.Body
		s.takeIn(c, d)
		s.hold(c, d)
	case err == errUnchanged: //nolint:errorlint // our own, as it is
		s.cfg.Metrics.unchanged.Inc()
		if d.next.IsZero() {
			d.known = d.written // one copy is enough
		}
		s.takeIn(c, d)
		s.answer(&d.told, nil)
	case errors.Is(err, ErrFenced), errors.Is(err, ErrConflict):
		s.cfg.Metrics.refused.Inc()
		c.Log().Error("write refused", "document", d.String(), "error", err)
		s.answer(&d.told, err)
		s.answer(&d.waiting, err)
		d.next = time.Time{}
		s.weigh(d)
		s.lose(c, d, err)
		return
	default:
		s.refuse(c, d, w, err)
	}
	if !d.next.IsZero() {
		s.out.put(d, d.next)
	}
	s.weigh(d)
	s.forget(d)
}

// waiter is somebody who waits until a document's content is written.
type waiter struct {
	actor.Promise
	since time.Time // of a commit; zero for who has committed nothing
}

// answer tells all waiters of a list, and counts how long those have waited whose commit is done.
func (s *Service) answer(list *[]waiter, err error) {
	for _, w := range *list {
		if err == nil && !w.since.IsZero() {
			s.cfg.Metrics.commit.Observe(time.Since(w.since).Seconds())
		}
		w.Reply(nil, err)
	}
	*list = nil
}

// later tries writes again that a database which works could not do at the moment, after a pause and behind those that are due by then.
func (s *Service) later(c *actor.Context, again []*document, cause error) {
	s.cfg.Metrics.retries.Add(float64(len(again)))
	due := time.Now().Add(jitter(s.cfg.Retry))
	for _, d := range again {
		s.out.putBack(d, due)
	}
	c.Log().Warn("some writes were not done and are tried again", "documents", len(again), "error", cause)
}

const maxRetry = 5 * time.Second

// setBack puts off all batches after one that failed. All who wait for a write hear that the database is away.
func (s *Service) setBack(c *actor.Context, b *batch, again []*document, cause error) {
	o := &s.out
	s.cfg.Metrics.retries.Add(float64(len(again)))
	s.cfg.Metrics.down.Set(1)
	now := time.Now()
	o.cause = cause
	for _, d := range again {
		o.putBack(d, d.due) // still the most overdue, so few documents have a write whose outcome is not known
	}
	o.each(func(d *document) {
		if d.awaited() {
			why := s.unavailable("commit " + d.String() + " (kept until the database is back)")
			s.answer(&d.told, why)
			s.answer(&d.waiting, why)
		}
	})
	s.relieve()
	if o.down() && b.began.Before(o.failed) {
		return // it was on its way when another one failed, and says nothing new
	}
	if !o.down() {
		o.since = now
	}
	pause := jitter(min(s.cfg.Retry<<min(o.failures, 10), maxRetry))
	o.failures++
	o.narrow = min(o.narrow+1, maxNarrow)
	o.failed, o.retryAt = now, now.Add(pause)
	c.Log().Warn("database unavailable: changes are kept and tried again", "documents", o.pending, "attempt", o.failures, "next", pause.Round(time.Millisecond), "error", cause)
}

// unavailable is the error of what can't be done, or not be known, until the database is back.
func (s *Service) unavailable(op string) error {
	cause := s.out.cause
	var inner *UnavailableError
	if errors.As(cause, &inner) {
		cause = inner.Err
	}
	return &UnavailableError{Op: op, Err: cause}
}

func (s *Service) kept(d *document) error {
	return s.unavailable("commit " + d.String() + " (kept until the database is back)")
}

// jitter shortens a pause by up to a half, so that nodes do not come back in step.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func (s *Service) recovered(c *actor.Context) {
	o := &s.out
	c.Log().Info("database is back", "away", time.Since(o.since).Round(time.Millisecond), "attempts", o.failures, "documents", o.pending)
	o.failures, o.retryAt, o.cause = 0, time.Time{}, nil
	s.cfg.Metrics.down.Set(0)
}

// Stop writes what waits to be written. The service ends when that is done, or Config.StopTimeout is over.
func (s *Service) Stop(c *actor.Context, _ error) {
	o := &s.out
	o.stopping = true
	if s.stopIndexing != nil {
		s.stopIndexing()
	}
	s.relieve()
	if s.isDone() {
		return
	}
	o.release = c.Hold()
	o.retryAt = time.Time{} // a last outage may be over
	c.After(s.cfg.StopTimeout, func() { s.giveUp(c) })
	s.shelveAgain(c)
	s.pump(c)
}

// isDone tells that nothing would be lost.
func (s *Service) isDone() bool { return s.out.pending == 0 && s.aside.unfiled == 0 }

func (s *Service) endIfDone() {
	if o := &s.out; o.release != nil && s.isDone() {
		o.release()
		o.release = nil
	}
}

// maxNamed is how many lost documents are named in the log.
const maxNamed = 20

// giveUp ends a service that can't write what it holds.
func (s *Service) giveUp(c *actor.Context) {
	o := &s.out
	if o.release == nil {
		return
	}
	var names []string
	for _, d := range s.docs {
		if d.place != nowhere || d.aside != nil && !d.aside.filed {
			names = append(names, d.String())
		}
	}
	slices.Sort(names)
	named := names[:min(len(names), maxNamed)]
	c.Log().Error("stopped before all changes were written: they are lost", "documents", len(names), "names", named,
		"more", len(names)-len(named), "tried", s.cfg.StopTimeout, "error", o.cause)
	o.release()
	o.release = nil
}
