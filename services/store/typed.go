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
// What T does not know is lost with the next save, unless T has a map with the tag `bson:",inline"` for it. The owner still gets Lost and Refused.
type Document[T any] struct {
	// Data is the content, to be changed at will; Changed, Save or Commit hand it in.
	Data T

	kind, id string
	store    actor.Ref
	autosave time.Duration
	timer    *actor.Timer
	closed   bool
}

// ErrReleased refuses what is asked of a document after its Release.
var ErrReleased = errors.New("store: released")

// settings asks a Service for its Config.Autosave.
type settings struct{}

// Open claims a document for this actor and calls then, in one of its turns, with the content over a copy of defaults: what the content does not have is as there. A
// document without content is defaults. Errors are those of Claim, and of a content that is no T.
func Open[T any](c *actor.Context, kind, id string, defaults T, then func(*Document[T], error)) {
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
		c.Ask(db, Claim{Kind: kind, ID: id}, func(v any, err error) {
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
		return nil, fmt.Errorf("%w: %s", ErrReleased, Name(d.kind, d.id))
	}
	raw, err := bson.Marshal(d.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalid, Name(d.kind, d.id), err)
	}
	return raw, CheckBody(d.kind, d.id, raw)
}

// Changed sees that Data, as it is then, is handed in soon enough to be written when Config.Autosave is over. Call it after each change, it costs nothing.
func (d *Document[T]) Changed(c *actor.Context) {
	if d.timer != nil || d.closed {
		return
	}
	c.Detached(func() {
		d.timer = c.After(d.autosave*3/4, func() {
			d.timer = nil
			if err := d.hand(c, d.autosave/4, nil); err != nil {
				c.Log().Error("not saved", "document", Name(d.kind, d.id), "error", err)
				d.Changed(c) // it may be better by then
			}
		})
	})
}

// Save hands Data in as it is now, to be written within Config.Autosave. The error is one of Data: ErrInvalid or ErrTooLarge. An owner's Stop calls it for what is
// not handed in yet. What the store says against it later is in the log; an overloaded one is tried again.
func (d *Document[T]) Save(c *actor.Context) error { return d.hand(c, 0, nil) }

// hand hands Data in; without then, a failure is logged and what is worth another try gets it.
func (d *Document[T]) hand(c *actor.Context, within time.Duration, then func(error)) error {
	body, err := d.encode()
	if err != nil {
		return err
	}
	if d.timer != nil {
		d.timer.Cancel()
		d.timer = nil
	}
	if then != nil {
		c.Ask(d.store, Commit{Kind: d.kind, ID: d.id, Body: body}, func(_ any, err error) { then(err) })
		return nil
	}
	c.Detached(func() {
		c.Ask(d.store, Save{Kind: d.kind, ID: d.id, Body: body, Within: within}, func(_ any, err error) {
			if err == nil {
				return
			}
			c.Log().Error("not saved", "document", Name(d.kind, d.id), "error", err)
			if !errors.Is(err, ErrNotOwner) && !errors.Is(err, actor.ErrNoActor) {
				d.Changed(c)
			}
		})
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
		then(fmt.Errorf("%w: %s", ErrReleased, Name(d.kind, d.id)))
		return
	}
	if d.timer != nil {
		d.timer.Cancel()
		d.timer = nil
	}
	c.Ask(d.store, Delete{Kind: d.kind, ID: d.id}, func(_ any, err error) { then(err) })
}

// Release hands Data in, if Changed has announced something, and ends the ownership. The document is of no use then.
func (d *Document[T]) Release(c *actor.Context) error {
	var err error
	if d.timer != nil {
		err = d.Save(c)
	}
	if !d.closed {
		d.closed = true
		c.Send(d.store, Release{Kind: d.kind, ID: d.id})
	}
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
