package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Refusal is content that the database refused, as the quarantine keeps it.
type Refusal struct {
	Kind    string    `bson:"kind"`
	ID      string    `bson:"id"`
	Version int64     `bson:"version"` // the one that it would have replaced
	Epoch   int64     `bson:"epoch"`
	Time    time.Time `bson:"time"`
	Error   string    `bson:"error"`
	Body    bson.Raw  `bson:"body"`
	File    string    `bson:"-"`
}

// Limits of a Quarantine.
const (
	QuarantineFiles = 10_000
	QuarantineBytes = 1 << 30
)

// ErrQuarantineFull says that the quarantine takes no more files. Nothing in it is ever removed to make room.
var ErrQuarantineFull = errors.New("store: the quarantine is full")

// Quarantine is a directory of refused content: a BSON file for each document and epoch, see Refusal. Its methods may be called by any goroutine, and block.
type Quarantine struct {
	dir   string
	files int
	bytes int64
	mu    sync.Mutex
	sizes map[string]int64 // by file name
	total int64
}

// OpenQuarantine makes the directory, for this user only, if it is not there, and looks at what is in it. It takes up to so many files, of together so many
// bytes; 0: QuarantineFiles, QuarantineBytes.
func OpenQuarantine(dir string, files int, bytes int64) (*Quarantine, error) {
	if files <= 0 {
		files = QuarantineFiles
	}
	if bytes <= 0 {
		bytes = QuarantineBytes
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: quarantine: %w", err)
	}
	q := &Quarantine{dir: dir, files: files, bytes: bytes}
	if err := q.look(); err != nil {
		return nil, err
	}
	return q, nil
}

// look finds out what is there.
func (q *Quarantine) look() error {
	entries, err := os.ReadDir(q.dir)
	if err != nil {
		return fmt.Errorf("store: quarantine: %w", err)
	}
	q.sizes, q.total = map[string]int64{}, 0
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(e.Name(), refusalSuffix):
		case err != nil:
			return fmt.Errorf("store: quarantine: %w", err)
		default:
			q.sizes[e.Name()] = info.Size()
			q.total += info.Size()
		}
	}
	return nil
}

const refusalSuffix = ".bson"

// fileName is readable, whatever the id, and no other document's even where a file system does not tell large letters from small ones.
func (r *Refusal) fileName() string {
	const most = 80
	id := url.PathEscape(r.ID)
	sum := sha256.Sum256([]byte(r.ID))
	return fmt.Sprintf("%s.%s.%s.%d%s", r.Kind, id[:min(len(id), most)], hex.EncodeToString(sum[:6]), r.Epoch, refusalSuffix)
}

// Put keeps refused content, in the place of what it has of the same document and epoch, and returns its file when that is on the disk.
func (q *Quarantine) Put(r Refusal) (string, error) {
	data, err := bson.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("store: quarantine: %s: %w", Name(r.Kind, r.ID), err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	base, size := r.fileName(), int64(len(data))
	err = q.room(base, size)
	if errors.Is(err, ErrQuarantineFull) { // an operator may have taken files out meanwhile
		if err = q.look(); err == nil {
			err = q.room(base, size)
		}
	}
	if err != nil {
		return "", err
	}
	path := filepath.Join(q.dir, base)
	if err := writeFile(path, data); err != nil {
		return "", fmt.Errorf("store: quarantine: %w", err)
	}
	q.total += size - q.sizes[base]
	q.sizes[base] = size
	return path, nil
}

// room tells whether a file of that name and size can be kept.
func (q *Quarantine) room(base string, size int64) error {
	old, replaces := q.sizes[base]
	switch {
	case !replaces && len(q.sizes) >= q.files:
		return fmt.Errorf("%w: %s has %d files", ErrQuarantineFull, q.dir, len(q.sizes))
	case size > old && q.total-old+size > q.bytes:
		return fmt.Errorf("%w: %s has %d bytes of %d, the content has %d", ErrQuarantineFull, q.dir, q.total, q.bytes, size)
	}
	return nil
}

// writeFile writes a file that is there in whole or not at all, and durable.
func writeFile(path string, data []byte) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Remove removes a file, as Put and List name it; one that is not there is fine.
func (q *Quarantine) Remove(file string) error {
	if file == "" {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	base := filepath.Base(file)
	if err := os.Remove(filepath.Join(q.dir, base)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: quarantine: %w", err)
	}
	q.total -= q.sizes[base]
	delete(q.sizes, base)
	return nil
}

// List calls yield with what is in the quarantine, by the names of the files, until it returns false. A file that can't be read comes with an error and its name.
func (q *Quarantine) List(yield func(Refusal, error) bool) {
	entries, err := os.ReadDir(q.dir)
	if err != nil {
		yield(Refusal{}, fmt.Errorf("store: quarantine: %w", err))
		return
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), refusalSuffix) {
			continue
		}
		if !yield(ReadRefusal(filepath.Join(q.dir, e.Name()))) {
			return
		}
	}
}

// ReadRefusal reads a file of a quarantine.
func ReadRefusal(file string) (Refusal, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Refusal{File: file}, fmt.Errorf("store: quarantine: %w", err)
	}
	var r Refusal
	if err := bson.Unmarshal(data, &r); err != nil {
		return Refusal{File: file}, fmt.Errorf("store: quarantine: %s: %w", file, err)
	}
	r.File = file
	return r, nil
}
