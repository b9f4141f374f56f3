// Package cputime tells how much work something was, whatever else the machine does meanwhile. Where the system does not tell, it is the time that has passed.
package cputime

import "time"

// passed is the time since some moment.
func passed() time.Duration { return time.Since(time.Unix(0, 0)) }
