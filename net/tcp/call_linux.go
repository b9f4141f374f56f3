//go:build linux && !race

package tcp

import (
	"syscall"
	"unsafe"
)

// The calls below never wait: the sockets are non-blocking. So Go's scheduler need not hear of them, as it does of package syscall's, which is ready to give the
// core to others meanwhile: on a busy machine it does so now and then, and then whoever has read or written has to find a core again, and a thread is woken.

func read(fd int, p []byte) (int, error) {
	//nolint:gosec // the slice lives through the call, as the rules of package unsafe have it
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func write(fd int, p []byte) (int, error) {
	if len(p) > briefBytes {
		return syscall.Write(fd, p)
	}
	//nolint:gosec // the slice lives through the call, as the rules of package unsafe have it
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// events takes what has happened to the sockets of an epoll.
func events(fd int, into []syscall.EpollEvent) (int, error) {
	//nolint:gosec // the slice lives through the call, as the rules of package unsafe have it
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(into))), uintptr(len(into)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
