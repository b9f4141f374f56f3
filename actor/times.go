package actor

import (
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// TimeBounds are the upper bounds of a Histogram's buckets but the last, which has none.
var TimeBounds = [...]time.Duration{ //nolint:gochecknoglobals // a constant
	10 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// Histogram is how long things have taken since the System was made.
type Histogram struct {
	Counts [len(TimeBounds) + 1]uint64 // of those that took as long as the bound of that index at most, and longer than the one before
	Sum    time.Duration
}

// times is a Histogram in parts, so that workers of different cores don't take each other's cache lines.
type times struct {
	parts [timeParts]struct {
		counts [len(TimeBounds) + 1]atomic.Uint64
		sum    atomic.Int64
		_      [16]byte // to 128, two lines
	}
}

const timeParts = 8

// add counts n things that have taken ns together.
func (t *times) add(part uint8, ns int64, n int) {
	each, i := time.Duration(ns/int64(n)), 0
	for i < len(TimeBounds) && each > TimeBounds[i] {
		i++
	}
	p := &t.parts[part%timeParts]
	p.counts[i].Add(uint64(n))
	p.sum.Add(ns)
}

func (t *times) read() (h Histogram) {
	for i := range t.parts {
		p := &t.parts[i]
		for j := range p.counts {
			h.Counts[j] += p.counts[j].Load()
		}
		h.Sum += time.Duration(p.sum.Load())
	}
	return h
}

const (
	// maxTimedKinds bounds the kinds of actors whose times are kept apart.
	maxTimedKinds = 64
	// otherKinds are called so, and those that say of no kind that they are.
	otherKinds = "other"
)

// timesOf are the times of a kind of actors. s.mu is held.
func (s *System) timesOf(kind string) *times {
	if kind == "" {
		kind = otherKinds
	}
	t := s.times[kind]
	if t == nil {
		if len(s.times) >= maxTimedKinds {
			kind = otherKinds
		}
		if t = s.times[kind]; t == nil {
			t = &times{}
			s.times[kind] = t
		}
	}
	return t
}

// HandlerTimes are how long messages were handled, waits left out, by Spec.Kind: the first 64 kinds, and all others as "other". Those that one worker handled in
// a row count with their mean, so that only busy actors are told less exactly.
func (s *System) HandlerTimes() map[string]Histogram {
	s.mu.RLock()
	all := maps.Clone(s.times)
	s.mu.RUnlock()
	read := make(map[string]Histogram, len(all))
	for kind, t := range all {
		read[kind] = t.read()
	}
	return read
}

// AskTimes are how long requests took from the question to the answer, or to what came in its place: those that were answered, and those that failed. One in 16
// is measured, chosen at random: looking at the clock costs a good part of what a request does.
func (s *System) AskTimes() (answered, failed Histogram) { return s.asks[0].read(), s.asks[1].read() }

// begins is when a request begins that is measured; 0 for others.
func (s *System) begins() int64 {
	if rand.Uint32()&15 != 0 {
		return 0
	}
	return s.disp.now()
}

// measured counts a request that has ended.
func (r *request) measured(err error) {
	t := &r.sys.asks[0]
	if err != nil {
		t = &r.sys.asks[1]
	}
	t.add(uint8(r.to.id), max(r.sys.disp.now()-r.since, 0), 1)
}
