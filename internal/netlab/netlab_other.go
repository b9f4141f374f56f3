//go:build !linux

package netlab

import (
	"errors"
	"os"
	"os/exec"
)

// Isolate does nothing where there are no network namespaces; Open fails there.
func Isolate(*exec.Cmd) {}

func openTUN() (*os.File, error) { return nil, errors.New("needs Linux") }
