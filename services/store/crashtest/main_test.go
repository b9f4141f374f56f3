// Package crashtest kills nodes that keep players, and pauses them while others take over, and holds what the database then has against what the players were told.
package crashtest_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if scene := os.Getenv(childEnv); scene != "" { // the process that is killed
		fmt.Fprintln(os.Stderr, child(scene))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
