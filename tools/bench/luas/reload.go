package luas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"

	"github.com/skua-go/skua/tools/bench/measure"
)

// Reload is how many seconds 10,000 agents of a script of some 300 lines take to go over to another version of it, all of whose functions have changed, while they
// answer 20,000 requests a second. Each has a VM of its own, or they share VMs of 256.
func (s Suite) Reload(shared bool) measure.Func { return s.child(reloadName("10000-agents", shared)) }

// ReloadDelay is by how many milliseconds the p99 of these requests is longer meanwhile than before.
func (s Suite) ReloadDelay(shared bool) measure.Func {
	return s.child(reloadName("handler-delay-p99", shared))
}

func reloadName(what string, shared bool) string {
	if shared {
		return "reload-" + what + "-shared"
	}
	return "reload-" + what
}

// reloaded is what one reload under load has shown.
type reloaded struct {
	took          time.Duration
	before, while time.Duration // p99 of the requests
}

func (s Suite) reloadTime(shared bool) measure.Func {
	return func(ctx context.Context) (float64, error) {
		r, err := s.reload(ctx, shared)
		return r.took.Seconds(), err
	}
}

func (s Suite) reloadDelay(shared bool) measure.Func {
	return func(ctx context.Context) (float64, error) {
		r, err := s.reload(ctx, shared)
		return float64((r.while - r.before).Microseconds()) / 1000, err
	}
}

// versions are the scripts, and the same with a change in each function of the agent.
func versions() (from, to *reload.Version, err error) {
	tree, err := fs.Sub(sources, "scripts")
	if err != nil {
		return nil, nil, err
	}
	if from, err = reload.ReadVersion(tree); err != nil {
		return nil, nil, err
	}
	files := map[string]string{}
	for _, name := range from.Files() {
		files[name], _ = from.Text(name)
	}
	var changed strings.Builder
	n := 0
	for line := range strings.Lines(files["agent.lua"]) {
		changed.WriteString(line)
		if at := strings.Index(line, "function "); at >= 0 && strings.HasSuffix(line, ")\n") {
			n++
			fmt.Fprintf(&changed, "  local _ = %d\n", n)
		}
	}
	if n < 10 {
		return nil, nil, fmt.Errorf("luas: %d functions of agent.lua have been found, expected many", n)
	}
	files["agent.lua"] = changed.String()
	return from, reload.NewVersion(files), nil
}

func (s Suite) reload(ctx context.Context, shared bool) (reloaded, error) {
	var r reloaded
	engine, err := s.engine()
	if err != nil {
		return r, err
	}
	from, to, err := versions()
	if err != nil {
		return r, err
	}
	log := slog.New(slog.DiscardHandler)
	tree, err := fs.Sub(sources, "scripts")
	if err != nil {
		return r, err
	}
	rt, err := lua.NewRuntime(lua.Config{Scripts: tree, Library: scripts.FS(), Engine: engine, Budget: patience, Log: log})
	if err != nil {
		return r, err
	}
	rt.Use(from)
	sys := actor.New(actor.Config{Log: log, CallTimeout: patience})
	err = func() error {
		launcher, err := sys.Spawn(rt.Launcher())
		if err != nil {
			return err
		}
		agents := make([]actor.Ref, many)
		for i := range agents {
			v, err := sys.Ask(ctx, launcher, lua.Launch{Script: "agent", Args: value.Of(i, "somebody"), Shared: shared})
			if err != nil {
				return err
			}
			agents[i], _ = v.(actor.Ref)
		}
		r, err = underLoad(ctx, sys, engine, agents, shared, from, to)
		return err
	}()
	return r, errors.Join(err, sys.Shutdown(context.WithoutCancel(ctx)))
}

func underLoad(ctx context.Context, sys *actor.System, engine vm.Engine, agents []actor.Ref, shared bool, from, to *reload.Version) (reloaded, error) {
	const quiet = 2 * time.Second
	var r reloaded
	load := &load{agents: agents}
	ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return load }})
	if err != nil {
		return r, err
	}
	runtime.GC()
	if err := pause(ctx, quiet/2); err != nil { // it warms up
		return r, err
	}
	load.to.Store(&load.before)
	if err := pause(ctx, quiet); err != nil {
		return r, err
	}
	load.to.Store(&load.while)
	begun := time.Now()
	u, err := reload.Prepare(engine, from, to, reload.Options{})
	if err != nil {
		return r, err
	}
	err = upgradeAll(ctx, sys, agents, shared, u)
	r.took = time.Since(begun)
	load.to.Store(nil)
	if _, stopErr := sys.Ask(ctx, ref, finish{}); err == nil {
		err = stopErr
	}
	if err != nil {
		return r, err
	}
	u.Release()
	if n := load.failed.Load(); n > 0 {
		return r, fmt.Errorf("luas: %d requests have failed", n)
	}
	r.before, r.while = p99(load.before), p99(load.while)
	fmt.Fprintf(os.Stderr, "%d agents in %v; p99 of %d requests before %v, of %d meanwhile %v, the longest %v\n",
		len(agents), r.took, len(load.before), r.before, len(load.while), r.while, slices.Max(append(load.while, 0)))
	return r, nil
}

// upgradeAll brings all VMs over, as many at a time as there are cores.
func upgradeAll(ctx context.Context, sys *actor.System, agents []actor.Ref, shared bool, u *reload.Update) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	step := 1
	if shared {
		step = 256 // one of each VM
	}
	var done atomic.Int64
	for i := 0; i < len(agents); i += step {
		group.Go(func() error {
			v, err := sys.Ask(ctx, agents[i], lua.Upgrade{Update: u})
			if err != nil {
				return err
			}
			if report, ok := v.(reload.Report); ok && report.Functions > 0 {
				done.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if n := int(done.Load()); n != (len(agents)+step-1)/step {
		return fmt.Errorf("luas: %d VMs have new code, expected %d", n, (len(agents)+step-1)/step)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// load sends 20,000 requests a second to agents, one after the other, whether those before are answered or not. What it waits is counted from when a request was
// due.
type load struct {
	agents        []actor.Ref
	to            atomic.Pointer[[]time.Duration]
	before, while []time.Duration
	failed        atomic.Int64
	begun         time.Time
	sent          int
	open          int
	finish        actor.Promise
	finishing     bool
}

type finish struct{}

const loadRate = 20_000

func (l *load) Start(c *actor.Context) error {
	l.begun = time.Now()
	c.Every(time.Millisecond, func() { l.tick(c) })
	return nil
}

func (l *load) tick(c *actor.Context) {
	if l.finishing {
		return
	}
	for due := int(time.Since(l.begun) * loadRate / time.Second); l.sent < due; l.sent++ {
		at, to := l.begun.Add(time.Duration(l.sent)*time.Second/loadRate), l.to.Load()
		l.open++
		c.Ask(l.agents[l.sent*7919%len(l.agents)], lua.Command("snapshot"), func(_ any, err error) {
			l.answered(c, at, to, err)
		})
	}
}

func (l *load) answered(c *actor.Context, at time.Time, to *[]time.Duration, err error) {
	if l.open--; err != nil {
		l.failed.Add(1)
	} else if to != nil {
		*to = append(*to, time.Since(at))
	}
	if l.finishing && l.open == 0 {
		c.ReplyTo(l.finish, nil, nil)
	}
}

// Receive handles finish: it is answered when all requests are.
func (l *load) Receive(c *actor.Context, _ any) {
	l.finish, l.finishing = c.Promise(), true
	if l.open == 0 {
		c.ReplyTo(l.finish, nil, nil)
	}
}
