//go:build race

package kcp_test

const raceEnabled = true // which makes objects larger
