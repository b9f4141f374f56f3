//go:build !unix

package std

import "os/exec"

// group is for systems with process groups.
func group(*exec.Cmd) {}
