package sqlite

import (
	"context"
	"slices"

	"github.com/skua-go/skua/services/store"
)

// Claim implements store.Backend.
func (db *DB) Claim(ctx context.Context, kind, id string, epoch int64) (store.Doc, error) {
	if err := store.CheckClaim(kind, id, epoch); err != nil {
		return store.Doc{}, err
	}
	var doc store.Doc
	r := &request{op: "claim " + store.Name(kind, id), count: 1}
	r.run = func(ctx context.Context, w *writer) error {
		doc = store.Doc{Kind: kind, ID: id}
		if err := w.claim(ctx, &doc, epoch); costs(err) {
			return err
		} else if err != nil {
			r.err = err
		}
		return nil
	}
	if err := db.do(ctx, r); err != nil {
		return store.Doc{}, err
	}
	return doc, nil
}

// Apply implements store.Backend. No outcome is ever unknown here, but to whom the process is taken away.
func (db *DB) Apply(ctx context.Context, writes []store.Write) ([]error, error) {
	checked := store.CheckWrites(writes)
	bytes := 0
	for i := range writes {
		bytes += len(writes[i].Body)
	}
	return db.each(ctx, "apply", checked, bytes, func(ctx context.Context, w *writer, i int) error { return w.put(ctx, &writes[i]) })
}

// Import implements store.Backend.
func (db *DB) Import(ctx context.Context, docs []store.Doc) ([]error, error) {
	checked := store.CheckImport(docs)
	bytes := 0
	for i := range docs {
		bytes += len(docs[i].Body)
	}
	return db.each(ctx, "import", checked, bytes, func(ctx context.Context, w *writer, i int) error { return w.place(ctx, &docs[i]) })
}

// each does something with all that have no error yet, in one transaction, and gives the result of each.
func (db *DB) each(ctx context.Context, op string, checked []error, bytes int, do func(ctx context.Context, w *writer, i int) error) ([]error, error) {
	var results []error
	r := &request{op: op, count: max(1, len(checked)), bytes: bytes}
	r.run = func(ctx context.Context, w *writer) error {
		results = slices.Clone(checked)
		for i := range results {
			if results[i] != nil {
				continue
			}
			if results[i] = do(ctx, w, i); !costs(results[i]) {
				continue
			}
			if r.again = alone(results[i]); r.again {
				checked[i] = results[i]
			}
			return results[i]
		}
		return nil
	}
	if err := db.do(ctx, r); err != nil {
		return nil, err
	}
	return results, nil
}
