//go:build !linux

package transcode

import "os/exec"

// dieWithUs is Linux's. Elsewhere a process ends when its input does.
func dieWithUs(*exec.Cmd) {}
