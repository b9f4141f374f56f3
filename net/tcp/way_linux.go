package tcp

import (
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
