package rtc

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/media"
)

// senderClock is how far a publisher's clock is behind the node's. It is one for all its tracks, so that what was together stays together.
type senderClock struct {
	behind atomic.Int64 // nanoseconds
	known  atomic.Bool
}

// heard takes in that a report with this time of the publisher's has come now.
func (c *senderClock) heard(theirs, now time.Time) {
	behind := int64(now.Sub(theirs))
	if !c.known.Load() {
		c.behind.Store(behind)
		c.known.Store(true)
		return
	}
	// Follows drift, and not the jitter of one report.
	old := c.behind.Load()
	c.behind.Store(old + (behind-old)/16)
}

// timeline says which timestamp of a source belongs to a moment, by the publisher's own reports (RFC 3550, section 6.4.1), or until there is one by when packets come.
type timeline struct {
	rate   int64
	sender *senderClock

	mu       sync.Mutex
	reported bool
	at       time.Time // the publisher's clock if reported, else the node's
	ts       uint32
}

// seen notes a packet that has come.
func (t *timeline) seen(ts uint32, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.reported && (t.at.IsZero() || ts != t.ts) {
		t.at, t.ts = now, ts
	}
}

// report notes what a publisher says.
func (t *timeline) report(ntp uint64, ts uint32, now time.Time) {
	theirs := media.FromNTP(ntp)
	t.sender.heard(theirs, now)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reported, t.at, t.ts = true, theirs, ts
}

// set notes what belongs together on the sender's clock, for a sender whose clock is kept by somebody else.
func (t *timeline) set(theirs time.Time, ts uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reported, t.at, t.ts = true, theirs, ts
}

// moment is when a timestamp was, on the node's clock. It is a guess by when packets have come until the publisher has reported.
func (t *timeline) moment(ts uint32) (at time.Time, reported bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at = t.at
	if t.reported {
		at = at.Add(time.Duration(t.sender.behind.Load()))
	}
	return at.Add(media.FromTicks(int64(int32(ts-t.ts)), t.rate)), t.reported
}

// when is the timestamp of a moment of the node's clock. ok is false before anything is known.
func (t *timeline) when(now time.Time) (ts uint32, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at.IsZero() {
		return 0, false
	}
	at := t.at
	if t.reported {
		at = at.Add(time.Duration(t.sender.behind.Load()))
	}
	return t.ts + uint32(ticks(now.Sub(at), t.rate)), true
}

// ticks is d in units of a clock, without overflow for years.
func ticks(d time.Duration, rate int64) int64 {
	return int64(d/time.Second)*rate + int64(d%time.Second)*rate/int64(time.Second)
}
