package store

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
)

// Document is a document that an actor in Go owns, with its content as a T, a struct with bson tags. It belongs to that actor and is used in its turns only.
//
// It is opened once by an actor: a second one would have Data of its own, and the later save would win.
//
// What T does not know is lost with the next save, unless T has a map with the tag `bson:",inline"` for it. The owner still gets Lost, and is
// stopped behind it unless the Claim says otherwise, and Refused.
//
// When the actor stops, what Changed has announced is handed in behind its Stop, and what changes later, in answers that come then, at once. An actor that is
// killed, or has failed, loses what it has not handed in.
type Document[T any] struct {
	// Data is the content, to be changed at will; Changed, Save or Commit hand it in.
	Data T

	kind, id string
	store    actor.Ref
	autosave time.Duration
	timer    *actor.Timer
	stopping bool   // the actor: it does not wait for timers any more
	release  func() // lets go of an actor that stops
	forget   func()
	closed   bool
	lost     error // why it is not this actor's any more, if a call has found that out
}

// ErrReleased refuses what is asked of a document after its Release.
var ErrReleased = errors.New("store: released")

// settings asks a Service for its Config.Autosave.
type settings struct{}

// Open claims a document for this actor and calls then, in one of its turns, with the content over a copy of defaults: what the content does not have is as there. A
// document without content is defaults. Errors are those of Claim, and of a content that is no T.
//
// An actor that loses the document is stopped, unless m.IfLost says otherwise.
func Open[T any](c *actor.Context, m Claim, defaults T, then func(*Document[T], error)) {
	kind, id := m.Kind, m.ID
	db, ok := c.System().Lookup(ServiceName)
	if !ok {
		then(nil, &UnavailableError{Op: "open " + Name(kind, id), Err: errors.New("this node has no store")})
		return
	}
	c.Ask(db, settings{}, func(v any, err error) {
		autosave, ok := v.(time.Duration)
		if err != nil || !ok {
			then(nil, fmt.Errorf("store: open %s: %w", Name(kind, id), err))
			return
		}
		c.Ask(db, m, func(v any, err error) {
			if err != nil {
				then(nil, err)
				return
			}
			doc, _ := v.(Doc)
			d := &Document[T]{kind: kind, id: id, store: db, autosave: autosave}
			if d.Data, err = decodeOver(defaults, doc.Body); err != nil {
				c.Send(db, Release{Kind: kind, ID: id})
				then(nil, fmt.Errorf("%w: %s is no %T: %w", ErrInvalid, Name(kind, id), d.Data, err))
				return
			}
			d.forget = c.AtStop(func() { d.stop(c) })
			then(d, nil)
		})
	})
}

// decodeOver is a copy of defaults with what body has in their place.
func decodeOver[T any](defaults T, body bson.Raw) (data T, err error) {
	base, err := bson.Marshal(defaults)
	if err != nil {
		return data, err
	}
	for _, raw := range []bson.Raw{base, body} { // the first makes a copy, which shares no maps and slices with defaults
		if len(raw) == 0 {
			continue
		}
		dec := bson.NewDecoder(bson.NewDocumentReader(bytes.NewReader(raw)))
		dec.ZeroMaps() // a map of the content is whole
		if err := dec.Decode(&data); err != nil {
			return data, err
		}
	}
	return data, nil
}

// Kind is the document's kind.
func (d *Document[T]) Kind() string { return d.kind }

// ID is the document's id.
func (d *Document[T]) ID() string { return d.id }

func (d *Document[T]) encode() (bson.Raw, error) {
	if d.closed {
		return nil, d.released()
	}
	if d.lost != nil {
		return nil, d.lost
	}
	raw, err := bson.Marshal(d.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, Name(d.kind, d.id), err)
	}
	return raw, CheckBody(d.kind, d.id, raw)
}

// Changed sees that Data, as it is then, is handed in soon enough to be written when Config.Autosave is over. Call it after each change, it costs nothing. The
// error is ErrReleased; what says that the document is another's, see Save; or in an actor that stops, where it is Save, an error of that.
func (d *Document[T]) Changed(c *actor.Context) error {
	switch {
	case d.closed:
		return d.released()
	case d.lost != nil:
		return d.lost
	case d.stopping:
		return d.Save(c)
	case d.timer == nil:
		d.later(c, d.autosave*3/4, d.autosave/4)
	}
	return nil
}

// later hands Data in when a while is over, to be written within a time.
func (d *Document[T]) later(c *actor.Context, wait, within time.Duration) {
	c.Detached(func() {
		d.timer = c.After(wait, func() {
			d.timer = nil
			d.retry(c, d.hand(c, within, nil))
		})
	})
}

// retry has another try at what was not saved, after the time of an autosave: it may be better by then. An actor that stops has no such time: Data that can't be
// kept is lost, and what the store does not take now is tried for as long as the actor's StopTimeout lets it.
func (d *Document[T]) retry(c *actor.Context, err error) {
	if err == nil {
		return
	}
	d.isLost(err)
	lost := d.closed || d.lost != nil || errors.Is(err, actor.ErrNoActor) ||
		d.stopping && (errors.Is(err, ErrInvalid) || errors.Is(err, ErrTooLarge))
	c.Log().Error("not saved", "document", Name(d.kind, d.id), "lost", lost, "error", err)
	switch {
	case lost || d.timer != nil:
	case d.stopping:
		d.release = c.Hold() // it would end without waiting for a timer
		d.timer = c.After(100*time.Millisecond, func() {
			release := d.release
			d.timer, d.release = nil, nil
			d.retry(c, d.hand(c, 0, nil))
			release()
		})
	default:
		d.later(c, d.autosave*3/4, d.autosave/4)
	}
}

// replan is for what Changed had announced when a Commit began that the store has not taken.
func (d *Document[T]) replan(c *actor.Context) {
	if d.closed || d.lost != nil {
		return
	}
	if err := d.Changed(c); err != nil {
		c.Log().Error("not saved", "document", Name(d.kind, d.id), "lost", true, "error", err)
	}
}

// stop is called when the actor has begun to stop.
func (d *Document[T]) stop(c *actor.Context) {
	d.stopping = true
	if d.unplan() {
		d.retry(c, d.Save(c))
	}
}

// unplan takes back that Data is to be handed in; false if nobody has said so.
func (d *Document[T]) unplan() bool {
	if d.timer == nil {
		return false
	}
	d.timer.Cancel()
	d.timer = nil
	if d.release != nil {
		d.release()
		d.release = nil
	}
	return true
}

// isLost notes that the document is another's, if the store's answer says so.
func (d *Document[T]) isLost(err error) {
	if errors.Is(err, ErrNotOwner) || errors.Is(err, ErrFenced) || errors.Is(err, ErrConflict) {
		d.lost = err
	}
}

func (d *Document[T]) released() error { return fmt.Errorf("%w: %s", ErrReleased, Name(d.kind, d.id)) }

// Save hands Data in as it is now, to be written within Config.Autosave. The error is one of Data: ErrInvalid or ErrTooLarge; ErrReleased; or
// ErrNotOwner, ErrFenced or ErrConflict if a call before has been answered so, since the document is another's then. What the store says against it later is in the
// log; an overloaded one is tried again.
func (d *Document[T]) Save(c *actor.Context) error { return d.hand(c, 0, nil) }

// hand hands Data in; without then, a failure is logged and what is worth another try gets it.
func (d *Document[T]) hand(c *actor.Context, within time.Duration, then func(error)) error {
	body, err := d.encode()
	if err != nil {
		return err
	}
	announced := d.unplan()
	if then != nil {
		c.Ask(d.store, Commit{Kind: d.kind, ID: d.id, Body: body}, func(_ any, err error) {
			if d.isLost(err); announced && err != nil && !errors.Is(err, ErrUnavailable) { // which keeps it
				d.replan(c)
			}
			then(err)
		})
		return nil
	}
	c.Detached(func() {
		c.Ask(d.store, Save{Kind: d.kind, ID: d.id, Body: body, Within: within}, func(_ any, err error) { d.retry(c, err) })
	})
	return nil
}

// Commit hands Data in as it is now and calls then when it is durable, or with an error, see the message Commit.
func (d *Document[T]) Commit(c *actor.Context, then func(error)) {
	if err := d.hand(c, 0, then); err != nil {
		then(err)
	}
}

// Delete takes the content away and calls then when that is durable. Data stays as it is, and makes the document anew when it is saved again.
func (d *Document[T]) Delete(c *actor.Context, then func(error)) {
	if d.closed {
		then(d.released())
		return
	}
	d.unplan()
	c.Ask(d.store, Delete{Kind: d.kind, ID: d.id}, func(_ any, err error) { then(err) })
}

// Release hands Data in, if Changed has announced something, and ends the ownership: ErrReleased is what all others answer then. If Data can't be handed in, which
// the error tells, it is lost.
func (d *Document[T]) Release(c *actor.Context) error {
	if d.closed {
		return nil
	}
	var err error
	if d.unplan() {
		err = d.Save(c)
	}
	d.closed = true
	d.forget()
	c.Send(d.store, Release{Kind: d.kind, ID: d.id})
	return err
}

// Peek reads a document of somebody else into a T, and calls then in one of this actor's turns: see Load.
func Peek[T any](c *actor.Context, m Load, then func(T, error)) {
	db, ok := c.System().Lookup(ServiceName)
	if !ok {
		var none T
		then(none, &UnavailableError{Op: "load " + Name(m.Kind, m.ID), Err: errors.New("this node has no store")})
		return
	}
	c.Ask(db, m, func(v any, err error) {
		var data T
		if doc, _ := v.(Doc); err == nil {
			if err = bson.Unmarshal(doc.Body, &data); err != nil {
				err = fmt.Errorf("%w: %s is no %T: %w", ErrInvalid, Name(m.Kind, m.ID), data, err)
			}
		}
		then(data, err)
	})
}
