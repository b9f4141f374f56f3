package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// The log is kept short: beyond one of these the rows of the documents that begin it are written, so that its beginning
// can go. They bound the memory for what is in it, and the time that opening the file takes.
const (
	maxLog   = 32 << 20 // bytes
	maxHeads = 128 << 10
	// piece is how many bytes of the log go at a time.
	piece = 64 << 10
	// Writing rows goes along with the transactions that make the log longer: twice as many as they have records, and
	// some more.
	spareRows, mostRows = 16, 1024
)

// journal is the end of the log and its length.
type journal struct {
	maxLog, maxHeads int

	seq    int64  // of the transaction's row
	row    []byte // its data
	added  int    // records in it
	pieces []stretch
	bytes  int // of all rows
	gone   int // pieces that the transaction has removed
}

// stretch is rows of the log.
type stretch struct {
	last  int64 // the seq of its last row
	bytes int
}

// add adds a record for a state that patch has led to, nil if only the owner has changed, and returns its bytes, which
// hold until the transaction ends.
func (j *journal) add(h *head, patch *store.Patch) []byte {
	j.begin()
	from := len(j.row)
	j.row = appendRecord(j.row, &record{doc: h.doc, version: h.version, epoch: h.epoch, nonce: h.nonce}, patch)
	return j.row[from:]
}

// again adds records that the beginning of the log has.
func (j *journal) again(records []byte) {
	j.begin()
	j.row = append(j.row, records...)
}

func (j *journal) begin() {
	if len(j.row) == 0 {
		j.row = append(j.row, logForm)
	}
	j.added++
}

// committed books what the transaction has added and removed.
func (j *journal) committed() {
	for _, p := range j.pieces[:j.gone] {
		j.bytes -= p.bytes
	}
	j.pieces = j.pieces[j.gone:]
	if len(j.row) > 0 {
		j.book(len(j.row))
	}
	j.undone()
}

// book adds a row at the end, and goes on to the next.
func (j *journal) book(bytes int) {
	if n := len(j.pieces); n == 0 || j.pieces[n-1].bytes >= piece {
		j.pieces = append(j.pieces, stretch{})
	}
	last := &j.pieces[len(j.pieces)-1]
	last.last, last.bytes = j.seq, last.bytes+bytes
	j.bytes += bytes
	j.seq++
}

func (j *journal) undone() {
	if j.row = j.row[:0]; cap(j.row) > 1<<20 {
		j.row = nil // one large patch
	}
	j.added, j.gone = 0, 0
}

// flush writes the transaction's records, and shortens the log.
func (w *writer) flush(ctx context.Context) error {
	j := &w.journal
	if err := w.writeOldest(ctx); err != nil {
		return err
	}
	if len(j.row) > 0 {
		if _, err := w.append.ExecContext(ctx, j.seq, j.row); err != nil {
			return err
		}
	}
	begins := j.seq // what is before it is dead
	if _, h, ok := w.heads.oldest(); ok {
		begins = h.first
	}
	for j.gone < len(j.pieces)-1 && j.pieces[j.gone].last < begins {
		j.gone++
	}
	if j.gone == 0 {
		return nil
	}
	_, err := w.trim.ExecContext(ctx, j.pieces[j.gone-1].last)
	return err
}

// writeOldest writes the rows of the documents that begin a log which is too long. What was theirs in it is dead in the
// next transaction.
func (w *writer) writeOldest(ctx context.Context) error {
	rows := min(spareRows+2*w.journal.added, mostRows)
	at := w.heads.ring.next
	for ; rows > 0 && at != &w.heads.ring && (w.journal.bytes > w.journal.maxLog || len(w.heads.names) > w.journal.maxHeads); at = at.next {
		h := w.draft.get(at.name)
		if h == nil {
			continue // this transaction has written the row
		}
		if err := w.settle(ctx, at.name, *h); err != nil {
			return err
		}
		rows--
	}
	return nil
}

// settle writes the row of a document from what the log has of it. If that can't be done, its records go to the end of
// the log once more, so that nothing is lost and nobody else is held up.
func (w *writer) settle(ctx context.Context, n name, h head) error {
	var body bson.Raw
	err := w.bodyOf.QueryRowContext(ctx, h.doc).Scan((*[]byte)(&body))
	if errors.Is(err, sql.ErrNoRows) { // somebody else has changed the file
		w.log.Error("store: a document's row is gone", "document", store.Name(n.kind, n.id))
		w.draft.drop(n)
		w.draft.forget(n)
		return nil
	}
	if err != nil {
		return err
	}
	if body, err = fold(n.kind, n.id, body, h.chain); err == nil {
		_, err = w.writeRow(ctx, n, h, true, body)
		return err
	}
	w.log.Error("store: a document can't be read", "document", store.Name(n.kind, n.id), "err", err)
	w.journal.again(h.chain)
	h.first = w.journal.seq
	w.draft.set(n, &h)
	return nil
}
