package sqlite

import "context"

// Limit makes the log shorter than it would be.
func (db *DB) Limit(bytes, documents int) error {
	return db.do(&request{ctx: context.Background(), op: "limit", count: 1, run: func(_ context.Context, w *writer) error {
		w.journal.maxLog, w.journal.maxHeads = bytes, documents
		return nil
	}})
}

// Log tells how long the log is, of how many documents it has something, and how many bytes of them are in memory.
func (db *DB) Log() (bytes, documents, memory int, err error) {
	err = db.do(&request{ctx: context.Background(), op: "log", count: 1, run: func(_ context.Context, w *writer) error {
		bytes, documents, memory = w.journal.bytes, len(w.heads.names), w.heads.bytes
		return nil
	}})
	return bytes, documents, memory, err
}
