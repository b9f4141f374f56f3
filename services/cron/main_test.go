package cron_test

import (
	"testing"
	_ "time/tzdata" // the tests are about zones, wherever they run

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
