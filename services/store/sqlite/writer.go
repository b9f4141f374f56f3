package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

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

// request is one call to the writer.
type request struct {
	ctx   context.Context //nolint:containedctx // the call's, on its way to the writer
	op    string
	count int // of documents
	bytes int // of bodies
	// run does it in a transaction; its error is one that has cost the transaction. It runs again if that was lost.
	run func(ctx context.Context, w *writer) error
	// again says that run has failed and will leave out what failed.
	again bool
	// then, if there is one, runs when the transaction is durable and before the caller hears of it.
	then func(w *writer)

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

// writer owns the one connection that writes, and what it knows of the file in memory.
type writer struct {
	conn *sql.Conn
	log  *slog.Logger
	statements
	heads   *heads
	journal journal
	catalog catalog

	draft draft // of the transaction under way

	// Of the group before: how many calls it had, and how long its transaction took.
	calls int
	took  time.Duration
}

// newWriter takes conn over, also when it fails.
func newWriter(ctx context.Context, conn *sql.Conn, heads *heads, log *slog.Logger) (*writer, error) {
	w := &writer{conn: conn, log: log, heads: heads, draft: newDraft(heads), journal: journal{maxLog: maxLog, maxHeads: maxHeads}}
	if err := w.prepare(ctx, conn); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if err := errors.Join(w.recover(ctx), w.loadCatalog(ctx)); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// close gives the connection back. The statements go first: a connection with statements is not really closed by the
// engine, and its log would stay.
func (w *writer) close() error { return errors.Join(w.statements.close(), w.conn.Close()) }

// run serves the queue until it is closed.
func (w *writer) run(queue <-chan *request) {
	for r := range queue {
		w.group(w.take(r, queue))
	}
	if err := w.close(); err != nil {
		w.log.Error("store: the connection of the writer did not close", "err", err)
	}
}

// take collects what waits in the queue behind first. While one group is being made durable, the next one gathers. What
// its caller gave up is left out.
//
// Callers that have just been answered often have something new at once. To begin without them would make them wait for
// two transactions, so as many calls as the group before had are waited for, but much shorter than a transaction
// takes. A lone caller never waits.
func (w *writer) take(first *request, queue <-chan *request) []*request {
	var group []*request
	count, bytes := 0, 0
	began, looks := time.Time{}, 0
	for r, open := first, true; open; {
		if r.state.CompareAndSwap(waiting, taken) {
			group = append(group, r)
			count, bytes = count+r.count, bytes+r.bytes
		}
		if count >= groupWrites || bytes >= groupBytes {
			break
		}
		for r = nil; r == nil && open; {
			select {
			case r, open = <-queue:
			default:
				if began.IsZero() {
					began = time.Now()
				}
				looks++
				open = len(group) < w.calls && looks < maxLooks && time.Since(began) < min(w.took/4, maxGather)
				runtime.Gosched() // a timer would be far too coarse
			}
		}
	}
	return group
}

// maxGather is how long a group waits for further calls at most, and maxLooks how often it looks, should the clock stand.
const (
	maxGather = 200 * time.Microsecond
	maxLooks  = 10_000
)

// group does requests in one transaction and answers them. A statement that fails undoes itself only; when the
// transaction is lost, all of them are. If the reason is not one that passes, each gets one of its own, and others until
// it has left out all that fails.
func (w *writer) group(group []*request) {
	if len(group) == 0 {
		return
	}
	began := time.Now()
	err := w.transact(group)
	w.calls, w.took = len(group), time.Since(began)
	if err != nil {
		w.log.Warn("store: a transaction was lost", "calls", len(group), "err", err)
	}
	if err != nil && !passing(err) && (len(group) > 1 || group[0].again) {
		for _, r := range group {
			w.group([]*request{r})
		}
		return
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
		r.err, r.again = nil, false
		if err := r.run(ctx, w); err != nil {
			return w.undo(ctx, err)
		}
	}
	if err := w.flush(ctx); err != nil {
		return w.undo(ctx, err)
	}
	if _, err := w.commit.ExecContext(ctx); err != nil {
		return w.undo(ctx, err)
	}
	w.journal.committed()
	w.draft.done()
	for _, r := range group {
		if r.then != nil && r.err == nil {
			r.then(w)
		}
	}
	return nil
}

// undo ends the transaction after err. The engine may have ended it already, and then has nothing to roll back.
func (w *writer) undo(ctx context.Context, err error) error {
	_, _ = w.rollback.ExecContext(ctx)
	w.journal.undone()
	w.draft.undone()
	return err
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

// passing tells whether an error may be gone at the next try.
func passing(err error) bool {
	var e *engine.Error
	return errors.As(err, &e) && transient(e.Code())
}

// transient tells which of the engine's errors may be gone at the next try: a full disk gets room again.
func transient(code int) bool {
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return true
	}
	return false
}
