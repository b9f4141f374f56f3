//go:build !linux

package main

import "time"

// processorTime is not known here.
func processorTime() time.Duration { return 0 }

// machineMemory is not known here.
func machineMemory() int64 { return 0 }
