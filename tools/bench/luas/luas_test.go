package luas_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/tools/bench/luas"
	"github.com/skua-go/skua/tools/bench/measure"
)

func TestMain(m *testing.M) {
	// What has a process of its own runs this binary again.
	if name, ok := strings.CutPrefix(os.Args[len(os.Args)-1], "-"+measure.FigureFlag+"="); ok {
		if err := measure.PrintFigure(context.Background(), luas.Figures(), name, os.Stdout); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestEveryBenchmarkMeasures(t *testing.T) {
	for engine, s := range map[string]luas.Suite{"lua54": luas.Default(), "gopher": luas.Gopher()} {
		for name, c := range map[string]struct {
			measure     measure.Func
			least, most float64 // so far apart that only a wrong unit or a loop that does nothing misses them
		}{
			"call":          {s.Call(1), 1000, 10_000_000},
			"100 in flight": {s.Call(100), 1000, 10_000_000},
			"tables":        {s.CallTable(), 1000, 10_000_000},
			"send":          {s.Send(), 1000, 50_000_000},
			"spawn":         {s.Spawn(), 100, 1_000_000},
			"idle services": {s.IdleBytes(), 2000, 500_000},
			"agents":        {s.AgentBytes(), 500, 200_000},
			"killed":        {s.KilledBytes(), 0, 200_000},
			"multicast":     {s.Multicast(100), 1000, 50_000_000},
			"timer":         {s.TimerCreate(), 50, 1_000_000},
			"timers' bytes": {s.TimerBytes(), 30, 10_000},
			"burst":         {s.TimerBurst(), 0.001, 60},
			"waits' bytes":  {s.WaitBytes(), 200, 100_000},
			"sleeps' bytes": {s.SleepBytes(), 200, 100_000},
			"reload":        {s.Reload(true), 0.0001, 60},
			"reload delay":  {s.ReloadDelay(true), -60_000, 60_000},
		} {
			t.Run(engine+"/"+name, func(t *testing.T) {
				got, err := c.measure(t.Context())
				if err != nil || got < c.least || got > c.most {
					t.Errorf("measured %v, %v", got, err)
				}
			})
		}
	}
}
