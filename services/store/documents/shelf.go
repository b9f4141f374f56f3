package documents

import (
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/store"
)

// shelf is the open documents of one service.
type shelf struct {
	m      *module
	h      *lua.Host
	ref    actor.Ref
	byName map[name]*document
	list   []*document // those that are open, in the order in which they were opened
	timer  *actor.Timer
	raw    map[name]struct{} // those that were claimed without a table
	ending func()            // lets the service end; nil: it is not ending
	asked  int               // saves, and settlements, that the store has not answered
	asking bool              // the store was asked to settle what there is
	turns  int               // how often it was
}

// document is one that a script has open.
type document struct {
	name
	shelf   *shelf
	state   state
	number  int64
	table   int      // reference
	content bson.Raw // what the store has given or was given last, nil if there is nothing; read only
	again   bool     // content has been refused: it is handed in again even if it is the same
	schema  int64    // what the hidden field says
	waiting []lua.Wait
	trouble string // why the last try to save it has failed
}

type state uint8

const (
	opening state = iota // claimed, and not seen by its script yet
	opened
	closing
	closed
)

// shelfOf is the shelf of the running service.
func (m *module) shelf() *shelf {
	ref := m.self()
	if sh := m.shelves[ref]; sh != nil {
		return sh
	}
	sh := &shelf{m: m, h: m.h, ref: ref, byName: map[name]*document{}, raw: map[name]struct{}{}}
	m.shelves[ref] = sh
	m.h.Ran(sh.ran)
	m.h.Ending(sh.end)
	m.h.Told(sh.told)
	m.h.Closed(sh.closed)
	return sh
}

// ran is called whenever the service has run, and may have changed any of its documents.
func (sh *shelf) ran() {
	switch {
	case sh.ending != nil:
		sh.flush(slices.Clone(sh.list))
		sh.endIfDone()
	case sh.timer == nil && len(sh.list) > 0:
		sh.timer = sh.h.After(sh.m.tables.cfg.Autosave*3/4, sh.look) // the store gets a fifth, and the rest is for timers and many documents
	}
}

// perTurn is how many documents are encoded before messages get their turn.
const perTurn = 50

// look looks for changes.
func (sh *shelf) look() {
	sh.timer = nil
	sh.lookAt(slices.Clone(sh.list))
}

func (sh *shelf) lookAt(docs []*document) {
	n := min(len(docs), perTurn)
	sh.flush(docs[:n])
	if n < len(docs) {
		sh.h.Post(func() { sh.lookAt(docs[n:]) })()
	}
}

// flush hands in what has changed of some documents.
func (sh *shelf) flush(docs []*document) {
	for _, d := range docs {
		if d.state != opened {
			continue
		}
		body, err := sh.encode(d)
		switch {
		case err != nil:
			sh.fail(d, err)
		case d.changed(body):
			sh.handIn(d, body, nil)
		case d.trouble != "":
			d.trouble = ""
		}
	}
}

// changed tells whether a document's content, as take gives it, is to be handed in. One that never was is not, as long as its table is empty.
func (d *document) changed(body bson.Raw) bool {
	if d.content == nil {
		empty := 5
		if d.schema != 0 {
			empty += 1 + len(store.SchemaField) + 1 + 8
		}
		return len(body) > empty
	}
	return d.again || len(body) != len(d.content) || &body[0] != &d.content[0]
}

// handIn saves a document, and calls then with how that went.
func (sh *shelf) handIn(d *document, body bson.Raw, then func(error)) {
	to, err := sh.m.store()
	if err != nil {
		sh.fail(d, err)
		if then != nil {
			then(err)
		}
		return
	}
	d.content, d.again = body, false
	sh.asked++
	sh.asking = false
	msg := store.Save{Kind: d.kind, ID: d.id, Body: body, Within: max(sh.m.tables.cfg.Autosave/5, 1)}
	sh.h.Request(to, msg, sh.h.Context().System().CallTimeout(), func(_ any, err error) {
		sh.asked--
		if err != nil {
			d.again = true
			sh.fail(d, err)
		} else {
			d.trouble = ""
		}
		if then != nil {
			then(err)
		}
		sh.endIfDone()
	})
}

// fail tells that a document could not be saved; the same reason is told once. It is tried again, unless it is another's now.
func (sh *shelf) fail(d *document, err error) {
	lost := errors.Is(err, store.ErrNotOwner)
	known := lost && (d.state == closed || sh.ending != nil) // a service is stopped when it has lost a document
	if text := err.Error(); d.trouble != text && !known {
		d.trouble = text
		sh.h.Log().Error("document not saved", "document", d.String(), "error", text)
		sh.m.tellScript(sh, d, err)
	}
	switch {
	case lost:
		sh.drop(d)
	case !errors.Is(err, store.ErrInvalid) && !errors.Is(err, store.ErrTooLarge): // which only the script can mend
		sh.tryAgain()
	}
}

// tryAgain has the documents looked at even if the service does not run.
func (sh *shelf) tryAgain() {
	if sh.timer == nil && sh.ending == nil {
		sh.timer = sh.h.After(sh.m.tables.cfg.Autosave, sh.look)
	}
}

// tellScript calls what store.on_error was given.
func (m *module) tellScript(sh *shelf, d *document, err error) {
	handler := m.handlers[sh.ref]
	if handler == 0 {
		handler = m.handlers[actor.Ref{}]
	}
	if handler == 0 || d.table == 0 || sh.ending != nil {
		return
	}
	table := 0
	if sh.h.Protect(func(s vm.State) {
		s.Push(d.table)
		table = s.Ref()
	}) != nil {
		return
	}
	sh.h.Fork(func(s vm.State) int {
		s.Push(handler)
		s.Push(table)
		s.Unref(table)
		sh.h.PushError(s, forScript(sh.h, err))
		s.PushString(d.kind)
		s.PushString(d.id)
		return 4
	})
}

// drop ends a document that is not this service's any more.
func (sh *shelf) drop(d *document) {
	if d.state == closed {
		return
	}
	d.state = closed
	if sh.byName[d.name] == d {
		delete(sh.byName, d.name)
	}
	sh.list = slices.DeleteFunc(sh.list, func(other *document) bool { return other == d })
	sh.m.tables.leave(d.name, sh.ref)
	sh.wake(d)
	sh.m.free(d)
}

func (sh *shelf) wake(d *document) {
	for _, w := range d.waiting {
		w.Wake()
	}
	d.waiting = nil
}

// end is called when the service ends.
func (sh *shelf) end(_ error, done func()) {
	sh.ending = done
	if sh.timer != nil {
		sh.timer.Cancel()
		sh.timer = nil
	}
	sh.flush(slices.Clone(sh.list))
	sh.endIfDone()
}

// maxSettlements bounds how often the store is asked to settle a service that goes on changing its documents after its stop: a loop that sleeps, say, and changes more quickly than the database writes. The service
// would not end before its StopTimeout. What it changes last is handed in all the same.
const maxSettlements = 3

// endIfDone lets the service end when the store has answered, and all that it has saved is durable: it may go on elsewhere at once, where nobody knows what this node has not written.
func (sh *shelf) endIfDone() {
	if sh.ending == nil || sh.asked > 0 {
		return
	}
	if sh.asking || sh.turns == maxSettlements || !sh.settle() {
		sh.ending()
	}
}

// settle has the store write what is left of the service's documents, and tells whether there are any.
func (sh *shelf) settle() bool {
	to, err := sh.m.store()
	if err != nil {
		return false
	}
	sh.asking = true
	sh.turns++
	ask := func(n name) {
		sh.asked++
		sh.h.Request(to, store.Settle{Kind: n.kind, ID: n.id}, sh.h.Context().System().CallTimeout(), func(_ any, err error) {
			sh.asked--
			if err != nil {
				sh.h.Log().Warn("the service ends before its document is durable", "document", n.String(), "error", err)
			}
			sh.endIfDone()
		})
	}
	for _, d := range sh.list {
		if d.state == opened {
			ask(d.name)
		}
	}
	for n := range sh.raw {
		ask(n)
	}
	return sh.asked > 0
}

// closed is called when the service has ended.
func (sh *shelf) closed() {
	for _, d := range slices.Clone(sh.list) {
		sh.drop(d)
	}
	for _, d := range sh.byName { // that were being opened
		sh.drop(d)
	}
	delete(sh.m.shelves, sh.ref)
	if f := sh.m.handlers[sh.ref]; f != 0 {
		delete(sh.m.handlers, sh.ref)
		_ = sh.h.Protect(func(s vm.State) { s.Unref(f) }) // which does not fail
	}
}

// handOver asks for a document that another service opens: its newest content is to be in the store, and it is to be let go.
type handOver struct{ name }

// told takes messages of the store and of other services of the module.
func (sh *shelf) told(msg any) bool {
	switch m := msg.(type) {
	case handOver:
		sh.hand(m)
	case store.Refused: // it is in the log already; what the script makes of it next is handed in
		if d := sh.byName[name{m.Kind, m.ID}]; d != nil {
			sh.m.tellScript(sh, d, m.Err)
		}
	default:
		return false
	}
	return true
}

// hand saves a document for another service, and lets it go.
func (sh *shelf) hand(m handOver) {
	c := sh.h.Context()
	d := sh.byName[m.name]
	if d == nil || d.state != opened {
		if d != nil {
			sh.drop(d)
		}
		c.Reply(nil, nil)
		return
	}
	promise, from := c.Promise(), c.From()
	body, err := sh.encode(d)
	if err != nil {
		sh.fail(d, err) // the other one goes on with what the store has
	}
	sh.h.Log().Warn("another service of this node has opened a document, which is closed here", "document", d.String(), "by", from.String())
	sh.m.tellScript(sh, d, fmt.Errorf("%w: %s was opened by another service of this node, %s", store.ErrNotOwner, d, from))
	sh.drop(d)
	if err != nil || !d.changed(body) {
		promise.Reply(nil, nil)
		return
	}
	sh.handIn(d, body, func(error) { promise.Reply(nil, nil) })
}

// encode is take, from outside of any coroutine.
func (sh *shelf) encode(d *document) (body bson.Raw, err error) {
	if failed := sh.h.Protect(func(s vm.State) { body, err = sh.m.take(s, d) }); failed != nil {
		return nil, fmt.Errorf("%w: %s: %s", store.ErrInvalid, d, failed.Error()) // whose code is not that of the script's error
	}
	return body, err
}
