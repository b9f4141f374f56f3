package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

func newTestCommand() *cobra.Command {
	var verbose bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the *_test.lua files of a project inside a real node",
		Long: `Run the *_test.lua files of a project, each as a service of a node that listens nowhere and keeps its data in a
directory of its own, which is removed afterwards. A test file calls describe(name, f), it(name, f) and expect(value).`,
		Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			log := io.Discard
			if verbose {
				log = cmd.ErrOrStderr()
			}
			return testProject(cmd.Context(), dir, timeout, cmd.OutOrStdout(), log)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the node's log")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "longest time for one file")
	return cmd
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// testProject runs all test files of a project and tells the results.
func testProject(ctx context.Context, dir string, timeout time.Duration, out, logTo io.Writer) (err error) {
	data, err := os.MkdirTemp("", "skua-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(data)
	p, err := openProject(dir, func(c *Config) {
		c.Data = data
		c.NATS, c.Store.Mongo, c.Trace = "", "", TraceConfig{}
		c.Listen = ListenConfig{"off", "off", "off", "off"}
	})
	if err != nil {
		return &usageError{err}
	}
	p.scripts = layers{p.scripts, os.DirFS(dir)} // so that tests outside of the scripts' directories are modules, too
	files, err := testFiles(p)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("test: no file in %s ends with _test.lua", dir)
	}
	log, err := newLog(logTo, p.cfg.Log)
	if err != nil {
		return &usageError{err}
	}
	results := &testResults{out: out}
	n := &node{project: p, log: log, play: func(n *node) error { return results.run(ctx, n, files, timeout) }}
	if err := n.Serve(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", results.passed, results.failed)
	if results.failed > 0 {
		return errSilent
	}
	return nil
}

// testFiles are the modules that hold tests. A file in a directory of lua.path is found there, and once.
func testFiles(p *project) ([]string, error) {
	names, err := lua.Scripts(p.scripts)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.lua") {
			continue
		}
		inPath := false
		for _, dir := range p.cfg.Lua.Path {
			inPath = inPath || strings.HasPrefix(name, path.Clean(dir)+"/")
		}
		if !inPath {
			files = append(files, strings.ReplaceAll(strings.TrimSuffix(name, ".lua"), "/", "."))
		}
	}
	return files, nil
}

// testResults collects what the test services report.
type testResults struct {
	done chan string

	mu             sync.Mutex // a file that is given up may still report
	out            io.Writer
	passed, failed int
}

func (r *testResults) run(ctx context.Context, n *node, files []string, timeout time.Duration) error {
	r.done = make(chan string, len(files))
	collector, err := n.sys.Spawn(actor.Spec{Name: "skua.test", New: func() actor.Actor { return actor.Func(r.receive) }})
	if err != nil {
		return err
	}
	launcher, _ := n.sys.Lookup(lua.LauncherName)
	for _, file := range files {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		_, err := n.sys.Ask(ctx, launcher, lua.Launch{Script: "skua.testrunner", Args: value.Of(file, int64(collector.ID()))})
		if err == nil {
			select {
			case <-r.done:
			case <-ctx.Done():
				err = fmt.Errorf("the tests did not end within %v", timeout)
			}
		}
		cancel()
		if err != nil {
			r.tell(false, "FAIL %s: %v\n", file, err)
		}
	}
	return nil
}

// tell writes one result and counts it.
func (r *testResults) tell(passed bool, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if passed {
		r.passed++
	} else {
		r.failed++
	}
	fmt.Fprintf(r.out, format, args...)
}

// receive takes reports. It runs in an actor; the totals are read when that has ended.
func (r *testResults) receive(c *actor.Context, msg any) {
	m, ok := msg.(lua.Message)
	if !ok {
		return
	}
	var cmd, file, name, text string
	var passed bool
	var seconds float64
	if err := m.Args.Scan(&cmd, &file); err != nil {
		c.Reply(nil, err)
		return
	}
	if cmd == "done" {
		r.done <- file
		return
	}
	if err := m.Args.Scan(&cmd, &file, &name, &passed, &text, &seconds); err != nil {
		c.Reply(nil, err)
		return
	}
	if passed {
		r.tell(true, "ok   %s: %s (%.0f ms)\n", file, name, seconds*1000)
	} else {
		r.tell(false, "FAIL %s: %s\n     %s\n", file, name, strings.ReplaceAll(text, "\n", "\n     "))
	}
	c.Reply(nil, nil)
}
