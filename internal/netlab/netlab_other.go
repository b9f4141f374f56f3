//go:build !linux

package netlab

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
)

// Isolate does nothing where there are no network namespaces; Open fails there.
func Isolate(*exec.Cmd) {}

// OpenTUN fails where there are none.
func OpenTUN(netip.Addr) (*os.File, error) { return nil, errors.New("needs Linux") }
