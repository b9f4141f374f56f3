package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Entry is a line of the audit log: who did what to whom, or tried to.
type Entry struct {
	Time time.Time `json:"time" doc:"When it ended, or was refused."`
	// Node is where it was done.
	Node string `json:"node,omitempty" doc:"Node where it was done."`
	Who  string `json:"who" doc:"Name of the token; empty for a stranger."`
	Role string `json:"role,omitempty" doc:"Role of who asked."`
	From string `json:"from,omitempty" doc:"Address, or the node that passed it on."`
	// Action is the operation, such as kick, or the method of a request that was refused.
	Action  string `json:"action" doc:"What was done, or the method of a request that was refused."`
	Target  string `json:"target,omitempty" doc:"To what: an actor, a session, a path."`
	Detail  string `json:"detail,omitempty" doc:"More of it, such as the reason that was given."`
	Outcome string `json:"outcome" enum:"begun,done,failed,refused"`
	Error   string `json:"error,omitempty" doc:"Why it failed."`
	More    int    `json:"more,omitempty" doc:"Requests like it since the last entry that were not written down."`
}

// Outcomes of an Entry.
const (
	Begun   = "begun" // what takes long
	Done    = "done"
	Failed  = "failed"
	Refused = "refused"
)

// Bounds of an Audit.
const (
	AuditBytes = 8 << 20
	AuditFiles = 5
	maxEntry   = 8 << 10
	// MaxAudit is how many entries are listed at once.
	MaxAudit = 1000
)

// Audit is a log of entries as JSON lines in a file that only this user may read. When that is full it becomes PATH.1, that PATH.2 and so on; the oldest goes.
// Entries are on the disk when Add returns. Methods may be called from any goroutine, and block.
type Audit struct {
	path  string
	bytes int64
	files int

	mu   sync.Mutex
	file *os.File
	size int64
}

// OpenAudit opens or makes the log. A file holds so many bytes, and there are so many of them; 0: AuditBytes, AuditFiles. A line that a crash has cut off is ended.
func OpenAudit(path string, bytes int64, files int) (*Audit, error) {
	if bytes <= 0 {
		bytes = AuditBytes
	}
	if files <= 0 {
		files = AuditFiles
	}
	a := &Audit{path: path, bytes: bytes, files: files}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("admin: audit log: %w", err)
	}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("admin: audit log: %w", err)
	}
	return a, nil
}

func (a *Audit) open() error {
	f, err := os.OpenFile(a.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	a.file, a.size = f, info.Size()
	if a.size == 0 {
		return nil
	}
	last := []byte{0}
	if _, err := f.ReadAt(last, a.size-1); err != nil {
		return errors.Join(err, f.Close())
	}
	if last[0] == '\n' {
		return nil
	}
	n, err := f.WriteString("\n")
	a.size += int64(n)
	return err
}

// Add writes an entry; its Time is set if it is not yet.
func (a *Audit) Add(e Entry) error {
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("admin: audit log: %w", err)
	}
	if len(line) > maxEntry {
		return fmt.Errorf("admin: audit log: an entry of %d bytes, expected up to %d", len(line), maxEntry)
	}
	line = append(line, '\n')
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return fmt.Errorf("admin: audit log: %w", os.ErrClosed)
	}
	if a.size > 0 && a.size+int64(len(line)) > a.bytes {
		if err := a.rotate(); err != nil {
			return fmt.Errorf("admin: audit log: %w", err)
		}
	}
	n, err := a.file.Write(line)
	a.size += int64(n)
	if err == nil {
		err = a.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("admin: audit log: %w", err)
	}
	return nil
}

// rotate begins a new file. The lock is held.
func (a *Audit) rotate() error {
	for i := a.files - 1; i > 0; i-- {
		if err := os.Rename(a.name(i-1), a.name(i)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	old := a.file
	if a.files == 1 {
		if err := os.Remove(a.path); err != nil {
			return err
		}
	}
	if err := a.open(); err != nil {
		a.file = old // which has another name now, but is written
		return err
	}
	return old.Close()
}

// name is that of the i-th newest file.
func (a *Audit) name(i int) string {
	if i == 0 {
		return a.path
	}
	return a.path + "." + strconv.Itoa(i)
}

// List gives the newest entries before a time, the newest first; the zero time is now. Lines that are no entries are left out.
func (a *Audit) List(before time.Time, limit int) ([]Entry, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := []Entry{}
	for i := range a.files {
		text, err := os.ReadFile(a.name(i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("admin: audit log: %w", err)
		}
		lines := slices.Collect(bytes.Lines(text))
		for _, line := range slices.Backward(lines) {
			var e Entry
			if json.Unmarshal(line, &e) != nil || !before.IsZero() && !e.Time.Before(before) {
				continue
			}
			if found = append(found, e); len(found) >= limit {
				return found, nil
			}
		}
	}
	return found, nil
}

// Close ends the log.
func (a *Audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}
