package stores_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/tools/bench/measure"
	"github.com/skua-go/skua/tools/bench/stores"
)

func TestMain(m *testing.M) {
	// What has a process of its own runs this binary again.
	if name, ok := strings.CutPrefix(os.Args[len(os.Args)-1], "-"+measure.FigureFlag+"="); ok {
		if err := measure.PrintFigure(context.Background(), stores.Figures(), name, os.Stdout); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
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
		"bulk":           {stores.SaveBulk(false), 100, 10_000_000},
		"bulk patches":   {stores.SaveBulk(true), 100, 10_000_000},
		"bare bulk":      {stores.BareBulk, 100, 10_000_000},
		"commit":         {stores.CommitLatency(100, 0), 1, 10_000_000},
		"paced commit":   {stores.CommitLatency(100, 100*time.Millisecond), 1, 10_000_000},
		"commits":        {stores.CommitRate(100), 1, 1_000_000},
		"bare write":     {stores.BareWrite(0), 1, 10_000_000},
		"paced bare":     {stores.BareWrite(time.Millisecond), 1, 10_000_000},
		"bare group":     {stores.BareGroup(100), 1, 10_000_000},
		"load":           {stores.LoadTable, 1000, 100_000_000},
		"bare load":      {stores.BareLoad, 1000, 100_000_000},
		"read":           {stores.Access("read", true), 1, 100_000},
		"write":          {stores.Access("write", true), 1, 100_000},
		"write of plain": {stores.Access("write", false), 1, 100_000},
		"bytes of whole": {stores.Figures()["store-bytes-whole"], 1000, 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.measure(t.Context())
			if err != nil || got < c.least || got > c.most {
				t.Errorf("measured %v, %v", got, err)
			}
		})
	}
}

func TestMongoDBIsMeasuredOnTheServerThatThereIs(t *testing.T) {
	var m stores.Mongo
	for name, measured := range map[string]measure.Func{"ours": m.SaveBulk, "bare": m.BareBulk} {
		got, err := measured(t.Context())
		switch {
		case errors.Is(err, measure.ErrNotHere) && os.Getenv("MONGO_URI") == "" && os.Getenv("CI") != "true":
			t.Skip(err)
		case err != nil || got < 1 || got > 10_000_000:
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	want := "MongoDB "
	if os.Getenv("MONGO_URI") == "" {
		want = "FerretDB "
	}
	if !strings.HasPrefix(m.Server(), want) {
		t.Errorf("measured on %q", m.Server())
	}
}
