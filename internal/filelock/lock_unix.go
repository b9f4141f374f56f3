//go:build unix

package filelock

import (
	"errors"
	"os"
	"syscall"
)

// acquire uses flock(2): it belongs to the open file, so a second open in this process is refused too.
func acquire(file *os.File, wait bool) error {
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	for {
		err := syscall.Flock(int(file.Fd()), how)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrHeld
		default:
			return err
		}
	}
}
