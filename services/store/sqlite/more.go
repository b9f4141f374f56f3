package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/skua-go/skua/services/store"
)

// LoadFields implements store.Backend.
func (db *DB) LoadFields(ctx context.Context, kind, id string, fields []string) (store.Doc, error) {
	if err := store.CheckFields(fields); err != nil {
		return store.Doc{}, err
	}
	doc, err := db.Load(ctx, kind, id)
	if err != nil {
		return doc, err
	}
	doc.Body, err = store.Project(doc.Body, fields)
	return doc, err
}

// Scan implements store.Backend.
func (db *DB) Scan(ctx context.Context, kind, after string, limit int) ([]store.Doc, error) {
	if err := store.CheckScan(kind, after, limit); err != nil {
		return nil, err
	}
	if !db.calls.Enter() {
		return nil, store.ErrClosed
	}
	defer db.calls.Leave()
	op := "scan " + kind
	rows, err := db.read.QueryContext(ctx, `SELECT id, ver, epoch, body FROM docs WHERE kind = ? AND id > ? AND body IS NOT NULL ORDER BY id LIMIT ?`, kind, after, limit)
	if err != nil {
		return nil, classify(ctx, op, err)
	}
	defer func() { _ = rows.Close() }()
	var docs []store.Doc
	for bytes := 0; bytes < store.MaxAnswer && rows.Next(); {
		doc := store.Doc{Kind: kind}
		if err := rows.Scan(&doc.ID, &doc.Version, &doc.Epoch, (*[]byte)(&doc.Body)); err != nil {
			return nil, classify(ctx, op, err)
		}
		bytes += len(doc.Body)
		docs = append(docs, doc)
	}
	if err := rows.Err(); err != nil {
		return nil, classify(ctx, op, err)
	}
	return docs, nil
}

// Kinds implements store.Backend.
func (db *DB) Kinds(ctx context.Context) ([]string, error) {
	if !db.calls.Enter() {
		return nil, store.ErrClosed
	}
	defer db.calls.Leave()
	rows, err := db.read.QueryContext(ctx, `SELECT DISTINCT kind FROM docs ORDER BY kind`)
	if err != nil {
		return nil, classify(ctx, "kinds", err)
	}
	defer func() { _ = rows.Close() }()
	var kinds []string
	for rows.Next() {
		var kind string
		if err := rows.Scan(&kind); err != nil {
			return nil, classify(ctx, "kinds", err)
		}
		kinds = append(kinds, kind)
	}
	if err := rows.Err(); err != nil {
		return nil, classify(ctx, "kinds", err)
	}
	return kinds, nil
}

// Import implements store.Backend.
func (db *DB) Import(ctx context.Context, docs []store.Doc) ([]error, error) {
	r := &request{ctx: ctx, op: "import", docs: docs, errs: store.CheckImport(docs)}
	if err := db.do(r); err != nil {
		return nil, err
	}
	return r.errs, nil
}

// imported writes a document as it is.
func (w *writer) imported(ctx context.Context, doc store.Doc) error {
	have := store.Doc{Kind: doc.Kind, ID: doc.ID}
	err := w.whole.QueryRowContext(ctx, doc.Kind, doc.ID).Scan(&have.Version, &have.Epoch, (*[]byte)(&have.Body))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return refused(ctx, doc.Kind, doc.ID, err)
	}
	write, err := doc.Settled(have)
	if !write {
		return err
	}
	if _, err := w.place.ExecContext(ctx, doc.Kind, doc.ID, doc.Version, doc.Epoch, []byte(doc.Body)); err != nil {
		return refused(ctx, doc.Kind, doc.ID, err)
	}
	return nil
}

// Indexes implements store.Backend.
func (db *DB) Indexes(_ context.Context, want []store.Index) error {
	if err := store.CheckIndexes(want); err != nil || len(want) == 0 {
		return err
	}
	return &store.InvalidError{What: want[0].String(), Reason: "this database has no indexes"}
}

// Find implements store.Backend.
func (db *DB) Find(_ context.Context, q store.Query) ([]store.Doc, error) {
	_, err := q.Plan(nil)
	return nil, err
}
