//go:build unix

package std

import (
	"os/exec"
	"syscall"
)

// group puts a command into a process group of its own, so that its end takes along what it has started.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
