package gopher_test

import (
	"testing"

	"github.com/skua-go/skua/lua/vm/vmtest"
)

func TestChurnLeavesNothingBehindAndTakesLinearTime(t *testing.T) { vmtest.Churn(t, engine(t)) }

func TestLargeStringsLeaveNothingBehind(t *testing.T) { vmtest.LargeStrings(t, engine(t)) }
