package cputime

import (
	"time"

	"golang.org/x/sys/unix"
)

// Thread is how long the calling thread has run so far. The caller has locked itself to it.
func Thread() time.Duration { return at(unix.CLOCK_THREAD_CPUTIME_ID) }

// Current is the calling thread, and how long it has run so far. Who is not locked to it may be on another one the next time.
func Current() (thread int, ran time.Duration) { return unix.Gettid(), Thread() }

// Process is how long all threads of the process have run so far.
func Process() time.Duration { return at(unix.CLOCK_PROCESS_CPUTIME_ID) }

func at(clock int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return passed() // a kernel without that clock
	}
	return time.Duration(t.Nano())
}
