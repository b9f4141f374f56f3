//go:build !race

package kcp_test

const raceEnabled = false
