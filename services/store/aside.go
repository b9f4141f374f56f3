package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
)

// aside is content that the database refused, until it takes some that came later.
type aside struct {
	record Refusal
	filed  bool  // it is in the quarantine
	err    error // why it could not be put there
}

func (a *aside) full(n name) error {
	return fmt.Errorf("store: %s: no change is taken before the quarantine has room for the content that the database refused (%s): %w", n, a.record.Error, a.err)
}

// shelf brings refused content into the quarantine, and takes out what is no longer needed, one document after the other.
type shelf struct {
	quarantine *Quarantine
	todo       []*document
	failed     map[*document]struct{} // to be tried again
	unfiled    int                    // documents whose content is in no file
	busy       bool
	timer      *actor.Timer
}

// shelfRetry is the pause before a quarantine that was full, or could not be written to, is tried again.
const shelfRetry = 30 * time.Second

func newShelf(cfg *Config) shelf {
	return shelf{quarantine: cfg.Quarantine, failed: map[*document]struct{}{}}
}

// refuse sets content aside that the database will never have. The document is still its owner's, whose next content may be better.
func (s *Service) refuse(c *actor.Context, d *document, w *Write, err error) {
	s.cfg.Metrics.refused.Inc()
	heard := false
	for _, p := range d.told {
		heard = p.Open() || heard
	}
	s.answer(&d.told, err)
	if heard && errors.Is(err, ErrDuplicate) {
		c.Log().Info("write refused", "document", d.String(), "error", err) // a name that is taken, say: whoever asked for it knows
	} else {
		c.Log().Error("write refused", "document", d.String(), "error", err)
	}
	if !heard && !d.owner.IsZero() {
		c.Send(d.owner, Refused{Kind: d.kind, ID: d.id, Err: err})
	}
	if s.aside.quarantine == nil || w.Delete {
		return
	}
	if d.aside == nil || d.aside.filed {
		s.aside.unfiled++
	}
	d.aside = &aside{record: Refusal{Kind: d.kind, ID: d.id, Version: w.Version, Epoch: w.Epoch, Time: time.Now(), Error: err.Error(), Body: w.Body}}
	s.cfg.Metrics.quarantined.Inc()
	s.shelveSoon(c, d)
}

// takeIn notes that the database has content which came after what was set aside.
func (s *Service) takeIn(c *actor.Context, d *document) {
	if d.aside == nil {
		return
	}
	if !d.aside.filed {
		s.aside.unfiled--
	}
	d.aside = nil
	delete(s.aside.failed, d)
	s.shelveSoon(c, d)
}

func (s *Service) shelveSoon(c *actor.Context, d *document) {
	if !d.shelving {
		d.shelving = true
		s.aside.todo = append(s.aside.todo, d)
	}
	s.shelve(c)
}

// shelve brings the quarantine up to date with the next document.
func (s *Service) shelve(c *actor.Context) {
	sh := &s.aside
	if sh.busy || len(sh.todo) == 0 {
		return
	}
	d := sh.todo[0]
	sh.todo = sh.todo[1:]
	a, file := d.aside, d.file
	sh.busy = true
	c.Detached(func() {
		c.Go(func(context.Context) (any, error) {
			if a != nil {
				return sh.quarantine.Put(a.record)
			}
			return "", sh.quarantine.Remove(file)
		}, func(v any, err error) {
			sh.busy, d.shelving = false, false
			path, _ := v.(string)
			s.shelved(c, d, a, path, err)
			s.forget(d)
			s.eased()
			s.endIfDone()
			s.shelve(c)
		})
	})
}

// shelved books what became of it; a is what the document had aside when it began.
func (s *Service) shelved(c *actor.Context, d *document, a *aside, file string, err error) {
	sh := &s.aside
	switch {
	case a == nil && err != nil:
		c.Log().Error("a file of the quarantine can't be removed, the database has newer content", "document", d.String(), "file", d.file, "error", err)
	case a == nil:
		d.file = ""
	case err == nil:
		d.file = file
		if d.aside == a {
			a.filed, a.err = true, nil
			sh.unfiled--
			s.weigh(d)
		}
		c.Log().Warn("refused content is in the quarantine", "document", d.String(), "file", file)
	default:
		a.err = err
		c.Log().Error("refused content is only in memory: the quarantine does not take it, and no change of the document is saved", "document", d.String(), "error", err)
		if d.aside == a {
			sh.failed[d] = struct{}{}
			s.shelveLater(c)
		}
	}
	if d.aside != a {
		s.shelveSoon(c, d)
	}
}

func (s *Service) shelveLater(c *actor.Context) {
	sh := &s.aside
	if sh.timer != nil {
		return
	}
	c.Detached(func() {
		sh.timer = c.After(shelfRetry, func() {
			sh.timer = nil
			s.shelveAgain(c)
		})
	})
}

// shelveAgain tries what has failed.
func (s *Service) shelveAgain(c *actor.Context) {
	failed := s.aside.failed
	s.aside.failed = map[*document]struct{}{}
	for d := range failed {
		s.shelveSoon(c, d)
	}
}
