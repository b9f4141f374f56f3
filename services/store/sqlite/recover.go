package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/skua-go/skua/services/store"
)

// recover reads the log, when the file is opened: which of its records are later than their documents' rows. The log is
// bounded, see maxLog, and so is the time.
func (w *writer) recover(ctx context.Context) error {
	rows, err := w.conn.QueryContext(ctx, `SELECT seq, data FROM log ORDER BY seq`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	r := recovery{w: w, docs: map[int64]*recovered{}}
	for rows.Next() {
		var seq int64
		var data sql.RawBytes
		if err := rows.Scan(&seq, &data); err != nil {
			return err
		}
		w.journal.seq = seq
		if err := r.read(ctx, data); err != nil {
			return fmt.Errorf("the row %d of the log: %w", seq, err)
		}
		w.journal.book(len(data))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if w.journal.seq == 0 {
		w.journal.seq = 1
	}
	return r.publish()
}

type recovery struct {
	w    *writer
	docs map[int64]*recovered
}

// recovered is a document that the log names: as its row is, and then as its records are.
type recovered struct {
	name
	head
	missed int64 // the version of a record before which others are missing: they may come again, see writer.settle
}

func (r *recovery) read(ctx context.Context, data []byte) error {
	if len(data) == 0 || data[0] != logForm {
		return fmt.Errorf("%w: it has another form than %d", errRecord, logForm)
	}
	for data = data[1:]; len(data) > 0; {
		rec, rest, err := readRecord(data)
		if err != nil {
			return err
		}
		if err := r.record(ctx, &rec, data[:len(data)-len(rest)]); err != nil {
			return err
		}
		data = rest
	}
	return nil
}

func (r *recovery) record(ctx context.Context, rec *record, raw []byte) error {
	d := r.docs[rec.doc]
	if d == nil {
		d = &recovered{}
		err := r.w.nameOf.QueryRowContext(ctx, rec.doc).Scan(&d.kind, &d.id, &d.version, &d.epoch, &d.body)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil { // else it has been removed
			d.doc, d.base = rec.doc, d.version
		}
		r.docs[rec.doc] = d
	}
	switch {
	case d.doc == 0 || rec.version < d.version || rec.version == d.version && rec.epoch <= d.epoch:
		return nil // the row has it
	case rec.version > d.version+1:
		d.missed = max(d.missed, rec.version)
		return nil
	}
	if d.patches == 0 {
		d.first = r.w.journal.seq
	}
	d.version, d.epoch, d.nonce = rec.version, rec.epoch, rec.nonce
	d.patches++
	d.chain = append(d.chain, raw...)
	return nil
}

// publish makes heads of what has records, in the order of the log.
func (r *recovery) publish() error {
	live := make([]*recovered, 0, len(r.docs))
	for _, d := range r.docs {
		if d.version < d.missed {
			return fmt.Errorf("the log: %w: %s is at version %d, then come the records of version %d", errRecord, store.Name(d.kind, d.id), d.version, d.missed)
		}
		if d.patches > 0 {
			live = append(live, d)
		}
	}
	slices.SortFunc(live, func(a, b *recovered) int { return cmp.Compare(a.first, b.first) })
	for _, d := range live {
		r.w.draft.set(d.name, &d.head)
	}
	r.w.draft.done()
	return nil
}
