package lua54_test

import (
	"testing"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm/vmtest"
)

func TestChurnLeavesNothingBehindAndTakesLinearTime(t *testing.T) {
	racetest.SetAside(t)
	vmtest.Churn(t, lua54.New())
}

func TestLargeStringsLeaveNothingBehind(t *testing.T) {
	racetest.SetAside(t)
	vmtest.LargeStrings(t, lua54.New())
}
