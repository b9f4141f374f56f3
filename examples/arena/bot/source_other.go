//go:build !linux

package bot

import "syscall"

// portLater does nothing: only Linux has an option for it.
func portLater(string, string, syscall.RawConn) error { return nil }
