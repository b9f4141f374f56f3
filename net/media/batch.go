package media

import (
	"errors"
	"net"
	"os"
	"time"
)

// maxSlow is how many times its Timeout a batch may take of a viewer that takes some of it each time.
const maxSlow = 6

// Batch writes what waits for one viewer in as few system calls as the connection can do it. It is one goroutine's.
type Batch struct {
	Conn net.Conn
	// Timeout is how long the viewer may take nothing at all.
	Timeout time.Duration

	bufs     net.Buffers // what WriteTo takes from
	room     net.Buffers // its memory
	deadline time.Time
}

// Begin gives room for what is to be written: append to it, and give it to Write.
func (b *Batch) Begin() net.Buffers { return b.room[:0] }

// Write writes what was appended. It waits for the viewer, and returns ErrStalled when that takes nothing for the Timeout, or a batch in six of them.
func (b *Batch) Write(bufs net.Buffers) error {
	b.bufs, b.room = bufs, bufs
	defer clear(b.room) // nothing holds a frame longer than it must
	begun := time.Now()
	if b.deadline.Sub(begun) < b.Timeout*3/4 { // a timer that is set anew each time costs as much as the write
		if err := b.patience(begun); err != nil {
			return err
		}
	}
	for {
		n, err := b.bufs.WriteTo(b.Conn)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		now := time.Now()
		if n == 0 || now.Sub(begun) > maxSlow*b.Timeout {
			return ErrStalled
		}
		if err := b.patience(now); err != nil {
			return err
		}
	}
}

func (b *Batch) patience(now time.Time) error {
	b.deadline = now.Add(b.Timeout)
	return b.Conn.SetWriteDeadline(b.deadline)
}
