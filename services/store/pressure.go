package store

import (
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
)

// maxHold is how long the answer to a commit is held back at most: it must not turn into a time-out of who waits.
const maxHold = 2 * time.Second

// room tells whether new content of a document may wait to be written.
func (s *Service) room(d *document, size int) error {
	grows := size
	if !d.next.IsZero() {
		grows -= len(d.known) // which it replaces
	}
	var text string
	switch {
	case d.place == nowhere && s.out.pending >= s.cfg.MaxPending:
		text = fmt.Sprintf("%d documents wait for the database", s.out.pending)
	case grows > 0 && s.out.bytes+grows > s.cfg.MaxPendingBytes:
		text = fmt.Sprintf("documents of %d bytes wait for the database", s.out.bytes)
	default:
		return nil
	}
	s.cfg.Metrics.overloaded.Inc()
	return &actor.Error{Code: actor.Overloaded, Actor: ServiceName, Text: text}
}

// change notes the newest content of a document, to be written by a certain time.
func (s *Service) change(c *actor.Context, d *document, body bson.Raw, by time.Time) {
	d.known, d.checked = body, true // by accept
	s.out.want(d, by)
	s.weigh(d)
	s.cfg.Metrics.waits(&s.out)
	if o := &s.out; !o.pressed && o.bytes > s.cfg.MaxPendingBytes/2 {
		o.pressed = true
		c.Log().Warn("more than half of what may wait for the database does: commits are answered late", "documents", o.pending, "bytes", o.bytes, "limit", s.cfg.MaxPendingBytes)
	}
}

// weigh counts the bytes of a document that wait.
func (s *Service) weigh(d *document) {
	n := 0
	if d.write != nil {
		n += len(d.write.Body)
	}
	if !d.next.IsZero() {
		n += len(d.known)
	}
	if d.aside != nil && !d.aside.filed {
		n += len(d.aside.record.Body)
	}
	s.out.bytes += n - d.bytes
	d.bytes = n
	s.cfg.Metrics.bytes.Set(float64(s.out.bytes))
}

// hold answers commits that are done: at once, or when there is room again.
func (s *Service) hold(c *actor.Context, d *document) {
	o := &s.out
	if o.bytes <= s.cfg.MaxPendingBytes/2 || o.stopping {
		s.answer(&d.told, nil)
		return
	}
	if len(o.held) == 0 && len(d.told) > 0 {
		c.Detached(func() { c.After(maxHold, s.relieve) })
	}
	o.held = append(o.held, d.told...)
	d.told = nil
}

// relieve answers the commits that were held back.
func (s *Service) relieve() { s.answer(&s.out.held, nil) }

// eased is called when content has stopped waiting.
func (s *Service) eased() {
	o := &s.out
	if o.bytes <= s.cfg.MaxPendingBytes/2 {
		s.relieve()
	}
	if o.bytes <= s.cfg.MaxPendingBytes/4 { // not at once, so that the log does not fill when it goes up and down
		o.pressed = false
	}
}
