// Package filelock lets one process at a time hold a file, so that two never write one database.
package filelock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrHeld says that somebody else holds the file, another process or another part of this one.
var ErrHeld = errors.New("filelock: held by another")

// Lock is a held file. The system lets go of it when the process ends, however it ends.
type Lock struct{ file *os.File }

// Try takes the file, which it makes (0600) if it is not there, or fails with ErrHeld at once. The holder's process id
// is written into the file, for the error that the next one gets.
func Try(path string) (*Lock, error) { return open(path, false) }

// Wait takes the file and blocks while another holds it.
func Wait(path string) (*Lock, error) { return open(path, true) }

// Release lets go. The file stays where it is: whoever waits for it holds it open.
func (l *Lock) Release() error { return l.file.Close() }

func open(path string, wait bool) (*Lock, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("filelock: %w", err)
	}
	if err := acquire(file, wait); err != nil {
		if errors.Is(err, ErrHeld) {
			err = held(file)
		} else {
			err = fmt.Errorf("filelock: %s: %w", path, err)
		}
		_ = file.Close() // nothing was written through it
		return nil, err
	}
	// The id is only there to be read by people, so a full disk does not cost the lock.
	if file.Truncate(0) == nil {
		_, _ = fmt.Fprintf(file, "%d\n", os.Getpid())
	}
	return &Lock{file}, nil
}

func held(file *os.File) error {
	text, err := io.ReadAll(io.LimitReader(file, 32))
	pid := strings.TrimSpace(string(text))
	if err != nil || pid == "" {
		return fmt.Errorf("%w: %s", ErrHeld, file.Name())
	}
	return fmt.Errorf("%w: %s by process %s", ErrHeld, file.Name(), pid)
}
