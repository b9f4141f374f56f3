package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the directory is looked through at most, when the quota seems to be used up: others may have deleted files.
const lookEvery = 10 * time.Second

// disk is the directory of all recordings.
type disk struct {
	dir   string
	quota int64

	mu     sync.Mutex
	used   int64
	looked time.Time
}

// create makes a file of a name that there is not, and gives the name that it has got.
func (d *disk) create(stem, suffix string) (*os.File, string, error) {
	if err := os.MkdirAll(d.dir, 0o750); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrDisk, err)
	}
	root, err := os.OpenRoot(d.dir)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrDisk, err)
	}
	defer root.Close()
	if err := d.reserve(0); err != nil {
		return nil, "", err
	}
	for n := 1; ; n++ {
		name := stem + suffix
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", stem, n, suffix)
		}
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
		if err == nil {
			return f, name, nil
		}
		if !errors.Is(err, fs.ErrExist) || n == 100 {
			return nil, "", fmt.Errorf("%w: %w", ErrDisk, err)
		}
	}
}

// reserve takes bytes of the quota, or returns an ErrQuota.
func (d *disk) reserve(n int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.looked.IsZero() || d.used+n > d.quota && time.Since(d.looked) >= lookEvery {
		used, err := size(d.dir)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDisk, err)
		}
		d.used, d.looked = used, time.Now()
	}
	if d.used+n > d.quota {
		return fmt.Errorf("%w: %d bytes in %s, and %d more, of %d", ErrQuota, d.used, d.dir, n, d.quota)
	}
	d.used += n
	return nil
}

// release gives back what was reserved and not written.
func (d *disk) release(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used -= n
}

func (d *disk) usage() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// size is that of all files in a directory.
func size(dir string) (total int64, err error) {
	err = fs.WalkDir(os.DirFS(dir), ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // it has been deleted meanwhile
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// output is a file that is written in pieces that make sense of their own: one that can't be written whole is taken back, so that what there is can be played.
type output struct {
	disk *disk
	file *os.File
	path string
	size int64
}

func (o *output) write(piece []byte) error {
	n := int64(len(piece))
	if err := o.there(); err != nil {
		return err
	}
	if err := o.disk.reserve(n); err != nil {
		return err
	}
	if _, err := o.file.Write(piece); err != nil {
		o.disk.release(n)
		_ = o.file.Truncate(o.size) // it is written no more
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	o.size += n
	return nil
}

// there returns an error when the file is no longer where it was made: what is written to it then is lost when it is closed, and nobody would know.
func (o *output) there() error {
	mine, err := o.file.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	found, err := os.Lstat(o.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	if !os.SameFile(mine, found) {
		return fmt.Errorf("%w: %s has been replaced", ErrDisk, o.path)
	}
	return nil
}

// close gives the file to the disk.
func (o *output) close() error {
	err := o.file.Sync()
	if closed := o.file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return nil
}
