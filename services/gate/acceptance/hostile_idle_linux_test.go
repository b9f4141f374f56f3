package acceptance_test

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// yieldCores has this process run only on cores that nobody else wants (Linux: SCHED_IDLE, sched(7)), as if it were on another machine.
func yieldCores() error {
	for changed := true; changed; { // threads that are made by one that is done already are like it
		changed = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				return err
			}
			if now, err := unix.SchedGetAttr(tid, 0); err != nil || now.Policy == unix.SCHED_IDLE {
				continue // it has ended, or is done
			}
			if err := unix.SchedSetAttr(tid, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0); err != nil {
				return fmt.Errorf("have thread %d yield: %w", tid, err)
			}
			changed = true
		}
	}
	return nil
}
