package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/services/admin"
)

// drainStep is one of the things that a node does before it leaves the others.
type drainStep struct {
	name string
	// share is how much of the time that is left it may take: what comes behind needs some, too.
	share float64
	// run does it, or as much of it as ctx allows. tell says how far it is, for people.
	run func(ctx context.Context, tell func(text string)) error
}

// drainSteps are in the order in which what a node has is given away, those first that would make new things come. Behind them, when the node stops, its doors close, its actors end and save, the newest first, what they
// hold in the cluster is given back, and it says goodbye.
func (n *node) drainSteps() []drainStep {
	return []drainStep{
		{"announce", 1, n.announceDrain},        // nothing new comes
		{"singletons", 0.25, n.yieldSingletons}, // others may be asked for by what moves next
		{"sessions", 0.6, n.moveSessions},       // clients go on elsewhere
		{"grains", 1, n.moveGrains},             // last, as sessions talk to them
	}
}

// announceDrain has no node place anything here any more.
func (n *node) announceDrain(ctx context.Context, _ func(string)) error {
	n.members.SetDraining(true)
	// The others know by the next heartbeat, which goes out at once: what is said behind it arrives behind it.
	return n.peers.Conn().FlushWithContext(ctx)
}

// yieldSingletons has those that run here started elsewhere, all at once: one that takes its time, or does not answer, keeps no other.
func (n *node) yieldSingletons(ctx context.Context, tell func(string)) error {
	keepers := map[string]actor.Ref{}
	for info := range n.sys.Actors() {
		if name, is := strings.CutPrefix(info.Name, names.SingletonName("")); is {
			keepers[name] = info.Ref
		}
	}
	failed := make(chan error, len(keepers))
	for name, keeper := range keepers {
		go func() { // it ends with ctx at the latest
			_, err := n.sys.Ask(ctx, keeper, names.Yield{})
			if err != nil {
				err = fmt.Errorf("singleton %s: %w", name, err)
			}
			failed <- err
		}()
	}
	all := make([]error, 0, len(keepers))
	for range keepers {
		all = append(all, <-failed)
	}
	if err := errors.Join(all...); err != nil || len(keepers) == 0 {
		return err
	}
	tell(fmt.Sprintf("%d are left to others", len(keepers)))
	return nil
}

// moveSessions has the clients of all gates, and the agents of players, go on at other nodes.
func (n *node) moveSessions(ctx context.Context, tell func(string)) error {
	failed := make(chan error, len(n.gates))
	for name, g := range n.gates {
		go func() { // it ends with ctx at the latest
			err := g.Drain(ctx)
			if err != nil {
				err = fmt.Errorf("gate %s: %w", name, err)
			}
			failed <- err
		}()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var all []error
	for done := 0; done < len(n.gates); {
		select {
		case err := <-failed:
			all = append(all, err)
			done++
		case <-tick.C:
			tell(fmt.Sprintf("%d are here still", n.sessions.Count()))
		}
	}
	return errors.Join(all...)
}

// moveGrains has grains go on at other nodes.
func (n *node) moveGrains(ctx context.Context, tell func(string)) error {
	g := n.grains.Load()
	before := g.Count()
	done := make(chan error, 1)
	go func() { done <- g.Drain(ctx) }() // it ends with ctx at the latest
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil && before > 0 {
				tell(fmt.Sprintf("%d have gone", before))
			}
			return err
		case <-tick.C:
			tell(fmt.Sprintf("%d are here still", g.Count()))
		}
	}
}

// drainer drains its node, once at a time.
type drainer struct {
	n    *node
	turn chan struct{} // taken by who drains
	stop chan struct{} // closed when the node is drained and to stop
}

func newDrainer(n *node) *drainer {
	return &drainer{n: n, turn: make(chan struct{}, 1), stop: make(chan struct{})}
}

var (
	errAlreadyDraining = errors.New("it is being drained already")
	errNobodyElse      = errors.New("there is no other node that could take what this one has: stop it instead")
)

// others tells whether there is a node that could take what this one has.
func (d *drainer) others() bool {
	self := d.n.members.Self().Name
	for _, m := range d.n.members.List() {
		if m.Name != self && m.State == cluster.Alive && !m.Draining {
			return true
		}
	}
	return false
}

// order does what an operator has asked for. When all is given away the node is stopped, unless it is to stay; else it goes on with what it has left, and can be drained again.
func (d *drainer) order(ctx context.Context, o admin.DrainOrder, tell func(admin.DrainProgress)) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	default:
		return errAlreadyDraining
	}
	if !d.others() {
		return errNobodyElse
	}
	select {
	case <-d.stop:
		return errAlreadyDraining
	default:
	}
	err := d.run(ctx, time.Duration(o.Timeout)*time.Millisecond, tell)
	if err == nil && !o.Stay {
		close(d.stop)
	}
	return err
}

// leaving drains the node that is told to stop, if there is anybody to take what it has. It waits for a drain that has begun.
func (d *drainer) leaving() {
	within := d.n.project.cfg.Cluster.Drain.Duration
	if within <= 0 || !d.others() {
		return
	}
	begun := time.Now()
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-time.After(within):
		return
	}
	within -= time.Since(begun)
	d.n.log.Info("drain: before the node stops", "within", within.Round(time.Millisecond))
	// What is not given away in time was logged, and ends with the node.
	_ = d.run(context.Background(), within, func(admin.DrainProgress) {})
}

// run does all steps within a time, and tells of each. Steps that fail don't keep the others from being done: what could be given away is.
func (d *drainer) run(ctx context.Context, within time.Duration, tell func(admin.DrainProgress)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var failed []error
	for _, step := range d.n.drainSteps() {
		if err := d.step(ctx, step, tell); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	return errors.Join(failed...)
}

// step does one of them.
func (d *drainer) step(ctx context.Context, s drainStep, tell func(admin.DrainProgress)) error {
	name := d.n.project.cfg.Name
	begun := time.Now()
	if end, ok := ctx.Deadline(); ok {
		share := time.Duration(float64(time.Until(end)) * s.share)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, share, fmt.Errorf("not done within %v", share.Round(time.Millisecond)))
		defer cancel()
	}
	tell(admin.DrainProgress{Node: name, Step: s.name, State: "begun"})
	text := ""
	err := s.run(ctx, func(t string) {
		text = t
		tell(admin.DrainProgress{Node: name, Step: s.name, State: "going", Text: t})
	})
	took := time.Since(begun)
	if err != nil {
		d.n.log.Warn("drain: not all is given away", "step", s.name, "took", took, "err", err)
		tell(admin.DrainProgress{Node: name, Step: s.name, State: "failed", Text: err.Error(), Took: took.Milliseconds()})
		return err
	}
	d.n.log.Info("drain", "step", s.name, "took", took, "text", text)
	tell(admin.DrainProgress{Node: name, Step: s.name, State: "done", Text: text, Took: took.Milliseconds()})
	return nil
}
