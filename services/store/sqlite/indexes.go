package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// Indexes are built in steps, each in a transaction that also does the writes of others.
const (
	stepDocs  = 256
	stepBytes = 4 << 20
)

// Indexes implements store.Backend. One that ctx interrupts goes on the next time where it was.
func (db *DB) Indexes(ctx context.Context, want []store.Index) error {
	if err := store.CheckIndexes(want); err != nil {
		return err
	}
	select {
	case db.indexing <- struct{}{}:
		defer func() { <-db.indexing }()
	case <-ctx.Done():
		return ended("indexes", ctx.Err())
	}
	db.declared.Store(nil)
	var missing []*index
	r := &request{op: "indexes", count: 1}
	r.run = func(ctx context.Context, w *writer) (err error) {
		missing, err = w.dropUnwanted(ctx, want, r)
		return err
	}
	if err := db.do(ctx, r); err != nil {
		return err
	}
	db.kick()
	for _, x := range missing {
		if err := db.build(ctx, x); err != nil {
			return err
		}
	}
	return db.declare(ctx, want)
}

// dropUnwanted takes those indexes out of the file's catalog that are not wanted, or wanted in another way. It gives those
// that are to be built, or to be built further, in the order in which they are wanted.
func (w *writer) dropUnwanted(ctx context.Context, want []store.Index, r *request) ([]*index, error) {
	var missing []*index
	var unwanted []*index
	for _, x := range w.catalog.all() {
		if !slices.ContainsFunc(want, func(y store.Index) bool { return x.same(&y) }) {
			unwanted = append(unwanted, x)
			if _, err := w.exec(ctx, w.gone, x.num); err != nil {
				return nil, err
			}
		}
	}
	for i := range want {
		at := slices.IndexFunc(w.catalog.of(want[i].Kind), func(x *index) bool { return x.same(&want[i]) })
		switch {
		case at < 0:
			missing = append(missing, &index{Index: want[i]})
		case !w.catalog.of(want[i].Kind)[at].done:
			missing = append(missing, w.catalog.of(want[i].Kind)[at])
		}
	}
	r.then = func(w *writer) {
		for _, x := range unwanted {
			w.catalog.remove(x)
		}
	}
	return missing, nil
}

// build builds an index, or goes on building it. After an error that is about a document the index is given up.
func (db *DB) build(ctx context.Context, x *index) error {
	op := "build " + x.String()
	if x.num == 0 {
		r := &request{op: op, count: 1}
		r.run = func(ctx context.Context, w *writer) error {
			result, err := w.exec(ctx, w.name, x.Kind, x.Name, specOf(&x.Index))
			if err != nil {
				return err
			}
			x.num, err = result.LastInsertId()
			return err
		}
		r.then = func(w *writer) { w.catalog.add(x) }
		if err := db.do(ctx, r); err != nil {
			return err
		}
	}
	for !x.done {
		var next index
		r := &request{op: op, count: stepDocs}
		r.run = func(ctx context.Context, w *writer) error {
			next = *x
			err := w.step(ctx, &next)
			if errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrDuplicate) {
				r.err, err = err, nil
			}
			return err
		}
		r.then = func(*writer) { x.upto, x.done = next.upto, next.done }
		if err := db.do(ctx, r); err != nil {
			if errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrDuplicate) {
				return errors.Join(fmt.Errorf("%s can't be built: %w", x, err), db.giveUp(ctx, x))
			}
			return err
		}
	}
	return nil
}

func (db *DB) giveUp(ctx context.Context, x *index) error {
	r := &request{op: "drop " + x.String(), count: 1}
	r.run = func(ctx context.Context, w *writer) error {
		_, err := w.exec(ctx, w.gone, x.num)
		return err
	}
	r.then = func(w *writer) { w.catalog.remove(x) }
	defer db.kick()
	return db.do(ctx, r)
}

// step takes some further documents into an index and notes how far it has come. An InvalidError or a DuplicateError
// says that it can't be built; any other error has cost the transaction.
func (w *writer) step(ctx context.Context, x *index) error {
	docs, more, err := w.following(ctx, x)
	if err != nil {
		return err
	}
	for i := range docs {
		d := &docs[i]
		e, changes, err := w.entryOf(ctx, x, d.num, &store.Write{Kind: x.Kind, ID: d.ID, Body: d.Body})
		if err != nil {
			return err
		}
		if changes {
			if err := w.enterOne(ctx, d.num, e); err != nil {
				return err
			}
		}
		x.upto = d.ID
	}
	x.done = !more
	_, err = w.exec(ctx, w.mark, x.num, specOf(&x.Index), x.upto, x.done)
	return err
}

type numbered struct {
	store.Doc

	num int64
}

// following reads the documents that building an index has not come to, some of them, as they are now.
func (w *writer) following(ctx context.Context, x *index) (docs []numbered, more bool, err error) {
	rows, err := w.next.QueryContext(ctx, x.Kind, x.upto, stepDocs)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = rows.Close() }()
	bytes, count := 0, 0
	for bytes < stepBytes && rows.Next() {
		d := numbered{Doc: store.Doc{Kind: x.Kind}}
		if err := rows.Scan(&d.num, &d.ID, &d.Version, &d.Epoch, (*[]byte)(&d.Body)); err != nil {
			return nil, false, err
		}
		if h := w.draft.get(name{d.Kind, d.ID}); h != nil {
			var body bson.Raw
			if body, err = fold(d.Kind, d.ID, d.Body, h.chain); err != nil {
				return nil, false, err
			}
			d.Body = body
		}
		docs = append(docs, d)
		bytes += len(d.Body)
		count++
	}
	return docs, count == stepDocs || bytes >= stepBytes, rows.Err()
}

// declaredIndex is one that this process has declared and that is built.
type declaredIndex struct {
	store.Index

	num int64
}

// declare makes these the indexes that queries are served by, and that documents of some age are removed by.
func (db *DB) declare(ctx context.Context, want []store.Index) error {
	declared := make([]declaredIndex, len(want))
	r := &request{op: "indexes", count: 1}
	r.run = func(ctx context.Context, w *writer) error {
		for i := range want {
			declared[i] = declaredIndex{Index: want[i]}
			for _, x := range w.catalog.of(want[i].Kind) {
				if !x.same(&want[i]) {
					continue
				}
				declared[i].num = x.num
				if _, err := w.exec(ctx, w.mark, x.num, specOf(&want[i]), x.upto, x.done); err != nil { // the time to live may be another one
					return err
				}
			}
		}
		return nil
	}
	r.then = func(w *writer) {
		for i := range want {
			for _, x := range w.catalog.of(want[i].Kind) {
				if x.same(&want[i]) {
					x.TTL = want[i].TTL
				}
			}
		}
		db.declared.Store(&declared)
	}
	if err := db.do(ctx, r); err != nil {
		return err
	}
	db.kick()
	return nil
}
