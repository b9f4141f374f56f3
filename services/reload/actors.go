package reload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	code "github.com/skua-go/skua/lua/reload"
)

// slow is how long an actor may keep a place among those that are brought over at a time. One that takes longer is waited for beside them: some that are stuck
// must not have all others wait.
const slow = 200 * time.Millisecond

// Bounds of what is told of actors.
const (
	maxListed = 100
	maxStack  = 4 << 10
)

// target is an actor that runs a script.
type target struct {
	ref    actor.Ref
	script string
}

func (t target) String() string {
	return t.script + ":" + strconv.FormatUint(t.ref.ID(), 16)
}

// targets are all actors of the node that run scripts, also those that have not begun yet. One that is spawned while this runs may be missing: it gets the
// version of the last Runtime.Use before, as VMs ask for it behind their spawn.
func (p *part) targets() []target {
	var all []target
	for info := range p.cfg.System.Actors() {
		if script, ok := strings.CutPrefix(info.Kind, lua.KindPrefix); ok {
			all = append(all, target{info.Ref, script})
		}
	}
	return all
}

// each calls f for all targets, some at a time, and returns when all calls have.
func (p *part) each(ctx context.Context, all []target, f func(t target)) {
	places := make(chan struct{}, p.cfg.Parallel)
	var calls sync.WaitGroup
	for _, t := range all {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			calls.Wait()
			return
		}
		calls.Go(func() {
			leave := sync.OnceFunc(func() { <-places })
			timer := time.AfterFunc(slow, leave)
			f(t)
			timer.Stop()
			leave()
		})
	}
	calls.Wait()
}

// gone tells whether an actor has ended, so that nothing is to be done about it.
func (p *part) gone(t target, err error) bool {
	if errors.Is(err, actor.ErrNoActor) || errors.Is(err, actor.ErrStopped) {
		return true
	}
	info, there := p.cfg.System.Inspect(t.ref)
	return !there || info.Stopping
}

// running asks an actor for what it runs.
func (p *part) running(ctx context.Context, t target) (lua.Running, error) {
	v, err := p.cfg.System.Ask(ctx, t.ref, lua.AskRunning{})
	if err != nil {
		return lua.Running{}, err
	}
	r, ok := v.(lua.Running)
	if !ok {
		return r, fmt.Errorf("reload: %s answers %T, expected what it runs", t, v)
	}
	return r, nil
}

// maxTries is how often an actor is asked anew that has come over to another version meanwhile, as those do that share a VM.
const maxTries = 5

// bring has an actor, and those that share its VM, run a version. The report is nil if it does already, or has ended.
func (p *part) bring(ctx context.Context, t target, to *code.Version, u *updates, down bool) (*code.Report, error) {
	var last error
	for try := 0; try < maxTries; try++ {
		r, err := p.running(ctx, t)
		switch {
		case err != nil && p.gone(t, err):
			return nil, nil //nolint:nilnil // nothing is to be done
		case err != nil:
			return nil, p.silent(ctx, t, u.back, err)
		case r.Version == to.ID() || r.Version == "": // without a version, it has failed to begin
			return nil, nil //nolint:nilnil // nothing is to be done
		}
		if _, err := p.cfg.System.Ask(ctx, t.ref, lua.Ready{}); err != nil {
			if ctx.Err() != nil && !p.gone(t, err) {
				return nil, p.silent(ctx, t, u.back, err)
			}
			return nil, nil //nolint:nilnil // it has failed to start, which is known elsewhere, and is about to end
		}
		update, err := u.get(p.cfg.Runtime.EngineOf(t.script), r.Version, to, down)
		if err != nil {
			return nil, fmt.Errorf("%s runs version %s: %w", t, r.Version, err)
		}
		v, err := p.cfg.System.Ask(ctx, t.ref, lua.Upgrade{Update: update})
		switch report, ok := v.(code.Report); {
		case err == nil && ok:
			return &report, nil
		case err == nil:
			return nil, fmt.Errorf("reload: %s answers %T, expected a report", t, v)
		case errors.Is(err, code.ErrVersion): // somebody who shares its VM was faster
			last = err
		case errors.Is(err, lua.ErrUpgrading) && pause(ctx): // somebody who shares its VM is being brought over
			try = 0
		case p.gone(t, err):
			return nil, nil //nolint:nilnil // nothing is to be done
		case ctx.Err() != nil:
			return nil, p.silent(ctx, t, u.back, err)
		default:
			return nil, fmt.Errorf("%s: %w", t, err)
		}
	}
	return nil, fmt.Errorf("%s: %w", t, last)
}

// ErrStuck is wrapped when an actor did not come to the end of a handler in time.
var ErrStuck = errors.New("reload: an actor is stuck in a handler")

// silent notes that an actor has not answered. What it was asked for may still be done, which settle puts right: by a downgrade if back.
func (p *part) silent(ctx context.Context, t target, back bool, err error) error {
	p.missing(t, back)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", t, err)
	}
	since, stack, known := p.stuckAt(ctx, t)
	if !known {
		return fmt.Errorf("%w: %s has not answered: %w", ErrStuck, t, err)
	}
	return fmt.Errorf("%w: %s, since %s:\n%s", ErrStuck, t, since.UTC().Format(time.RFC3339), stack)
}

// whereTime is how long a script may take to say where it is: mostly some milliseconds, more on a machine whose cores have too much to do, and so little that operators hear of it within 3 s.
const whereTime = 750 * time.Millisecond

// stuckAt tells since when an actor is in one handler, and where: in its script if that says so, and in Go. Whoever asks may have run out of time by now.
func (p *part) stuckAt(ctx context.Context, t target) (since time.Time, stack string, ok bool) {
	since, stack, ok = p.cfg.System.Stuck(t.ref)
	if !ok {
		return since, "", false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), whereTime)
	defer cancel()
	if script, err := p.cfg.Runtime.Where(ctx, p.cfg.System, t.ref); err == nil {
		stack = script + "\n" + stack
	}
	return since, clip(stack), true
}

func clip(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxStack)], "")
}

// lookAgain is how often it is looked whether a VM has come over that somebody else brings there.
const lookAgain = 5 * time.Millisecond

func pause(ctx context.Context) bool {
	select {
	case <-time.After(lookAgain):
		return true
	case <-ctx.Done():
		return false
	}
}

// Runs is what the VMs of a node run.
type Runs struct {
	Node    string      `json:"node"`
	Version string      `json:"version" doc:"What services get that start now."`
	Actors  []Count     `json:"actors,omitempty" doc:"How many actors run which version."`
	Old     []Old       `json:"old,omitempty" doc:"Actors that still run code of a version before, and why; up to 100."`
	OldMore int         `json:"old_more,omitempty" doc:"How many more of those there are."`
	Canary  *CanaryRuns `json:"canary,omitempty" doc:"The canary that goes on, whose actors run another version than the rest."`
	Change  *UnderWay   `json:"change,omitempty" doc:"A change to another version that the node takes part in, and that is not decided yet."`
	Behind  string      `json:"behind,omitempty" doc:"Why the node does not run the version of the cluster, if so."`
	Error   string      `json:"error,omitempty" doc:"Why the node has not told."`
}

// UnderWay is a node's part in a change that is neither current nor undone yet.
type UnderWay struct {
	Version string    `json:"version" doc:"What it is to."`
	Applied bool      `json:"applied" doc:"The node's actors are brought over to it, or have been."`
	Since   time.Time `json:"since"`
}

// undecided tells of the change that the node takes part in; a canary is told of as such.
func (p *part) undecided() *UnderWay {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.change
	if c == nil || c.begun && !c.applied {
		return nil
	}
	return &UnderWay{Version: c.to.ID(), Applied: c.applied, Since: c.since.UTC()}
}

// Count is how many actors of a script run a version.
type Count struct {
	Script  string `json:"script"`
	Version string `json:"version"`
	Actors  int    `json:"actors"`
}

// Old is an actor that still runs old code.
type Old struct {
	Actor   string   `json:"actor"`
	Script  string   `json:"script"`
	Version string   `json:"version,omitempty" doc:"What it runs; empty if it has not told."`
	Why     string   `json:"why"`
	Stacks  []string `json:"stacks,omitempty" doc:"Where its handlers wait."`
}

// surveyTime is how long a survey waits for actors, and planTime how long a plan does: those that are stuck are to be named soon behind it.
const (
	surveyTime = 2 * time.Second
	planTime   = 500 * time.Millisecond
)

// errAside is of an actor that is not asked, as it is in quarantine.
var errAside = errors.New("reload: in quarantine")

// survey asks all actors for what they run. One that does not answer within that time is named as such.
func (p *part) survey(ctx context.Context, wait time.Duration) Runs {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	runs := Runs{Node: p.cfg.Name, Canary: p.trying(), Change: p.undecided()}
	if v := p.cfg.Runtime.Version(); v != nil {
		runs.Version = v.ID()
	}
	var mu sync.Mutex
	counts := map[Count]int{}
	old := func(o Old) {
		if len(runs.Old) < maxListed {
			runs.Old = append(runs.Old, o)
		} else {
			runs.OldMore++
		}
	}
	aside := p.cfg.System.InQuarantine()
	p.each(ctx, p.targets(), func(t target) {
		o := Old{Actor: t.String(), Script: t.script}
		r, err := lua.Running{}, errAside
		if why, is := aside[t.ref]; is {
			o.Why = fmt.Sprintf("it is in quarantine, tells nothing, and comes to the version of its node when it is released: %v", why.Reason)
		} else if r, err = p.running(ctx, t); err != nil {
			if p.gone(t, err) {
				return
			}
			o.Why = fmt.Sprintf("it has not told within %v", wait)
			if since, stack, ok := p.stuckAt(ctx, t); ok {
				o.Why, o.Stacks = "it is in one handler since "+since.UTC().Format(time.RFC3339), []string{stack}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		o.Version = r.Version
		switch {
		case err != nil:
			old(o)
			counts[Count{Script: t.script}]++
			return
		case r.Version == "":
			return // it has failed to begin
		case r.Version != runs.Version && (runs.Canary == nil || r.Version != runs.Canary.Version):
			o.Why = p.whyOld(t, runs.Version)
			old(o)
		case len(r.Waiting) > 0:
			o.Why = "handlers that have begun with a version before wait for something"
			for _, s := range r.Waiting[:min(len(r.Waiting), 5)] {
				o.Stacks = append(o.Stacks, clip(s))
			}
			old(o)
		}
		counts[Count{Script: t.script, Version: r.Version}]++
	})
	for c, n := range counts {
		c.Actors = n
		runs.Actors = append(runs.Actors, c)
	}
	slices.SortFunc(runs.Actors, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Script, b.Script), cmp.Compare(a.Version, b.Version))
	})
	slices.SortFunc(runs.Old, func(a, b Old) int { return cmp.Compare(a.Actor, b.Actor) })
	return runs
}
