//go:build linux && !race

package tcp

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never wait: the sockets are non-blocking. So Go's scheduler need not hear of them, as it does of package syscall's, which is ready to give the
// core to others meanwhile: on a busy machine it does so now and then, and then whoever has read or written has to find a core again, and a thread is woken.
// recv and send do what read and write do on a socket, without the way through the file system.

func read(fd int, p []byte) (int, error) {
	//nolint:gosec // the slice lives through the call, as the rules of package unsafe have it
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
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
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
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
