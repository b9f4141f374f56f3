package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// A document's row is written when its patches in the log are as many as this, or as long as the row and minChain. A
// row costs a page of 4 KiB twice, in the write-ahead log and at the checkpoint; a patch costs its own length twice, and
// its share of the time that a load takes to apply them.
const (
	fewPatches  = 40
	morePatches = 25 // some documents take up to so many more, so that those which began together do not end together
	minChain    = 4096
)

// takes tells whether the log may have a further patch of the document, or the row is to be written; times is how often it may have what it should.
func (h *head) takes(patch, times int) bool {
	spread := int((uint64(h.doc)*31 + uint64(h.base)) % morePatches)
	return h.patches < times*(fewPatches+spread) && len(h.chain)+patch <= times*max(h.body, minChain)
}

// A row needs a transaction of the engine, which takes longer than a record in the tail. So where none is open yet a document gets up to overdue times the
// patches that it should have, until the rows of manyOver can be written together.
const (
	overdue  = 2
	manyOver = 48
)

// records tells whether a patch goes into the log, or the row is written.
func (w *writer) records(h *head, patch int) bool {
	if h.takes(patch, 1) {
		return true
	}
	if w.begun || w.over >= manyOver || !h.takes(patch, overdue) {
		return false
	}
	if !h.over {
		h.over = true
		w.over++
	}
	return true
}

// find gives the state of a document as the transaction sees it; known: the log has something of it. One that is not
// there has no number and version 0.
func (w *writer) find(ctx context.Context, n name) (h head, known bool, err error) {
	if h := w.draft.get(n); h != nil {
		return *h, true, nil
	}
	if h, known := w.draft.rows[n]; known {
		return h, false, nil
	}
	err = w.row.QueryRowContext(ctx, n.kind, n.id).Scan(&h.doc, &h.version, &h.epoch, &h.nonce, &h.body)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return head{}, false, err
	}
	h.base = h.version
	return h, false, nil
}

// put does a write; see refused for its errors.
func (w *writer) put(ctx context.Context, write *store.Write) error {
	n := name{write.Kind, write.ID}
	indexes := w.catalog.of(write.Kind)
	if write.Patch == nil && len(indexes) == 0 && w.draft.get(n) == nil {
		return w.putRow(ctx, write)
	}
	h, known, err := w.find(ctx, n)
	if err != nil {
		return refused(ctx, n, err)
	}
	if h.version != write.Version || h.epoch > write.Epoch {
		return write.Judge(store.Stamp{Version: h.version, Epoch: h.epoch, Nonce: h.nonce})
	}
	recorded := write.Patch != nil && h.body > 0 && w.records(&h, write.Patch.Size())
	if write.Patch != nil && !recorded { // so far only the patch has been checked
		if err := store.CheckBody(n.kind, n.id, write.Body); err != nil {
			return err
		}
	}
	entries, err := w.entriesOf(ctx, indexes, h.doc, write) // what they refuse changes nothing
	if err != nil {
		return refused(ctx, n, err)
	}
	h.version, h.epoch, h.nonce = h.version+1, write.Epoch, write.Nonce
	if recorded {
		w.record(n, h, write.Patch)
	} else if h.doc, err = w.writeRow(ctx, n, h, known, write.Body); err != nil {
		return err
	}
	return w.enterAll(ctx, n, h.doc, entries)
}

// putRow writes a document that neither the log nor an index has.
func (w *writer) putRow(ctx context.Context, write *store.Write) error {
	stmt := w.update
	if write.Version == 0 {
		stmt = w.create
	}
	n := name{write.Kind, write.ID}
	w.draft.forget(n)
	result, err := w.exec(ctx, stmt, write.Kind, write.ID, write.Version, write.Epoch, write.Nonce, blob(write.Body))
	if err != nil {
		return refused(ctx, n, err)
	}
	if count, err := result.RowsAffected(); err != nil || count == 1 {
		return err
	}
	var have store.Stamp
	err = w.stamp.QueryRowContext(ctx, write.Kind, write.ID).Scan(&have.Version, &have.Epoch, &have.Nonce)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return refused(ctx, n, err)
	}
	return write.Judge(have)
}

// blob is a body as the engine takes it: none is NULL.
func blob(body bson.Raw) any {
	if len(body) == 0 {
		return nil
	}
	return []byte(body)
}

// writeRow makes h, with this body, the state of the document's row, and gives the document's number; what the log has
// of it is dead from then on. An error costs the transaction.
func (w *writer) writeRow(ctx context.Context, n name, h head, known bool, body bson.Raw) (int64, error) {
	if known {
		w.draft.drop(n)
	}
	w.draft.forget(n)
	h.body = len(body)
	if h.doc != 0 {
		result, err := w.exec(ctx, w.set, h.doc, h.version, h.epoch, h.nonce, blob(body))
		if err != nil {
			return 0, spoilt(n, err)
		}
		if count, err := result.RowsAffected(); err != nil || count != 1 {
			return 0, spoilt(n, errors.Join(errNoRow, err))
		}
		w.draft.remember(n, h)
		return h.doc, nil
	}
	result, err := w.exec(ctx, w.insert, n.kind, n.id, h.version, h.epoch, h.nonce, blob(body))
	if err != nil {
		return 0, spoilt(n, err)
	}
	if h.doc, err = result.LastInsertId(); err == nil {
		w.draft.remember(n, h)
	}
	return h.doc, spoilt(n, err)
}

// record puts a patch, nil for a change of owner, into the log: h is the state that it leads to.
func (w *writer) record(n name, h head, patch *store.Patch) {
	at := w.journal.add(&h, patch)
	if h.patches == 0 {
		h.first, h.chain = w.journal.seq, nil
	}
	h.patches++
	h.chain = append(h.chain, at...)
	w.draft.set(n, &h)
}

// claim makes the caller a document's owner, in an epoch above all others if that is 0.
func (w *writer) claim(ctx context.Context, doc *store.Doc, epoch int64) error {
	n := name{doc.Kind, doc.ID}
	var h head
	var body bson.Raw
	err := w.whole.QueryRowContext(ctx, n.kind, n.id).Scan(&h.doc, &h.version, &h.epoch, &h.nonce, (*[]byte)(&body))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		doc.Epoch = max(epoch, 1)
		_, err := w.writeRow(ctx, n, head{epoch: doc.Epoch}, false, nil)
		return err
	case err != nil:
		return refused(ctx, n, err)
	}
	h.base, h.body = h.version, len(body)
	newer := w.draft.get(n)
	if newer != nil {
		h = *newer
		if body, err = fold(n.kind, n.id, body, h.chain); err != nil {
			return err
		}
	}
	was := h.epoch
	switch {
	case epoch == 0:
		h.epoch++
	case epoch < was:
		return &store.FencedError{Kind: n.kind, ID: n.id, Epoch: epoch, Have: was}
	default:
		h.epoch = epoch
	}
	doc.Version, doc.Epoch, doc.Body = h.version, h.epoch, body
	if h.epoch == was { // the caller had it
		return nil
	}
	if w.records(&h, len(emptyPatch)) {
		w.record(n, h, nil)
		return nil
	}
	_, err = w.writeRow(ctx, n, h, newer != nil, body)
	return err
}

// place writes a document as it comes from another database.
func (w *writer) place(ctx context.Context, doc *store.Doc) error {
	n := name{doc.Kind, doc.ID}
	var h head
	var body bson.Raw
	err := w.whole.QueryRowContext(ctx, n.kind, n.id).Scan(&h.doc, &h.version, &h.epoch, &h.nonce, (*[]byte)(&body))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return refused(ctx, n, err)
	}
	newer := w.draft.get(n)
	if newer != nil {
		h = *newer
		if body, err = fold(n.kind, n.id, body, h.chain); err != nil {
			return err
		}
	}
	write, err := doc.Settled(store.Doc{Kind: n.kind, ID: n.id, Version: h.version, Epoch: h.epoch, Body: body})
	if !write {
		return err
	}
	entries, err := w.entriesOf(ctx, w.catalog.of(n.kind), h.doc, &store.Write{Kind: n.kind, ID: n.id, Body: doc.Body})
	if err != nil {
		return refused(ctx, n, err)
	}
	h.version, h.epoch, h.nonce = doc.Version, doc.Epoch, 0
	if h.doc, err = w.writeRow(ctx, n, h, newer != nil, doc.Body); err != nil {
		return err
	}
	return w.enterAll(ctx, n, h.doc, entries)
}

// refused is the error of a write that has changed nothing: the caller's, unless it has cost the transaction.
func refused(ctx context.Context, n name, err error) error {
	if fatal(err) || errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrDuplicate) {
		return err
	}
	return classify(ctx, "write "+store.Name(n.kind, n.id), err)
}

// errNoRow: somebody else has changed the file.
var errNoRow = errors.New("its row is gone")

// spoiltError is one in the middle of a write: the transaction must not be committed.
type spoiltError struct{ err error }

func (e *spoiltError) Error() string { return e.err.Error() }
func (e *spoiltError) Unwrap() error { return e.err }

func spoilt(n name, err error) error {
	if err == nil {
		return nil
	}
	return &spoiltError{fmt.Errorf("store: sqlite: write %s: %w", store.Name(n.kind, n.id), err)}
}

// alone tells whether an error in the middle of a write is that write's own: the transaction can be done without it.
func alone(err error) bool {
	var s *spoiltError
	return errors.As(err, &s) && !fatal(err)
}

// costs tells whether a write's error has cost the transaction.
func costs(err error) bool {
	var s *spoiltError
	return err != nil && (errors.As(err, &s) || fatal(err))
}
