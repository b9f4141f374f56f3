package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/lua"
)

// testOptions are what `skua test` can be told.
type testOptions struct {
	run     string        // a pattern of names
	timeout time.Duration // of one test
	junit   string        // a file for the results
	verbose bool
	colour  bool
	ext     extension
}

func newTestCommand(ext extension) *cobra.Command {
	o := testOptions{ext: ext}
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the *_test.lua files of a project, each inside a real node of its own",
		Long: `Run the *_test.lua files of a project, each as a service of a node of its own that listens nowhere and keeps its data in a
directory of its own, which is removed afterwards. A test file calls describe(name, f), it(name, f) and expect(value);
time.advance(cs) lets time pass, mock(name, handlers) stands in for a service, spy(f) notes calls.

Exit codes: 0 all tests have passed, 1 some have failed, 2 wrong use.`,
		Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := projectDir(args)
			if err != nil {
				return err
			}
			o.colour = coloured(cmd.OutOrStdout())
			return testProject(cmd.Context(), dir, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.run, "run", "", "run only tests whose name (`file: group test`) the regular expression matches")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 10*time.Second, "longest time for one test")
	cmd.Flags().StringVar(&o.junit, "junit", "", "write the results to this file, too, as JUnit's XML")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "show the node's log while the tests run")
	return cmd
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// coloured tells whether somebody looks at what is written, on a terminal.
func coloured(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// testProject runs all test files of a project and tells the results.
func testProject(ctx context.Context, dir string, o testOptions, out, logTo io.Writer) error {
	if o.timeout <= 0 {
		return &usageError{fmt.Errorf("--timeout %v: more than 0 is expected", o.timeout)}
	}
	wanted, err := regexp.Compile(o.run)
	if err != nil {
		return &usageError{fmt.Errorf("--run: %w", err)}
	}
	p, err := openProject(dir, o.ext)
	if err != nil {
		return err
	}
	files, err := testFiles(os.DirFS(dir), p.cfg.Lua.Path)
	if err != nil {
		return err
	}
	inPath, err := lua.Scripts(p.scripts)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a project of tests only has no directory of scripts
		return err
	}
	for _, name := range inPath {
		if strings.HasSuffix(name, testSuffix) && !hidden(name) {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	if len(files) == 0 {
		return fmt.Errorf("test: no file in %s ends with %s", dir, testSuffix)
	}
	r := &testReport{out: out, colour: o.colour, began: time.Now()}
	for _, name := range files {
		f := &testFile{dir: dir, name: name, wanted: wanted, options: o, report: r, logTo: io.Discard}
		if o.verbose {
			f.logTo = logTo
		}
		if err := f.run(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return errors.New("test: interrupted")
		}
	}
	if o.run != "" && !r.any() {
		return fmt.Errorf("test: --run %q: no test has such a name", o.run)
	}
	return r.end(o.junit)
}

// testSuffix is how the names of test files end.
const testSuffix = lua.TestSuffix

// testFiles are the tests of a project that are not in a directory of lua.path. Directories whose names begin with a dot are left out.
func testFiles(tree fs.FS, inPath []string) ([]string, error) {
	names, err := lua.Scripts(tree)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, name := range names {
		if strings.HasSuffix(name, testSuffix) && !hidden(name) && !within(name, inPath) {
			files = append(files, name)
		}
	}
	return files, nil
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") || strings.Contains(name, "/.") }

func within(name string, dirs []string) bool {
	for _, dir := range dirs {
		if dir = path.Clean(dir); dir == "." || strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}
