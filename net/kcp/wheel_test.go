package kcp_test

import (
	"math/rand/v2"
	"testing"

	"github.com/skua-go/skua/net/kcp"
)

func TestTheWheelIsOnTime(t *testing.T) {
	const n = 50
	rng := rand.New(rand.NewPCG(1, 2))
	w := kcp.NewWheel(n)
	var due [n]int64 // 0: not in the wheel
	now := int64(1)
	for step := range 20_000 {
		i := rng.IntN(n)
		switch rng.IntN(4) {
		case 0:
			w.Disarm(i)
			due[i] = 0
		case 1, 2:
			at := now + []int64{0, 5, 600, 3000, 100_000, 300_000, 1_000_000}[rng.IntN(7)] + rng.Int64N(50)
			w.Arm(i, at)
			if at = max(at, now+1); due[i] == 0 || at < due[i] || at-due[i] >= kcp.Slack {
				due[i] = at
			}
		default:
			to := now + rng.Int64N(2000)
			first := int64(0)
			for _, d := range due {
				if d != 0 && (first == 0 || d < first) {
					first = d
				}
			}
			if at, ok := w.Upcoming(); ok != (first != 0) || ok && at > first {
				t.Fatalf("step %d: comes up at %d, %v; the first is due at %d", step, at, ok, first)
			}
			w.Advance(to, func(i int) {
				if due[i] == 0 || due[i] > to {
					t.Fatalf("step %d: %d comes up by %d, it is due at %d", step, i, to, due[i])
				}
				due[i] = 0
			})
			now = max(now, to)
			for i, d := range due {
				if d != 0 && d <= now {
					t.Fatalf("step %d: %d was due at %d, it is %d", step, i, d, now)
				}
			}
		}
	}
}
