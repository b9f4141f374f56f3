package actor_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor"
)

// sorted is what the wheel has to agree with: timers in a list, by tick and in a tick by their making.
type sorted struct{ timers []sortedTimer }

type sortedTimer struct {
	id   int
	when int64
}

func (s *sorted) add(id int, when int64) {
	i, _ := slices.BinarySearchFunc(s.timers, when+1, func(t sortedTimer, when int64) int { return int(t.when - when) })
	s.timers = slices.Insert(s.timers, i, sortedTimer{id, when})
}

func (s *sorted) remove(id int) bool {
	n := len(s.timers)
	s.timers = slices.DeleteFunc(s.timers, func(t sortedTimer) bool { return t.id == id })
	return len(s.timers) < n
}

func (s *sorted) advance(to int64) (fired []sortedTimer) {
	for len(s.timers) > 0 && s.timers[0].when <= to {
		fired = append(fired, s.timers[0])
		s.timers = s.timers[1:]
	}
	return fired
}

// Spans are drawn by their number of bits, so that each level of the wheel, and the borders between them, are met as often as the first.
func genSpan(t *rapid.T, name string) int64 {
	n := int64(1) << rapid.IntRange(0, 41).Draw(t, name+" bits")
	span := n + rapid.Int64Range(-2, n-1).Draw(t, name)
	return min(max(span, 0), int64(actor.LongestWait/actor.Tick))
}

func TestTheWheelFiresWhatASortedListWould(t *testing.T) {
	const timers = 24
	rapid.Check(t, func(t *rapid.T) {
		w, model := actor.NewWheel(), sorted{}
		all := make([]*actor.WheelTimer, timers)
		for i := range all {
			all[i] = w.Timer(i)
		}
		const lastTick = int64(1) << 41 // 70 years, so that no wait reaches beyond the last level
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				i := rapid.IntRange(0, timers-1).Draw(t, "timer")
				if w.Cancel(all[i]) != model.remove(i) {
					t.Fatalf("timer %d: wheel and list differ on whether it was armed", i)
				}
				w.Add(all[i], w.Now()+genSpan(t, "in"))
				model.add(i, w.When(all[i]))
			},
			"cancel": func(t *rapid.T) {
				i := rapid.IntRange(0, timers-1).Draw(t, "timer")
				if w.Cancel(all[i]) != model.remove(i) {
					t.Fatalf("timer %d: wheel and list differ on whether it was armed", i)
				}
			},
			"advance": func(t *rapid.T) {
				to := min(w.Now()+genSpan(t, "by"), lastTick)
				want := model.advance(to)
				got := w.Advance(to)
				if len(got) != len(want) {
					t.Fatalf("to %d: fired %v, want %v", to, got, want)
				}
				for i := range got {
					// In one tick the order is that of making, but for timers that meet from different levels.
					if w.When(all[got[i]]) != want[i].when {
						t.Fatalf("to %d: fired %v, want %v", to, got, want)
					}
				}
			},
			"": func(t *rapid.T) {
				at, pending := w.Next()
				if len(model.timers) > 0 && (!pending || at > model.timers[0].when) {
					t.Fatalf("the driver would sleep until %d (%t), but %v is due", at, pending, model.timers[0])
				}
			},
		})
	})
}
