package reload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/cluster"
	code "github.com/skua-go/skua/lua/reload"
)

// Order asks for a change.
type Order struct {
	// Rollback goes to a version that is kept, and not to what lies in the folder: To, or the one before the current one.
	Rollback bool
	To       string
	// DryRun tells what would be done.
	DryRun bool
	// Test runs the project's tests first.
	Test  bool
	Label string
	Who   string
	// Canary is the group that tries the version first, as ParseGroup reads it; empty: all go over at once.
	Canary string
	// CanaryTime is how long it is watched. Default Config.CanaryTime.
	CanaryTime time.Duration
}

// The states of a Change.
const (
	Running = "running"
	Done    = "done"
	Undone  = "undone"
)

// MaxLabel is how long a label may be, in bytes.
const MaxLabel = 120

// Change is a change of versions that somebody has asked for.
type Change struct {
	Number int       `json:"number" doc:"Counts the changes that this node was asked for, since it began."`
	Action string    `json:"action" enum:"reload,rollback"`
	DryRun bool      `json:"dry_run,omitempty"`
	Label  string    `json:"label,omitempty"`
	Who    string    `json:"who"`
	Began  time.Time `json:"began"`
	State  string    `json:"state" enum:"running,done,undone" doc:"undone: nothing has changed, and error says why."`
	Step   string    `json:"step" enum:"read,check,test,prepare,measure,canary,apply,undo,record,end"`
	From   string    `json:"from,omitempty"`
	To     string    `json:"to,omitempty" doc:"The same as from if there is nothing to do."`
	Plan   *Plan     `json:"plan,omitempty"`
	Canary *Canary   `json:"canary,omitempty"`
	Nodes  []Applied `json:"nodes,omitempty" doc:"What was done on each node."`
	Stuck  []Stuck   `json:"stuck,omitempty" doc:"Actors that keep the others waiting."`
	Error  string    `json:"error,omitempty"`
	Took   int64     `json:"took_ms,omitempty"`

	failure  error
	epoch    uint64                  // of who leads it
	revision uint64                  // of the record of what is current
	others   []cluster.Member        // that take part
	group    *Group                  // of a canary
	trying   context.Context         //nolint:containedctx // ends when the canary is to end
	cancel   context.CancelCauseFunc // of trying; nil when it is too late for that
}

// VMs are how many have been brought over: those of the canary, if there was one, and all others.
func (c *Change) VMs() int {
	vms := 0
	for i := range c.Nodes {
		vms += c.Nodes[i].VMs
	}
	if c.Canary != nil {
		vms += c.Canary.VMs
	}
	return vms
}

// Plan is what a change does.
type Plan struct {
	Files    []FileChange `json:"files"`
	New      []string     `json:"new,omitempty" doc:"Functions, as file:line name."`
	Changed  []string     `json:"changed,omitempty"`
	Gone     []string     `json:"gone,omitempty"`
	State    []string     `json:"state,omitempty" doc:"Variables and fields that are added."`
	Values   []string     `json:"values,omitempty" doc:"Constants and tables of the source that follow it."`
	Warnings []string     `json:"warnings,omitempty" doc:"What has changed in the source and is not going to be so in what runs."`
	Nodes    []NodePlan   `json:"nodes" doc:"What there is of it on each node."`
}

// Stuck is an actor that does not come to the end of a handler.
type Stuck struct {
	Actor string `json:"actor"`
	Stack string `json:"stack,omitempty"`
}

// Begin begins a change, and returns when it has ended, or after wait; it goes on then. The error is for what can't be begun.
func (s *Service) Begin(o Order, wait time.Duration) (Change, error) {
	if len(o.Label) > MaxLabel {
		return Change{}, fmt.Errorf("reload: a label of %d bytes, expected at most %d", len(o.Label), MaxLabel)
	}
	if o.To != "" && !isID(o.To) {
		return Change{}, fmt.Errorf("reload: found %q, expected the ID of a version: 16 hexadecimal digits, as `skua versions` lists them", clip(o.To))
	}
	group, err := o.canary(s.cfg.CanaryTime)
	if err != nil {
		return Change{}, err
	}
	if o.endsCanary() && s.tries() {
		return s.rollbackCanary(o.Who, wait)
	}
	s.mu.Lock()
	if s.life == nil || s.life.Err() != nil || s.closed {
		s.mu.Unlock()
		return Change{}, fmt.Errorf("%w: the node starts, or stops", ErrBusy)
	}
	if s.now != nil && s.now.State == Running {
		defer s.mu.Unlock()
		err := fmt.Errorf("%w: %s by %s, since %s", ErrBusy, s.now.Action, s.now.Who, s.now.Began.Format(time.TimeOnly))
		if s.now.cancel != nil {
			err = fmt.Errorf("%w; it is a canary, which `skua rollback` ends", err)
		}
		return Change{}, err
	}
	c := &Change{Number: 1, Action: "reload", DryRun: o.DryRun, Label: o.Label, Who: o.Who, Began: time.Now().UTC(), State: Running, Step: "read"}
	if o.Rollback {
		c.Action = "rollback"
	}
	if s.now != nil {
		c.Number += s.now.Number
	}
	end := make(chan struct{})
	s.now, s.end = c, end
	life := s.life
	if c.group = group; group != nil && !o.DryRun {
		c.Canary = &Canary{Group: group.String(), Time: o.CanaryTime.Milliseconds()}
		c.trying, c.cancel = context.WithCancelCause(life)
	}
	s.task(func() { s.run(life, o, end) })
	s.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-end:
	case <-timer.C:
	}
	last, _ := s.Last()
	return last, nil
}

// Last is the change that is under way, or the last one; false if there was none.
func (s *Service) Last() (Change, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return Change{}, false
	}
	c := *s.now
	c.Stuck, c.Nodes = slices.Clone(c.Stuck), slices.Clone(c.Nodes)
	return c, true
}

// Await waits for the end of the change that is under way.
func (s *Service) Await(ctx context.Context) (Change, error) {
	s.mu.Lock()
	end := s.end
	s.mu.Unlock()
	if end != nil {
		select {
		case <-end:
		case <-ctx.Done():
			return Change{}, context.Cause(ctx)
		}
	}
	c, _ := s.Last()
	return c, c.failure
}

// with changes what is told of the change under way.
func (s *Service) with(f func(c *Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.now)
}

func (s *Service) step(name string) { s.with(func(c *Change) { c.Step = name }) }

func (s *Service) isStuck(actor, where string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil && s.now.State == Running && len(s.now.Stuck) < maxListed {
		s.now.Stuck = append(s.now.Stuck, Stuck{Actor: actor, Stack: where})
	}
}

// run is the change, from its begin to its end. Those who have asked may be gone.
func (s *Service) run(life context.Context, o Order, end chan struct{}) {
	err := s.change(life, o)
	s.mu.Lock()
	c := s.now
	c.Step, c.State, c.Took, c.failure = "end", Done, time.Since(c.Began).Milliseconds(), err
	if err != nil {
		c.State, c.Error = Undone, err.Error()
	}
	if c.cancel != nil {
		c.cancel(nil)
		c.cancel = nil
	}
	last, ended := *c, s.ended
	s.mu.Unlock()
	defer close(end)
	s.tell(&last)
	if ended != nil {
		ended(last)
	}
}

func (s *Service) tell(c *Change) {
	if c.DryRun {
		return
	}
	s.metrics.ended(c)
	log := s.log
	if c.Canary != nil {
		log = log.With("canary", c.Canary.Group, "outcome", c.Canary.Outcome)
	}
	log = log.With("action", c.Action, "who", c.Who, "from", c.From, "to", c.To, "took", time.Duration(c.Took)*time.Millisecond)
	switch {
	case c.Canary != nil && c.Canary.Outcome == outcomeEnded:
		log.Info("reload: the canary is ended, and nothing has changed", "by", c.Canary.EndedBy)
	case c.State == Undone:
		log.Error("reload: nothing has changed", "error", c.Error)
	case c.From == c.To:
		log.Info("reload: there is nothing to change")
	default:
		log.Info("reload: done", "label", c.Label, "nodes", len(c.Nodes), "vms", c.VMs())
		if c.Plan != nil && len(c.Plan.Warnings) > 0 {
			log.Warn("reload: not all that has changed in the scripts is so in what runs", "warnings", strings.Join(c.Plan.Warnings[:min(len(c.Plan.Warnings), maxLogged)], "; "), "in_all", len(c.Plan.Warnings))
		}
	}
}

// maxLogged bounds the warnings in a line of the log.
const maxLogged = 5

// errSame says that there is nothing to do.
var errSame = errors.New("reload: nothing has changed")

// change does it, with the right to do so.
func (s *Service) change(ctx context.Context, o Order) error {
	if o.DryRun {
		_, err := s.plan(ctx, o, 0)
		if errors.Is(err, errSame) {
			return nil
		}
		return err
	}
	l, err := s.lead(ctx, o.Who)
	if errors.Is(err, ErrBusy) && o.endsCanary() {
		return s.endElsewhere(ctx, &o, err)
	}
	if err != nil {
		return err
	}
	defer s.release(ctx, l)
	s.with(func(c *Change) { c.epoch = l.Epoch() })
	to, err := s.plan(ctx, o, l.Epoch())
	if errors.Is(err, errSame) {
		return nil
	}
	if err == nil {
		err = s.everywhere(ctx, l, o, to)
	}
	if err != nil && to != nil {
		s.record(ctx, "undone", err)
	}
	return err
}

// plan reads and checks the version, and has all nodes prepare the change. With epoch 0 they only tell what it would be.
func (s *Service) plan(ctx context.Context, o Order, epoch uint64) (*code.Version, error) {
	from := s.cfg.Runtime.Version()
	current, err := s.kept.current(ctx)
	switch {
	case err != nil:
		return nil, err
	case current == nil:
		return nil, errors.New("reload: the node has not begun yet")
	}
	s.with(func(c *Change) { c.From, c.To, c.revision = from.ID(), from.ID(), current.revision })
	to, err := s.wanted(ctx, o, from)
	if err != nil {
		return nil, err
	}
	s.with(func(c *Change) { c.To = to.ID() })
	if to.ID() == from.ID() && to.ID() == current.ID {
		return nil, errSame
	}
	s.step("check")
	if s.cfg.Check != nil && !o.Rollback {
		if err := s.cfg.Check(to, from); err != nil {
			return nil, err
		}
	}
	if o.Test {
		if err := s.test(ctx, to); err != nil {
			return nil, err
		}
	}
	s.step("prepare")
	sum, err := s.kept.save(ctx, to)
	if err != nil {
		return nil, err
	}
	plans, err := s.prepareAll(ctx, &order{Epoch: epoch, To: to.ID(), Sum: sum, Down: o.Rollback, Dry: epoch == 0, Group: o.Canary}, to)
	if err != nil {
		return to, errors.Join(err, s.undoAll(ctx, epoch))
	}
	s.with(func(c *Change) { c.Plan = planOf(plans, changes(from, to, false)) })
	return to, nil
}

// wanted is the version that the order is about.
func (s *Service) wanted(ctx context.Context, o Order, from *code.Version) (*code.Version, error) {
	if !o.Rollback {
		return Read(s.cfg.Scripts)
	}
	id := o.To
	if id == "" {
		history, err := s.kept.history(ctx)
		if err != nil {
			return nil, err
		}
		if id = before(history, from.ID()); id == "" {
			return nil, fmt.Errorf("%w: none was current before %s", ErrNoVersion, from.ID())
		}
	}
	if id == from.ID() {
		return from, nil
	}
	return s.kept.load(ctx, id, "")
}

// before is the version that was current before one. A rollback of a rollback goes further back, and not to and fro.
func before(history []HistoryEntry, id string) string {
	gone := map[string]bool{id: true} // what was left by going back
	for i := range history {
		e := &history[i]
		if e.Outcome != "done" {
			continue
		}
		if e.Action == "rollback" || e.Action == "fallback" {
			gone[e.From] = true
			continue
		}
		if e.ID == id && e.From != "" && !gone[e.From] {
			return e.From
		}
	}
	for i := range history {
		if e := &history[i]; e.Outcome == "done" && !gone[e.ID] {
			return e.ID
		}
	}
	return ""
}

// test runs the project's tests on what lies in the folder, which is the version unless somebody changes it meanwhile.
func (s *Service) test(ctx context.Context, to *code.Version) error {
	if s.cfg.Test == nil {
		return errors.New("reload: this node has no project's folder whose tests it could run")
	}
	s.step("test")
	if err := s.cfg.Test(ctx); err != nil {
		return fmt.Errorf("reload: the tests of version %s: %w", to.ID(), err)
	}
	again, err := Read(s.cfg.Scripts)
	if err == nil && again.ID() != to.ID() {
		err = fmt.Errorf("reload: the scripts were changed while they were tested: they are version %s now, and were %s", again.ID(), to.ID())
	}
	return err
}

// scriptOf is the name by which services are started from a file.
func scriptOf(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(file, ".lua"), "/init"), "/", ".")
}

func planOf(nodes []NodePlan, files []FileChange) *Plan {
	p := &Plan{Files: files, Nodes: nodes}
	of := nodes[0].plan
	p.New, p.Changed, p.Gone, p.State, p.Values, p.Warnings = of.New, of.Changed, of.Gone, of.State, of.Values, slices.Clone(of.Warnings)
	for i := range nodes {
		for _, c := range nodes[i].Orphans {
			how := "is gone"
			if slices.ContainsFunc(files, func(f FileChange) bool { return f.Change == "new" && scriptOf(f.File) == c.Script }) {
				how = "is back"
			}
			p.Warnings = append(p.Warnings, fmt.Sprintf("the script %s %s: %d of node %s go on with the code that they have, until they are started anew", c.Script, how, c.Actors, nodes[i].Node))
		}
	}
	return p
}
