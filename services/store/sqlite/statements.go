package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// statements are what the writer runs.
type statements struct {
	open, commit, rollback *sql.Stmt

	// By name, for documents that neither the log nor an index has: one statement judges and writes.
	create, update, stamp *sql.Stmt
	// By number, for what has been judged.
	row, whole, bodyOf, nameOf, insert, set, remove *sql.Stmt

	append, trim, salt *sql.Stmt // the log

	// The entries of indexes.
	keyOf, holder, enter, drop, dropAll, expired *sql.Stmt

	list, name, mark, gone, sweep, forget, next *sql.Stmt // the catalog of indexes

	all []*sql.Stmt
}

// prepare must be followed by close, also when it fails.
func (s *statements) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, p := range s.texts() {
		stmt, err := conn.PrepareContext(ctx, p.text) //nolint:sqlclosecheck // close does
		if err != nil {
			return err
		}
		*p.stmt, s.all = stmt, append(s.all, stmt)
	}
	return nil
}

func (s *statements) close() error {
	errs := make([]error, 0, len(s.all))
	for _, stmt := range s.all {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

type prepared struct {
	stmt **sql.Stmt
	text string
}

func (s *statements) texts() []prepared {
	return []prepared{
		{&s.open, `BEGIN IMMEDIATE`},
		{&s.commit, `COMMIT`},
		{&s.rollback, `ROLLBACK`},

		{&s.create, `INSERT INTO docs (kind, id, ver, epoch, nonce, body) VALUES (?1, ?2, 1, ?4, ?5, ?6)
			ON CONFLICT (kind, id) DO UPDATE SET ver = 1, epoch = ?4, nonce = ?5, body = ?6 WHERE ver = ?3 AND epoch <= ?4`},
		{&s.update, `UPDATE docs SET ver = ?3 + 1, epoch = ?4, nonce = ?5, body = ?6
			WHERE kind = ?1 AND id = ?2 AND ver = ?3 AND epoch <= ?4`},
		{&s.stamp, `SELECT ver, epoch, nonce FROM docs WHERE kind = ? AND id = ?`},

		{&s.row, `SELECT doc, ver, epoch, nonce, coalesce(length(body), 0) FROM docs WHERE kind = ? AND id = ?`},
		{&s.whole, `SELECT doc, ver, epoch, nonce, body FROM docs WHERE kind = ? AND id = ?`},
		{&s.bodyOf, `SELECT body FROM docs WHERE doc = ?`},
		{&s.nameOf, `SELECT kind, id, ver, epoch, coalesce(length(body), 0) FROM docs WHERE doc = ?`},
		{&s.insert, `INSERT INTO docs (kind, id, ver, epoch, nonce, body) VALUES (?, ?, ?, ?, ?, ?)`},
		{&s.set, `UPDATE docs SET ver = ?2, epoch = ?3, nonce = ?4, body = ?5 WHERE doc = ?1`},
		{&s.remove, `DELETE FROM docs WHERE doc = ?`},

		{&s.append, `INSERT INTO log (seq, data) VALUES (?, ?)`},
		{&s.trim, `DELETE FROM log WHERE seq <= ?`},
		{&s.salt, `UPDATE tail SET salt = ?`},

		{&s.keyOf, `SELECT key FROM entries WHERE doc = ? AND num = ?`},
		{&s.holder, `SELECT e.doc, d.id FROM entries e JOIN docs d ON d.doc = e.doc WHERE e.num = ? AND e.uniq = ?`},
		{&s.enter, `INSERT INTO entries (doc, num, key, uniq) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (doc, num) DO UPDATE SET key = ?3, uniq = ?4`},
		{&s.drop, `DELETE FROM entries WHERE doc = ? AND num = ?`},
		{&s.dropAll, `DELETE FROM entries WHERE doc = ?`},
		{&s.expired, `SELECT doc FROM entries WHERE num = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?`},

		{&s.list, `SELECT num, kind, name, spec, upto, done, gone FROM indexes ORDER BY num`},
		{&s.name, `INSERT INTO indexes (kind, name, spec) VALUES (?, ?, ?)`},
		{&s.mark, `UPDATE indexes SET spec = ?2, upto = ?3, done = ?4 WHERE num = ?1`},
		{&s.gone, `UPDATE indexes SET gone = 1 WHERE num = ?`},
		{&s.sweep, `DELETE FROM entries WHERE num = ?1 AND doc IN (SELECT doc FROM entries WHERE num = ?1 ORDER BY key LIMIT ?2)`},
		{&s.forget, `DELETE FROM indexes WHERE num = ?`},
		{&s.next, `SELECT doc, id, ver, epoch, body FROM docs WHERE kind = ? AND id > ? ORDER BY id LIMIT ?`},
	}
}
