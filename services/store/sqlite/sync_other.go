//go:build !linux

package sqlite

import "os"

// syncFlag is what files are opened with whose writes are to be on the disk.
const syncFlag = 0

// syncData sees that what was written is on the disk.
func syncData(file *os.File) error { return file.Sync() }
