//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// openFiles is how many files this process may open. Go has raised the soft limit to the hard one at the start.
func openFiles() (limit uint64, known bool) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, false
	}
	return uint64(r.Cur), true //nolint:unconvert // of another type on some systems
}

// ownGroup keeps a terminal's signals from a process.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
