package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync/atomic"

	engine "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/skua-go/skua/services/store"
)

const (
	// queueLength is how many calls may wait for the writer; further ones wait for room.
	queueLength = 256
	// A transaction takes calls until it has this much: enough for the fsync to cost nothing a write, little enough
	// for the first of them not to wait long.
	groupWrites = 512
	groupBytes  = 32 << 20
)

// request is one call to the writer: a claim, or writes.
type request struct {
	ctx    context.Context //nolint:containedctx // the call's, on its way to the writer
	op     string
	claim  bool
	doc    store.Doc
	writes []store.Write
	docs   []store.Doc // to be imported
	errs   []error     // one a write or document; those that are set from the start are not tried

	state atomic.Int32
	err   error
	done  chan struct{}
}

// A request is taken by the writer or given up by its caller, never both.
const (
	waiting int32 = iota
	taken
	givenUp
)

// do hands r to the writer and waits. A caller whose context ends leaves only if the writer has not begun, so whatever
// do returns is what happened, and r's bodies are not read afterwards.
func (db *DB) do(r *request) error {
	if !db.calls.Enter() {
		return store.ErrClosed
	}
	defer db.calls.Leave()
	if err := r.ctx.Err(); err != nil {
		return ended(r.op, err)
	}
	r.done = make(chan struct{})
	select {
	case db.queue <- r:
	case <-r.ctx.Done():
		return ended(r.op, r.ctx.Err())
	}
	select {
	case <-r.done:
		return r.err
	case <-r.ctx.Done():
	}
	if r.state.CompareAndSwap(waiting, givenUp) {
		return ended(r.op, r.ctx.Err())
	}
	<-r.done // a commit is under way, which takes as long as the disk does
	return r.err
}

func (r *request) size() (writes, bytes int) {
	for _, w := range r.writes {
		bytes += len(w.Body)
	}
	for _, d := range r.docs {
		bytes += len(d.Body)
	}
	return max(1, len(r.writes)+len(r.docs)), bytes
}

// writer owns the one connection that writes.
type writer struct {
	conn *sql.Conn
	log  *slog.Logger

	begin, commit, rollback, create, update, claim, stamp, whole, place *sql.Stmt

	stmts []*sql.Stmt // all of them
}

func newWriter(ctx context.Context, conn *sql.Conn, log *slog.Logger) (*writer, error) {
	w := &writer{conn: conn, log: log}
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&w.begin, `BEGIN IMMEDIATE`},
		{&w.commit, `COMMIT`},
		{&w.rollback, `ROLLBACK`},
		{&w.create, `INSERT INTO docs (kind, id, ver, epoch, nonce, body) VALUES (?1, ?2, 1, ?4, ?5, ?6)
			ON CONFLICT (kind, id) DO UPDATE SET ver = 1, epoch = ?4, nonce = ?5, body = ?6 WHERE ver = ?3 AND epoch <= ?4`},
		{&w.update, `UPDATE docs SET ver = ?3 + 1, epoch = ?4, nonce = ?5, body = ?6
			WHERE kind = ?1 AND id = ?2 AND ver = ?3 AND epoch <= ?4`},
		{&w.claim, `INSERT INTO docs (kind, id, ver, epoch, nonce) VALUES (?1, ?2, 0, 1, 0)
			ON CONFLICT (kind, id) DO UPDATE SET epoch = epoch + 1 RETURNING ver, epoch, body`},
		{&w.whole, loadSQL},
		{&w.place, `INSERT INTO docs (kind, id, ver, epoch, nonce, body) VALUES (?1, ?2, ?3, ?4, 0, ?5)
			ON CONFLICT (kind, id) DO UPDATE SET ver = ?3, epoch = ?4, nonce = 0, body = ?5`},
		{&w.stamp, `SELECT ver, epoch, nonce FROM docs WHERE kind = ?1 AND id = ?2`},
	} {
		stmt, err := conn.PrepareContext(ctx, s.text) //nolint:sqlclosecheck // close does
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
		*s.stmt, w.stmts = stmt, append(w.stmts, stmt)
	}
	return w, nil
}

// close gives the connection back. The statements go first: a connection with statements is not really closed by the
// engine, and its log would stay.
func (w *writer) close() error {
	var errs []error
	for _, stmt := range w.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// run serves the queue until it is closed.
func (w *writer) run(queue <-chan *request) {
	for r := range queue {
		w.group(take(r, queue))
	}
	if err := w.close(); err != nil {
		w.log.Error("store: the connection of the writer did not close", "err", err)
	}
}

// take collects what waits in the queue behind first, without waiting itself: while one group is being made durable,
// the next one gathers. What its caller gave up is left out.
func take(first *request, queue <-chan *request) []*request {
	var group []*request
	writes, bytes := 0, 0
	for r, open := first, true; open; {
		if r.state.CompareAndSwap(waiting, taken) {
			group = append(group, r)
			n, size := r.size()
			writes, bytes = writes+n, bytes+size
		}
		if writes >= groupWrites || bytes >= groupBytes {
			break
		}
		select {
		case r, open = <-queue:
		default:
			open = false
		}
	}
	return group
}

// group does requests in one transaction and answers them. A statement that fails undoes itself only; when the
// transaction is lost, all of them are.
func (w *writer) group(group []*request) {
	if len(group) == 0 {
		return
	}
	err := w.transact(group)
	if err != nil {
		w.log.Warn("store: a transaction was lost", "calls", len(group), "err", err)
	}
	for _, r := range group {
		if err != nil {
			r.err = classify(context.Background(), r.op, err)
		}
		close(r.done)
	}
}

func (w *writer) transact(group []*request) error {
	ctx := context.Background() // nobody's: one caller's haste must not cost the others their transaction
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return err
	}
	for _, r := range group {
		if err := w.one(ctx, r); err != nil {
			return w.undo(ctx, err)
		}
	}
	if _, err := w.commit.ExecContext(ctx); err != nil {
		return w.undo(ctx, err)
	}
	return nil
}

// undo ends the transaction after err. The engine may have ended it already, and then has nothing to roll back.
func (w *writer) undo(ctx context.Context, err error) error {
	_, _ = w.rollback.ExecContext(ctx)
	return err
}

// one does a request; its error is one that has cost the transaction.
func (w *writer) one(ctx context.Context, r *request) error {
	if r.claim {
		err := w.claim.QueryRowContext(ctx, r.doc.Kind, r.doc.ID).Scan(&r.doc.Version, &r.doc.Epoch, (*[]byte)(&r.doc.Body))
		if err != nil && !fatal(err) {
			r.err, err = classify(ctx, r.op, err), nil
		}
		return err
	}
	for i := range r.writes {
		if r.errs[i] != nil {
			continue
		}
		err := w.put(ctx, &r.writes[i])
		if fatal(err) {
			return err
		}
		r.errs[i] = err
	}
	for i, doc := range r.docs {
		if r.errs[i] != nil {
			continue
		}
		err := w.imported(ctx, doc)
		if fatal(err) {
			return err
		}
		r.errs[i] = err
	}
	return nil
}

func (w *writer) put(ctx context.Context, write *store.Write) error {
	stmt := w.update
	if write.Version == 0 {
		stmt = w.create
	}
	var body any // NULL
	if !write.Delete {
		body = []byte(write.Body)
	}
	result, err := stmt.ExecContext(ctx, write.Kind, write.ID, write.Version, write.Epoch, write.Nonce, body)
	if err != nil {
		return refused(ctx, write.Kind, write.ID, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	var have store.Stamp
	err = w.stamp.QueryRowContext(ctx, write.Kind, write.ID).Scan(&have.Version, &have.Epoch, &have.Nonce)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return refused(ctx, write.Kind, write.ID, err)
	}
	return write.Judge(have)
}

func refused(ctx context.Context, kind, id string, err error) error {
	if fatal(err) {
		return err
	}
	return classify(ctx, "write "+store.Name(kind, id), err)
}

// fatal tells whether an error of a statement may have cost the transaction
// (https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction), or says that the file can't
// be trusted with it.
func fatal(err error) bool {
	var e *engine.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return transient(e.Code())
}

// transient tells which of the engine's errors may be gone at the next try: a full disk gets room again.
func transient(code int) bool {
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return true
	}
	return false
}
