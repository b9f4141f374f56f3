// Package racetest tells tests whether the race detector is on, and sets those aside that it can't say anything about: what one goroutine computes, or keeps in memory, takes five to ten times
// as long with it, and is measured wrongly. tools/test.sh runs their packages a second time without it.
package racetest

import "testing"

// SetAside skips a test of one goroutine under the race detector.
func SetAside(tb testing.TB) {
	tb.Helper()
	if On {
		tb.Skip("one goroutine's work: it runs without the race detector")
	}
}
