package bot

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Report is what a run has seen.
type Report struct {
	Clients  int           // that were in
	Played   time.Duration // from when all were in until they stopped
	Requests uint64
	Answers  uint64
	Pushes   uint64
	Latency  Latency
	Players  []PlayerReport
	// Errors are what the node did wrong, at most MaxErrors of ErrorCount.
	Errors     []string
	ErrorCount int
	// Lost are connections that ended, with why; what was asked on them and not answered is no error of its own.
	Lost []string
	// Strangers is how many players came into view who are not of this run. The final comparison can't say anything about them.
	Strangers int
}

// MaxErrors is how many errors a Report keeps.
const MaxErrors = 100

// Failed says whether anything went wrong, lost connections included.
func (r *Report) Failed() bool { return r.ErrorCount > 0 || len(r.Lost) > 0 }

// PlayerReport is what a player has been told of their own state.
type PlayerReport struct {
	Target   Target
	Name, ID string
	// Saved is the answer to the last `save`: position and steps that are durable.
	Saved Saved
	// Coins is the highest number in an answer. Each answer that shows a coin says that it is durable.
	Coins int64
	// Steps are the answered positions, oldest first, at most MaxSteps. The first was given by `enter`.
	Steps []Step
	// Unanswered is how many steps were under way when the connection was lost or the run was cancelled: they may have been made, and each may have
	// found a coin.
	Unanswered int
}

// Saved is a state that the node has promised to keep.
type Saved struct {
	X, Y     int
	N, Coins int64
	At       time.Time // when the promise came; zero: none
}

// Step is an answered position.
type Step struct {
	N    int64 // steps in all
	X, Y int
	At   time.Time // when the answer came
}

// MaxSteps is how many steps are kept a player.
const MaxSteps = 4096

// errorList collects errors up to a bound.
type errorList struct {
	mu    sync.Mutex
	texts []string
	count int
}

func (l *errorList) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if len(l.texts) < MaxErrors {
		l.texts = append(l.texts, fmt.Sprintf(format, args...))
	}
}

// Latency is how long requests took.
type Latency struct{ P50, P90, P99, Max time.Duration }

// samples keeps latencies in bounded memory: when it is full, every second one goes and from then on only every second, fourth, ... is taken.
type samples struct {
	taken  []time.Duration
	stride int
	skip   int
	max    time.Duration
}

const maxSamples = 1 << 15 // a player

func (s *samples) add(d time.Duration) {
	s.max = max(s.max, d)
	if s.skip > 0 {
		s.skip--
		return
	}
	s.stride = max(s.stride, 1)
	s.skip = s.stride - 1
	if len(s.taken) == maxSamples {
		half := s.taken[:0]
		for i := 0; i < maxSamples; i += 2 {
			half = append(half, s.taken[i])
		}
		s.taken = half
		s.stride *= 2
	}
	s.taken = append(s.taken, d)
}

// latencyOf puts the samples of all together; one taken for many counts as many.
func latencyOf(all []*samples) Latency {
	type weighted struct {
		d time.Duration
		n int
	}
	var list []weighted
	var l Latency
	total := 0
	for _, s := range all {
		l.Max = max(l.Max, s.max)
		for _, d := range s.taken {
			list = append(list, weighted{d, s.stride})
			total += s.stride
		}
	}
	slices.SortFunc(list, func(a, b weighted) int { return cmp.Compare(a.d, b.d) })
	at := func(share float64) time.Duration {
		left := int(share * float64(total))
		for _, w := range list {
			if left -= w.n; left < 0 {
				return w.d
			}
		}
		return l.Max
	}
	l.P50, l.P90, l.P99 = at(0.50), at(0.90), at(0.99)
	return l
}
