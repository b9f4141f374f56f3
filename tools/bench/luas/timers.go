package luas

import (
	"context"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"

	"github.com/skua-go/skua/tools/bench/measure"
)

// timers is how many a service starts.
const timers = 100_000

// TimerCreate is ns a skynet.timeout of a new function, with up to 100,000 outstanding in the service.
func (s Suite) TimerCreate() measure.Func {
	const rounds = 3
	return func(ctx context.Context) (float64, error) {
		return s.with(ctx, func(n *node) (float64, error) {
			var took time.Duration
			for range rounds {
				ref, err := n.start(ctx, "timers")
				if err != nil {
					return 0, err
				}
				begun := time.Now()
				if _, err := n.call(ctx, ref, "create", timers); err != nil {
					return 0, err
				}
				took += time.Since(begun)
				n.sys.Stop(ref, nil)
			}
			return float64(took.Nanoseconds()) / (rounds * timers), nil
		})
	}
}

// TimerBurst is seconds from the moment when 100,000 timers of one service are due until all have run.
func (s Suite) TimerBurst() measure.Func {
	return func(ctx context.Context) (float64, error) {
		return s.with(ctx, func(n *node) (float64, error) {
			ref, err := n.start(ctx, "timers")
			if err != nil {
				return 0, err
			}
			v, err := n.call(ctx, ref, "burst", timers)
			if err != nil {
				return 0, err
			}
			late, ok := v.Float()
			if !ok || late <= 0 {
				return 0, fmt.Errorf("luas: the timers were late by %v s: they were not all started before they were due", v)
			}
			return late, nil
		})
	}
}

// timerBytes is bytes of resident memory a timer, with its function. It is to run in a process of its own.
func (s Suite) timerBytes(ctx context.Context) (float64, error) {
	return s.with(ctx, func(n *node) (float64, error) {
		ref, err := n.start(ctx, "timers")
		if err != nil {
			return 0, err
		}
		if _, err := n.call(ctx, ref, "create", 1); err != nil {
			return 0, err
		}
		grown, err := measure.Growth(func() error {
			_, err := n.call(ctx, ref, "create", timers)
			return err
		})
		return float64(grown) / timers, err
	})
}

// handlers is how many handlers of one service wait at the same time.
const handlers = 10_000

// waitBytes is bytes of resident memory a handler of one service that waits in skynet.call. It is to run in a process of its own.
func (s Suite) waitBytes(ctx context.Context) (float64, error) {
	return s.with(ctx, func(n *node) (float64, error) {
		never, err := n.sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) {}) }})
		if err != nil {
			return 0, err
		}
		return n.waiting(ctx, "call", int64(never.ID()))
	})
}

// sleepBytes is the same for skynet.sleep.
func (s Suite) sleepBytes(ctx context.Context) (float64, error) {
	return s.with(ctx, func(n *node) (float64, error) { return n.waiting(ctx, "sleep") })
}

func (n *node) waiting(ctx context.Context, cmd string, args ...any) (float64, error) {
	ref, err := n.start(ctx, "waits")
	if err != nil {
		return 0, err
	}
	if _, err := n.call(ctx, ref, "waiting"); err != nil {
		return 0, err
	}
	grown, err := measure.Growth(func() error {
		for range handlers {
			n.sys.Send(ref, lua.Command(cmd, args...))
		}
		v, err := n.call(ctx, ref, "waiting")
		if got, _ := v.Int(); err == nil && got != handlers {
			err = fmt.Errorf("luas: %d handlers wait of %d", got, handlers)
		}
		return err
	})
	return float64(grown) / handlers, err
}
