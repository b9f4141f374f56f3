package media

import "time"

// Unwrap makes times of counters that begin anew at 2^32: RTMP's milliseconds, the ticks of RTP. The zero value with a Rate is ready. It is one track's.
type Unwrap struct {
	// Rate is how many ticks a second has: 1000 of RTMP, 90000 of video over RTP.
	Rate int64

	began bool
	last  uint32
	ticks int64
}

// At is the time of a counter that is less than 2^31 from the one before, in either direction.
func (u *Unwrap) At(counter uint32) time.Duration {
	if !u.began {
		u.began, u.ticks = true, int64(counter)
	} else {
		u.ticks += int64(int32(counter - u.last)) // the shorter way around
	}
	u.last = counter
	return FromTicks(u.ticks, u.Rate)
}

// FromTicks is a time that was counted at rate ticks a second, to the nearest nanosecond: Ticks gives the same count back for each rate up to 1 GHz.
func FromTicks(ticks, rate int64) time.Duration {
	whole, rest := ticks/rate, ticks%rate
	half := rate / 2
	if rest < 0 {
		half = -half
	}
	return time.Duration(whole)*time.Second + time.Duration((rest*int64(time.Second)+half)/rate)
}

// Ticks counts a time at rate ticks a second, to the nearest.
func Ticks(d time.Duration, rate int64) int64 {
	whole, rest := int64(d/time.Second), int64(d%time.Second)
	half := int64(time.Second / 2)
	if rest < 0 {
		half = -half
	}
	return whole*rate + (rest*rate+half)/int64(time.Second)
}

// ntpEpoch is 1900, from where RTCP counts (RFC 5905), as Unix seconds.
const ntpEpoch = -2208988800

// FromNTP is a time as RTCP's reports have it.
func FromNTP(ntp uint64) time.Time {
	return time.Unix(int64(ntp>>32)+ntpEpoch, int64(ntp&0xffffffff*uint64(time.Second)>>32))
}

// ToNTP is the other way around.
func ToNTP(t time.Time) uint64 {
	return uint64(t.Unix()-ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// Bounds of what is taken for the publisher's own time going on.
const (
	// maxAhead is how much more than the time that has passed a timestamp may go forward.
	maxAhead = 10 * time.Second
	// maxBack is how far a timestamp may go back within its track. It is held at the last one then, since no container takes a decoding time that goes back.
	maxBack = time.Second
	// maxOrigin is up to where the first timestamp of a stream is left as it is, so that what comes of other tracks, a little earlier, is not below 0.
	maxOrigin = 10 * time.Second
)

// timeline puts a publisher's clock onto the stream's. Publishers' clocks jump (a source that is switched, a counter that begins anew, an encoder restarted); the
// stream's goes on by the time that has passed, with the tracks' distance from each other kept: what jumps first sets the shift, and the others follow when they jump as well.
type timeline struct {
	shift time.Duration // of the newest jump
	begun bool
	jumps uint64
}

// trackTime is one track of a timeline.
type trackTime struct {
	begun bool
	shift time.Duration
	last  time.Duration // on the stream's timeline
}

// place gives what is added to a sample's times. newest is the largest time of the stream so far, elapsed what has passed since it was written; fresh: there is none.
func (tl *timeline) place(t *trackTime, dts, newest, elapsed time.Duration, fresh bool) time.Duration {
	if !tl.begun {
		tl.begun = true
		switch {
		case !fresh:
			tl.shift = newest + max(elapsed, time.Millisecond) - dts
		case dts < 0 || dts > maxOrigin:
			tl.shift = time.Second - dts
		}
		t.shift = tl.shift
	}
	reference := newest
	if t.begun {
		reference = t.last
	} else {
		t.shift = tl.shift
	}
	goesOn := func(shift time.Duration) bool {
		step := dts + shift - reference
		return step >= -maxBack && step <= maxAhead+max(elapsed, newest-reference)
	}
	if !fresh && !goesOn(t.shift) {
		if !goesOn(tl.shift) {
			tl.shift = newest + max(elapsed, time.Millisecond) - dts
			tl.jumps++
		}
		t.shift = tl.shift
	}
	t.begun = true
	return t.shift
}
