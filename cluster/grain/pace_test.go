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

func TestGrainsBeginAtABoundedPace(t *testing.T) {
	if n := grain.Begun(10*time.Second, 0); n < 40_000 || n > 40_300 {
		t.Errorf("%d grains a processor have begun in 10 s, expected 4,000 a second and 256 at once", n)
	}
	if n := grain.Begun(10*time.Second, 100*time.Millisecond); n != 8*101 {
		t.Errorf("%d grains a processor have begun that take 100 ms each, expected 8 at a time", n)
	}
}
