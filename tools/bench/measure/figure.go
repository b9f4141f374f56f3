package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skua-go/skua/internal/netlab"
)

// FigureFlag is the argument that makes a program measure one figure, print it, and end: -figure=NAME.
const FigureFlag = "figure"

// figureTimeout bounds how long a process may take for its figure.
const figureTimeout = 2 * time.Minute

// ErrNoFigure is wrapped by the error of PrintFigure for a name that it does not know.
var ErrNoFigure = errors.New("measure: no such figure")

// InChild measures a figure of this program in a process of its own, so that what is counted for a whole process is the figure's alone.
func InChild(name string) Func {
	return func(ctx context.Context) (float64, error) {
		self, err := os.Executable()
		if err != nil {
			return 0, fmt.Errorf("measure: %w", err)
		}
		return FigureOf(ctx, self, name)
	}
}

// InNetwork is InChild in a network namespace of its own, for package netlab.
func InNetwork(name string) Func {
	return func(ctx context.Context) (float64, error) {
		self, err := os.Executable()
		if err != nil {
			return 0, fmt.Errorf("measure: %w", err)
		}
		return figureOf(ctx, self, name, netlab.Isolate)
	}
}

// FigureOf runs a program that measures one figure with PrintFigure, and returns the figure.
func FigureOf(ctx context.Context, program, name string) (float64, error) {
	return figureOf(ctx, program, name, func(*exec.Cmd) {})
}

func figureOf(ctx context.Context, program, name string, prepare func(*exec.Cmd)) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, figureTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-"+FigureFlag+"="+name) //nolint:gosec // programs of this module
	prepare(cmd)
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		// A program that was killed says only so; the context says why.
		return 0, fmt.Errorf("measure: figure %s of %s: %w", name, program, errors.Join(err, ctx.Err()))
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		return 0, fmt.Errorf("measure: figure %s of %s: %w", name, program, err)
	}
	return v, nil
}

// PrintFigure is the other side of FigureOf.
func PrintFigure(ctx context.Context, figures map[string]Func, name string, stdout io.Writer) error {
	f, ok := figures[name]
	if !ok {
		return fmt.Errorf("%w: found %q, expected one of %s", ErrNoFigure, name, strings.Join(slices.Sorted(maps.Keys(figures)), ", "))
	}
	v, err := f(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, strconv.FormatFloat(v, 'g', -1, 64))
	return err
}
