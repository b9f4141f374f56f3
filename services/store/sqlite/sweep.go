package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// What one transaction removes at most.
const (
	sweepDocs    = 128
	sweepEntries = 1024
)

// kick lets the sweeper look at once.
func (db *DB) kick() {
	select {
	case db.kicks <- struct{}{}:
	default:
	}
}

// startSweep starts the goroutine that sweeps, which ends in Close.
func (db *DB) startSweep(every time.Duration) {
	if every <= 0 {
		every = 30 * time.Second
	}
	ctx, end := context.WithCancel(context.Background())
	db.endSweep = end
	db.sweeping.Go(func() { db.sweep(ctx, every) })
}

// sweep removes documents that have had their time and the entries of indexes that are no longer wanted, until ctx ends.
func (db *DB) sweep(ctx context.Context, every time.Duration) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-db.kicks:
		}
		if err := db.sweepOnce(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
			db.log.Warn("store: old documents were not removed", "err", err)
		}
		timer.Reset(every - rand.N(every/4+1)) // not in step with whatever else happens every so often
	}
}

func (db *DB) sweepOnce(ctx context.Context) error {
	var declared []declaredIndex
	if list := db.declared.Load(); list != nil {
		declared = *list
	}
	for i := range declared {
		if x := &declared[i]; x.TTL > 0 {
			if err := db.expire(ctx, x); err != nil {
				return err
			}
		}
	}
	for more := true; more; {
		r := &request{op: "drop indexes", count: sweepEntries}
		var num int64
		r.run = func(ctx context.Context, w *writer) (err error) {
			num, err = w.sweepIndex(ctx)
			return err
		}
		r.then = func(w *writer) { more = w.catalog.swept(num) }
		if err := db.do(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// swept takes the index that has no entries any more, if there is one, off the list, and tells whether there is more to
// do.
func (c *catalog) swept(num int64) bool {
	if num != 0 {
		c.gone = c.gone[1:]
	}
	return len(c.gone) > 0
}

// sweepIndex removes entries of the first index that is to go, and, if it has no more, the index itself: then it gives
// its number.
func (w *writer) sweepIndex(ctx context.Context) (int64, error) {
	if len(w.catalog.gone) == 0 {
		return 0, nil
	}
	num := w.catalog.gone[0]
	result, err := w.exec(ctx, w.sweep, num, sweepEntries)
	if err != nil {
		return 0, err
	}
	if n, err := result.RowsAffected(); err != nil || n == sweepEntries {
		return 0, err
	}
	_, err = w.exec(ctx, w.forget, num)
	return num, err
}

// expire removes the documents whose date in an index is its time to live ago.
func (db *DB) expire(ctx context.Context, x *declaredIndex) error {
	date := make([]byte, 8)
	binary.LittleEndian.PutUint64(date, uint64(time.Now().Add(-x.TTL).UnixMilli()))
	b := bounds{lo: []byte{classDate}, hi: after(appendValue(nil, bson.RawValue{Type: bson.TypeDateTime, Value: date}))}
	total := 0
	for n := sweepDocs; n == sweepDocs; total += n {
		r := &request{op: "expire " + x.String(), count: sweepDocs}
		r.run = func(ctx context.Context, w *writer) (err error) {
			n, err = w.expire(ctx, x.num, b)
			return err
		}
		if err := db.do(ctx, r); err != nil {
			return err
		}
	}
	if total > 0 {
		db.log.Debug("store: documents had their time", "index", x.Name, "kind", x.Kind, "documents", total)
	}
	return nil
}

// expire removes some documents that have an entry between the bounds.
func (w *writer) expire(ctx context.Context, num int64, b bounds) (int, error) {
	docs, err := w.expiredDocs(ctx, num, b)
	if err != nil {
		return 0, err
	}
	for _, doc := range docs {
		var n name
		var version, epoch, length int64
		if err := some(w.nameOf.QueryRowContext(ctx, doc).Scan(&n.kind, &n.id, &version, &epoch, &length)); err != nil {
			return 0, err
		}
		w.draft.drop(n)
		w.draft.forget(n)
		if _, err := w.exec(ctx, w.remove, doc); err != nil {
			return 0, err
		}
		if _, err := w.exec(ctx, w.dropAll, doc); err != nil {
			return 0, err
		}
	}
	return len(docs), nil
}

func (w *writer) expiredDocs(ctx context.Context, num int64, b bounds) ([]int64, error) {
	rows, err := w.expired.QueryContext(ctx, num, b.lo, b.hi, sweepDocs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var docs []int64
	for rows.Next() {
		var doc int64
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, rows.Err()
}
