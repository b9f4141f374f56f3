package reload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/lua"
	code "github.com/skua-go/skua/lua/reload"
)

// Bounds of Order.CanaryTime.
const (
	MinCanaryTime = 100 * time.Millisecond
	MaxCanaryTime = 24 * time.Hour
)

// The outcomes of a canary.
const (
	outcomePassed = "passed"
	outcomeErrors = "errors"
	outcomeTime   = "time"
	outcomeFew    = "few"
	outcomeNode   = "node"
	outcomeEnded  = "ended"
	outcomeFailed = "failed"
)

// Canary is what is known of the group that tries a version first.
type Canary struct {
	Group    string     `json:"group"`
	Time     int64      `json:"time_ms" doc:"How long it is watched."`
	Until    time.Time  `json:"until,omitzero" doc:"When it goes on to all, if nothing is worse by then."`
	VMs      int        `json:"vms" doc:"VMs of the group that were brought over; those that have begun since are not among them."`
	Handlers []Handlers `json:"handlers,omitempty" doc:"What handlers have done with the old version and with the new one; only scripts that have run with the new one."`
	Outcome  string     `json:"outcome,omitempty" enum:"passed,errors,time,few,node,ended,failed" doc:"passed: it went on to all. errors, time: the new version was worse. few: it had too few messages. node: a node of the group is gone. ended: by an operator. failed: an actor could not go over."`
	EndedBy  string     `json:"ended_by,omitempty"`
}

// CanaryError says why a canary was taken back.
type CanaryError struct {
	Outcome, Why string
}

func (e *CanaryError) Error() string { return "reload: the canary is taken back: " + e.Why }

// canary has the group run the version, and watches it for its time. It returns nil if the version is to go on to all.
//
//nolint:contextcheck // the two contexts are on purpose: what is begun is ended, also when the canary is to end
func (s *Service) canary(ctx context.Context, l *lease.Lease, o Order, g *Group) error {
	trying := s.tryingNow()
	s.metrics.canary(true)
	defer s.metrics.canary(false)
	err := s.watch(ctx, trying, l, o, g)
	if ctx.Err() != nil {
		err = &CanaryError{outcomeNode, "the node that leads it ends"}
	}
	outcome := outcomePassed
	s.with(func(c *Change) {
		if err == nil {
			err = context.Cause(trying) // who ends it from here on is too late
		}
		defer c.cancel(nil)
		c.cancel = nil
		var why *CanaryError
		switch {
		case errors.As(err, &why):
			outcome = why.Outcome
		case err != nil:
			outcome = outcomeFailed
		}
		c.Canary.Outcome = outcome
	})
	s.metrics.canaries.WithLabelValues(outcome).Inc()
	return err
}

// tryingNow ends when the canary is to end, or the node.
func (s *Service) tryingNow() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.trying
}

func (s *Service) watch(ctx, trying context.Context, l *lease.Lease, o Order, g *Group) error {
	w := &watch{s: s, epoch: l.Epoch(), group: g, heard: map[string]time.Time{}, vms: map[string]int{}, figures: map[string]map[string]map[string]lua.Figures{}}
	s.with(func(c *Change) { w.from, w.to = c.From, c.To })
	if w.alone() {
		// All of its kind go over: what it is compared with is what they did before.
		s.step("measure")
		if err := pauseFor(trying, o.CanaryTime/baseline); err != nil {
			return err
		}
	}
	if err := trying.Err(); err != nil {
		return context.Cause(trying)
	}
	s.step("canary")
	if err := w.begin(ctx); err != nil {
		return err
	}
	w.tally()
	s.with(func(c *Change) { c.Canary.Until = time.Now().Add(o.CanaryTime).UTC() })
	s.log.Info("reload: a canary has begun", "group", g.String(), "from", w.from, "to", w.to, "who", o.Who, "time", o.CanaryTime)
	end := time.NewTimer(o.CanaryTime)
	defer end.Stop()
	tick := time.NewTicker(max(min(o.CanaryTime/looks, lookEvery), MinCanaryTime/looks))
	defer tick.Stop()
	for over := false; ; {
		select {
		case <-trying.Done():
			return context.Cause(trying)
		case <-tick.C:
		case <-end.C:
			over = true
		}
		if !l.Held() {
			return fmt.Errorf("%w: the right to change versions was lost meanwhile", ErrFenced)
		}
		if err := w.look(ctx); err != nil {
			return err
		}
		all := w.tally()
		if outcome, why := s.cfg.Limits.judge(all); outcome != "" {
			return &CanaryError{outcome, why}
		}
		if n := handled(all); over && n < uint64(s.cfg.Limits.Messages) {
			return &CanaryError{outcomeFew, fmt.Sprintf("nothing is known of it: the group has handled %d messages within %v, expected at least %d", n, o.CanaryTime, s.cfg.Limits.Messages)}
		}
		if over {
			return nil
		}
	}
}

const (
	looks    = 10 // in the time of a canary, at least
	baseline = 3  // the part of its time for which it is counted before, if none stay behind
)

func pauseFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// watch is a canary, as the node that leads it sees it.
type watch struct {
	s        *Service
	epoch    uint64
	group    *Group
	from, to string

	mu      sync.Mutex
	heard   map[string]time.Time // when a node has last told
	vms     map[string]int       // of the group, by node
	figures map[string]map[string]map[string]lua.Figures
}

// alone tells whether nobody goes on with the old version of what the group runs.
func (w *watch) alone() bool {
	return w.group.Kind == ByService || w.group.Kind == ByNode && len(w.group.Names) > len(w.s.partners())
}

// begin has the group of all nodes go over.
func (w *watch) begin(ctx context.Context) error {
	others := w.s.partners()
	failures := make([]error, 1+len(others))
	var all sync.WaitGroup
	all.Go(func() {
		done, err := w.s.part.try(ctx, w.epoch)
		w.add(w.s.cfg.Name, &done, nil)
		failures[0] = err
	})
	for i := range others {
		all.Go(func() {
			a, err := w.s.send(ctx, &others[i], order{Step: stepTry, Epoch: w.epoch})
			w.add(others[i].Name, a.Applied, nil)
			failures[i+1] = err
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	n := 0
	for _, vms := range w.vms {
		n += vms
	}
	if n == 0 {
		return &CanaryError{outcomeFew, fmt.Sprintf("nobody is in the group %q; of a share, that is so if no node has two VMs of a script that the change is about", w.group)}
	}
	return nil
}

// look asks all nodes for what they have counted.
func (w *watch) look(ctx context.Context) error {
	if err := w.miss(); err != nil {
		return err
	}
	others := w.s.partners()
	failures := make([]error, 1+len(others))
	var all sync.WaitGroup
	all.Go(func() {
		done, figures, err := w.s.part.look(ctx, w.epoch)
		if failures[0] = err; err == nil {
			w.add(w.s.cfg.Name, &done, figures)
		}
	})
	for i := range others {
		all.Go(func() {
			name := others[i].Name
			a, err := w.s.send(ctx, &others[i], order{Step: stepLook, Epoch: w.epoch})
			switch {
			case err == nil:
				w.add(name, a.Applied, a.Figures)
			case a.Error != "" || w.silent(name) > w.s.cfg.Timeout:
				failures[i+1] = err
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// silent is for how long a node has not told.
func (w *watch) silent(name string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.heard[name])
}

// miss finds the nodes that are gone. One that had nobody of the group is no loss; one that had may have died of the new version.
func (w *watch) miss() error {
	var gone []cluster.Member
	for _, m := range w.s.partners() {
		now, known := w.s.cfg.Members.Find(m.Name)
		if !known || now.Incarnation != m.Incarnation || !now.State.Reachable() {
			gone = append(gone, m)
		}
	}
	for _, m := range gone {
		w.s.with(func(c *Change) {
			c.others = slices.DeleteFunc(slices.Clone(c.others), func(o cluster.Member) bool { return o.Name == m.Name })
		})
		if n := w.vms[m.Name]; n > 0 {
			return &CanaryError{outcomeNode, fmt.Sprintf("node %s is gone, on which %d VMs were of the group", m.Name, n)}
		}
		w.s.log.Warn("reload: a node is gone that had nobody of the canary's group, which goes on", "node", m.Name)
	}
	return nil
}

func (w *watch) add(node string, done *Applied, figures map[string]map[string]lua.Figures) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard[node] = time.Now()
	if done != nil {
		w.vms[node] += done.VMs
	}
	if figures != nil {
		w.figures[node] = figures
	}
}

// tally puts together what is known, and shows it to those who look.
func (w *watch) tally() []Handlers {
	nodes := make([]map[string]map[string]lua.Figures, 0, len(w.figures))
	for _, f := range w.figures {
		nodes = append(nodes, f)
	}
	all := tally(nodes, w.from, w.to)
	n := 0
	for _, vms := range w.vms {
		n += vms
	}
	w.s.with(func(c *Change) {
		shown := *c.Canary // the one before may be read
		shown.VMs, shown.Handlers = n, all[:min(len(all), maxListed)]
		c.Canary = &shown
	})
	return all
}

// newcomers has the nodes prepare that have joined during the canary.
func (s *Service) newcomers(ctx context.Context, l *lease.Lease, to *code.Version) error {
	partners := s.partners()
	m, err := s.kept.meta(ctx, to.ID())
	if err != nil || m == nil {
		return errors.Join(err, fmt.Errorf("%w: %s", ErrNoVersion, to.ID()))
	}
	for _, other := range s.others() {
		if slices.ContainsFunc(partners, func(p cluster.Member) bool { return p.Name == other.Name && p.Incarnation == other.Incarnation }) {
			continue
		}
		a, err := s.send(ctx, &other, order{Step: stepPrepare, Epoch: l.Epoch(), To: to.ID(), Sum: m.Sum})
		if err != nil {
			return err
		}
		s.with(func(c *Change) {
			c.others = append(slices.Clone(c.others), other)
			if a.Plan != nil && c.Plan != nil {
				plan := *c.Plan
				plan.Nodes = append(slices.Clone(plan.Nodes), *a.Plan)
				c.Plan = &plan
			}
		})
	}
	return nil
}

// endCanary ends the canary that this node leads, under that epoch unless it is 0, and gives what it was for. ErrBusy if there is none, or none any more.
func (s *Service) endCanary(ctx context.Context, who string, epoch uint64) (Change, error) {
	s.mu.Lock()
	c, end := s.now, s.end
	if c != nil && epoch != 0 && c.epoch != epoch {
		s.mu.Unlock()
		return Change{}, fmt.Errorf("%w: it is to end the canary of epoch %d, and this is %d", ErrFenced, epoch, c.epoch)
	}
	if c == nil || c.State != Running || c.cancel == nil {
		s.mu.Unlock()
		return Change{}, fmt.Errorf("%w: and it is no canary, or has gone on to all", ErrBusy)
	}
	number := c.Number
	shown := *c.Canary
	shown.EndedBy = who
	c.Canary = &shown
	c.cancel(&CanaryError{outcomeEnded, fmt.Sprintf("%s has ended it", who)})
	s.mu.Unlock()
	select {
	case <-end:
	case <-ctx.Done():
	}
	last, _ := s.Last()
	if last.Number != number { // another one has begun since
		return Change{}, fmt.Errorf("%w: the canary has ended, and another change has begun", ErrBusy)
	}
	return last, nil
}

// endElsewhere ends the canary that another node leads. busy is why this one can't lead.
func (s *Service) endElsewhere(ctx context.Context, o *Order, busy error) error {
	holder, err := s.cfg.Leases.Holder(ctx, leaseKey())
	if err != nil || holder.Node == "" || holder.Node == s.cfg.Name {
		return busy
	}
	leader, known := s.cfg.Members.Find(holder.Node)
	if !known {
		return busy
	}
	who := o.Who
	a, err := s.send(ctx, &leader, order{Step: stepEnd, Epoch: holder.Epoch, Who: who[:min(len(who), MaxLabel)]})
	if err != nil {
		return errors.Join(busy, err)
	}
	s.with(func(c *Change) { c.From, c.To, c.Canary = a.From, a.To, a.Canary })
	return nil
}

// canary reads the group of an order; nil if it is for all.
func (o *Order) canary(usual time.Duration) (*Group, error) {
	if o.Canary == "" {
		return nil, nil //nolint:nilnil // it is for all
	}
	if o.Rollback {
		return nil, errors.New("reload: a rollback goes to all at once")
	}
	if o.CanaryTime == 0 {
		o.CanaryTime = usual
	}
	if o.CanaryTime < MinCanaryTime || o.CanaryTime > MaxCanaryTime {
		return nil, fmt.Errorf("reload: the time of a canary: found %v, expected %v to %v", o.CanaryTime, MinCanaryTime, MaxCanaryTime)
	}
	g, err := ParseGroup(o.Canary)
	return &g, err
}

// endsCanary tells whether an order ends the canary that goes on, if there is one: a version that has not been made current is what it goes back from.
func (o *Order) endsCanary() bool { return o.Rollback && o.To == "" && !o.DryRun }

// tries tells whether this node leads a canary that can be ended.
func (s *Service) tries() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now != nil && s.now.State == Running && s.now.cancel != nil
}

// rollbackCanary ends the canary that this node leads. What is answered is the rollback, or, if that takes longer than wait, the change that is still being undone.
func (s *Service) rollbackCanary(who string, wait time.Duration) (Change, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	c, err := s.endCanary(ctx, who, 0)
	if err != nil || c.State == Running {
		return c, err
	}
	if c.Canary.Outcome != outcomeEnded {
		return Change{}, fmt.Errorf("%w: the canary of version %s had just ended: %s", ErrBusy, c.To, c.Canary.Outcome)
	}
	return Change{Number: c.Number, Action: "rollback", Who: who, Began: c.Began, State: Done, Step: "end", From: c.To, To: c.From, Canary: c.Canary, Took: c.Took}, nil
}
