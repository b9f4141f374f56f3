package reload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	code "github.com/skua-go/skua/lua/reload"
)

// part is a node's part in a change of versions: it prepares it, brings all VMs of the node over, and back if it is told so.
type part struct {
	cfg  *Config
	log  *slog.Logger
	text func(ctx context.Context, id string) (*code.Version, error) // of versions that are kept

	turn chan struct{} // held by whoever prepares, applies or ends something

	mu     sync.Mutex
	late   map[actor.Ref]straggler // that may not run what the node does
	change *change                 // that is prepared or applied; nil between changes
	newest uint64                  // the highest epoch that was seen: nothing older is obeyed
	over   uint64                  // the highest epoch whose change has ended: nobody prepares under it any more
	behind string                  // why the node does not run the cluster's version
}

// change is a version that replaces another one.
type change struct {
	epoch   uint64
	from    *code.Version
	to      *code.Version
	down    bool // to one that was there before
	updates *updates
	tables  Tables // shared data that is made anew
	undo    func() // puts the tables back that were before; nil until they are published
	canary  *canary
	begun   bool // some may run it: those of the canary, or all
	applied bool // all may run it
	since   time.Time
}

// Tables are shared data that a version makes anew. Publish has all read them, and gives what puts back those before.
type Tables struct {
	Names   []string
	Publish func() (undo func())
}

// NodePlan is what a change means for one node.
type NodePlan struct {
	Node    string   `json:"node"`
	Actors  []Count  `json:"actors,omitempty" doc:"Actors of scripts that the change is for, by the version that they run."`
	Tables  []string `json:"tables,omitempty" doc:"Shared data that is made anew."`
	Orphans []Count  `json:"orphans,omitempty" doc:"Actors whose script is gone, or is back: they go on with the code that they have."`
	plan    code.Plan
}

// Applied is what a change has done on one node.
type Applied struct {
	Node      string   `json:"node"`
	VMs       int      `json:"vms" doc:"VMs that were brought over."`
	Functions int      `json:"functions" doc:"Functions that have other code, in all VMs."`
	Waiting   int      `json:"waiting" doc:"Handlers that go on with the code that they have begun with."`
	Kept      []string `json:"kept,omitempty" doc:"Functions that keep their code, and why."`
	Conflicts []string `json:"conflicts,omitempty" doc:"Values that both the source and the game have changed; they stay."`
	Slowest   int64    `json:"slowest_us" doc:"Longest time that one VM took, in microseconds."`
	Took      int64    `json:"took_us" doc:"Time for all, in microseconds."`
}

// The errors of a node's part.
var (
	// ErrBusy is wrapped when another change is under way.
	ErrBusy = errors.New("reload: another change of versions is under way")
	// ErrFenced is wrapped when an order comes from somebody who has lost the right to give it.
	ErrFenced = errors.New("reload: the order is older than another one")
)

func newPart(cfg *Config, text func(ctx context.Context, id string) (*code.Version, error)) *part {
	return &part{cfg: cfg, log: cfg.Log, text: text, turn: make(chan struct{}, 1), late: map[actor.Ref]straggler{}}
}

// underWay is the change that is prepared or applied, if there is one, and the highest epoch that was seen.
func (p *part) underWay() (c *change, applied bool, newest uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.change == nil {
		return nil, false, p.newest
	}
	return p.change, p.change.applied, p.newest
}

// take waits for the turn.
func (p *part) take(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
}

func (p *part) leave() { <-p.turn }

// current is the change under way. The epoch has to be its own.
func (p *part) current(epoch uint64) (*change, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.change == nil || p.change.epoch != epoch {
		return nil, fmt.Errorf("%w: nothing is prepared under epoch %d", ErrFenced, epoch)
	}
	return p.change, nil
}

// prepare gets a change ready, from whatever the node runs. Nothing is changed, and nobody waits for it. With keep it stays ready for apply; with a group, for try, and handlers
// are counted from now on.
func (p *part) prepare(ctx context.Context, epoch uint64, to *code.Version, down, keep bool, group *Group) (NodePlan, error) {
	if err := p.take(ctx); err != nil {
		return NodePlan{}, err
	}
	defer p.leave()
	if err := p.admit(epoch, keep); err != nil {
		return NodePlan{}, err
	}
	now := p.cfg.Runtime.Version()
	if now == nil {
		return NodePlan{}, fmt.Errorf("%w: the node starts", ErrBusy)
	}
	c := &change{epoch: epoch, from: now, to: to, down: down, since: time.Now()}
	c.updates = newUpdates(!down, func(id string) (*code.Version, error) { //nolint:contextcheck // asked for in later steps, too, whose contexts are others
		switch id {
		case now.ID():
			return now, nil
		case to.ID():
			return to, nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), p.cfg.Timeout)
		defer cancel()
		return p.text(ctx, id)
	})
	plan, err := c.updates.both(p.cfg.Engines, now, to, down)
	if err != nil {
		return NodePlan{}, err
	}
	if p.cfg.Shared != nil {
		if c.tables, err = p.cfg.Shared(ctx, Tree{to}, changedFiles(now, to)); err != nil {
			return NodePlan{}, err
		}
	}
	made := NodePlan{Node: p.cfg.Name, plan: plan, Tables: c.tables.Names}
	made.Actors, made.Orphans = p.affected(ctx, plan, now, to)
	if keep {
		if group != nil {
			c.canary = &canary{group: *group, concerns: reaches(to, plan), measured: p.cfg.Runtime.Measure()}
		}
		p.hold(c)
	}
	return made, nil
}

// admit refuses a change while another one is applied, and orders that are too late.
func (p *part) admit(epoch uint64, keep bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.change != nil && p.change.begun:
		return fmt.Errorf("%w: version %s is applied, and it is not decided yet whether it stays", ErrBusy, p.change.to.ID())
	case !keep:
		return nil
	case epoch < p.newest:
		return fmt.Errorf("%w: epoch %d, after %d", ErrFenced, epoch, p.newest)
	}
	p.newest = epoch
	p.holds(nil)
	return nil
}

// hold has a change be the one that is under way; nil when none is.
func (p *part) hold(c *change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds(c)
}

// holds is hold, with the lock held.
func (p *part) holds(c *change) {
	if was := p.change; was != nil && was.canary != nil {
		was.canary.measured.Stop()
	}
	p.change = c
}

// affected counts the actors of scripts that a plan is about, and those whose script is gone, or was: there is nothing then to tell what of them is to be replaced.
func (p *part) affected(ctx context.Context, plan code.Plan, from, to *code.Version) (some, orphans []Count) {
	touched := reaches(to, plan)
	for _, c := range p.survey(ctx, planTime).Actors {
		_, was := from.Find(c.Script)
		_, is := to.Find(c.Script)
		switch {
		case was != is:
			orphans = append(orphans, c)
		case touched(c.Script):
			some = append(some, c)
		}
	}
	return some, orphans
}

// apply brings all VMs over. If that fails for one, all are brought back before it returns; what does not come back is in the error, too.
func (p *part) apply(ctx context.Context, epoch uint64) (Applied, error) {
	if err := p.take(ctx); err != nil {
		return Applied{}, err
	}
	defer p.leave()
	c, err := p.current(epoch)
	switch {
	case err != nil:
		return Applied{}, err
	case c.applied:
		return Applied{}, fmt.Errorf("%w: epoch %d is applied already", ErrBusy, epoch)
	}
	p.mark(c, true)
	limited, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	done, err := p.bringAll(limited, c, c.to, c.down)
	if err == nil && c.tables.Publish != nil {
		c.undo = c.tables.Publish()
	}
	if err != nil {
		return done, errors.Join(err, p.back(ctx, c))
	}
	return done, nil
}

func (p *part) mark(c *change, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.begun, c.applied = true, all
	if !all {
		c.canary.since = time.Now()
	}
}

// bringAll has all actors of the node run a version, and all that start from now on.
func (p *part) bringAll(ctx context.Context, c *change, to *code.Version, down bool) (Applied, error) {
	// First for those that begin: whoever is not among the targets then asks for its version later.
	p.cfg.Runtime.Use(to)
	p.cfg.Runtime.Choose(nil)
	return p.bringThese(ctx, c, p.targets(), to, down)
}

// bringThese has some actors run a version.
func (p *part) bringThese(ctx context.Context, c *change, list []target, to *code.Version, down bool) (Applied, error) {
	began := time.Now()
	list = p.awake(list, down)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := Applied{Node: p.cfg.Name}
	var mu sync.Mutex
	var failed error
	p.each(ctx, list, func(t target) {
		told := time.AfterFunc(p.cfg.StuckAfter, func() { p.tellStuck(ctx, t, to) })
		report, err := p.bring(ctx, t, to, c.updates, down)
		told.Stop()
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			if to == c.to {
				stop()
			} else { // on the way back all are tried
				p.refuses(t, !c.down, err)
			}
			if failed == nil || errors.Is(failed, context.Canceled) {
				failed = err
			}
		case report != nil:
			done.add(report)
		}
	})
	done.Took = time.Since(began).Microseconds()
	if failed == nil && ctx.Err() != nil {
		failed = fmt.Errorf("reload: not all actors were brought to version %s: %w", to.ID(), context.Cause(ctx))
	}
	return done, failed
}

func (a *Applied) add(r *code.Report) {
	a.VMs++
	a.Functions += r.Functions
	a.Waiting += len(r.Waiting)
	a.Slowest = max(a.Slowest, r.Took.Microseconds())
	for _, list := range []struct {
		to   *[]string
		from []string
	}{{&a.Kept, r.Kept}, {&a.Conflicts, r.Conflicts}} {
		for _, text := range list.from {
			if len(*list.to) < maxListed && !contains(*list.to, text) {
				*list.to = append(*list.to, text)
			}
		}
	}
}

// tellStuck says at once that an actor keeps all waiting.
func (p *part) tellStuck(ctx context.Context, t target, to *code.Version) {
	where := "it waits behind others, or computes"
	if _, stack, ok := p.stuckAt(ctx, t); ok {
		where = stack
	}
	p.log.Warn("reload: an actor does not come to the end of a handler", "actor", t.String(), "version", to.ID(), "waited", p.cfg.StuckAfter, "gives_up_after", p.cfg.Timeout, "stack", where)
	if p.cfg.stuck != nil {
		p.cfg.stuck(t.String(), where)
	}
}

// back brings all VMs back to the version before, and ends the change. Those that do not come are named; settle goes on trying.
func (p *part) back(ctx context.Context, c *change) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.Timeout)
	defer cancel()
	if c.undo != nil {
		c.undo()
	}
	_, err := p.bringAll(ctx, c, c.from, !c.down)
	c.updates.leave(c.from.ID())
	p.hold(nil)
	if err != nil {
		p.log.Error("reload: not all actors are back on the version before", "version", c.from.ID(), "error", err)
		return fmt.Errorf("reload: not all are back on version %s: %w", c.from.ID(), err)
	}
	return nil
}

// undo ends a change: all is as before. That of an epoch that is not known is undone already.
func (p *part) undo(ctx context.Context, epoch uint64) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.leave()
	defer p.ends(epoch)
	c, err := p.current(epoch)
	switch {
	case err != nil:
		return nil // there is nothing to undo
	case c.begun:
		return p.back(ctx, c)
	}
	c.updates.leave(c.from.ID())
	p.hold(nil)
	return nil
}

// commit ends a change that has been applied: it stays. That of an epoch that is not known has ended already.
func (p *part) commit(ctx context.Context, epoch uint64) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	defer p.leave()
	c, err := p.current(epoch)
	switch {
	case err != nil:
		return nil // there is nothing to commit
	case !c.applied:
		return fmt.Errorf("%w: epoch %d is prepared, and not applied", ErrFenced, epoch)
	}
	c.updates.leave(c.to.ID())
	p.ends(epoch)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds(nil)
	p.behind = ""
	return nil
}

// ends notes that the change of an epoch has ended, so that an order about it that comes late, or once more, begins nothing.
func (p *part) ends(epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = max(p.over, epoch)
}

// isOver tells whether the change of an epoch has ended here.
func (p *part) isOver(epoch uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return epoch <= p.over
}
