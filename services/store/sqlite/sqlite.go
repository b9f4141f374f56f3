// Package sqlite keeps documents in a database file of this process: the store of a node that has no MongoDB.
//
// Writes go through one goroutine, which puts all that wait at the same moment into one transaction (group commit), and
// are on the disk when they are acknowledged: write-ahead log, synchronous=FULL, which is an fsync a transaction
// (https://www.sqlite.org/pragma.html#pragma_synchronous). Reads have connections of their own and never wait for it.
//
// A document is a row, and what has changed since in a log that all documents share: see record.go for what is on the disk,
// heads.go for what is in memory, write.go for when a row is written anew.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	engine "modernc.org/sqlite"

	"github.com/skua-go/skua/internal/filelock"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/internal/inflight"
)

// The files in the directory. SQLite keeps its log in store.db-wal and store.db-shm beside the first.
const (
	fileName = "store.db"
	lockName = "store.lock"
)

// Options says where the database is.
type Options struct {
	// Dir holds the database; it is made, for this user only, if it is not there. One process at a time may have it.
	Dir string
	// Sweep is how often documents that an index with a TTL has outlived are looked for. Default 30 s.
	Sweep time.Duration
	// Log hears of what an operator should know; nil: nothing is logged.
	Log *slog.Logger
}

// DB is an open database file. It is a store.Backend; Ping reads from the file.
type DB struct {
	path    string
	lock    *filelock.Lock
	log     *slog.Logger
	write   *sql.DB // one connection, the writer's
	read    *sql.DB
	reads   readers
	heads   *heads
	queue   chan *request
	writer  sync.WaitGroup
	calls   inflight.Calls
	closing func() error

	indexing chan struct{} // held by the one that builds indexes
	declared atomic.Pointer[[]declaredIndex]
	kicks    chan struct{} // there may be something to sweep
	sweeping sync.WaitGroup
	endSweep context.CancelFunc
}

var _ store.Serial = (*DB)(nil)

// Serial implements store.Serial.
func (*DB) Serial() {}

// Open opens the database in opt.Dir, or makes it, and starts the goroutines that write and sweep, which end in Close. Errors: the
// directory is held by another process (filelock.ErrHeld), the file is no database of ours or of a newer program,
// whatever the file system says.
func Open(ctx context.Context, opt Options) (*DB, error) {
	if opt.Dir == "" {
		return nil, errors.New("store: sqlite: no directory given")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("store: sqlite: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: sqlite: %w", err)
	}
	lock, err := filelock.Try(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("store: sqlite: the directory %s is in use: %w", dir, err)
	}
	db := &DB{
		path: filepath.Join(dir, fileName), lock: lock, log: opt.Log, heads: newHeads(), queue: make(chan *request, queueLength),
		indexing: make(chan struct{}, 1), kicks: make(chan struct{}, 1),
	}
	db.closing = sync.OnceValue(db.shut)
	if err := db.open(ctx, opt); err != nil {
		return nil, errors.Join(fmt.Errorf("store: sqlite: %s: %w", db.path, err), db.free())
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, opt Options) error {
	if err := makeFile(db.path, db.log); err != nil {
		return err
	}
	var err error
	if db.write, err = pool(db.path, 1, "journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)", "journal_size_limit(67108864)", "cache_size(-16384)"); err != nil {
		return err
	}
	if db.read, err = pool(db.path, readConns, "query_only(1)"); err != nil {
		return err
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return err
	}
	if err := durable(ctx, conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	if err := migrate(ctx, conn, db.log); err != nil {
		return errors.Join(err, conn.Close())
	}
	if err := db.reads.prepare(ctx, db.read); err != nil {
		return errors.Join(err, conn.Close())
	}
	w, err := newWriter(ctx, conn, db.heads, db.log)
	if err != nil {
		return err // it has closed conn
	}
	db.writer.Go(func() { w.run(db.queue) }) //nolint:contextcheck // it outlives Open
	db.startSweep(opt.Sweep)                 //nolint:contextcheck // it outlives Open
	return nil
}

// durable makes sure that the settings hold by which an acknowledged write is on the disk: a pragma that the engine can't
// follow, such as a log on a file system without shared memory, is no error by itself.
func durable(ctx context.Context, conn *sql.Conn) error {
	var journal string
	var synchronous int
	if err := conn.QueryRowContext(ctx, `SELECT journal_mode, synchronous FROM pragma_journal_mode, pragma_synchronous`).Scan(&journal, &synchronous); err != nil {
		return err
	}
	if journal != "wal" || synchronous != 2 {
		return fmt.Errorf("the file system does not allow a write-ahead log: the engine is in journal mode %s with synchronous=%d, not wal with 2", journal, synchronous)
	}
	return nil
}

// makeFile makes the file if it is not there, so that nobody else may read it from its first moment on; SQLite gives
// its other files the same mode.
func makeFile(path string, log *slog.Logger) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			log.Warn("store: others on this machine may read the database", "file", path, "mode", mode.String())
		}
		return nil
	case err != nil:
		return err
	}
	return file.Close()
}

const readConns = 4

func pool(path string, conns int, pragmas ...string) (*sql.DB, error) {
	// Slashes and an absolute path: what a file URI needs on every system.
	slashed := filepath.ToSlash(path)
	if slashed[0] != '/' {
		slashed = "/" + slashed
	}
	source := url.URL{Scheme: "file", Path: slashed, RawQuery: url.Values{"_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}.Encode()}
	connector, err := engine.NewConnector(source.String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// Close implements store.Backend. It leaves one file: the log is brought into it.
func (db *DB) Close() error { return db.closing() }

func (db *DB) shut() error {
	db.endSweep()
	db.sweeping.Wait()
	db.calls.Close()
	close(db.queue)
	db.writer.Wait()
	if err := db.free(); err != nil {
		return fmt.Errorf("store: sqlite: close %s: %w", db.path, err)
	}
	return nil
}

// free closes what is open; the connection that is closed last checkpoints the log, so that is the writer's.
func (db *DB) free() error {
	errs := []error{db.reads.close()}
	for _, pool := range []*sql.DB{db.read, db.write} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(append(errs, db.lock.Release())...)
}

// classify gives an error of the engine the class that callers decide by.
func classify(ctx context.Context, op string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return ended(op, cause)
	}
	var e *engine.Error
	if errors.As(err, &e) && transient(e.Code()) {
		return &store.UnavailableError{Op: op, Err: err}
	}
	return fmt.Errorf("store: sqlite: %s: %w", op, err)
}

// ended is the error of a call whose context has ended: one that ran out of time may be tried again, one that its
// caller called off is nobody's any more.
func ended(op string, cause error) error {
	if errors.Is(cause, context.DeadlineExceeded) {
		return &store.UnavailableError{Op: op, Err: cause}
	}
	return fmt.Errorf("store: %s: %w", op, cause)
}
