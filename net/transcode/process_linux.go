package transcode

import (
	"os/exec"
	"syscall"
)

// dieWithUs has a process end with the thread that starts it, and keeps a terminal's signals from it. Without that it would end, too, when its input does.
func dieWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
