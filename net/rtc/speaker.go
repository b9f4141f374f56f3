package rtc

import "sync/atomic"

// loudness follows how loud a source is. Its reader puts levels in, the room's clock takes them out.
type loudness struct {
	peak atomic.Uint32 // the loudest since it was asked last: 127 minus the level of RFC 6464

	// of the room's clock alone
	smooth   float64
	speaking bool
	spoke    int64 // the last beat in which it did
}

// silence is the level of no sound.
const silence = 127

// heard notes the level of one packet, in dB below the loudest.
func (l *loudness) heard(level uint8) {
	loud := uint32(silence - min(level, silence))
	for {
		old := l.peak.Load()
		if loud <= old || l.peak.CompareAndSwap(old, loud) {
			return
		}
	}
}

// Somebody speaks from -47 dB on, in two of three beats or so, and is silent again below -62 dB for half a second: breath, keys and fans are neither.
const (
	speaksFrom  = silence - 47
	silentBelow = silence - 62
	smoothing   = 0.45
)

// beat takes in a fifth of a second. changed tells that somebody has begun or ended to speak.
func (l *loudness) beat(now int64) (changed bool) {
	l.smooth += smoothing * (float64(l.peak.Swap(0)) - l.smooth)
	was := l.speaking
	switch {
	case l.smooth >= speaksFrom:
		l.speaking = true
	case l.smooth < silentBelow:
		l.speaking = false
	}
	if l.speaking {
		l.spoke = now
	}
	return was != l.speaking
}

// level is what is told of it.
func (l *loudness) level() int { return silence - int(l.smooth) }
