package grain_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/grain"
)

// lookLoaded is how often it looks.
const lookLoaded = 5 * time.Millisecond

// slow is a grain that loads until the test lets it.
type slow struct {
	loading *atomic.Int64
	release <-chan struct{}
}

func (s *slow) Load(c *actor.Context, done func(error)) {
	s.loading.Add(1)
	c.Detached(func() {
		var look func()
		look = func() {
			select {
			case <-s.release:
				done(nil)
			default:
				c.After(lookLoaded, look)
			}
		}
		look()
	})
}

func (s *slow) Receive(c *actor.Context, msg any) { c.Reply(msg, nil) }

func TestGrainsThatLoadKeepNoOthersFromStarting(t *testing.T) {
	var loading atomic.Int64
	release := make(chan struct{})
	r := start(t, 2, clustertest.Config{System: patient}, func(r *rig) {
		r.kinds = func(_ int, kinds []grain.Kind) []grain.Kind {
			return append(kinds, grain.Kind{Name: "slow", New: func(grain.Identity) actor.Spec {
				return actor.Spec{New: func() actor.Actor { return &slow{&loading, release} }}
			}})
		}
	})
	var all sync.WaitGroup
	count := 64*runtime.GOMAXPROCS(0) + 100
	for i := range count {
		all.Go(func() {
			if v, err := r.of(i%2).Call(t.Context(), "slow", fmt.Sprint(i), i); err != nil || v != i {
				t.Errorf("slow/%d: %v, %v", i, v, err)
			}
		})
	}
	clustertest.Eventually(t, "all load at the same time", func() bool { return loading.Load() == int64(count) })
	close(release)
	all.Wait()
}

func TestGrainsBeginInTurnsThatRest(t *testing.T) {
	const within = 6 * time.Second
	for _, c := range []struct {
		each, turn time.Duration // of a grain; of a turn and its rest
	}{
		{time.Millisecond, 3 * time.Millisecond},
		{10 * time.Millisecond, 30 * time.Millisecond},
		{100 * time.Millisecond, 150 * time.Millisecond},
	} {
		if n, expected := grain.Begun(within, c.each), 8*int(within/c.turn); n != expected {
			t.Errorf("%d grains a processor have begun in %v that take %v each, expected %d", n, within, c.each, expected)
		}
	}
	if n := grain.Begun(within, time.Hour); n < 8*18 || n > 8*24 {
		t.Errorf("%d grains a processor have begun beside those that never do: they keep others from it for longer than 0.3 s", n)
	}
}
