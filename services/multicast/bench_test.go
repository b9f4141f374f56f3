package multicast_test

import (
	"strconv"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/services/multicast"
)

// BenchmarkDeliveriesTo1000Subscribers answers: how many deliveries a second reach the handlers of 1,000 Lua services? An op is one delivery.
func BenchmarkDeliveriesTo1000Subscribers(b *testing.B) {
	const subscribers, burst = 1000, 50
	for _, engine := range luatest.Engines(b) {
		b.Run(engine.Name(), func(b *testing.B) {
			r := newRig(b, engine, multicast.Config{})
			a := r.Start("counter")
			r.is("1", a, "new")
			var refs []actor.Ref
			for range subscribers {
				ref := r.Start("counter")
				r.is("", ref, "listen", 1)
				refs = append(refs, ref)
			}
			b.ReportAllocs()
			b.ResetTimer()
			published := 0
			for left := b.N; left > 0; left -= subscribers * burst {
				n := min(burst, (left+subscribers-1)/subscribers)
				published += n
				r.is("", a, "publish", 1, n)
				for _, ref := range refs { // an answer is behind what was published before the question
					if got := r.Call(ref, "count"); got == "" {
						b.Fatal("no answer")
					}
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(published*subscribers)/b.Elapsed().Seconds(), "deliveries/s")
			r.is(strconv.Itoa(published), refs[0], "count")
		})
	}
}
