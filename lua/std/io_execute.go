package std

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// maxExecute is how long a command may run.
const maxExecute = 60 * time.Second

// osExecute runs a command of the shell and waits for it, with no standard input. One that takes longer than a minute is killed, with what it has started.
func osExecute(c call) int {
	if c.isNone(1) {
		_, err := exec.LookPath("sh")
		c.PushBool(err == nil)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxExecute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", c.str(1)) //nolint:gosec // what the script asks for
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	group(cmd)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return c.fileResult(err, "")
	}
	what, code := "exit", 0
	if exit != nil {
		code = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			what, code = "signal", int(status.Signal())
		}
	}
	if what == "exit" && code == 0 {
		c.PushBool(true)
	} else {
		c.PushNil()
	}
	c.PushString(what)
	c.PushInt(int64(code))
	return 3
}
