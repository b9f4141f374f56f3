package crashtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

// What an owner says: a letter, its number, the number of the change and the time. Of a change before it is made, of a commit when it has been answered.
const (
	opened    = 'o'
	changes   = 's'
	committed = 'c'
	kept      = 'k' // by the node: the database is away
	lost      = 'l' // to another owner, and ended
	failed    = 'f'
)

// say is one line, which a pipe never cuts, as it is shorter than PIPE_BUF (pipe(7)).
func say(out io.Writer, what byte, id int, n int64) error {
	_, err := fmt.Fprintf(out, "%c %d %d %d\n", what, id, n, time.Now().UnixNano())
	return err
}

// owner is an actor that owns a player and changes it all the time.
type owner struct {
	id    int
	node  string
	saver bool // it never commits
	out   io.Writer
	doc   *store.Document[player]
	gone  bool
}

func (o *owner) say(what byte, n int64) {
	if err := say(o.out, what, o.id, n); err != nil {
		o.gone = true // nobody listens any more
	}
}

func (o *owner) Start(c *actor.Context) error {
	store.Open(c, store.Claim{Kind: kind, ID: docID(o.id)}, player{Pad: strings.Repeat("x", 1500)}, func(doc *store.Document[player], err error) {
		if err != nil {
			o.fail(c, err)
			return
		}
		o.doc = doc
		o.say(opened, doc.Data.N)
		o.later(c)
	})
	return nil
}

func (o *owner) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case store.Lost:
		o.gone = true // and is stopped
		if !errors.Is(m.Err, store.ErrFenced) {
			o.fail(c, m.Err)
		}
	case store.Refused:
		o.fail(c, m.Err)
	}
}

// Stop hands in what is not handed in yet, as a clean stop should, and changes nothing from then on: timers and answers still come until the actor has ended.
func (o *owner) Stop(c *actor.Context, _ error) {
	if o.doc == nil || o.gone {
		return
	}
	o.gone = true
	if err := o.doc.Save(c); err != nil {
		o.fail(c, err)
	}
}

func (o *owner) fail(c *actor.Context, err error) {
	o.gone = true
	c.Log().Error("a player's owner", "player", o.id, "error", err)
	o.say(failed, 0)
}

func (o *owner) later(c *actor.Context) {
	c.After(time.Duration(1+rand.IntN(8))*time.Millisecond, func() { o.change(c) })
}

// change changes the player once, and commits one of six changes.
func (o *owner) change(c *actor.Context) {
	if o.gone {
		return
	}
	n := o.doc.Data.N + 1
	o.say(changes, n)
	o.doc.Data.change(o.node)
	if o.saver || rand.IntN(6) > 0 {
		if err := o.doc.Changed(c); err != nil {
			o.fail(c, err)
			return
		}
		o.later(c)
		return
	}
	o.doc.Commit(c, func(err error) {
		switch {
		case err == nil:
			o.say(committed, n)
			o.later(c) // a stopped owner changes nothing then
		case errors.Is(err, store.ErrUnavailable):
			o.say(kept, n)
			o.later(c)
		case errors.Is(err, store.ErrFenced), errors.Is(err, store.ErrNotOwner): // the mourner tells
		case errors.Is(err, actor.ErrStopped), errors.Is(err, context.Canceled): // the node stops
		default:
			o.fail(c, err)
		}
	})
}

// mourner says that an owner has ended because its player has another one.
type mourner struct {
	of  actor.Ref
	id  int
	out io.Writer
}

func (m *mourner) Start(c *actor.Context) error {
	c.Watch(m.of)
	return nil
}

func (m *mourner) Receive(c *actor.Context, msg any) {
	end, ok := msg.(actor.Terminated)
	if !ok || end.Reason == nil {
		return
	}
	what := byte(failed)
	if errors.Is(end.Reason, store.ErrFenced) {
		what = lost
	}
	c.Log().Error("a player's owner has ended", "player", m.id, "error", end.Reason)
	if err := say(m.out, what, m.id, 0); err != nil {
		c.Log().Error("nobody listens", "error", err)
	}
}
