package documents

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/store"
)

// apiOpen begins to open a document, kind and id. It gives the table and "open" if this service has it open; nil and "again" when the one who had it open has
// let it go; else its content as a table, "new", the document's number, and the version of its schema, nil if there is no content yet. What follows is done in
// Lua, and ends with opened or failed.
func (m *module) apiOpen(s vm.State) int {
	const what = "store.open"
	n := m.nameAt(s, 1, what)
	sh := m.shelf()
	if d := sh.byName[n]; d != nil {
		if d.state == opened {
			s.Push(d.table)
			s.PushString("open")
			return 2
		}
		return m.awaitOpening(s, sh, d)
	}
	if sh.ending != nil {
		s.Errorf("%s: %s: the service is ending", what, n)
	}
	to := m.storeAt(s)
	if old, ok := m.tables.holder(n, sh.ref); ok {
		return m.takeOver(s, n, old)
	}
	d := &document{name: n, shelf: sh}
	sh.byName[n] = d
	return m.ask(s, what, to, m.claim(n), func(s vm.State, v any) (int, error) {
		doc, ok := v.(store.Doc)
		switch {
		case !ok:
			return 0, fmt.Errorf("store: the claim of %s gave no document", n)
		case sh.byName[n] != d:
			return 0, fmt.Errorf("%w: %s was opened by another one meanwhile", store.ErrNotOwner, n)
		}
		return m.claimed(s, d, doc)
	}, func(err error) {
		sh.drop(d)
		m.outdated(sh.ref, err)
	})
}

// claim is the message by which the running service takes a document.
func (m *module) claim(n name) store.Claim {
	return store.Claim{Kind: n.kind, ID: n.id, Epoch: m.tables.cfg.Epoch(m.self()), IfLost: store.StopOnly}
}

// outdated ends a service whose claim was refused because there is a newer one of the same grain: whoever speaks to it next gets to that.
func (m *module) outdated(service actor.Ref, err error) {
	if errors.Is(err, store.ErrFenced) {
		m.h.Context().Stop(service, err)
	}
}

// claimed pushes what apiOpen gives of a document that is this service's now.
func (m *module) claimed(s vm.State, d *document, doc store.Doc) (int, error) {
	m.last++
	d.number = m.last
	m.docs[d.number] = d
	m.tables.hold(d.name, d.shelf.ref)
	if !doc.Exists() {
		s.NewTable(0, 8)
		s.PushString("new")
		s.PushInt(d.number)
		return 3, nil
	}
	schema := int64(1)
	if v := doc.Body.Lookup(store.SchemaField); !v.IsZero() {
		n, ok := v.AsInt64OK()
		if !ok || n < 0 {
			m.giveUp(d)
			return 0, fmt.Errorf("%w: %s: the field %s has %s, and no version", store.ErrSchema, d, store.SchemaField, v)
		}
		schema, d.schema = max(n, 1), n
	}
	if err := m.pushDocument(s, m.codec, doc.Body, d.String()); err != nil {
		m.giveUp(d)
		return 0, err
	}
	d.content = doc.Body
	s.PushString("new")
	s.PushInt(d.number)
	s.PushInt(schema)
	return 4, nil
}

// giveUp ends the ownership of a document that could not be opened.
func (m *module) giveUp(d *document) {
	d.shelf.drop(d)
	if to, err := m.store(); err == nil {
		m.h.Request(to, store.Release{Kind: d.kind, ID: d.id}, m.h.Context().System().CallTimeout(), func(any, error) {})
	}
}

// again is what apiOpen gives behind a wait for somebody else.
func again(s vm.State) int {
	s.PushNil()
	s.PushString("again")
	return 2
}

// awaitOpening waits for another coroutine of this service that opens the same document. One that takes too long has ended without a word, and is forgotten.
func (m *module) awaitOpening(s vm.State, sh *shelf, d *document) int {
	w := m.h.Wait(s, "store.open", again)
	d.waiting = append(d.waiting, w)
	m.h.After(m.h.Context().System().CallTimeout(), func() {
		if w.Open() && d.state == opening {
			sh.drop(d)
		}
	})
	return s.Yield(0)
}

// patience is how long a service waits for another one of the node that has the document it wants to open.
const patience = 2 * time.Second

// takeOver has another service of the node save a document and let it go. One that is ending has saved it when it has ended.
func (m *module) takeOver(s vm.State, n name, old actor.Ref) int {
	w := m.h.Wait(s, "store.open", again)
	c := m.h.Context()
	sys := c.System()
	done := func() {
		m.tables.leave(n, old)
		w.Wake()
	}
	m.h.Request(old, handOver{n}, patience, func(_ any, err error) {
		if err == nil || errors.Is(err, actor.ErrDeadline) {
			done()
			return
		}
		c.Go(func(ctx context.Context) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			select {
			case <-sys.Ended(old):
			case <-ctx.Done():
			}
			return nil, nil //nolint:nilnil // the other one is gone, or has had its time
		}, func(any, error) { done() })
	})
	return s.Yield(0)
}

// apiOpened ends what apiOpen has begun: the document's number, its table, and the version of its schema.
func (m *module) apiOpened(s vm.State) int {
	number, _ := s.Int(1)
	schema, _ := s.Int(3)
	d := m.docs[number]
	if d == nil || d.state != opening {
		s.Errorf("store.open: another service has opened the document meanwhile")
	}
	s.SetTop(2)
	s.Copy(2)
	d.table = s.Ref()
	s.Push(m.meta)
	s.SetMetatable(2)
	s.Push(m.registry)
	s.Copy(2)
	s.PushInt(number)
	s.RawSet(-3)
	if schema > 1 || d.schema > 0 {
		d.schema = schema
	}
	d.state = opened
	d.shelf.list = append(d.shelf.list, d)
	d.shelf.wake(d)
	return 0
}

// apiFailed ends what apiOpen has begun, by its number: the document stays as it was, and is nobody's.
func (m *module) apiFailed(s vm.State) int {
	number, _ := s.Int(1)
	if d := m.docs[number]; d != nil && d.state == opening {
		m.giveUp(d)
	}
	return 0
}
