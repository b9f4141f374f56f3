package actor

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// DeadLetters is the topic to which the system publishes each DeadLetter. Who subscribes to it should have a bounded Mailbox.
const DeadLetters = "actor.dead-letters"

// DeadLetter is a message that could not be delivered, and why.
type DeadLetter struct {
	To, From Ref
	Message  any
	Reason   Code
}

// Expendable marks a DeadLetter as a message that may be lost without a word.
func (DeadLetter) Expendable() {}

// Expendable is a message that may be lost without a word, such as a push to a client that has just gone: it is no dead letter.
type Expendable interface{ Expendable() }

// deadLetters counts what could not be delivered and logs a sample: one at once, and then at most one a second with the number of those between.
type deadLetters struct {
	log   *slog.Logger
	count atomic.Int64

	mu     sync.Mutex
	logged time.Time
	silent int64
}

func (d *deadLetters) add(s *System, to, from Ref, msg any, code Code) {
	if _, ok := msg.(Expendable); ok {
		return
	}
	d.count.Add(1)
	if more, ok := d.sample(time.Now()); ok {
		d.log.Warn("dead letter", "to", s.nameOf(to), "from", s.nameOf(from), "message", typeName(msg), "reason", code.String(), "more", more)
	}
	s.topics.publish(DeadLetters, Ref{}, DeadLetter{To: to, From: from, Message: msg, Reason: code}, nil, nil)
}

// sample tells whether this one is logged, and how many before it were not.
func (d *deadLetters) sample(now time.Time) (more int64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.logged) < time.Second {
		d.silent++
		return 0, false
	}
	more = d.silent
	d.logged, d.silent = now, 0
	return more, true
}
