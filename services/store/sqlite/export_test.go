package sqlite

import (
	"context"
	"fmt"
	"hash/crc32"
	"path/filepath"
)

// Limit makes the log shorter than it would be.
func (db *DB) Limit(bytes, documents int) error {
	return db.do(context.Background(), &request{op: "limit", count: 1, run: func(_ context.Context, w *writer) error {
		w.journal.maxLog, w.journal.maxHeads = bytes, documents
		return nil
	}})
}

// Log tells how long the log is, of how many documents it has something, and how many bytes of them are in memory.
func (db *DB) Log() (bytes, documents, memory int, err error) {
	err = db.do(context.Background(), &request{op: "log", count: 1, run: func(_ context.Context, w *writer) error {
		bytes, documents, memory = w.journal.bytes, len(w.heads.names), w.heads.bytes
		return nil
	}})
	return bytes, documents, memory, err
}

// Move takes what the tail of the log has into the table.
func (db *DB) Move() error {
	return db.do(context.Background(), &request{op: "move", count: 1, run: func(ctx context.Context, w *writer) error { return w.begin(ctx) }})
}

// Tail tells how many bytes of records the tail has, and how many bytes of its file are in use.
func (db *DB) Tail() (records int, file int64, err error) {
	err = db.do(context.Background(), &request{op: "tail", count: 1, run: func(_ context.Context, w *writer) error {
		records, file = len(w.tail.records), w.tail.at
		return nil
	}})
	return records, file, err
}

// Break has the next write of the tail fail.
func (db *DB) Break() error {
	return db.do(context.Background(), &request{op: "break", count: 1, run: func(_ context.Context, w *writer) error {
		if w.tail.file == nil {
			return fmt.Errorf("there is no %s", w.tail.path)
		}
		return w.tail.file.Close()
	}})
}

// ParseTail gives the last row of the log that a file of this salt has, if the table ends with from.
func ParseTail(file []byte, salt, from int64) (int64, error) {
	_, last, err := (&tail{salt: salt}).parse(file, from)
	return last, err
}

// Sum is the checksum of the tail's first page.
func Sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli()) }

// Dir is where the database is.
func (db *DB) Dir() string { return filepath.Dir(db.path) }
