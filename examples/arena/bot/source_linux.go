package bot

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// portLater sets IP_BIND_ADDRESS_NO_PORT (ip(7)).
func portLater(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
