//go:build !linux

package cputime

import "time"

// Thread is how long the calling thread has run so far. The caller has locked itself to it.
func Thread() time.Duration { return passed() }

// Current is the calling thread, and how long it has run so far. Who is not locked to it may be on another one the next time.
func Current() (thread int, ran time.Duration) { return 0, passed() }

// Process is how long all threads of the process have run so far.
func Process() time.Duration { return passed() }
