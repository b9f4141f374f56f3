package actors

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/skua-go/skua/actor"

	"github.com/skua-go/skua/tools/bench/measure"
)

// job is run by an actor that does whatever it is told.
type job func(c *actor.Context)

// does has an actor of its own run what it is given, and waits for that.
func does(sys *actor.System) (func(f job), error) {
	ref, err := spawn(sys, func(c *actor.Context, msg any) {
		if f, ok := msg.(job); ok {
			f(c)
		}
	})
	if err != nil {
		return nil, err
	}
	return func(f job) {
		done := make(chan struct{})
		sys.Send(ref, job(func(c *actor.Context) {
			f(c)
			close(done)
		}))
		<-done
	}, nil
}

func nothing() {}

// arm starts n timers that are due a minute from now at the earliest and within an hour after that, evenly.
func arm(c *actor.Context, n int) {
	for i := range n {
		c.After(time.Minute+time.Hour*time.Duration(i)/time.Duration(n), nothing)
	}
}

// TimerCreate is ns to start a timer and cancel it in an actor that has others outstanding. What the timer would run is not made anew each time.
func TimerCreate(outstanding int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return with(ctx, func(sys *actor.System) (float64, error) {
			do, err := does(sys)
			if err != nil {
				return 0, err
			}
			do(func(c *actor.Context) { arm(c, outstanding) })
			return measure.PerOp(ctx, func(n int) (err error) {
				do(func(c *actor.Context) {
					for i := range n {
						// Between 5 and 6 s, as deadlines are.
						if !c.After(5*time.Second+time.Duration(i%1000)*time.Millisecond, nothing).Cancel() {
							err = errors.New("actors: a timer was not to be cancelled")
						}
					}
				})
				return err
			})
		})
	}
}

// outstandingTimers is how many timers timerBytes and timerIdleCPU start.
const outstandingTimers = 1_000_000

// timerBytes is bytes of resident memory a timer of one actor, without what it would run. It is to run in a process of its own, with which the
// actor ends.
func timerBytes(context.Context) (float64, error) {
	do, err := does(actor.New(actor.Config{}))
	if err != nil {
		return 0, err
	}
	grown, err := measure.Growth(func() error {
		do(func(c *actor.Context) { arm(c, outstandingTimers) })
		return nil
	})
	runtime.KeepAlive(do)
	return float64(grown) / outstandingTimers, err
}

// timerIdleCPU is per cents of a core that the process uses while timers of one actor wait, none of which is due. It is to run in a process of
// its own.
func timerIdleCPU(ctx context.Context) (float64, error) {
	const settle, window = 500 * time.Millisecond, 2 * time.Second
	do, err := does(actor.New(actor.Config{}))
	if err != nil {
		return 0, err
	}
	do(func(c *actor.Context) { arm(c, outstandingTimers) })
	runtime.GC() // what it leaves to be swept is swept before the window begins
	if err := pause(ctx, settle); err != nil {
		return 0, err
	}
	before, err := measure.CPUTime()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := pause(ctx, window); err != nil {
		return 0, err
	}
	after, err := measure.CPUTime()
	return 100 * float64(after-before) / float64(time.Since(begun)), err
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
