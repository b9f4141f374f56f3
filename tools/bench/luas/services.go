package luas

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/skua-go/skua/tools/bench/measure"
)

// many is how many services there are where the memory of one is measured.
const many = 10_000

// Spawn is services a second that one service starts, one after the other; their end is not measured.
func (s Suite) Spawn() measure.Func {
	const warm, services = 500, 2000
	return func(ctx context.Context) (float64, error) {
		return s.with(ctx, func(n *node) (float64, error) {
			boss, err := n.start(ctx, "boss")
			if err != nil {
				return 0, err
			}
			alone := n.sys.Stats().Actors
			var took time.Duration
			for _, count := range []int{warm, services} {
				begun := time.Now()
				if _, err := n.call(ctx, boss, "start", "empty", count); err != nil {
					return 0, err
				}
				took = time.Since(begun)
				if alive := n.sys.Stats().Actors - alone; alive != int64(count) {
					return 0, fmt.Errorf("luas: %d services are alive of %d", alive, count)
				}
				if _, err := n.call(ctx, boss, "kill"); err != nil {
					return 0, err
				}
				for n.sys.Stats().Actors > alone {
					runtime.Gosched() // they are about to end
				}
			}
			return services / took.Seconds(), nil
		})
	}
}

// idleBytes is bytes of resident memory a service that has handled one message. It is to run in a process of its own.
func (s Suite) idleBytes(ctx context.Context) (float64, error) {
	return s.population(ctx, "populate", "idle")
}

// agentBytes is the same for agents of a script of some 300 lines that share VMs.
func (s Suite) agentBytes(ctx context.Context) (float64, error) {
	return s.population(ctx, "populate_shards", "agent")
}

func (s Suite) population(ctx context.Context, cmd, script string) (float64, error) {
	return s.with(ctx, func(n *node) (float64, error) {
		boss, err := n.start(ctx, "boss")
		if err != nil {
			return 0, err
		}
		if _, err := n.call(ctx, boss, cmd, script, 1); err != nil { // what all share is there before
			return 0, err
		}
		alone := n.sys.Stats().Actors
		grown, err := measure.Growth(func() error {
			_, err := n.call(ctx, boss, cmd, script, many)
			return err
		})
		if alive := n.sys.Stats().Actors - alone; err == nil && alive < many {
			err = fmt.Errorf("luas: %d services are alive of %d", alive, many)
		}
		return float64(grown) / many, err
	})
}

// killedWait is how long killedBytes waits at most for the memory to be given back, and killedLook how often it looks.
const killedWait, killedLook = time.Minute, 250 * time.Millisecond

// killedBytes is bytes of resident memory a service that is left when all have been killed: once that is under a tenth of what they had, or after a minute.
// Nothing here asks for the memory to be given back; that is the product's own affair. It is to run in a process of its own.
func (s Suite) killedBytes(ctx context.Context) (float64, error) {
	return s.with(ctx, func(n *node) (float64, error) {
		boss, err := n.start(ctx, "boss")
		if err != nil {
			return 0, err
		}
		alone := n.sys.Stats().Actors
		debug.FreeOSMemory()
		before, err := measure.RSS(os.Getpid())
		if err != nil {
			return 0, err
		}
		if _, err := n.call(ctx, boss, "populate", "idle", many); err != nil {
			return 0, err
		}
		peak, err := measure.RSS(os.Getpid())
		if err != nil {
			return 0, err
		}
		if _, err := n.call(ctx, boss, "kill"); err != nil {
			return 0, err
		}
		left, took, err := untilReturned(ctx, before, (peak-before)/10)
		if alive := n.sys.Stats().Actors - alone; err == nil && alive > 0 {
			err = fmt.Errorf("luas: %d services are alive that have been killed", alive)
		}
		what := "was back"
		if left > (peak-before)/10 {
			what = "was not back"
		}
		fmt.Fprintf(os.Stderr, "%d killed services: %d bytes each at the peak, %d left; 90%% %s after %.1f s\n",
			many, (peak-before)/many, left/many, what, took.Seconds())
		return float64(max(left, 0)) / many, err
	})
}

// untilReturned waits until no more than most bytes beyond before are resident, or killedWait has passed. It gives what is left then.
func untilReturned(ctx context.Context, before, most int64) (left int64, took time.Duration, err error) {
	begun := time.Now()
	tick := time.NewTicker(killedLook)
	defer tick.Stop()
	for {
		now, err := measure.RSS(os.Getpid())
		if err != nil {
			return 0, 0, err
		}
		left, took = now-before, time.Since(begun)
		if left <= most || took >= killedWait {
			return left, took, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left, took, errors.Join(errors.New("luas: interrupted while the memory was given back"), ctx.Err())
		}
	}
}
