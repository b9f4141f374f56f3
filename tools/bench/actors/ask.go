package actors

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/skua-go/skua/actor"

	"github.com/skua-go/skua/tools/bench/measure"
)

// Ask is ns for a request and its answer between two actors, with inFlight requests at a time.
func Ask(inFlight int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return with(ctx, func(sys *actor.System) (float64, error) {
			f, err := asks(sys, inFlight)
			if err != nil {
				return 0, err
			}
			return measure.PerOp(ctx, f)
		})
	}
}

// AskAllocs is heap objects for a request and its answer between two actors, the caller's continuation included.
func AskAllocs(ctx context.Context) (float64, error) {
	return with(ctx, func(sys *actor.System) (float64, error) {
		f, err := asks(sys, 1)
		if err != nil {
			return 0, err
		}
		return measure.AllocsPerOp(f)
	})
}

func asks(sys *actor.System, inFlight int) (func(n int) error, error) {
	echo, err := spawn(sys, func(c *actor.Context, msg any) { c.Reply(msg, nil) })
	if err != nil {
		return nil, err
	}
	return func(n int) error {
		var failed atomic.Pointer[error]
		err := rally(sys, 1, func(int) (actor.Func, error) {
			m := &message{n: 1}
			left, sent := n, 0
			var again func(c *actor.Context)
			again = func(c *actor.Context) {
				if sent == n {
					return
				}
				sent++
				c.Ask(echo, m, func(_ any, err error) {
					if err != nil {
						failure := err // err itself would be on the heap each time
						failed.Store(&failure)
					}
					if left--; left == 0 {
						finished(nil, c)
						return
					}
					again(c)
				})
			}
			return func(c *actor.Context, _ any) {
				for range inFlight {
					again(c)
				}
			}, nil
		})
		if e := failed.Load(); e != nil {
			err = errors.Join(err, *e)
		}
		return err
	}, nil
}

// AskOutside is ns for a request of a goroutine that is no actor and waits for each answer.
func AskOutside(ctx context.Context) (float64, error) {
	return with(ctx, func(sys *actor.System) (float64, error) {
		echo, err := spawn(sys, func(c *actor.Context, msg any) { c.Reply(msg, nil) })
		if err != nil {
			return 0, err
		}
		return measure.PerOp(ctx, func(n int) error {
			m := &message{n: 1}
			for range n {
				if _, err := sys.Ask(ctx, echo, m); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
