package documents

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/store"
)

// taken is take for a call of the script: an error is raised.
func (m *module) taken(s vm.State, d *document) bson.Raw {
	body, err := m.take(s, d)
	if err != nil {
		m.raise(s, err)
	}
	return body
}

// apiSave hands in what has changed of a document.
func (m *module) apiSave(s vm.State) int {
	d := m.docAt(s, "store.save")
	to := m.storeAt(s)
	body := m.taken(s, d)
	if !d.changed(body) {
		return 0
	}
	d.content, d.again = body, false
	return m.ask(s, "store.save", to, store.Save{Kind: d.kind, ID: d.id, Body: body}, nil, func(err error) { m.refused(d, err) })
}

// apiCommit hands in a document and waits until it is durable.
func (m *module) apiCommit(s vm.State) int {
	d := m.docAt(s, "store.commit")
	to := m.storeAt(s)
	body := m.taken(s, d)
	d.content, d.again = body, false
	return m.ask(s, "store.commit", to, store.Commit{Kind: d.kind, ID: d.id, Body: body}, nil, func(err error) { m.refused(d, err) })
}

// refused is for content that the store has not taken, and an error that the script hears of.
func (m *module) refused(d *document, err error) {
	switch {
	case errors.Is(err, store.ErrUnavailable): // it keeps it
	case errors.Is(err, store.ErrNotOwner):
		d.shelf.drop(d)
	default:
		d.again = true
	}
}

// apiClose saves a document and lets it go. The script has saved it before, so that only what it has changed since can fail unheard.
func (m *module) apiClose(s vm.State) int {
	d := m.docAt(s, "store.close")
	to := m.storeAt(s)
	body := m.taken(s, d)
	if d.changed(body) {
		d.shelf.handIn(d, body, nil)
	}
	d.shelf.drop(d)
	return m.h.Ask(s, "store.close", to, store.Release{Kind: d.kind, ID: d.id}, func(_ vm.State, _ any, err error) (int, error) {
		if errors.Is(err, store.ErrNotOwner) {
			err = nil // it is somebody else's already
		}
		return 0, err
	})
}

// apiDelete takes a document's content away, and lets it go when that is durable.
func (m *module) apiDelete(s vm.State) int {
	d := m.docAt(s, "store.delete")
	to := m.storeAt(s)
	d.state = closing // what is in its table is not handed in any more
	return m.h.Ask(s, "store.delete", to, store.Delete{Kind: d.kind, ID: d.id}, func(_ vm.State, _ any, err error) (int, error) {
		if d.state != closing {
			return 0, nil // another one has opened it meanwhile
		}
		if err != nil && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrNotOwner) {
			d.state = opened
			return 0, forScript(m.h, err)
		}
		m.giveUp(d)
		if err != nil {
			err = forScript(m.h, err)
		}
		return 0, err
	})
}

// apiVersion gives the version of a document that is durable.
func (m *module) apiVersion(s vm.State) int {
	d := m.docAt(s, "store.version")
	to := m.storeAt(s)
	return m.h.Ask(s, "store.version", to, store.Load{Kind: d.kind, ID: d.id}, func(s vm.State, v any, err error) (int, error) {
		doc, ok := v.(store.Doc)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return 0, forScript(m.h, err)
		case !ok:
			return 0, fmt.Errorf("store: the load of %s gave no document", d.name)
		}
		s.PushInt(doc.Version)
		return 1, nil
	})
}

// notOpen refuses a call with a content of the script's own for a document that the service has open as a table.
func (m *module) notOpen(s vm.State, n name, what, method string) {
	if sh := m.shelves[m.self()]; sh != nil && sh.byName[n] != nil {
		s.Errorf("%s: %s is open, and its table knows what to save: use its method %s", what, n, method)
	}
}

// apiClaim is store.claim: the content as a table that the script keeps itself, nil if there is none.
func (m *module) apiClaim(s vm.State) int {
	n := m.nameAt(s, 1, "store.claim")
	m.notOpen(s, n, "store.claim", "close first")
	sh := m.shelf()
	return m.ask(s, "store.claim", m.storeAt(s), m.claim(n), func(s vm.State, v any) (int, error) {
		doc, ok := v.(store.Doc)
		if !ok {
			return 0, fmt.Errorf("store: the claim of %s gave no document", n)
		}
		sh.raw[n] = struct{}{}
		if !doc.Exists() {
			s.PushNil()
			return 1, nil
		}
		return 1, m.pushDocument(s, m.raw, doc.Body, n.String())
	}, func(err error) { m.outdated(sh.ref, err) })
}

// body is the content at argument 3, a table of the script's own.
func (m *module) body(s vm.State, n name, what string) bson.Raw {
	if s.Type(3) != vm.Table {
		s.Errorf("%s: %s: a table is expected as argument 3, got %s", what, n, s.Type(3))
	}
	out, err := m.raw.Take(nil, s, 3, nil, 0, n.String())
	if err != nil {
		m.raise(s, invalid(err))
	}
	return out
}

// apiSaveRaw is store.save with kind, id and content.
func (m *module) apiSaveRaw(s vm.State) int {
	n := m.nameAt(s, 1, "store.save")
	m.notOpen(s, n, "store.save", "save")
	return m.ask(s, "store.save", m.storeAt(s), store.Save{Kind: n.kind, ID: n.id, Body: m.body(s, n, "store.save")}, nil, nil)
}

// apiCommitRaw is store.commit with kind, id and content.
func (m *module) apiCommitRaw(s vm.State) int {
	n := m.nameAt(s, 1, "store.commit")
	m.notOpen(s, n, "store.commit", "commit")
	return m.ask(s, "store.commit", m.storeAt(s), store.Commit{Kind: n.kind, ID: n.id, Body: m.body(s, n, "store.commit")}, nil, nil)
}

// apiRelease is store.release.
func (m *module) apiRelease(s vm.State) int {
	n := m.nameAt(s, 1, "store.release")
	m.notOpen(s, n, "store.release", "close")
	if sh := m.shelves[m.self()]; sh != nil {
		delete(sh.raw, n)
	}
	return m.ask(s, "store.release", m.storeAt(s), store.Release{Kind: n.kind, ID: n.id}, nil, nil)
}
