// Package crashtest kills nodes that keep players, and pauses them while others take over, and holds what the database then has against what the players were told.
package crashtest_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if where := os.Getenv(childEnv); where != "" { // the process that is killed
		fmt.Fprintln(os.Stderr, child(where))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
