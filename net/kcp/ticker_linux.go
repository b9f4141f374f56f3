package kcp

import (
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ticker is a clock that one goroutine waits for: a timerfd(2), which the runtime's poller sees. For one of the runtime's own timers two threads are woken, the one that
// waits for it, up to a millisecond early and then again, and the runtime's monitor, which takes a timer that is due for a sign that everything gets busy; and a
// third, if the timer starts a goroutine. For this one it is one thread, which runs the goroutine.
type ticker struct {
	file *os.File
	raw  syscall.RawConn
	look func(uintptr) bool // expired, as raw wants it
	err  error              // by it
}

func newTicker() (*ticker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	t := &ticker{file: os.NewFile(uintptr(fd), "timerfd")}
	if t.raw, err = t.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, t.file.Close())
	}
	t.look = t.expired
	return t, nil
}

// set has it tick each so often from now on, or with 0 no more. Anybody may call it.
func (t *ticker) set(every time.Duration) error {
	spec := unix.NsecToTimespec(int64(every))
	var failed error
	err := t.raw.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Interval: spec, Value: spec}, nil)
	})
	return errors.Join(err, os.NewSyscallError("timerfd_settime", failed))
}

// wait waits for a tick that nobody has waited for; those that were missed count as one. It fails once the ticker is closed.
func (t *ticker) wait() error {
	if err := t.raw.Read(t.look); err != nil {
		return err
	}
	return t.err
}

// expired does not wait, so as with receive the scheduler need not hear of it.
func (t *ticker) expired(fd uintptr) bool {
	var ticks [8]byte
	for {
		//nolint:gosec // the array lives through the call, as the rules of package unsafe have it
		_, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&ticks)), unsafe.Sizeof(ticks))
		switch errno {
		case 0:
			return binary.NativeEndian.Uint64(ticks[:]) > 0
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			t.err = os.NewSyscallError("read", errno)
			return true
		}
	}
}

// close ends waits.
func (t *ticker) close() error { return t.file.Close() }
