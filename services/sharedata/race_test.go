//go:build race

package sharedata_test

const underRace = true
