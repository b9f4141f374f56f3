package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"sync"
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
func (db *DB) do(ctx context.Context, r *request) error {
	if !db.calls.Enter() {
		return store.ErrClosed
	}
	defer db.calls.Leave()
	r.ctx = ctx
	if err := ctx.Err(); err != nil {
		return ended(r.op, err)
	}
	if db.alone(ctx, r) {
		return r.err
	}
	r.done = make(chan struct{})
	db.queued.Add(1)
	defer db.queued.Add(-1)
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

// alone does r here and now if nobody else has anything to write: to wake the writer's goroutine, and to be woken by it, would take longer than all of r but the
// disk.
func (db *DB) alone(ctx context.Context, r *request) bool {
	if db.queued.Load() > 0 || !db.w.mu.TryLock() {
		return false
	}
	defer db.w.mu.Unlock()
	db.w.group(context.WithoutCancel(ctx), db.w.take(r, db.queue)) // see run
	return true
}

// writer owns the one connection that writes, and what it knows of the file in memory.
type writer struct {
	mu sync.Mutex // held by who writes: the writer's goroutine, or a caller that is alone

	conn *sql.Conn
	log  *slog.Logger
	statements
	heads   *heads
	journal journal
	tail    tail
	catalog catalog

	draft draft // of the transaction under way
	begun bool  // the engine has one open
	over  int   // documents that have got more patches than they should since the engine had one

	// Of the group before: how many calls it had, and how long its transaction took.
	calls int
	took  time.Duration
}

// newWriter takes conn over, also when it fails.
func newWriter(ctx context.Context, conn *sql.Conn, heads *heads, tailPath string, log *slog.Logger) (*writer, error) {
	w := &writer{
		conn: conn, log: log, heads: heads, draft: newDraft(heads), journal: journal{maxLog: maxLog, maxHeads: maxHeads}, tail: tail{path: tailPath, late: time.NewTimer(moveAfter)},
	}
	if err := w.prepare(ctx, conn); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if err := w.load(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// load reads what the writer keeps in memory.
func (w *writer) load(ctx context.Context) error {
	if err := w.loadTail(ctx); err != nil {
		return err
	}
	return errors.Join(w.recover(ctx), w.loadCatalog(ctx))
}

// close gives the connection back. The statements go first: a connection with statements is not really closed by the
// engine, and its log would stay.
func (w *writer) close() error { return errors.Join(w.statements.close(), w.conn.Close()) }

// run serves the queue until it is closed. Transactions are nobody's: one caller's haste must not cost the others theirs.
func (w *writer) run(queue <-chan *request) {
	ctx := context.Background()
	defer w.tail.late.Stop()
	for open := true; open; {
		var r *request
		select {
		case r, open = <-queue:
			if open {
				w.serve(ctx, r, queue)
			}
		case <-w.tail.late.C:
			w.serve(ctx, nil, queue)
		}
	}
	if err := errors.Join(w.moveTail(ctx, true), w.close()); err != nil {
		w.log.Error("store: the connection of the writer did not close", "err", err)
	}
}

// serve does r and what waits in the queue behind it; nil: it is time to move the tail.
func (w *writer) serve(ctx context.Context, r *request, queue <-chan *request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r != nil {
		w.group(ctx, w.take(r, queue))
	} else if err := w.moveTail(ctx, false); err != nil {
		w.log.Warn("store: a transaction was lost", "err", err)
		w.tail.late.Reset(moveAfter)
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
func (w *writer) group(ctx context.Context, group []*request) {
	if len(group) == 0 {
		return
	}
	began := time.Now()
	err := w.transact(ctx, group)
	w.calls, w.took = len(group), time.Since(began)
	if err != nil {
		w.log.Warn("store: a transaction was lost", "calls", len(group), "err", err)
	}
	if err != nil && !passing(err) && (len(group) > 1 || group[0].again) {
		for _, r := range group {
			w.group(ctx, []*request{r})
		}
		return
	}
	for _, r := range group {
		if err != nil {
			r.err = classify(ctx, r.op, err)
		}
		if r.done != nil { // else its caller is here
			close(r.done)
		}
	}
}

func (w *writer) transact(ctx context.Context, group []*request) error {
	for _, r := range group {
		r.err, r.again = nil, false
		if err := r.run(ctx, w); err != nil {
			return w.undo(ctx, err)
		}
	}
	if err := w.end(ctx, w.flush(ctx)); err != nil {
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

// begin opens a transaction of the engine, if none is open. Where the tail of the log takes all there is to write, none is needed.
func (w *writer) begin(ctx context.Context) error {
	if w.begun {
		return nil
	}
	_, err := w.open.ExecContext(ctx)
	w.begun = err == nil
	return err
}

// exec runs a statement that changes something.
func (w *writer) exec(ctx context.Context, stmt *sql.Stmt, args ...any) (sql.Result, error) {
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// end commits the transaction of the engine, if one is open, or rolls it back after err.
func (w *writer) end(ctx context.Context, err error) error {
	if !w.begun {
		return err
	}
	if err == nil {
		_, err = w.commit.ExecContext(ctx)
	}
	w.begun = false
	if err != nil {
		_, _ = w.rollback.ExecContext(ctx) // the engine may have ended it already
		return err
	}
	w.tail.moved()
	w.over = 0
	return nil
}

// undo forgets the transaction after err.
func (w *writer) undo(ctx context.Context, err error) error {
	err = w.end(ctx, err)
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
