package acceptance_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// window is a part of the test, and what players and operators see in it.
type window struct {
	took []time.Duration // of players' requests, sorted
	outcome
	lasted                     time.Duration
	cpu                        [3]cpu
	goroutines, heap, resident float64 // peaks
}

// at is what this share of the requests took at most.
func (w *window) at(share float64) time.Duration {
	if len(w.took) == 0 {
		return 0
	}
	return w.took[int(share*float64(len(w.took)-1))]
}

// moreCPU is what a process has used more than it would have had all been as in another window.
func (w *window) moreCPU(of int, than *window) time.Duration {
	return w.cpu[of].used - time.Duration(float64(than.cpu[of].used)*w.lasted.Seconds()/than.lasted.Seconds())
}

// share is what of one core a process has had, and has waited for.
func (w *window) share(of int) string {
	c := w.cpu[of]
	return fmt.Sprintf("%3.0f+%3.0f%%", 100*c.used.Seconds()/w.lasted.Seconds(), 100*c.waited.Seconds()/w.lasted.Seconds())
}

func inMs(d time.Duration) float64 { return float64(d) / 1e6 }

func (w *window) String() string {
	return fmt.Sprintf("%4.1f s: players: %5d requests, p50 %6.2f ms, p99 %7.2f, max %7.2f; CPU: node %s, players %s, attackers %s; "+
		"node's peaks: %4.0f goroutines, %3.0f MB heap, %3.0f MB resident", w.lasted.Seconds(), len(w.took), inMs(w.at(0.5)), inMs(w.at(0.99)), inMs(w.at(1)),
		w.share(ofNode), w.share(ofPlayers), w.share(ofAttackers), w.goroutines, w.heap/1e6, w.resident/1e6)
}

// comparison is the windows of one attack, a round at the same place of each list.
type comparison struct{ quiet, control, attack []*window }

// What is held to be worse than noise: with the attack the players wait so many times as long as with honest clients, or in quiet, in every one of many rounds;
// one that is not so ends the doubt. What is below the least is no wait.
const (
	worse      = 3
	least      = 5 * time.Millisecond
	fewRounds  = 3
	mostRounds = 8
)

// complaints are what players have to say against the attack that they would not have said against as many honest clients.
func (c *comparison) complaints() (all []string) {
	for _, share := range []float64{0.5, 0.99} {
		if r := c.leastRatio(share); r > worse {
			all = append(all, fmt.Sprintf("in each round players waited at least %.1f times as long (p%.0f) as beside honest clients", r, 100*share))
		}
	}
	return all
}

// leastRatio is by how much the attack is worse than what it is compared to, in the round in which it is the least.
func (c *comparison) leastRatio(share float64) float64 {
	ratio := math.Inf(1)
	for i, w := range c.attack {
		base := max(c.control[i].at(share), c.quiet[i].at(share), least)
		ratio = min(ratio, float64(w.at(share))/float64(base))
	}
	return ratio
}

func (c *comparison) String() string {
	var b strings.Builder
	for _, part := range []struct {
		name    string
		windows []*window
	}{{"quiet", c.quiet}, {"control", c.control}, {"attack", c.attack}} {
		fmt.Fprintf(&b, "%s %5.2f/%6.2f ms, ", part.name, inMs(median(part.windows, func(w *window) time.Duration { return w.at(0.5) })),
			inMs(median(part.windows, func(w *window) time.Duration { return w.at(0.99) })))
	}
	cores := func(windows []*window, of int) float64 {
		return 100 * median(windows, func(w *window) float64 { return w.cpu[of].used.Seconds() / w.lasted.Seconds() })
	}
	fmt.Fprintf(&b, "node's CPU %3.0f%%, %3.0f%%, %3.0f%%, attackers' %3.0f%%, least ratio %.1f/%.1f", cores(c.quiet, ofNode), cores(c.control, ofNode),
		cores(c.attack, ofNode), cores(c.attack, ofAttackers), c.leastRatio(0.5), c.leastRatio(0.99))
	return b.String()
}

func median[T time.Duration | float64](windows []*window, of func(w *window) T) T {
	all := make([]T, 0, len(windows))
	for _, w := range windows {
		all = append(all, of(w))
	}
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)/2]
}

func TestTheComparisonTellsAWaitFromNoise(t *testing.T) {
	of := func(most, rest time.Duration) *window {
		w := &window{}
		for i := range 1000 {
			if i < 980 {
				w.took = append(w.took, most)
			} else {
				w.took = append(w.took, rest)
			}
		}
		return w
	}
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		attack  [3]*window
		control *window
		want    int
	}{
		"as beside honest clients":                 {[3]*window{of(ms, 20*ms), of(ms, 30*ms), of(ms, 25*ms)}, of(ms, 22*ms), 0},
		"bad luck, twice":                          {[3]*window{of(ms, 200*ms), of(ms, 30*ms), of(ms, 90*ms)}, of(ms, 22*ms), 0},
		"seven times as long, where it is no wait": {[3]*window{of(ms, 7*ms), of(ms, 7*ms), of(ms, 7*ms)}, of(ms/10, ms), 0},
		"the slowest wait":                         {[3]*window{of(ms, 200*ms), of(ms, 80*ms), of(ms, 90*ms)}, of(ms, 22*ms), 1},
		"all wait":                                 {[3]*window{of(50*ms, 200*ms), of(40*ms, 80*ms), of(70*ms, 90*ms)}, of(ms, 22*ms), 2},
	} {
		c := &comparison{}
		for _, w := range test.attack {
			c.quiet, c.control, c.attack = append(c.quiet, of(ms, 2*ms)), append(c.control, test.control), append(c.attack, w)
		}
		if got := c.complaints(); len(got) != test.want {
			t.Errorf("%s: %q, expected %d complaints", name, got, test.want)
		}
	}
}
