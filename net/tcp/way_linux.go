package tcp

import (
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Way is the smoothed round trip to the peer, how many segments went there, and how many of these were sent again, as the system says (TCP_INFO).
func (c *conn) Way() (rtt time.Duration, sent, resent uint64, ok bool) {
	if !c.acquire() {
		return 0, 0, 0, false
	}
	defer c.done()
	info, err := unix.GetsockoptTCPInfo(c.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, 0, 0, false
	}
	return time.Duration(info.Rtt) * time.Microsecond, uint64(info.Segs_out), uint64(info.Total_retrans), true
}

// SetUnsent bounds what Write takes that was not sent yet: what is in the system and on its way does not count. It is a wish: a little more is taken.
func (c *conn) SetUnsent(bytes int) error {
	if !c.acquire() {
		return c.failed("set", net.ErrClosed)
	}
	defer c.done()
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes); err != nil {
		return c.failed("set", os.NewSyscallError("setsockopt", err))
	}
	return nil
}
