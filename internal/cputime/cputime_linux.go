package cputime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Thread is how long the calling thread has run so far. The caller has locked itself to it.
func Thread() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return passed() // a kernel without that clock
	}
	return time.Duration(t.Nano())
}
