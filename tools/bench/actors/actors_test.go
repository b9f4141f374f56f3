package actors_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/tools/bench/actors"
	"github.com/skua-go/skua/tools/bench/measure"
)

func TestMain(m *testing.M) {
	// What has a process of its own runs this binary again.
	if name, ok := strings.CutPrefix(os.Args[len(os.Args)-1], "-"+measure.FigureFlag+"="); ok {
		if err := measure.PrintFigure(context.Background(), actors.Figures(), name, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestEveryBenchmarkMeasures(t *testing.T) {
	for name, c := range map[string]struct {
		measure     measure.Func
		least, most float64 // so far apart that only a wrong unit or a loop that does nothing misses them
	}{
		"send":           {actors.Send, 5, 100_000},
		"send's objects": {actors.SendAllocs, 0, 5},
		"ping-pong":      {actors.PingPong(1), 10, 1_000_000},
		"100 pairs":      {actors.PingPong(100), 10, 1_000_000},
		"ask":            {actors.Ask(1), 20, 1_000_000},
		"100 in flight":  {actors.Ask(100), 20, 1_000_000},
		"ask's objects":  {actors.AskAllocs, 0.5, 20},
		"ask of outside": {actors.AskOutside, 50, 1_000_000},
		"spawn":          {actors.Spawn, 1000, 50_000_000},
		"idle actors":    {actors.IdleBytes(), 50, 10_000},
		"fewer":          {actors.IdleBytesOfFew(), 50, 10_000},
		"fan-out":        {actors.Fanout(1000), 10_000, 1_000_000_000},
		"timer":          {actors.TimerCreate(1000), 5, 100_000},
		"timers' bytes":  {actors.TimerBytes(), 30, 2000},
		"timers' CPU":    {actors.TimerIdleCPU(), 0, 400},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.measure(t.Context())
			if err != nil || got < c.least || got > c.most {
				t.Errorf("measured %v, %v", got, err)
			}
		})
	}
}
