package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// The tail of the log. Where a transaction would do no more than add a row of few bytes to the log, as it is with commits, the row goes into a file beside the
// database instead, which takes one write in place, and not the engine's statements, pages and checksums. The next transaction of the engine takes all that is
// there into the table, and then the file is begun anew; one comes within moveAfter or so.
//
// The file has tailSize bytes from the start, so that a write changes no more of the file system than its data. It begins with a page that names it:
//
//	"SkuaTail", form 1, salt, CRC        8, 4, 8 and 4 bytes, little endian; the CRC is CRC-32C of what is before it
//
// and then has entries, each from the beginning of a page, so that no write touches what another one has made durable:
//
//	CRC, length, seq, data               4, 4, 8 and length bytes; the CRC is that of the salt and of all behind it
//
// The table tail has the salt of the file that belongs to the database, or 0 if none does. The salt is in there before the file has its first entry. Entries hold
// if they have one seq after the other, from the one behind the last row of the table on: others are from before the file was begun anew, or were not done.
const (
	tailName   = "store.tail"
	tailMagic  = "SkuaTail"
	tailForm   = 1
	tailSize   = 1 << 20
	tailPage   = 4096
	tailHeader = 24
	entryHead  = 16
	// longestEntry is how long a row of the log may be to go into the tail: with longer ones the engine's work is little beside their own.
	longestEntry = 16 << 10
	// moveAfter is how long a row stays in the tail at most: a copy of the database alone has all that is older.
	moveAfter = time.Second
	// tailRetry is how long the engine does without a tail that could not be made or written.
	tailRetry = 30 * time.Second
)

// tail is the file, and what it has. It is the writer's.
type tail struct {
	path    string
	file    *os.File // nil: there is none
	salt    int64
	at      int64 // where the next entry goes
	page    []byte
	records []byte // of all its entries, behind the byte of their form; empty: it has none
	last    int64  // the seq of the last one
	failed  bool   // what it has can't be known: the next transaction of the engine gives it up
	retry   time.Time
	late    *time.Timer // it has had something for moveAfter
}

// takes tells whether a row may go into the tail, and not into the table.
func (t *tail) takes(row []byte) bool {
	switch {
	case t.failed || len(row) > longestEntry:
		return false
	case t.file == nil:
		return t.retry.IsZero() || time.Now().After(t.retry)
	}
	return t.at+pages(len(row)) <= tailSize
}

// pages is how long an entry is in the file.
func pages(row int) int64 { return (int64(row) + entryHead + tailPage - 1) &^ (tailPage - 1) }

// make makes the file, which belongs to nothing yet.
func (t *tail) make() error {
	file, err := os.OpenFile(t.path, os.O_CREATE|os.O_TRUNC|os.O_RDWR|syncFlag, 0o600)
	if err != nil {
		return err
	}
	t.salt = 0
	for t.salt == 0 {
		t.salt = int64(rand.Uint64())
	}
	begin := make([]byte, tailSize) // not a hole: what is there can be written in place
	copy(begin, tailMagic)
	binary.LittleEndian.PutUint32(begin[8:], tailForm)
	binary.LittleEndian.PutUint64(begin[12:], uint64(t.salt))
	binary.LittleEndian.PutUint32(begin[20:], crc32.Checksum(begin[:20], castagnoli()))
	if _, err = file.WriteAt(begin, 0); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = syncDir(filepath.Dir(t.path))
	}
	if err != nil {
		return errors.Join(err, file.Close(), os.Remove(t.path))
	}
	t.file, t.at = file, tailPage
	return nil
}

// castagnoli is a table that the package makes once.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// add makes a row durable. After an error it may be or not.
func (t *tail) add(seq int64, row []byte) error {
	n := pages(len(row))
	if int64(cap(t.page)) < n {
		t.page = make([]byte, longestEntry+tailPage)
	}
	page := t.page[:n]
	binary.LittleEndian.PutUint32(page[4:], uint32(len(row)))
	binary.LittleEndian.PutUint64(page[8:], uint64(seq))
	clear(page[entryHead+copy(page[entryHead:], row):])
	binary.LittleEndian.PutUint32(page, t.sum(page[4:entryHead+len(row)]))
	_, err := t.file.WriteAt(page, t.at)
	if err == nil {
		err = syncData(t.file)
	}
	if err != nil {
		t.failed = true
		return fmt.Errorf("the tail of the log: %w", err)
	}
	t.at += n
	if len(t.records) == 0 {
		t.records = append(t.records, logForm)
		t.late.Reset(moveAfter)
	}
	t.records = append(t.records, row[1:]...)
	t.last = seq
	return nil
}

// sum is the CRC of an entry: other files' are another one's.
func (t *tail) sum(entry []byte) uint32 {
	var salt [8]byte
	binary.LittleEndian.PutUint64(salt[:], uint64(t.salt))
	return crc32.Update(crc32.Checksum(salt[:], castagnoli()), castagnoli(), entry)
}

// moved is called when the table has all of it, durable, and if it has failed the database does not know it any more.
func (t *tail) moved() {
	t.at, t.records, t.last = tailPage, t.records[:0], 0
	if t.failed && t.file != nil {
		_ = t.file.Close() // it can't be trusted, and is not needed
		t.file, t.retry = nil, time.Now().Add(tailRetry)
	}
	t.failed = false
}

// errNoTail says that there is no file, or another one.
var errNoTail = errors.New("it is not the one that belongs to the database")

// read reads what parse gives.
func (t *tail) read(from int64) (records []byte, last int64, err error) {
	file, err := os.ReadFile(t.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, from, fmt.Errorf("%w: %w", errNoTail, err)
	}
	if err != nil {
		return nil, from, err
	}
	return t.parse(file, from)
}

// parse gives the records of a file's entries behind the seq from, and the seq of the last.
func (t *tail) parse(file []byte, from int64) (records []byte, last int64, err error) {
	if len(file) < tailPage || string(file[:8]) != tailMagic || binary.LittleEndian.Uint32(file[20:]) != crc32.Checksum(file[:20], castagnoli()) ||
		int64(binary.LittleEndian.Uint64(file[12:])) != t.salt {
		return nil, from, errNoTail
	}
	if form := binary.LittleEndian.Uint32(file[8:]); form != tailForm {
		return nil, from, fmt.Errorf("has form %d, this program knows %d", form, tailForm)
	}
	last = from
	var next int64
	for rest := file[tailPage:]; ; {
		seq, row := t.entry(rest)
		if row == nil || next > 0 && seq != next {
			return records, last, nil
		}
		if row[0] != logForm {
			return nil, from, fmt.Errorf("%w: it has another form than %d", errRecord, logForm)
		}
		if seq > last {
			if seq != last+1 {
				return nil, from, fmt.Errorf("%w: it begins at row %d of the log, the table ends with %d", errNoTail, seq, from)
			}
			if len(records) == 0 {
				records = append(records, logForm)
			}
			records, last = append(records, row[1:]...), seq
		}
		next = seq + 1
		rest = rest[pages(len(row)):]
	}
}

// entry is the one that data begins with; no row: there is none.
func (t *tail) entry(data []byte) (seq int64, row []byte) {
	if len(data) < tailPage {
		return 0, nil
	}
	n := binary.LittleEndian.Uint32(data[4:])
	if n == 0 || n > longestEntry || pages(int(n)) > int64(len(data)) || binary.LittleEndian.Uint32(data) != t.sum(data[4:entryHead+n]) {
		return 0, nil
	}
	return int64(binary.LittleEndian.Uint64(data[8:])), data[entryHead : entryHead+n]
}

// loadTail brings what a process has left in the tail into the table, when the file is opened.
func (w *writer) loadTail(ctx context.Context) error {
	t := &w.tail
	var table int64
	if err := w.conn.QueryRowContext(ctx, `SELECT salt, (SELECT coalesce(max(seq), 0) FROM log) FROM tail`).Scan(&t.salt, &table); err != nil {
		return err
	}
	if t.salt == 0 {
		return nil
	}
	records, last, err := t.read(table)
	foreign := errors.Is(err, errNoTail)
	if err != nil && !foreign {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	if foreign { // as in a copy that was made while the node ran
		w.log.Warn("store: the database was not closed, and goes on without what was written in the last moment", "missing", t.path, "reason", err)
	}
	t.records, t.last, t.failed = append(t.records, records...), last, true
	if err := w.begin(ctx); err != nil {
		return err
	}
	if err := w.end(ctx, w.toTable(ctx)); err != nil {
		return err
	}
	if foreign {
		err = os.Rename(t.path, t.path+".old") // somebody may miss it
	} else {
		err = os.Remove(t.path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// startTail makes the file and has the database know it. Without one the engine does it all.
func (w *writer) startTail(ctx context.Context) bool {
	t := &w.tail
	if t.file != nil {
		return true
	}
	err := t.make()
	if err == nil {
		if err = w.know(ctx, t.salt); err == nil {
			return true
		}
		err = errors.Join(err, t.file.Close(), os.Remove(t.path))
		t.file = nil
	}
	t.retry = time.Now().Add(tailRetry)
	w.log.Warn("store: commits take longer: the tail of the log can't be made", "file", t.path, "err", err)
	return false
}

// know has the database know the salt of its tail.
func (w *writer) know(ctx context.Context, salt int64) error {
	_, err := w.exec(ctx, w.salt, salt)
	return w.end(ctx, err)
}

// moveTail takes what the tail has into the table; for good: the file is given up and goes.
func (w *writer) moveTail(ctx context.Context, forGood bool) error {
	t := &w.tail
	if t.file == nil || len(t.records) == 0 && !forGood {
		return nil
	}
	t.failed = t.failed || forGood
	if err := w.transact(ctx, []*request{{run: func(ctx context.Context, w *writer) error { return w.begin(ctx) }}}); err != nil {
		return fmt.Errorf("what was written last stays in %s: %w", t.path, err)
	}
	if forGood {
		return os.Remove(t.path)
	}
	return nil
}
