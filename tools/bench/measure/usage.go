package measure

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// RSS is the resident memory of a process in bytes, as the operating system sees it (proc(5), VmRSS).
func RSS(pid int) (int64, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, fmt.Errorf("measure: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("measure: %w", err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("measure: /proc/%d/status has no VmRSS: the process has ended", pid)
}

// Growth is how many bytes of resident memory f adds to this process. What is garbage afterwards does not count; what the collector needs to
// manage the rest does. It tells something only in a process that does nothing else: see InChild.
func Growth(f func() error) (int64, error) {
	debug.FreeOSMemory()
	before, err := RSS(os.Getpid())
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	debug.FreeOSMemory() // a sync.Pool gives back what it holds in two steps
	debug.FreeOSMemory()
	after, err := RSS(os.Getpid())
	return after - before, err
}

// CPUTime is the time that this process has spent on all cores so far, in its own code and in the kernel's (getrusage(2)).
func CPUTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("measure: getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// AllocsPerOp is how many heap objects one operation makes, in thousandths. f does n of them.
func AllocsPerOp(f func(n int) error) (float64, error) {
	const warm, n = 100_000, 1_000_000
	if err := f(warm); err != nil {
		return 0, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := f(n); err != nil {
		return 0, err
	}
	runtime.ReadMemStats(&after)
	return math.Round(float64(after.Mallocs-before.Mallocs)/n*1000) / 1000, nil
}
