package cluster

import (
	"errors"
	"fmt"
	"syscall"
)

// errSharingViolation is ERROR_SHARING_VIOLATION: somebody has the file open.
const errSharingViolation = syscall.Errno(32)

// lockFile opens the file for this process alone; the system closes it when the process ends, however it ends.
func lockFile(path string) (unlock func() error, err error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("cluster: locking %s: %w", path, err)
	}
	const notShared = 0
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, notShared, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharingViolation) {
		return nil, fmt.Errorf("%w: %s", ErrDirInUse, path)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: locking %s: %w", path, err)
	}
	return func() error { return syscall.CloseHandle(h) }, nil
}
