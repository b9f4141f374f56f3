package names

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/lease"
)

// SingletonConfig tells of an actor of which the cluster has one. Name, Leases, Names and New are required.
type SingletonConfig struct {
	// Name of the singleton: the lease is singleton.NAME, and the name is registered with Names on the node that runs it.
	Name   string
	Leases *lease.Leases
	Names  *Names
	// New makes the Spec of the actor, which must have no Name, each time that this node is to run it. epoch is higher than any that the actor had before, on any node: it goes along with whatever is
	// written somewhere, where lower ones are refused.
	New func(epoch uint64) actor.Spec
	// Again is the pause before the next try when the actor has ended by itself. Default 1 s. Another node may be faster.
	Again time.Duration
}

// SingletonName is the name of the actor of this node that runs a singleton when it is this node's turn.
func SingletonName(name string) string { return "singleton:" + name }

// Singletons take these messages, each by the request that waits for it.
type (
	// Yield has the actor stopped, if it runs here, and its lease given to another node; this node does not compete until Compete. It is answered when that is done.
	Yield struct{}
	// Compete has the node compete again.
	Compete struct{}
)

// Singleton is how to spawn, on each node that may run it, what competes for the singleton. When its node holds the lease, it spawns the actor as its child; the child is killed as soon as the lease is lost, before
// another node can have it, or stopped gracefully before the lease is given back.
func Singleton(cfg SingletonConfig) (actor.Spec, error) {
	if cfg.Name == "" || len(cfg.Name) > maxName || cfg.Leases == nil || cfg.Names == nil || cfg.New == nil {
		return actor.Spec{}, errors.New("names: a singleton needs a Name, Leases, Names and New")
	}
	if cfg.Again <= 0 {
		cfg.Again = time.Second
	}
	return actor.Spec{
		Name: SingletonName(cfg.Name),
		New:  func() actor.Actor { return &singleton{cfg: cfg} },
		// A restart would leave the lease held, with nobody who knows of it.
		Supervision: actor.Supervision{Limit: -1},
	}, nil
}

// singleton competes. It has one wait or one lease at a time.
type singleton struct {
	cfg      SingletonConfig
	cancel   context.CancelFunc // ends the wait for the lease
	lease    *lease.Lease
	child    actor.Ref
	passive  bool
	stopping bool
	yields   []actor.Promise
}

// Start begins to compete.
func (s *singleton) Start(c *actor.Context) error {
	s.compete(c)
	return nil
}

// Stop waits no more. The child is stopped next, and then the lease is given back.
func (s *singleton) Stop(*actor.Context, error) {
	s.stopping = true
	if s.cancel != nil {
		s.cancel()
	}
}

// Receive takes Yield and Compete, and hears of the child's end.
func (s *singleton) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Yield:
		s.passive = true
		s.yields = append(s.yields, c.Promise())
		s.retire(c)
	case Compete:
		s.passive = false
		s.compete(c)
		c.Reply(nil, nil)
	case actor.Terminated:
		if m.Ref == s.child {
			s.ended(c)
		}
	default:
		c.Reply(nil, fmt.Errorf("names: %T is no message of a singleton's keeper", msg))
	}
}

// compete waits for the lease, unless it does already.
func (s *singleton) compete(c *actor.Context) {
	if s.passive || s.stopping || s.cancel != nil || s.lease != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	sys, self := c.System(), c.Self()
	c.Detached(func() {
		c.Go(func(life context.Context) (any, error) { //nolint:contextcheck // the wait has a context of its own
			defer context.AfterFunc(life, cancel)()
			return s.acquire(ctx, sys, self)
		}, func(v any, err error) { //nolint:contextcheck // as above
			s.cancel = nil
			x, _ := v.(*lease.Lease)
			switch {
			case err == nil:
				s.lease = x
				s.run(c)
			case errors.Is(err, context.Canceled):
				cancel()
				s.idle()
				s.compete(c) // it may be wanted again
			default:
				cancel()
				c.Log().Warn("singleton: no lease", "singleton", s.cfg.Name, "error", err)
				s.idle()
				s.later(c)
			}
		})
	})
}

// acquire waits for the lease, off the actor. It is given back when the actor ends, however that comes about: its child has ended by then.
func (s *singleton) acquire(ctx context.Context, sys *actor.System, self actor.Ref) (*lease.Lease, error) {
	x, err := s.cfg.Leases.Acquire(ctx, lease.Key(lease.Singleton, s.cfg.Name), []byte(self.Address()))
	if err != nil {
		return nil, err
	}
	ended := sys.Ended(self)
	go func() { // it ends with the lease
		select {
		case <-x.Done():
		case <-ended:
			_ = x.Release(ctx) // it is given back, whether anybody waits for it or not
		}
	}()
	return x, nil
}

// later competes again after a pause.
func (s *singleton) later(c *actor.Context) {
	if !s.stopping {
		c.After(s.cfg.Again, func() { s.compete(c) })
	}
}

// run spawns the child under the lease.
func (s *singleton) run(c *actor.Context) {
	if s.passive || s.stopping || !s.lease.Held() {
		s.release(c)
		return
	}
	child, err := c.Spawn(s.cfg.New(s.lease.Epoch()))
	if err != nil {
		c.Log().Error("singleton: not started", "singleton", s.cfg.Name, "error", err)
		s.release(c)
		return
	}
	s.child = child
	c.Watch(child)
	// Not by way of the mailbox: what waits there must not keep the child alive.
	sys, held := c.System(), s.lease
	ended := sys.Ended(child)
	go func() { // it ends with the child, and that with the lease
		select {
		case <-held.Done():
			if held.Err() != nil {
				sys.Kill(child, held.Err())
			}
		case <-ended:
		}
	}()
	if err := s.cfg.Names.Register(s.cfg.Name, child, Options{}); err != nil {
		c.Log().Error("singleton: it runs, but can't be found by its name", "singleton", s.cfg.Name, "error", err)
	}
}

// retire ends what this node has of the singleton.
func (s *singleton) retire(c *actor.Context) {
	switch {
	case s.cancel != nil:
		s.cancel()
	case s.lease != nil && !s.child.IsZero():
		c.Stop(s.child, nil)
	case s.lease == nil:
		s.idle()
	}
}

// ended hears that the child has ended.
func (s *singleton) ended(c *actor.Context) {
	s.child = actor.Ref{}
	s.release(c)
}

// release gives the lease back.
func (s *singleton) release(c *actor.Context) {
	held := s.lease
	held.Resign() // at once: what is given to Go is left out if too much waits there
	c.Detached(func() {
		c.Go(func(ctx context.Context) (any, error) { return nil, held.Release(ctx) }, func(_ any, err error) {
			if err != nil {
				c.Log().Warn("singleton: lease", "singleton", s.cfg.Name, "error", err)
			}
			s.lease = nil
			s.idle()
			if !s.passive {
				s.later(c)
			}
		})
	})
}

// idle answers those who have waited for this node to have nothing of the singleton.
func (s *singleton) idle() {
	for _, p := range s.yields {
		p.Reply(nil, nil)
	}
	s.yields = nil
}
