package nodelab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skua-go/skua/internal/netlab"
	"github.com/skua-go/skua/internal/netlab/labtest"
)

// Isolated runs the test that calls it once more, in a process that has namespaces of its own for networks, mounts and processes, and tells whether this is that one: only there may the test go on, and
// use a Lab. Where the machine can't make such the test is skipped, or fails with CI=true. It needs root, or a kernel that lets users make namespaces, and /dev/net/tun.
func Isolated(t *testing.T) bool {
	t.Helper()
	inside := labtest.Isolated(t, func(cmd *exec.Cmd) {
		// It is the first process of its namespace: with it all others end.
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS | syscall.CLONE_NEWPID
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	})
	if !inside {
		return false
	}
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", 0, "")
	}
	if err != nil {
		t.Fatal("nodelab: mounting: ", err)
	}
	return true
}

// Disk makes a file system of so many bytes, in memory, that is full when that is used up, and ends with the test. It returns where it is.
func Disk(t testing.TB, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("nodelab: a disk at %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("nodelab: the disk at %s: %v", dir, err)
		}
	})
	return dir
}

// ownSpace is the network namespace of the calling thread.
const ownSpace = "/proc/thread-self/ns/net"

// open makes the namespace and its device.
func (h *Host) open() error {
	return onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("a network namespace: %w", err)
		}
		if h.space, err = os.Open(ownSpace); err != nil {
			return err
		}
		if h.tun, err = netlab.OpenTUN(h.addr); err != nil {
			return errors.Join(err, h.space.Close())
		}
		return nil
	})
}

// within runs f on a thread of the host's network.
func (h *Host) within(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(h.space.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering the network namespace: %w", err)
		}
		return f()
	})
}

// onThread runs f on a thread that is brought back to the network that it had. It is not ended, as processes that it has started may be told of its death.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		own, err := os.Open(ownSpace)
		if err != nil {
			done <- err
			return
		}
		defer own.Close()
		err = f()
		if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
			done <- errors.Join(err, back)
			return // the thread ends with the goroutine
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// close ends the host's network.
func (h *Host) close() error { return errors.Join(h.tun.Close(), h.space.Close()) }
