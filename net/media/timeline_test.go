package media_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/net/media"
)

func TestTicksAndTimesAreTheSameBothWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.SampledFrom([]int64{1000, 8000, 44100, 48000, 90000, 1_000_000}).Draw(t, "rate")
		ticks := rapid.Int64Range(-rate*86400*365, rate*86400*365).Draw(t, "ticks")
		if got := media.Ticks(media.FromTicks(ticks, rate), rate); got != ticks {
			t.Fatalf("%d ticks of %d a second come back as %d", ticks, rate, got)
		}
	})
}

func TestCountersThatWrapGoOn(t *testing.T) {
	for _, rate := range []int64{1000, 90000} {
		u := media.Unwrap{Rate: rate}
		start := u.At(math.MaxUint32 - 10)
		for _, c := range []struct {
			counter uint32
			after   int64
		}{{math.MaxUint32, 10}, {5, 16}, {math.MaxUint32 - 1, 9}, {20, 31}} {
			if got := u.At(c.counter) - start; got-media.FromTicks(c.after, rate) > time.Nanosecond || media.FromTicks(c.after, rate)-got > time.Nanosecond {
				t.Errorf("counter %d is %v after the first, want %d ticks", c.counter, got, c.after)
			}
		}
	}
}
