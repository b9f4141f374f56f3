package lua

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
)

// Figures are what handlers of one version have done: those that have ended.
type Figures struct {
	Handled uint64        // messages, those that failed and those that were refused included
	Failed  uint64        // by a defect: an error of the script, a message that it has no handler for, its budget
	Refused uint64        // by an error that is a table, which a script means for whoever asked
	Time    time.Duration // from a message's beginning to its end, waits included, of all
	Max     time.Duration
	Buckets [20]uint64 // how many took less than 64 µs << i; the last has all that took longer
}

// firstBucket is the bound of the first of Figures.Buckets.
const firstBucket = 64 * time.Microsecond

// Quantile estimates the time that a share q of the handlers has not exceeded, 0 < q <= 1; it is 0 if there are none. It is exact to a factor of two.
func (f Figures) Quantile(q float64) time.Duration {
	var all uint64
	for _, n := range f.Buckets {
		all += n
	}
	if all == 0 {
		return 0
	}
	left := uint64(math.Ceil(q * float64(all)))
	for i, n := range f.Buckets[:len(f.Buckets)-1] {
		if n >= left {
			return min(firstBucket<<i, f.Max)
		}
		left -= n
	}
	return f.Max
}

// Measurement counts what handlers do.
type Measurement struct {
	rt   *Runtime
	only map[actor.Ref]bool // nil: all services

	mu sync.Mutex
	by map[handlersOf]*counters
}

// handlersOf are those of one script in one version.
type handlersOf struct{ script, version string }

// counters are Figures that many services count in.
type counters struct {
	handled, failed, refused atomic.Uint64
	time, max                atomic.Int64
	buckets                  [20]atomic.Uint64
}

// Measure counts from now on what handlers do that begin from now on, by the version that their service runs then, until Stop. With services, only theirs. It
// costs two looks at the clock a message while it goes on, and nothing before and after. There may be several.
func (rt *Runtime) Measure(services ...actor.Ref) *Measurement {
	m := &Measurement{rt: rt, by: map[handlersOf]*counters{}}
	if len(services) > 0 {
		m.only = make(map[actor.Ref]bool, len(services))
		for _, ref := range services {
			m.only[ref] = true
		}
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	list := []*Measurement{m}
	if going := rt.measuring.Load(); going != nil {
		list = append(list, *going...)
	}
	rt.measuring.Store(&list)
	return m
}

// Stop ends it. The figures stay, and get what handlers do that have begun before.
func (m *Measurement) Stop() {
	m.rt.mu.Lock()
	defer m.rt.mu.Unlock()
	going := m.rt.measuring.Load()
	if going == nil {
		return
	}
	var rest []*Measurement
	for _, other := range *going {
		if other != m {
			rest = append(rest, other)
		}
	}
	if rest == nil {
		m.rt.measuring.Store(nil)
		return
	}
	m.rt.measuring.Store(&rest)
}

// Figures gives what has been counted up to now, by the version, which is empty for services that run none.
func (m *Measurement) Figures() map[string]Figures {
	all := map[string]Figures{}
	for _, versions := range m.Scripts() {
		for version, f := range versions {
			sum := all[version]
			sum.Add(f)
			all[version] = sum
		}
	}
	return all
}

// Scripts gives what has been counted up to now, by the script and then by the version.
func (m *Measurement) Scripts() map[string]map[string]Figures {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]map[string]Figures{}
	for of, c := range m.by {
		if all[of.script] == nil {
			all[of.script] = map[string]Figures{}
		}
		all[of.script][of.version] = c.figures()
	}
	return all
}

// Add counts what others have done, too.
func (f *Figures) Add(other Figures) {
	f.Handled += other.Handled
	f.Failed += other.Failed
	f.Refused += other.Refused
	f.Time += other.Time
	f.Max = max(f.Max, other.Max)
	for i, n := range other.Buckets {
		f.Buckets[i] += n
	}
}

// Slower counts those that have surely taken longer than a time, to a factor of two.
func (f *Figures) Slower(than time.Duration) (n uint64) {
	for i := 1; i < len(f.Buckets); i++ {
		if firstBucket<<(i-1) >= than {
			n += f.Buckets[i]
		}
	}
	return n
}

func (c *counters) figures() Figures {
	f := Figures{
		Handled: c.handled.Load(), Failed: c.failed.Load(), Refused: c.refused.Load(), Time: time.Duration(c.time.Load()), Max: time.Duration(c.max.Load()),
	}
	for i := range c.buckets {
		f.Buckets[i] = c.buckets[i].Load()
	}
	return f
}

func (m *Measurement) of(h handlersOf) *counters {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.by[h]
	if c == nil {
		c = &counters{}
		m.by[h] = c
	}
	return c
}

// outcome is how a handler has ended.
type outcome uint8

const (
	wentWell outcome = iota
	refused
	failed
)

func (c *counters) add(took time.Duration, how outcome) {
	c.handled.Add(1)
	switch how {
	case failed:
		c.failed.Add(1)
	case refused:
		c.refused.Add(1)
	case wentWell:
	}
	c.time.Add(int64(took))
	for {
		most := c.max.Load()
		if int64(took) <= most || c.max.CompareAndSwap(most, int64(took)) {
			break
		}
	}
	c.buckets[min(bits.Len64(uint64(max(took, 0)/firstBucket)), len(c.buckets)-1)].Add(1)
}

// measured is a handler that somebody counts.
type measured struct {
	began time.Time
	in    []*counters
}

// measure begins to count a handler; nil if nobody wants to know.
func (h *Host) measure() *measured {
	list := h.rt.measuring.Load()
	if list == nil {
		return nil
	}
	version := ""
	if v := h.reload.version; v != nil {
		version = v.ID()
	}
	var in []*counters
	for _, m := range *list {
		if m.only == nil || m.only[h.c.Self()] {
			in = append(in, m.of(handlersOf{h.script, version}))
		}
	}
	if in == nil {
		return nil
	}
	return &measured{time.Now(), in}
}

func (m *measured) end(how outcome) {
	if m == nil {
		return
	}
	took := time.Since(m.began)
	for _, c := range m.in {
		c.add(took, how)
	}
}
