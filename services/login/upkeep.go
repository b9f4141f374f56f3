package login

import (
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

// Maintain begins, changes or ends maintenance: nobody new gets in, but for the exceptions. It holds at once, and is answered when it is durable.
type Maintain struct {
	On bool
	// Msg is what clients are told, up to 512 bytes.
	Msg string
	// Until is when it ends by itself; zero: never.
	Until time.Time
	// Except are the uids that get in and stay, up to 10,000.
	Except []string
	// Kick ends the sessions of all others; without it who is in stays.
	Kick bool
}

const (
	maxReason     = 512
	maxExceptions = 10_000
	upkeepID      = "maintenance"
)

// upkeep is the maintenance.
type upkeep struct {
	cfg    Config
	on     bool
	msg    string
	until  time.Time
	except map[string]struct{}
	known  bool
	failed bool
	early  []func()
	edits  int // counts what was set, so that nothing older is read over it
	busy   bool
	dirty  bool
	waits  []func(error)
	out    func(*actor.Context, Out)
}

// order is the document.
type order struct {
	On     bool     `bson:"on"`
	Msg    string   `bson:"msg,omitempty"`
	Until  int64    `bson:"until,omitempty"` // ms
	Except []string `bson:"except,omitempty"`
}

func (u *upkeep) shut(now time.Time) bool { return u.on && (u.until.IsZero() || now.Before(u.until)) }

func (u *upkeep) excepts(uid string) bool { _, ok := u.except[uid]; return ok }

func (u *upkeep) refusal() *Error { return &Error{Maintenance, u.text()} }

func (u *upkeep) text() string { return withEnd("maintenance", u.until, u.msg) }

func (u *upkeep) start(c *actor.Context) {
	u.read(c)
	if u.cfg.Refresh > 0 {
		c.Every(u.cfg.Refresh, func() {
			if u.known {
				u.read(c)
			}
		})
	}
}

func (u *upkeep) read(c *actor.Context) {
	edits := u.edits
	c.Detached(func() {
		load(c, upkeepID, func(doc store.Doc, err error) {
			if err == nil && u.edits == edits && !u.dirty {
				err = u.adopt(doc)
			}
			switch {
			case err != nil && !u.known:
				c.Log().Error("maintenance can't be read: nobody can log in", "document", bookKind+"/"+upkeepID, "error", err)
				u.failed = true
				u.wake()
				c.After(u.cfg.Retry, func() { u.read(c) })
			case err != nil:
				c.Log().Warn("maintenance can't be read again", "document", bookKind+"/"+upkeepID, "error", err)
			case !u.known:
				u.known, u.failed = true, false
				u.wake()
			}
		})
	})
}

func (u *upkeep) wake() {
	early := u.early
	u.early = nil
	for _, f := range early {
		f()
	}
}

func (u *upkeep) adopt(doc store.Doc) error {
	var o order
	if len(doc.Body) > 0 {
		if err := bson.Unmarshal(doc.Body, &o); err != nil {
			return fmt.Errorf("login: %w", err)
		}
	}
	m := Maintain{On: o.On, Msg: o.Msg, Except: o.Except}
	if o.Until != 0 {
		m.Until = time.UnixMilli(o.Until)
	}
	u.take(m)
	return nil
}

func (u *upkeep) take(m Maintain) {
	u.on, u.msg, u.until = m.On, m.Msg, m.Until
	u.except = make(map[string]struct{}, len(m.Except))
	for _, uid := range m.Except {
		u.except[uid] = struct{}{}
	}
}

// set takes an order of the operator's.
func (u *upkeep) set(c *actor.Context, m Maintain) {
	if len(m.Msg) > maxReason || len(m.Except) > maxExceptions {
		c.Reply(nil, fmt.Errorf("login: maintenance: a message of up to %d bytes and up to %d exceptions are expected, got %d and %d",
			maxReason, maxExceptions, len(m.Msg), len(m.Except)))
		return
	}
	u.take(m)
	u.edits++
	u.dirty = true
	answer := answering(c)
	u.waits = append(u.waits, func(err error) { answer(nil, err) })
	if m.On && m.Kick {
		u.out(c, Out{Except: u.except, Code: Maintenance, Msg: u.text()})
	}
	u.write(c)
}

// write brings the order to the database: the newest there is.
func (u *upkeep) write(c *actor.Context) {
	if u.busy || !u.dirty {
		return
	}
	u.busy, u.dirty = true, false
	waits := u.waits
	u.waits = nil
	finish := func(err error) {
		u.busy = false
		for _, w := range waits {
			w(err)
		}
		if err != nil {
			c.Log().Error("maintenance can't be written: it holds on this node, and is tried again", "document", bookKind+"/"+upkeepID, "error", err)
			u.dirty = true
			c.Detached(func() { c.After(u.cfg.Retry, func() { u.write(c) }) })
			return
		}
		u.write(c)
	}
	o := order{On: u.on, Msg: u.msg}
	if !u.until.IsZero() {
		o.Until = u.until.UnixMilli()
	}
	for uid := range u.except {
		o.Except = append(o.Except, uid)
	}
	body, err := bson.Marshal(o)
	db, ok := c.System().Lookup(store.ServiceName)
	if err == nil && !ok {
		err = errNoAccounts
	}
	if err != nil {
		finish(err)
		return
	}
	c.Detached(func() { overwrite(c, db, upkeepID, body, finish) })
}

// overwrite replaces a document, whoever has written it.
func overwrite(c *actor.Context, db actor.Ref, id string, body bson.Raw, done func(error)) {
	c.Ask(db, store.Claim{Kind: bookKind, ID: id, IfLost: store.TellOnly}, func(_ any, err error) {
		if err != nil {
			done(err)
			return
		}
		c.Ask(db, store.Commit{Kind: bookKind, ID: id, Body: body}, func(_ any, err error) {
			c.Send(db, store.Release{Kind: bookKind, ID: id})
			done(err)
		})
	})
}
