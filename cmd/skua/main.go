// Command skua runs a node of Skua, and everything around one: new projects, checks, tests, bots.
//
// Exit codes: 0 done, 1 failed, 2 wrong use.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	_ "time/tzdata" // zones for cron jobs, also where the machine or the container has none

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/internal/heap"
)

func main() {
	heap.KeepFloor(heap.DefaultFloor)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// run is main without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return runWith(ctx, extensions(), args, stdout, stderr)
}

func runWith(ctx context.Context, ext extension, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand(ext)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "skua: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "skua: %v\n", err)
		return exitFailed
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errSilent is a failure that has been told already.
var errSilent = errors.New("failed")

func newRootCommand(ext extension) *cobra.Command {
	root := &cobra.Command{
		Use:           "skua",
		Short:         "An actor server for games and realtime media",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return &usageError{fmt.Errorf("unknown command %q; `skua help` lists them", args[0])}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newRunCommand(ext), newNewCommand(), newCheckCommand(ext), newTestCommand(ext), newBotCommand(), newStoreCommand(ext), newClusterCommand(ext), newVersionCommand())
	root.AddCommand(newLookCommands(ext)...)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; `%s --help` tells more", err, cmd.CommandPath())}
	})
	return root
}

// positional makes the wrong number of arguments a wrong use.
func positional(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{fmt.Errorf("%w; `%s --help` tells more", err, cmd.CommandPath())}
		}
		return nil
	}
}
