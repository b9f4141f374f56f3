package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/tools/bench/measure"
	"github.com/skua-go/skua/tools/bench/peers"
)

func table(all []measure.Benchmark) func(time.Duration) []measure.Benchmark {
	return func(time.Duration) []measure.Benchmark { return all }
}

func one(context.Context) (float64, error) { return 1, nil }

func TestCommandPrintsOneJSONLineABenchmark(t *testing.T) {
	all := []measure.Benchmark{{ID: "a/1", Unit: "s", Ours: one}, {ID: "a/2", Unit: "s", Ours: one}, {ID: "b/1", Unit: "s", Ours: one}}
	for only, want := range map[string]int{"": 3, "a/": 2, "b/1": 1} {
		var out, text bytes.Buffer
		if code := run(t.Context(), []string{"-only", only}, table(all), &out, &text); code != 0 {
			t.Errorf("%q: exit %d: %s", only, code, text.String())
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		for _, line := range lines {
			var r measure.Result
			if err := json.Unmarshal([]byte(line), &r); err != nil || r.ID == "" || r.Unit == "" {
				t.Errorf("%q: %s: %v", only, line, err)
			}
		}
		if len(lines) != want {
			t.Errorf("%q: %d lines, want %d", only, len(lines), want)
		}
	}
}

func TestExitCodesTellWrongUseFromFailure(t *testing.T) {
	broken := []measure.Benchmark{{ID: "a/1", Ours: func(context.Context) (float64, error) { return 0, errors.New("broken") }}}
	for _, c := range []struct {
		args string
		want int
		text string
	}{
		{"-only a/", 1, "a/1: ours: broken"},
		{"-only nothing", 2, "a/1"},
		{"-runs 0", 2, "at least 1 run"},
		{"-nonsense", 2, "nonsense"},
		{"stray", 2, "stray"},
		{"-serve=nothing", 2, "no server"},
		{"-figure=nothing", 2, "idle-bytes"},
		{"-help", 0, "-only"},
	} {
		var out, text bytes.Buffer
		if code := run(t.Context(), strings.Fields(c.args), table(broken), &out, &text); code != c.want || !strings.Contains(text.String(), c.text) {
			t.Errorf("%s: exit %d, %s", c.args, code, text.String())
		}
		if out.Len() > 0 {
			t.Errorf("%s: printed %s", c.args, out.String())
		}
	}
}

func TestTableIsWellFormed(t *testing.T) {
	seen := make(map[string]bool)
	for _, b := range benchmarks(&peers.Programs{}, time.Second) {
		if !regexp.MustCompile(`^[a-z]+/[a-z0-9-]+(/[a-z]+)?$`).MatchString(b.ID) || seen[b.ID] {
			t.Errorf("id %q is malformed or not the only one", b.ID)
		}
		seen[b.ID] = true
		if b.Unit == "" || b.Ours == nil || b.Base != nil && b.Note == "" {
			t.Errorf("%s lacks its unit, its measurement, or a note on its base", b.ID)
		}
	}
}

func TestNotesNameThePeersVersions(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"Hollywood v1.0.5 ":         "anthdm/hollywood v1.0.5\n",
		"protoactor-go 2024-08-22 ": "asynkron/protoactor-go v0.0.0-20240822202345-",
	} {
		named := slices.ContainsFunc(benchmarks(&peers.Programs{}, time.Second), func(b measure.Benchmark) bool { return strings.Contains(b.Note, in) })
		if !named || !strings.Contains(string(mod), want) {
			t.Errorf("%q in a note: %v; go.mod does not have %q, or no note says so", in, named, want)
		}
	}
}
