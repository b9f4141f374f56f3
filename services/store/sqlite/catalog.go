package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/services/store"
)

// index is one that the file has.
type index struct {
	store.Index

	num  int64
	upto string // the last id that building it has come to
	done bool   // it is built
}

// same tells whether the file's index serves what is wanted, but for the time that documents live.
func (x *index) same(want *store.Index) bool {
	return x.Kind == want.Kind && x.Name == want.Name && x.Unique == want.Unique && slices.Equal(x.Fields, want.Fields) && (x.TTL > 0) == (want.TTL > 0)
}

// catalog is the indexes of the file as the writer keeps it: those that each write maintains, and those that are no
// longer wanted and whose entries have to go.
type catalog struct {
	kinds map[string][]*index
	gone  []int64
}

func (c *catalog) of(kind string) []*index { return c.kinds[kind] }

func (c *catalog) all() []*index {
	var all []*index
	for _, some := range c.kinds {
		all = append(all, some...)
	}
	return all
}

func (c *catalog) add(x *index) { c.kinds[x.Kind] = append(c.kinds[x.Kind], x) }

func (c *catalog) remove(x *index) {
	c.kinds[x.Kind] = slices.DeleteFunc(slices.Clone(c.kinds[x.Kind]), func(y *index) bool { return x.num == y.num })
	if len(c.kinds[x.Kind]) == 0 {
		delete(c.kinds, x.Kind)
	}
	c.gone = append(c.gone, x.num)
}

// spec is an index's declaration in the file.
type spec struct {
	Fields []string `json:"fields"`
	Unique bool     `json:"unique,omitempty"`
	TTL    int64    `json:"ttl,omitempty"` // seconds
}

func specOf(x *store.Index) string {
	text, err := json.Marshal(spec{Fields: x.Fields, Unique: x.Unique, TTL: int64(x.TTL / time.Second)})
	if err != nil {
		panic(err) // strings, a truth and a number can always be written
	}
	return string(text)
}

func (w *writer) loadCatalog(ctx context.Context) error {
	w.catalog.kinds = map[string][]*index{}
	rows, err := w.list.QueryContext(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		x := &index{}
		var text string
		var gone bool
		if err := rows.Scan(&x.num, &x.Kind, &x.Name, &text, &x.upto, &x.done, &gone); err != nil {
			return err
		}
		var s spec
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return fmt.Errorf("%s: %w", x, err)
		}
		x.Fields, x.Unique, x.TTL = s.Fields, s.Unique, time.Duration(s.TTL)*time.Second
		if gone {
			w.catalog.gone = append(w.catalog.gone, x.num)
		} else {
			w.catalog.add(x)
		}
	}
	return rows.Err()
}

// entry is a document's place in an index, as a write changes it.
type entry struct {
	num       int64
	key, uniq []byte // key empty: it has no longer one
}

// entriesOf tells what a write changes in the indexes of its kind. Its error refuses the write, and nothing has changed:
// an InvalidError or a DuplicateError, or one of the engine. doc is 0 for a document that has no row yet.
func (w *writer) entriesOf(ctx context.Context, indexes []*index, doc int64, write *store.Write) ([]entry, error) {
	var entries []entry
	for _, x := range indexes {
		if write.Patch != nil && !x.touched(write.Patch) {
			continue
		}
		e, changes, err := w.entryOf(ctx, x, doc, write)
		if err != nil {
			return nil, err
		}
		if changes {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func (w *writer) entryOf(ctx context.Context, x *index, doc int64, write *store.Write) (e entry, changes bool, err error) {
	e.num = x.num
	if len(write.Body) > 0 {
		values, in, err := x.Key(write.Kind, write.ID, write.Body)
		if err != nil {
			return e, false, err
		}
		if in {
			e.uniq = keyOf(&x.Index, values)
			e.key = slices.Concat(e.uniq, []byte(write.ID))
		}
	}
	var had []byte
	if doc != 0 {
		if err := some(w.keyOf.QueryRowContext(ctx, doc, x.num).Scan(&had)); err != nil {
			return e, false, err
		}
	}
	if bytes.Equal(had, e.key) {
		return e, false, nil
	}
	if !x.Unique {
		e.uniq = nil
	}
	if e.uniq == nil {
		return e, true, nil
	}
	var other int64
	var id string
	if err := some(w.holder.QueryRowContext(ctx, x.num, e.uniq).Scan(&other, &id)); err != nil {
		return e, false, err
	}
	if other != 0 && other != doc {
		return e, false, &store.DuplicateError{Kind: write.Kind, ID: write.ID, Index: x.Name, Other: id}
	}
	return e, true, nil
}

// touched tells whether a patch may change a field of the index.
func (x *index) touched(p *store.Patch) bool {
	return slices.ContainsFunc(x.Fields, func(field string) bool {
		field = strings.TrimPrefix(field, "-")
		return slices.ContainsFunc(p.Set, func(c store.Change) bool { return overlap(field, c.Path) }) ||
			slices.ContainsFunc(p.Unset, func(path string) bool { return overlap(field, path) })
	})
}

// enterAll changes a document's entries, which have been checked. An error costs the transaction.
func (w *writer) enterAll(ctx context.Context, n name, doc int64, entries []entry) error {
	for _, e := range entries {
		if err := w.enterOne(ctx, doc, e); err != nil {
			return spoilt(n, err)
		}
	}
	return nil
}

func (w *writer) enterOne(ctx context.Context, doc int64, e entry) error {
	if len(e.key) == 0 {
		_, err := w.exec(ctx, w.drop, doc, e.num)
		return err
	}
	var uniq any // NULL
	if e.uniq != nil {
		uniq = e.uniq
	}
	_, err := w.exec(ctx, w.enter, doc, e.num, e.key, uniq)
	return err
}
