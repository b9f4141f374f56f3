package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
)

// applicationID is in the header of our files: "Skua". See https://www.sqlite.org/pragma.html#pragma_application_id.
const applicationID = 0x536b7561

// steps lead from each version of the schema to the next; user_version counts those that are done. A step that has been
// released is never changed.
func steps() []string {
	return []string{
		// body is NULL where a document was claimed but never written, or is deleted.
		`CREATE TABLE docs (
			kind  TEXT    NOT NULL,
			id    TEXT    NOT NULL,
			ver   INTEGER NOT NULL,
			epoch INTEGER NOT NULL,
			nonce INTEGER NOT NULL,
			body  BLOB,
			PRIMARY KEY (kind, id)
		) STRICT`,

		// A document gets a number, which stays its own through a VACUUM and is never another's, because the log and the
		// entries of indexes name documents by it.
		//
		// log has what became of documents since their rows were written, see record.go: a row of docs and those records of
		// its document that are later than the row make the document.
		//
		// entries has a document's key in an index: with its id behind it in key, and alone in uniq if no other document
		// may have it. An index is built as far as the document upto, and done when all are in it.
		`CREATE TABLE docs2 (
			doc   INTEGER PRIMARY KEY AUTOINCREMENT,
			kind  TEXT    NOT NULL,
			id    TEXT    NOT NULL,
			ver   INTEGER NOT NULL,
			epoch INTEGER NOT NULL,
			nonce INTEGER NOT NULL,
			body  BLOB,
			UNIQUE (kind, id)
		) STRICT;
		INSERT INTO docs2 (kind, id, ver, epoch, nonce, body) SELECT kind, id, ver, epoch, nonce, body FROM docs ORDER BY rowid;
		DROP TABLE docs;
		ALTER TABLE docs2 RENAME TO docs;
		CREATE TABLE log (
			seq  INTEGER PRIMARY KEY,
			data BLOB    NOT NULL
		) STRICT;
		CREATE TABLE indexes (
			num   INTEGER PRIMARY KEY AUTOINCREMENT,
			kind  TEXT    NOT NULL,
			name  TEXT    NOT NULL,
			spec  TEXT    NOT NULL,
			upto  TEXT    NOT NULL DEFAULT '',
			done  INTEGER NOT NULL DEFAULT 0,
			gone  INTEGER NOT NULL DEFAULT 0
		) STRICT;
		CREATE TABLE entries (
			doc  INTEGER NOT NULL,
			num  INTEGER NOT NULL,
			key  BLOB    NOT NULL,
			uniq BLOB,
			PRIMARY KEY (doc, num)
		) STRICT, WITHOUT ROWID;
		CREATE INDEX entries_key ON entries (num, key);
		CREATE UNIQUE INDEX entries_uniq ON entries (num, uniq) WHERE uniq IS NOT NULL`,

		// The newest rows of the log may be in a file beside this one, see tail.go; 0: there is none.
		`CREATE TABLE tail (salt INTEGER NOT NULL) STRICT;
		INSERT INTO tail VALUES (0)`,
	}
}

// migrate brings the schema to the newest version, in one transaction.
func migrate(ctx context.Context, conn *sql.Conn, log *slog.Logger) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	var app, version, objects int
	if err := tx.QueryRowContext(ctx, `SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`).Scan(&app, &version, &objects); err != nil {
		return err
	}
	fresh := app == 0 && version == 0 && objects == 0
	if !fresh && app != applicationID {
		return fmt.Errorf("is a SQLite database of another program (application id 0x%08x)", app)
	}
	todo := steps()
	if version > len(todo) {
		return fmt.Errorf("has schema %d, this program knows those up to %d: a newer Skua wrote it", version, len(todo))
	}
	if version == len(todo) {
		return nil
	}
	if !fresh { // which takes a while if there is much in it
		log.Info("store: the database file is brought to a newer schema", "from", version, "to", len(todo))
	}
	for _, step := range todo[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, len(todo))); err != nil {
		return err
	}
	return tx.Commit()
}
