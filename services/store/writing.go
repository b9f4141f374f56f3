package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
)

// pump starts the next batch if there is something to write and nothing stands against it.
func (s *Service) pump(c *actor.Context) {
	o := &s.out
	s.cfg.Metrics.pending.Set(float64(o.pending))
	if o.batch != nil || len(o.queue) == 0 {
		return
	}
	now := time.Now()
	if now.Before(o.retryAt) {
		s.wake(c, now, o.retryAt)
		return
	}
	o.batch = o.take(s.cfg.Batch, now)
	if o.batch == nil {
		s.wake(c, now, o.queue[0].due)
		return
	}
	writes := make([]Write, len(o.batch))
	for i, d := range o.batch {
		writes[i] = d.prepare()
	}
	c.Detached(func() { s.apply(c, writes) })
}

func (s *Service) apply(c *actor.Context, writes []Write) {
	began := time.Now()
	c.Go(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		defer cancel()
		return s.cfg.Backend.Apply(ctx, writes)
	}, func(v any, err error) {
		s.cfg.Metrics.batch.Observe(time.Since(began).Seconds())
		s.cfg.Metrics.size.Observe(float64(len(writes)))
		results, _ := v.([]error)
		if err == nil && len(results) != len(writes) {
			err = fmt.Errorf("store: the backend gave %d results for %d writes", len(results), len(writes))
		}
		s.written(c, results, err)
	})
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

// written books what became of the batch. A second error concerns all of it: then any write may have been done or not.
func (s *Service) written(c *actor.Context, results []error, err error) {
	o := &s.out
	batch := o.batch
	o.batch = nil
	var again []*document
	var cause error
	answered := false // by a database that works
	for i, d := range batch {
		result := err
		if err == nil {
			result = results[i]
		}
		if err == nil && !Retryable(result) {
			s.settle(c, d, result)
			answered = true
			continue
		}
		again = append(again, d)
		cause = result
		answered = answered || errors.Is(result, errMoved)
	}
	if answered && o.down() {
		s.recovered(c)
	}
	switch {
	case len(again) == 0:
	case answered:
		s.later(c, again, cause)
	default:
		s.setBack(c, again, cause)
	}
	s.endIfDone()
	s.pump(c)
}

// settle ends a write that was done, or that was refused for good.
func (s *Service) settle(c *actor.Context, d *document, err error) {
	s.out.done(d)
	if err == nil {
		s.cfg.Metrics.writes.Inc()
		d.version = d.write.Version + 1
	} else {
		s.cfg.Metrics.refused.Inc()
		c.Log().Error("write refused", "document", d.String(), "error", err)
	}
	answer(&d.told, err)
	d.write = nil
	if errors.Is(err, ErrFenced) || errors.Is(err, ErrConflict) {
		answer(&d.waiting, err)
		d.next = time.Time{}
		s.lose(c, d, err)
		return
	}
	// Content that the database will not have is given up, but the document is still its owner's, whose next content may be better.
	if !d.next.IsZero() {
		s.out.put(d, d.next)
	}
	s.forget(d)
}

// answer keeps all promises of a list.
func answer(list *[]actor.Promise, err error) {
	for _, p := range *list {
		p.Reply(nil, err)
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
func (s *Service) setBack(c *actor.Context, again []*document, cause error) {
	o := &s.out
	s.cfg.Metrics.retries.Add(float64(len(again)))
	s.cfg.Metrics.down.Set(1)
	now := time.Now()
	if !o.down() {
		o.since = now
	}
	o.cause = cause
	for _, d := range again {
		o.putBack(d, d.due) // still the most overdue, so few documents have a write whose outcome is not known
	}
	for _, d := range o.queue {
		if len(d.told)+len(d.waiting) > 0 {
			why := s.kept(d)
			answer(&d.told, why)
			answer(&d.waiting, why)
		}
	}
	pause := jitter(min(s.cfg.Retry<<min(o.failures, 10), maxRetry))
	o.failures++
	o.retryAt = now.Add(pause)
	c.Log().Warn("database unavailable: changes are kept and tried again", "documents", o.pending, "attempt", o.failures, "next", pause.Round(time.Millisecond), "error", cause)
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
	if o.pending == 0 {
		return
	}
	o.release = c.Hold()
	o.retryAt = time.Time{} // a last outage may be over
	c.After(s.cfg.StopTimeout, func() { s.giveUp(c) })
	s.pump(c)
}

func (s *Service) endIfDone() {
	if o := &s.out; o.pending == 0 && o.release != nil {
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
	names := make([]string, 0, o.pending)
	for _, d := range slices.Concat(o.batch, o.queue) {
		names = append(names, d.String())
	}
	slices.Sort(names)
	names = names[:min(len(names), maxNamed)]
	c.Log().Error("stopped before all changes were written: they are lost", "documents", o.pending, "names", names,
		"more", o.pending-len(names), "tried", s.cfg.StopTimeout, "error", o.cause)
	o.release()
	o.release = nil
}
