//go:build !linux

package cputime

import "time"

// Thread is how long the calling thread has run so far. The caller has locked itself to it.
func Thread() time.Duration { return passed() }

// Process is how long all threads of the process have run so far.
func Process() time.Duration { return passed() }
