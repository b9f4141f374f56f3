//go:build !race

package racetest

// On tells whether the race detector is on, which makes objects larger and everything slower.
const On = false
