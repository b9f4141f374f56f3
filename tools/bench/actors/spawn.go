package actors

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"

	"github.com/skua-go/skua/tools/bench/measure"
)

// small is an actor with a little state.
type small struct{ n int }

func (s *small) Receive(_ *actor.Context, msg any) {
	s.n++
	if t, ok := msg.(*touch); ok {
		t.left.Add(-1)
	}
}

// touch is sent to many actors, and counts those that have not handled it.
type touch struct{ left atomic.Int64 }

// wait gives way until all have handled it.
func (t *touch) wait(ctx context.Context) error {
	for t.left.Load() > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		runtime.Gosched()
	}
	return nil
}

func newSmall() actor.Actor { return &small{} }

// Spawn is actors a second, started and stopped by one goroutine, until all have ended; at most 1,088 at a time.
func Spawn(ctx context.Context) (float64, error) {
	return with(ctx, func(sys *actor.System) (float64, error) {
		spec := actor.Spec{New: newSmall}
		ns, err := measure.PerOp(ctx, func(n int) error {
			for i := range n {
				ref, err := sys.Spawn(spec)
				if err != nil {
					return err
				}
				sys.Stop(ref, nil)
				if i%64 == 0 {
					untilAlive(sys, 1024)
				}
			}
			untilAlive(sys, 0)
			return nil
		})
		return float64(time.Second) / ns, err
	})
}

// untilAlive gives way until no more than most actors live. They are about to end, so that takes microseconds.
func untilAlive(sys *actor.System, most int64) {
	for sys.Stats().Actors > most {
		runtime.Gosched()
	}
}

// idleBytes is bytes of resident memory an actor that has handled one message. It is to run in a process of its own, with which the actors end.
func idleBytes(actors int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		sys := actor.New(actor.Config{})
		grown, err := measure.Growth(func() error {
			t := &touch{}
			t.left.Store(int64(actors))
			spec := actor.Spec{New: newSmall}
			for range actors {
				ref, err := sys.Spawn(spec)
				if err != nil {
					return err
				}
				sys.Send(ref, t)
			}
			return t.wait(ctx)
		})
		if alive := sys.Stats().Actors; err == nil && alive != int64(actors) {
			err = fmt.Errorf("actors: %d actors are alive of %d", alive, actors)
		}
		return float64(grown) / float64(actors), err
	}
}
