package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// testFile is one file of tests, in a node of its own.
type testFile struct {
	dir, name string
	wanted    *regexp.Regexp
	options   testOptions
	report    *testReport
	logTo     io.Writer // besides what failures show

	log     *testLog
	core    *testModule
	clock   *actor.Clock
	turns   *turns
	current string    // the test that runs, "" between them
	due     time.Time // when it has to have ended
	late    bool      // it has been told that its time is over
}

// module is what require calls the file.
func (f *testFile) module() string {
	return strings.ReplaceAll(strings.TrimSuffix(f.name, ".lua"), "/", ".")
}

// run makes a node, runs the file in it and reports what came of it. It returns errors of the machine and of the project, not of tests.
func (f *testFile) run(ctx context.Context) (err error) {
	data, err := os.MkdirTemp("", "skua-test-")
	if err != nil {
		return fmt.Errorf("test: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(data)) }()
	p, err := openProject(f.dir, f.options.ext, func(c *Config) {
		c.Data = data
		c.Store.Mongo, c.Trace = "", TraceConfig{}
		c.closeDoors()
		c.standAlone()
	})
	if err != nil {
		return err
	}
	p.scripts = layers{p.scripts, os.DirFS(f.dir)} // so that tests outside of the scripts' directories are modules, too
	f.log = &testLog{}
	log, err := newLog(io.MultiWriter(f.log, f.logTo), p.cfg.Log)
	if err != nil {
		return err
	}
	defer log.close()
	f.clock, f.turns = &actor.Clock{}, newTurns()
	f.core = newTestModule(f)
	n := &node{project: p, log: log.Logger, trial: &trial{clock: f.clock, turns: f.turns, module: f.core, play: f.play}}
	began := time.Now()
	f.report.begin(f.module(), f.name)
	if err := n.Serve(ctx); err != nil {
		return err
	}
	f.report.files[len(f.report.files)-1].took = time.Since(began)
	return nil
}

// play launches the runner of the tests and does what it asks for until it is done.
func (f *testFile) play(ctx context.Context, n *node) error {
	defer f.clock.Thaw() // whatever ends now has its time
	launcher, ok := n.sys.Lookup(lua.LauncherName)
	if !ok {
		return errors.New("test: the node has no launcher")
	}
	f.core.sys = n.sys
	loading, cancel := context.WithTimeout(ctx, f.options.timeout)
	defer cancel()
	v, err := n.sys.Ask(loading, launcher, lua.Launch{Script: "skua.testrunner", Args: value.Of(f.module())})
	if err != nil {
		f.report.add(&testResult{name: "", status: statusFailed, text: err.Error(), log: f.log.take()})
		return nil // a failure of the file, which has been told
	}
	runner := v.(actor.Ref) //nolint:forcetypeassert // what Launch is answered by
	f.core.start(runner)
	n.sys.Send(runner, f.message("run"))
	return f.serve(ctx, n.sys, runner)
}

// message is one for the runner.
func (f *testFile) message(what string, args ...any) lua.Message {
	return lua.Message{Type: testType, Args: value.Of(append([]any{what}, args...)...)}
}

// grace is how long a runner may take to give up a test whose time is over.
const grace = 5 * time.Second

// serve does what the runner asks for, and watches over the time of its tests.
func (f *testFile) serve(ctx context.Context, sys *actor.System, runner actor.Ref) error {
	alarm, looks := time.NewTicker(20*time.Millisecond), time.NewTicker(500*time.Millisecond)
	defer alarm.Stop()
	defer looks.Stop()
	ended := sys.Ended(runner)
	for {
		for _, ev := range f.core.events() {
			if f.handle(ctx, sys, runner, ev) {
				return nil
			}
		}
		select {
		case <-f.core.news:
		case <-alarm.C:
			if f.overdue(sys, runner) {
				return nil
			}
		case <-looks.C:
			sys.Send(runner, f.message("look"))
		case <-ended:
			f.fail("the test's service has ended; the rest of the file was not run")
			return nil
		case <-ctx.Done():
			f.fail("the node was told to stop, by skynet.abort or from outside; the rest of the file was not run")
			return nil
		}
	}
}

// overdue ends a test that takes too long, and gives the file up if even that does not help.
func (f *testFile) overdue(sys *actor.System, runner actor.Ref) bool {
	if f.current == "" || time.Now().Before(f.due) {
		return false
	}
	if f.late {
		f.fail(fmt.Sprintf("did not end within %v; the rest of the file was not run", f.options.timeout))
		return true
	}
	f.late, f.due = true, time.Now().Add(grace)
	f.clock.Thaw()
	sys.Send(runner, f.message("late", fmt.Sprintf("did not end within %v", f.options.timeout)))
	return false
}

func (f *testFile) fail(why string) {
	f.report.add(&testResult{name: f.current, status: statusFailed, text: why, log: f.log.take()})
	f.current = ""
}

// handle does what an event says, and tells whether it was the last one.
func (f *testFile) handle(ctx context.Context, sys *actor.System, runner actor.Ref, ev testEvent) bool {
	switch ev.what {
	case "begin":
		f.current, f.late, f.due = ev.name, false, time.Now().Add(f.options.timeout)
		f.log.take()
		sys.Send(runner, f.message("go", ev.id))
	case "advance":
		limit, cancel := context.WithDeadline(ctx, f.due)
		err := f.advance(limit, sys, ev.d)
		cancel()
		text := ""
		if err != nil {
			text = err.Error()
		}
		sys.Send(runner, f.message("go", ev.id, text))
	case "result":
		r := ev.result
		r.log = f.log.take()
		f.report.add(&r)
		f.current = ""
	case "clear":
		f.clock.Thaw()
		f.core.clear(ctx)
		sys.Send(runner, f.message("go", ev.id))
	case "done":
		return true
	}
	return false
}

// advance lets time pass, one moment at which something is due after the other.
func (f *testFile) advance(ctx context.Context, sys *actor.System, d time.Duration) error {
	f.clock.Freeze()
	for {
		if err := f.turns.settle(ctx, sys); err != nil {
			return err
		}
		if d <= 0 {
			return nil
		}
		d -= f.clock.Advance(d)
	}
}

// testLog keeps what the node logs during a test.
type testLog struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines int // left out
}

// maxTestLog bounds it.
const maxTestLog = 64 << 10

// Write takes a line.
func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len()+len(p) > maxTestLog {
		l.lines++
	} else {
		l.text.Write(p)
	}
	return len(p), nil
}

// take empties it.
func (l *testLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	if l.lines > 0 {
		text += fmt.Sprintf("... and %d more lines\n", l.lines)
	}
	l.text.Reset()
	l.lines = 0
	return text
}
