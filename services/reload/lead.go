package reload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/lease"
	code "github.com/skua-go/skua/lua/reload"
)

// leaseKey is of the lease that whoever leads a change has. Its epoch is that of the change.
func leaseKey() string { return lease.Key("reload", "versions") }

// leadTime bounds the wait for the right to lead, and for what is written at the end.
const leadTime = 10 * time.Second

// leader is what others read of who leads.
type leader struct {
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
}

// lead takes the right to change versions. Of two who want it at a time, one gets ErrBusy, which names the other.
func (s *Service) lead(ctx context.Context, who string) (*lease.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, leadTime)
	defer cancel()
	text, err := json.Marshal(leader{Who: who[:min(len(who), MaxLabel)], Since: time.Now().UTC()})
	if err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	l, err := s.cfg.Leases.Try(ctx, leaseKey(), text)
	var held *lease.HeldError
	if errors.As(err, &held) {
		other := leader{}
		_ = json.Unmarshal(held.Holder.Meta, &other) // of another program, perhaps
		return nil, fmt.Errorf("%w: node %s leads it for %q since %s", ErrBusy, held.Holder.Node, other.Who, held.Holder.Since.UTC().Format(time.TimeOnly))
	}
	if err != nil {
		return nil, fmt.Errorf("reload: the right to change versions: %w", err)
	}
	return l, nil
}

func (s *Service) release(ctx context.Context, l *lease.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leadTime)
	defer cancel()
	if err := l.Release(ctx); err != nil {
		s.log.Warn("reload: the right to change versions was lost, or not given back", "error", err)
	}
}

// others are the nodes that have to take part. Those that are dead, or have left, come to the current version when they are back.
func (s *Service) others() []cluster.Member {
	all := s.cfg.Members.List()
	return slices.DeleteFunc(all, func(m cluster.Member) bool { return m.Name == s.cfg.Name || !m.State.Reachable() })
}

// partners are the nodes that have prepared the change. One that has come since begins with what is current, and comes to what is after it.
func (s *Service) partners() (others []cluster.Member) {
	s.with(func(c *Change) { others = c.others })
	return others
}

// ErrNoSecret is wrapped when there are other nodes, which take no orders.
var ErrNoSecret = errors.New("reload: nodes take orders of each other only where both have cluster.secret (SKUA_CLUSTER_SECRET)")

// prepareAll has all nodes prepare. The first plan is this node's.
func (s *Service) prepareAll(ctx context.Context, o *order, to *code.Version) ([]NodePlan, error) {
	others := s.others()
	s.with(func(c *Change) { c.others = others })
	if len(others) > 0 && s.cfg.Key == nil {
		return nil, fmt.Errorf("%w: %s is there, too", ErrNoSecret, others[0].Name)
	}
	group, err := o.group()
	if err == nil && group != nil {
		err = group.check(s.cfg.Name, others)
	}
	if err != nil {
		return nil, err
	}
	plans, failures := make([]NodePlan, 1+len(others)), make([]error, 1+len(others))
	o.Step = stepPrepare
	var all sync.WaitGroup
	all.Go(func() { plans[0], failures[0] = s.part.prepare(ctx, o.Epoch, to, o.Down, !o.Dry, group) })
	for i := range others {
		all.Go(func() {
			a, err := s.send(ctx, &others[i], *o)
			if failures[i+1] = err; err == nil && a.Plan != nil {
				plans[i+1] = *a.Plan
			}
		})
	}
	all.Wait()
	return plans, errors.Join(failures...)
}

// everywhere applies what all have prepared, and makes it current; or has all go back.
func (s *Service) everywhere(ctx context.Context, l *lease.Lease, o Order, to *code.Version) error {
	var change Change
	s.with(func(c *Change) { change = *c })
	var err error
	if change.group != nil {
		if err = s.canary(ctx, l, o, change.group); err == nil {
			err = s.newcomers(ctx, l, to)
		}
	}
	if err == nil {
		s.step("apply")
		err = s.applyAll(ctx, l.Epoch())
	}
	if err == nil && !l.Held() {
		err = fmt.Errorf("%w: the right to change versions was lost meanwhile", ErrFenced)
	}
	if err == nil {
		s.step("record")
		err = s.makeCurrent(ctx, to, change.revision)
	}
	if err != nil {
		s.step("undo")
		return errors.Join(err, s.undoAll(ctx, l.Epoch()))
	}
	s.commitAll(ctx, l.Epoch())
	s.record(ctx, "done", nil)
	return nil
}

// applyAll has all nodes apply what they have prepared.
func (s *Service) applyAll(ctx context.Context, epoch uint64) error {
	var all sync.WaitGroup
	others := s.partners()
	failures := make([]error, 1+len(others))
	all.Go(func() {
		done, err := s.part.apply(ctx, epoch)
		s.with(func(c *Change) { c.Nodes = append(c.Nodes, done) })
		failures[0] = err
	})
	for i := range others {
		all.Go(func() {
			a, err := s.send(ctx, &others[i], order{Step: stepApply, Epoch: epoch})
			if a.Applied != nil {
				s.with(func(c *Change) { c.Nodes = append(c.Nodes, *a.Applied) })
			}
			failures[i+1] = err
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

// makeCurrent writes the record. If the answer was lost it is read whether it is written.
func (s *Service) makeCurrent(ctx context.Context, to *code.Version, revision uint64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leadTime)
	defer cancel()
	m, err := s.kept.meta(ctx, to.ID())
	if err != nil || m == nil {
		return errors.Join(err, fmt.Errorf("%w: %s", ErrNoVersion, to.ID()))
	}
	c := Current{ID: to.ID(), Sum: m.Sum}
	if folder, err := Read(s.cfg.Scripts); err == nil {
		c.Dir = folder.ID()
	}
	err = s.kept.setCurrent(ctx, c, revision)
	if err == nil {
		return nil
	}
	if now, again := s.kept.current(ctx); again == nil && now != nil && now.ID == c.ID && now.revision > revision {
		return nil
	}
	return err
}

// undoAll has all nodes go back. What a node does not hear it finds out by itself: see resolve.
func (s *Service) undoAll(ctx context.Context, epoch uint64) error {
	if epoch == 0 {
		return nil
	}
	return s.endAll(ctx, order{Step: stepUndo, Epoch: epoch}, s.part.undo)
}

func (s *Service) commitAll(ctx context.Context, epoch uint64) {
	if err := s.endAll(ctx, order{Step: stepCommit, Epoch: epoch}, s.part.commit); err != nil {
		s.log.Warn("reload: a node is not told that the change is done, and finds out by itself", "error", err)
	}
}

func (s *Service) endAll(ctx context.Context, o order, here func(ctx context.Context, epoch uint64) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*s.cfg.Timeout)
	defer cancel()
	var all sync.WaitGroup
	others := s.partners()
	failures := make([]error, 1+len(others))
	all.Go(func() { failures[0] = here(ctx, o.Epoch) })
	for i := range others {
		all.Go(func() { _, failures[i+1] = s.send(ctx, &others[i], o) })
	}
	all.Wait()
	return errors.Join(failures...)
}

// record adds the change to the history.
func (s *Service) record(ctx context.Context, outcome string, why error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leadTime)
	defer cancel()
	c, _ := s.Last()
	e := HistoryEntry{Action: c.Action, Outcome: outcome, ID: c.To, From: c.From, Label: c.Label, Who: c.Who, Node: s.cfg.Name}
	if c.group != nil {
		e.Canary = fmt.Sprintf("%s for %v", c.group, time.Duration(c.Canary.Time)*time.Millisecond)
	}
	if why != nil {
		e.Error = why.Error()
	}
	if c.Plan != nil {
		e.Files = c.Plan.Files
	}
	if err := s.kept.note(ctx, &e); err != nil {
		s.log.Error("reload: the history can't be written", "id", c.To, "outcome", outcome, "error", err)
	}
}
