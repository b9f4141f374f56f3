package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/skua-go/skua/actor"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// place is where a document waits to be written.
type place uint8

const (
	nowhere place = iota
	inLater       // until its change is as old as Autosave
	inSoon        // for the next batch
	inBatch       // it is being written
)

// outbox is the documents that are to be written, and the state of the database as the last batch found it. One batch is on its way at a time; what
// changes meanwhile gathers for the next, so the busier the store is, the larger its batches become.
type outbox struct {
	urgent  []*document
	aging   []aged // in the order of their age
	pending int
	busy    bool
	timer   *actor.Timer

	failures int
	retryAt  time.Time
	since    time.Time // when the database went away
	cause    error     // why

	stopping bool
	release  func()
}

// aged is a place in the line of those that wait. It counts only while the document still waits for the same change.
type aged struct {
	*document
	since time.Time
}

func (a aged) valid() bool { return a.place == inLater && a.document.since.Equal(a.since) }

// down tells whether the database could not be reached when it was last tried.
func (o *outbox) down() bool { return o.failures > 0 }

func (o *outbox) later(d *document) {
	if d.place == nowhere {
		d.place = inLater
		o.aging = append(o.aging, aged{d, d.since})
		o.pending++
	}
}

func (o *outbox) soon(d *document) {
	switch d.place {
	case nowhere:
		o.pending++
	case inLater: // it stays in the other line too, where it is passed over
	default:
		return
	}
	d.place = inSoon
	o.urgent = append(o.urgent, d)
}

// take removes up to n documents whose time has come.
func (o *outbox) take(n int, now time.Time, autosave time.Duration) []*document {
	batch := make([]*document, 0, min(n, len(o.urgent)+len(o.aging)))
	for len(o.urgent) > 0 && len(batch) < n {
		batch = append(batch, o.urgent[0])
		o.urgent[0] = nil
		o.urgent = o.urgent[1:]
	}
	for len(o.aging) > 0 && len(batch) < n {
		a := o.aging[0]
		if a.valid() {
			if !o.stopping && now.Sub(a.since) < autosave {
				break
			}
			batch = append(batch, a.document)
			a.place = inBatch
		}
		o.aging[0] = aged{}
		o.aging = o.aging[1:]
	}
	for _, d := range batch {
		d.place = inBatch
	}
	return batch
}

// pump starts the next batch if there is something to write and nothing stands against it.
func (s *Service) pump(c *actor.Context) {
	o := &s.out
	s.cfg.Metrics.pending.Set(float64(o.pending))
	now := time.Now()
	if o.busy || now.Before(o.retryAt) {
		return
	}
	batch := o.take(s.cfg.Batch, now, s.cfg.Autosave)
	if len(batch) == 0 {
		s.sleep(c, now)
		return
	}
	writes := make([]Write, len(batch))
	for i, d := range batch {
		writes[i] = *d.next()
	}
	o.busy = true
	began := now
	c.Detached(func() {
		c.Go(func(ctx context.Context) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
			defer cancel()
			return s.cfg.Backend.Apply(ctx, writes)
		}, func(v any, err error) {
			s.cfg.Metrics.batch.Observe(time.Since(began).Seconds())
			results, _ := v.([]error)
			s.written(c, batch, results, err)
		})
	})
}

// next is the write to be done for a document: the one whose outcome is not known, or one of its newest content.
func (d *document) next() *Write {
	if d.write == nil {
		d.write = &Write{Kind: d.kind, ID: d.id, Version: d.version, Epoch: d.epoch, Nonce: NewNonce(), Body: d.known}
		d.changed = false
		d.told, d.waiting = d.waiting, nil
	}
	return d.write
}

// sleep sets the timer for the oldest change.
func (s *Service) sleep(c *actor.Context, now time.Time) {
	o := &s.out
	if o.timer != nil || len(o.aging) == 0 {
		return
	}
	s.wake(c, o.aging[0].since.Add(s.cfg.Autosave).Sub(now))
}

func (s *Service) wake(c *actor.Context, d time.Duration) {
	if s.out.timer != nil {
		s.out.timer.Cancel()
	}
	c.Detached(func() {
		s.out.timer = c.After(max(d, time.Millisecond), func() {
			s.out.timer = nil
			s.pump(c)
		})
	})
}

// written books what became of a batch.
func (s *Service) written(c *actor.Context, batch []*document, results []error, err error) {
	o := &s.out
	o.busy = false
	again := 0
	var cause error
	for i, d := range batch {
		result := err
		if err == nil {
			result = results[i]
		}
		if result != nil && (err != nil || Retryable(result)) {
			again++
			cause = result
			s.putBack(d, result)
			continue
		}
		s.settle(c, d, result)
	}
	if again > 0 {
		s.setBack(c, again, cause)
	} else if o.down() {
		s.recovered(c)
	}
	if o.stopping && o.pending == 0 && o.release != nil {
		o.release()
		o.release = nil
	}
	s.pump(c)
}

// putBack keeps a write for another try. Those who wait for it hear that the database is away: they may wait no longer.
func (s *Service) putBack(d *document, why error) {
	for _, p := range append(d.told, d.waiting...) {
		p.Reply(nil, &UnavailableError{Op: "commit " + Name(d.kind, d.id) + " (kept until the database is back)", Err: why})
	}
	d.told, d.waiting = nil, nil
	d.place = inSoon
	s.out.urgent = append(s.out.urgent, d)
}

// settle ends a write that was done, or that was refused for good.
func (s *Service) settle(c *actor.Context, d *document, err error) {
	m := s.cfg.Metrics
	d.place = nowhere
	s.out.pending--
	for _, p := range d.told {
		p.Reply(nil, err)
	}
	d.told = nil
	if err == nil {
		m.writes.Inc()
		d.version = d.write.Version + 1
		d.write = nil
		if d.changed {
			if len(d.waiting) > 0 {
				s.out.soon(d)
			} else {
				s.out.later(d)
			}
		}
		s.forget(d)
		return
	}
	// Somebody else owns it now, or the database will not have it: what its owner believes is no longer true, so the owner must end.
	m.refused.Inc()
	c.Log().Error("write refused", "document", Name(d.kind, d.id), "error", err)
	for _, p := range d.waiting {
		p.Reply(nil, err)
	}
	owner := d.owner
	d.write, d.waiting, d.changed = nil, nil, false
	s.disown(d)
	s.forget(d)
	if !owner.IsZero() {
		c.Stop(owner, err)
	}
}

const maxRetry = 5 * time.Second

// setBack puts off the next batch after one that failed.
func (s *Service) setBack(c *actor.Context, n int, cause error) {
	o := &s.out
	o.cause = cause
	s.cfg.Metrics.retries.Add(float64(n))
	s.cfg.Metrics.down.Set(1)
	if !o.down() {
		o.since = time.Now()
	}
	pause := min(s.cfg.Retry<<min(o.failures, 10), maxRetry)
	pause = pause/2 + rand.N(pause/2+1) //nolint:gosec // jitter, so that nodes do not come back in step
	o.failures++
	o.retryAt = time.Now().Add(pause)
	c.Log().Warn("database unavailable: changes are kept and tried again", "documents", o.pending, "attempt", o.failures, "next", pause.Round(time.Millisecond), "error", cause)
	s.wake(c, pause)
}

func (s *Service) recovered(c *actor.Context) {
	o := &s.out
	c.Log().Info("database is back", "away", time.Since(o.since).Round(time.Millisecond), "attempts", o.failures, "documents", o.pending)
	o.failures, o.retryAt, o.cause = 0, time.Time{}, nil
	s.cfg.Metrics.down.Set(0)
}

// empty tells whether a body has no content at all.
func empty(body bson.Raw) bool { return len(body) == 0 }
