//go:build !linux

package nodelab

import (
	"errors"
	"testing"
)

var errLinux = errors.New("needs Linux")

// Isolated skips the test where there are no network namespaces.
func Isolated(t *testing.T) bool {
	t.Helper()
	t.Skip("hosts on one machine: ", errLinux)
	return false
}

// Disk is not needed where there are no hosts.
func Disk(t testing.TB, _ int) string {
	t.Helper()
	t.Skip("a disk in memory: ", errLinux)
	return ""
}

func (h *Host) open() error { return errLinux }

func (h *Host) within(func() error) error { return errLinux }

func (h *Host) close() error { return nil }
