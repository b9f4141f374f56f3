//go:build !unix

package std

import "os/exec"

// group does nothing where there are no process groups: what a command has started outlives it.
func group(*exec.Cmd) {}
