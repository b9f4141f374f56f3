// Package measure runs benchmarks that compare: ours and a baseline in the same run, one after the other, several times.
package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"strings"
)

// Func measures once and returns one figure in the benchmark's unit. It starts and ends everything that it needs.
type Func func(ctx context.Context) (float64, error)

// Benchmark is one line of the table of benchmarks.
type Benchmark struct {
	ID   string // area/name
	Unit string
	Ours Func
	Base Func // the bare baseline or the peer, in the same unit; nil where there is none
	Once bool // Ours is a median already, of at least five measurements of what takes long to set up
	// Note says what base is and how it was measured.
	Note string
	// On, if there is one, tells what both were measured on, when they have been: it ends the note.
	On func() string
}

// Result is what one benchmark prints: one line of JSON.
type Result struct {
	ID    string   `json:"id"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Base  *float64 `json:"base,omitempty"`
	Ratio *float64 `json:"ratio,omitempty"`
	Note  string   `json:"note,omitempty"`
}

// ReferenceArea begins the ids of bare baselines measured for themselves, which run only when they are asked for.
const ReferenceArea = "bare/"

// ErrNotHere is wrapped by the error of a Func that needs what this machine does not have. Its benchmark is left out, which is said and is no failure.
var ErrNotHere = errors.New("not measured here")

// ErrNoMatch is wrapped when no benchmark's id begins as asked.
var ErrNoMatch = errors.New("measure: no such benchmark")

// Select returns the benchmark with this id, or else those whose id begins with prefix. An empty one selects all but the references.
func Select(all []Benchmark, prefix string) ([]Benchmark, error) {
	var chosen []Benchmark
	for _, b := range all {
		if b.ID == prefix {
			return []Benchmark{b}, nil
		}
		if strings.HasPrefix(b.ID, prefix) && (prefix != "" || !strings.HasPrefix(b.ID, ReferenceArea)) {
			chosen = append(chosen, b)
		}
	}
	if len(chosen) > 0 {
		return chosen, nil
	}
	ids := make([]string, len(all))
	for i, b := range all {
		ids[i] = b.ID
	}
	return nil, fmt.Errorf("%w: found %q, expected the beginning of one of %s", ErrNoMatch, prefix, strings.Join(ids, ", "))
}

// Runner runs benchmarks and prints their results.
type Runner struct {
	Runs int       // of ours and base each; the median counts
	JSON io.Writer // one line a benchmark
	Text io.Writer // every single figure, for people
}

// Run measures all of list. One that fails does not stop the others; the error joins all failures.
func (r Runner) Run(ctx context.Context, list []Benchmark) error {
	if r.Runs < 1 {
		return fmt.Errorf("measure: found %d runs, expected at least 1", r.Runs)
	}
	out := json.NewEncoder(r.JSON)
	var failed []error
	for _, b := range list {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(failed, err)...)
		}
		result, err := r.one(ctx, b)
		if errors.Is(err, ErrNotHere) {
			fmt.Fprintf(r.Text, "%-28s left out: %v\n", b.ID, err)
			continue
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", b.ID, err))
			fmt.Fprintf(r.Text, "%-28s failed: %v\n", b.ID, err)
			continue
		}
		if err := out.Encode(result); err != nil {
			return fmt.Errorf("measure: writing the result: %w", err)
		}
	}
	return errors.Join(failed...)
}

// one measures ours and base in turns, and in each turn in the other order, so that a machine that slows down slows both.
func (r Runner) one(ctx context.Context, b Benchmark) (Result, error) {
	var ours, base []float64
	runs := r.Runs
	if b.Once {
		runs = 1
	}
	for turn := range runs {
		steps := []func() error{
			func() error { return figure(ctx, "ours", b.Ours, &ours) },
			func() error { return figure(ctx, "base", b.Base, &base) },
		}
		if turn%2 == 1 {
			slices.Reverse(steps)
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return Result{}, err
			}
		}
	}
	result := Result{ID: b.ID, Value: round(Median(ours)), Unit: b.Unit, Note: b.Note}
	if b.On != nil {
		result.Note += "; on " + b.On()
	}
	fmt.Fprintf(r.Text, "%-28s %10.4g %-12s of %s", b.ID, Median(ours), b.Unit, list(ours))
	if b.Base != nil {
		baseline, ratio := round(Median(base)), round(Median(ours)/Median(base))
		result.Base = &baseline
		fmt.Fprintf(r.Text, "; base %.4g of %s", Median(base), list(base))
		if !math.IsNaN(ratio) && !math.IsInf(ratio, 0) {
			result.Ratio = &ratio
			fmt.Fprintf(r.Text, "; ratio %.3g", ratio)
		}
	}
	fmt.Fprintln(r.Text)
	return result, nil
}

func figure(ctx context.Context, who string, f Func, into *[]float64) error {
	if f == nil {
		return nil
	}
	debug.FreeOSMemory() // nobody pays for the garbage of the one before
	v, err := f(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", who, err)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("%s: measured %v", who, v)
	}
	*into = append(*into, v)
	return nil
}

// Median is the one in the middle.
func Median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// round keeps four significant digits: more would claim what the machine can't repeat.
func round(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func list(figures []float64) string {
	texts := make([]string, len(figures))
	for i, f := range figures {
		texts[i] = fmt.Sprintf("%.4g", f)
	}
	return strings.Join(texts, " ")
}
