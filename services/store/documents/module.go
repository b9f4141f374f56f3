package documents

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lib/bson"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/store"
)

// module is what one VM has: the documents of its services, of which there can be many.
type module struct {
	tables *Tables
	h      *lua.Host
	codec  *bson.Documents // of open documents
	raw    *bson.Documents // of contents that scripts keep themselves
	buffer []byte          // what tables are encoded into, before it is known whether they have changed

	meta     int // references: the metatable of documents,
	registry int // their tables, by which their numbers are found,
	shelves  map[actor.Ref]*shelf
	handlers map[actor.Ref]int // and what store.on_error was given, by service
	docs     map[int64]*document
	last     int64
}

func (m *module) open(s vm.State) {
	m.docs = map[int64]*document{}
	s.NewTable(0, 0)
	m.registry = s.Ref()
	s.NewTable(0, 1)
	m.meta = s.Ref()
	funcs := map[string]vm.Func{
		"open": m.apiOpen, "opened": m.apiOpened, "failed": m.apiFailed, "methods": m.apiMethods, "has": m.apiHas, "is": m.apiIs, "schema": m.apiSchema,
		"commit": m.apiCommit, "save": m.apiSave, "close": m.apiClose, "delete": m.apiDelete, "version": m.apiVersion, "on_error": m.apiOnError,
		"claim": m.apiClaim, "save_raw": m.apiSaveRaw, "commit_raw": m.apiCommitRaw, "release": m.apiRelease,
		"load": m.apiLoad, "find": m.apiFind,
	}
	s.NewTable(0, len(funcs))
	for name, f := range funcs {
		s.PushFunc(name, f)
		s.SetField(-2, name)
	}
}

// maxBuffer bounds the buffer that a VM keeps.
const maxBuffer = 64 << 10

// keepBuffer keeps what was encoded into for the next time.
func (m *module) keepBuffer(b []byte) {
	if cap(b) <= maxBuffer {
		m.buffer = b[:0]
	}
}

// self is the service that the module acts for.
func (m *module) self() actor.Ref { return m.h.Context().Self() }

// store finds the store.
func (m *module) store() (actor.Ref, error) {
	ref, ok := m.h.Context().System().Lookup(store.ServiceName)
	if !ok {
		return actor.Ref{}, fmt.Errorf("store: no service of the name %s runs on this node", store.ServiceName)
	}
	return ref, nil
}

// storeAt is store for a call of the script: an error is raised.
func (m *module) storeAt(s vm.State) actor.Ref {
	ref, err := m.store()
	if err != nil {
		s.Errorf("%s", err.Error())
	}
	return ref
}

// ask asks the store for a coroutine.
func (m *module) ask(s vm.State, what string, to actor.Ref, msg any, push func(s vm.State, v any) (int, error), failed func(error)) int {
	h := m.h
	return h.Ask(s, what, to, msg, func(s vm.State, v any, err error) (int, error) {
		n := 0
		if err == nil && push != nil {
			n, err = push(s, v)
		}
		if err == nil {
			return n, nil
		}
		if failed != nil {
			failed(err)
		}
		return 0, forScript(h, err)
	})
}

// raise raises an error of the store in a script.
func (m *module) raise(s vm.State, err error) {
	m.h.PushError(s, forScript(m.h, err))
	s.Raise()
}

// nameAt is the kind and id at the arguments from i on.
func (m *module) nameAt(s vm.State, i int, what string) name {
	kind, ok := s.String(i)
	if !ok {
		s.Errorf("%s: the kind of a document is expected as argument %d, got %s", what, i, s.Type(i))
	}
	id, ok := s.String(i + 1)
	if !ok {
		n, isInt := s.Int(i + 1)
		if !isInt {
			s.Errorf("%s: the id of a document is expected as argument %d, got %s", what, i+1, s.Type(i+1))
		}
		id = strconv.FormatInt(n, 10)
	}
	if err := store.CheckName(kind, id); err != nil {
		m.raise(s, err)
	}
	return name{kind, id}
}

// find is the open document whose table is at index i, or nil.
func (m *module) find(s vm.State, i int) *document {
	if s.Type(i) != vm.Table {
		return nil
	}
	s.Push(m.registry)
	s.Copy(i)
	s.RawGet(-2)
	n, _ := s.Int(-1)
	s.Pop(2)
	return m.docs[n]
}

// docAt is the open document whose table is argument 1.
func (m *module) docAt(s vm.State, what string) *document {
	s.SetTop(1)
	d := m.find(s, 1)
	if d == nil || d.state != opened {
		s.Errorf("%s: a document that is open is expected, got %s; store.open gives one, and close and delete end it", what, s.Type(1))
	}
	if d.shelf.ref != m.self() {
		s.Errorf("%s: %s belongs to another agent, which alone can save it", what, d.name)
	}
	return d
}

// take encodes a document's table. The result is read only; it is d.content itself if nothing has changed.
func (m *module) take(s vm.State, d *document) ([]byte, error) {
	s.Push(d.table)
	out, err := m.codec.Take(m.buffer[:0], s, s.Top(), d.content, d.schema, d.String())
	s.Pop(1)
	m.keepBuffer(out)
	if err != nil {
		return nil, invalid(err)
	}
	if d.content != nil && bytes.Equal(out, d.content) {
		return d.content, nil
	}
	return bytes.Clone(out), nil
}

// pushDocument pushes the content of a document as a table, from outside of any coroutine.
func (m *module) pushDocument(s vm.State, c *bson.Documents, body []byte, root string) error {
	ref := 0
	var broken error
	err := m.h.Protect(func(s vm.State) {
		if broken = c.Push(s, body, root); broken == nil {
			ref = s.Ref()
		}
	})
	if broken != nil {
		return fmt.Errorf("store: %w", broken)
	}
	if err != nil {
		return fmt.Errorf("store: %s: %w", root, err)
	}
	s.Push(ref)
	s.Unref(ref)
	return nil
}

// free lets go of a document that is closed: its table is one like any other.
func (m *module) free(d *document) {
	if m.docs[d.number] != d {
		return
	}
	delete(m.docs, d.number)
	if d.table == 0 {
		return
	}
	table := d.table
	d.table = 0
	_ = m.h.Protect(func(s vm.State) { // nothing in it fails
		s.Push(m.registry)
		s.Push(table)
		s.PushNil()
		s.RawSet(-3)
		s.Unref(table)
	})
}

// apiMethods takes the methods of documents.
func (m *module) apiMethods(s vm.State) int {
	s.SetTop(1)
	s.Push(m.meta)
	s.Copy(1)
	s.SetField(-2, "__index")
	s.PushString("document")
	s.SetField(-2, "__name")
	return 0
}

// apiHas tells whether there is a module of that name.
func (m *module) apiHas(s vm.State) int {
	name, _ := s.String(1)
	s.PushBool(m.h.Has(name))
	return 1
}

// apiSchema gives the version that the store's own migrations lead a kind to, at least 1.
func (m *module) apiSchema(s vm.State) int {
	kind, _ := s.String(1)
	s.PushInt(int64(max(m.tables.cfg.Schema(kind), 1)))
	return 1
}

// apiIs tells whether a table is that of an open document.
func (m *module) apiIs(s vm.State) int {
	s.PushBool(m.find(s, 1) != nil)
	return 1
}

// apiOnError keeps what is called when a document could not be saved: for the service that calls, or, from the script's top level where agents share a VM, for
// all that have none of their own.
func (m *module) apiOnError(s vm.State) int {
	if t := s.Type(1); t != vm.Function && t != vm.Nil {
		s.Errorf("store.on_error: a function is expected, got %s", t)
	}
	s.SetTop(1)
	var of actor.Ref // all that have none of their own
	if m.h.Shares() {
		of = m.shelf().ref
	}
	s.Unref(m.handlers[of])
	m.handlers[of] = s.Ref()
	return 0
}
