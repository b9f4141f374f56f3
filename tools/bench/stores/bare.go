package stores

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"go.mongodb.org/mongo-driver/v2/bson"
	engine "modernc.org/sqlite"

	"github.com/skua-go/skua/services/store"
)

// bare is the engine of the embedded store without us: the same rows, as durable.
type bare struct {
	db                          *sql.DB
	begin, commit, update, read *sql.Stmt
}

// onBare runs f with a bare engine that has so many rows with this content.
func onBare(ctx context.Context, docs int, body bson.Raw, f func(b *bare) (float64, error)) (float64, error) {
	return inDir(func(dir string) (v float64, err error) {
		connector, err := engine.NewConnector("file:" + filepath.Join(dir, "bare.db") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		if err != nil {
			return 0, err
		}
		b := &bare{db: sql.OpenDB(connector)}
		b.db.SetMaxOpenConns(1)
		defer func() { err = errors.Join(err, b.db.Close()) }()
		if err := b.fill(ctx, docs, body); err != nil {
			return 0, err
		}
		return f(b)
	})
}

func (b *bare) fill(ctx context.Context, docs int, body bson.Raw) error {
	if _, err := b.db.ExecContext(ctx, `CREATE TABLE docs (kind TEXT NOT NULL, id TEXT NOT NULL, ver INTEGER NOT NULL, epoch INTEGER NOT NULL,
		nonce INTEGER NOT NULL, body BLOB, PRIMARY KEY (kind, id)) STRICT`); err != nil {
		return err
	}
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&b.begin, `BEGIN IMMEDIATE`},
		{&b.commit, `COMMIT`},
		{&b.update, `UPDATE docs SET ver = ver + 1, epoch = ?3, nonce = ?4, body = ?5 WHERE kind = ?1 AND id = ?2`},
		{&b.read, `SELECT ver, epoch, body FROM docs WHERE kind = ? AND id = ?`},
	} {
		stmt, err := b.db.PrepareContext(ctx, s.text)
		if err != nil {
			return err
		}
		*s.to = stmt // closed with the database
	}
	insert, err := b.db.PrepareContext(ctx, `INSERT INTO docs VALUES (?, ?, 1, 0, ?, ?)`)
	if err != nil {
		return err
	}
	return errors.Join(b.within(ctx, func() error {
		for i := range docs {
			if _, err := insert.ExecContext(ctx, kind, docID(i), store.NewNonce(), []byte(body)); err != nil {
				return err
			}
		}
		return nil
	}), insert.Close())
}

// within does f in one transaction.
func (b *bare) within(ctx context.Context, f func() error) error {
	if _, err := b.begin.ExecContext(ctx); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	_, err := b.commit.ExecContext(ctx)
	return err
}

// write writes whole documents in one transaction.
func (b *bare) write(ctx context.Context, from, to int, body bson.Raw) error {
	return b.within(ctx, func() error {
		for i := from; i < to; i++ {
			if _, err := b.update.ExecContext(ctx, kind, docID(i), 1, store.NewNonce(), []byte(body)); err != nil {
				return err
			}
		}
		return nil
	})
}

// load reads a document into v.
func (b *bare) load(ctx context.Context, i int, v any) error {
	var version, epoch int64
	var body []byte
	if err := b.read.QueryRowContext(ctx, kind, docID(i)).Scan(&version, &epoch, &body); err != nil {
		return fmt.Errorf("stores: %s: %w", docID(i), err)
	}
	return bson.Unmarshal(body, v)
}
