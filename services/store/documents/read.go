package documents

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/store"
)

// apiLoad is store.load: the content of a document that somebody else may own, and the version of its schema; nil if there is none.
func (m *module) apiLoad(s vm.State) int {
	n := m.nameAt(s, 1, "store.load")
	to, err := m.store()
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	return m.h.Ask(s, "store.load", to, store.Load{Kind: n.kind, ID: n.id}, func(s vm.State, v any, err error) (int, error) {
		doc, ok := v.(store.Doc)
		switch {
		case errors.Is(err, store.ErrNotFound):
			s.PushNil()
			return 1, nil
		case err != nil:
			return 0, forScript(m.h, err)
		case !ok:
			return 0, fmt.Errorf("store: the load of %s gave no document", n)
		}
		if err := m.pushDocument(s, m.codec, doc.Body, n.String()); err != nil {
			return 0, err
		}
		schema, _ := doc.Body.Lookup(schemaField).AsInt64OK()
		s.PushInt(max(schema, 1))
		return 2, nil
	})
}
