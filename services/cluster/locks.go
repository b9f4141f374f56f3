package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/cluster/lease"
)

// hold is a lease that a script has.
type hold struct {
	owner   actor.Ref
	lease   *lease.Lease
	waiting []actor.Promise // who wants to hear of its end
}

// take takes a lock: lock waits for it, for as long as its caller does; try and once do not. once keeps it for some seconds, given as the third argument, and tells only whether this was the first.
func (s *service) take(c *actor.Context, cmd string, args value.List) {
	key, err := keyOf(args)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	var keep time.Duration
	if cmd == "once" {
		seconds, ok := args.At(2).Float()
		if keep = time.Duration(seconds * float64(time.Second)); !ok || keep <= 0 || keep > maxOnce {
			c.Reply(nil, fmt.Errorf("%w: once: a time of up to %v is expected in seconds, got %s", errUse, maxOnce, args.At(2)))
			return
		}
	}
	owner, promise := c.From(), c.Promise()
	meta := []byte(owner.Address())
	c.Go(func(ctx context.Context) (any, error) {
		if cmd == "lock" {
			return s.Leases.Acquire(ctx, key, meta)
		}
		return s.Leases.Try(ctx, key, meta)
	}, func(v any, err error) {
		x, _ := v.(*lease.Lease)
		switch {
		case errors.Is(err, lease.ErrHeld) && cmd == "once":
			promise.Reply(value.Of(false), nil)
		case errors.Is(err, lease.ErrHeld):
			promise.Reply(value.Of(nil), nil)
		case errors.Is(err, context.DeadlineExceeded) && cmd == "lock": // the caller's, which may be heard of here before it is there
			promise.Reply(nil, &actor.Error{Code: actor.Deadline, Actor: ServiceName, Text: err.Error()})
		case err != nil:
			promise.Reply(nil, err)
		case cmd == "once":
			s.keep(c, owner, x)
			id := s.last
			c.Detached(func() { c.After(keep, func() { s.release(c, id) }) })
			s.held[id].owner = actor.Ref{} // it outlives the script
			promise.Reply(value.Of(true), nil)
		default:
			s.hand(c, owner, promise, x)
		}
	})
}

// keep notes a lease, and that it has ended when it has.
func (s *service) keep(c *actor.Context, owner actor.Ref, x *lease.Lease) {
	s.last++
	id := s.last
	s.held[id] = &hold{owner: owner, lease: x}
	c.Detached(func() {
		gone := c.Resume(func() { s.over(id, x) })
		go func() { // it ends with the lease
			<-x.Done()
			gone()
		}()
	})
}

// hand gives a lease to a script, unless that waits for it no more.
func (s *service) hand(c *actor.Context, owner actor.Ref, promise actor.Promise, x *lease.Lease) {
	s.keep(c, owner, x)
	id := s.last
	_, alive := s.watched[owner]
	if !alive || !promise.Reply(value.Of(id, int64(x.Epoch())), nil) {
		s.release(c, id)
	}
}

// over tells those who wait for the end of a lease: why it was lost, or nothing if it was released.
func (s *service) over(id int64, x *lease.Lease) {
	h := s.held[id]
	if h == nil {
		return
	}
	delete(s.held, id)
	var reason any
	if err := x.Err(); err != nil {
		reason = err.Error()
	}
	for _, p := range h.waiting {
		p.Reply(value.Of(reason), nil)
	}
}

// release gives a lease back, off the actor.
func (s *service) release(c *actor.Context, id int64) {
	h := s.held[id]
	if h == nil {
		return
	}
	s.give(c, h.lease, func(error) {})
}

func (s *service) give(c *actor.Context, x *lease.Lease, then func(error)) {
	x.Resign() // at once: what is given to Go is left out if whoever has asked gave up, or too much waits there
	c.Go(func(ctx context.Context) (any, error) { return nil, x.Release(ctx) }, func(_ any, err error) { then(err) })
}

// use is the commands on a lock that a script has: release, held, and lost, which waits for its end.
func (s *service) use(c *actor.Context, cmd string, args value.List) {
	id, _ := args.At(0).Int()
	h := s.held[id]
	if h == nil || h.owner != c.From() {
		c.Reply(value.Of(false), nil) // it has ended
		return
	}
	switch cmd {
	case "held":
		c.Reply(value.Of(h.lease.Held()), nil)
	case "lost":
		if len(h.waiting) >= maxWaiting {
			h.waiting = slices.DeleteFunc(h.waiting, func(p actor.Promise) bool { return !p.Open() }) // those who gave up make room
		}
		if len(h.waiting) >= maxWaiting {
			c.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: ServiceName, Text: fmt.Sprintf("%d wait for the end of this lock", maxWaiting)})
			return
		}
		h.waiting = append(h.waiting, c.Promise())
	default:
		promise := c.Promise()
		s.give(c, h.lease, func(err error) {
			if err != nil && !errors.Is(err, lease.ErrLost) {
				promise.Reply(nil, err)
				return
			}
			promise.Reply(value.Of(err == nil), nil)
		})
	}
}

// maxWaiting bounds who waits for the end of one lock.
const maxWaiting = 16
