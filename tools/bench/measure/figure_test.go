package measure_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/tools/bench/measure"
)

// figures are what this test's binary measures as a child of itself.
var figures = map[string]measure.Func{
	"process": func(context.Context) (float64, error) { return float64(os.Getpid()), nil },
	"growth": func(context.Context) (float64, error) {
		var kept []byte
		grown, err := measure.Growth(func() error {
			kept = bytes.Repeat([]byte{1}, 64<<20)
			_ = bytes.Repeat([]byte{1}, 32<<20) // garbage
			return nil
		})
		if len(kept) == 0 {
			return 0, errors.New("nothing was kept")
		}
		return float64(grown), err
	},
	"broken": func(context.Context) (float64, error) { return 0, errors.New("broken on purpose") },
}

func TestFigureIsMeasuredInAProcessOfItsOwn(t *testing.T) {
	pid, err := measure.InChild("process")(t.Context())
	if err != nil || pid <= 1 || int(pid) == os.Getpid() {
		t.Errorf("process %v, %v", pid, err)
	}
	grown, err := measure.InChild("growth")(t.Context())
	if err != nil || grown < 64<<20 || grown > 80<<20 {
		t.Errorf("64 MiB made the process larger by %v bytes, %v", grown, err)
	}
}

func TestFigureThatFailsIsAnError(t *testing.T) {
	for _, name := range []string{"broken", "nothing"} {
		if v, err := measure.InChild(name)(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	if v, err := measure.FigureOf(t.Context(), "/bin/echo", "process"); err == nil || !strings.Contains(err.Error(), "invalid syntax") {
		t.Errorf("a program that prints no number: %v, %v", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := measure.InChild("process")(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var out bytes.Buffer
	err := measure.PrintFigure(t.Context(), figures, "nothing", &out)
	if !errors.Is(err, measure.ErrNoFigure) || !strings.Contains(err.Error(), "broken, growth, process") || out.Len() > 0 {
		t.Errorf("%v, %s", err, out.String())
	}
}

func TestCPUTimeGrowsWithWork(t *testing.T) {
	before, err := measure.CPUTime()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := measure.CPUTime()
	if used := after - before; err != nil || used <= 0 || used > 10*time.Second {
		t.Errorf("100 ms of work used %v, %v", used, err)
	}
}

func TestAllocsPerOpCountsObjects(t *testing.T) {
	var kept *[4]int
	for want := range 3 {
		got, err := measure.AllocsPerOp(func(n int) error {
			for range n * want {
				kept = new([4]int)
			}
			return nil
		})
		if err != nil || got < float64(want) || got > float64(want)+0.1 {
			t.Errorf("%v objects, want %d (%p), %v", got, want, kept, err)
		}
	}
	broken := errors.New("broken")
	if _, err := measure.AllocsPerOp(func(int) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}
