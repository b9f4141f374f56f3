//go:build linux

// Package faulttest kills, stops, cuts off and slows down the nodes of a cluster and their NATS servers, at random, while they work, and holds what they did against what docs/cluster.md promises.
//
// Nodes and servers are processes on hosts of internal/nodelab: this test binary once more, in the role that its environment names. They tell the test what they do, over a pipe, which no fault concerns.
package faulttest_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(roleEnv); text != "" {
		fmt.Fprintln(os.Stderr, child(text))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
