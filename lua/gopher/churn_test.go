package gopher_test

import (
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/vm/vmtest"
)

func TestChurnLeavesNothingBehindAndTakesLinearTime(t *testing.T) {
	racetest.SetAside(t)
	vmtest.Churn(t, engine(t))
}

func TestLargeStringsLeaveNothingBehind(t *testing.T) {
	racetest.SetAside(t)
	vmtest.LargeStrings(t, engine(t))
}
