package netlab

import (
	"math/rand/v2"
	"time"
)

// held is how long a packet that is to be overtaken waits.
const held = 10 * time.Millisecond

// Stats counts packets, and Bytes those that were sent, with their IP headers.
type Stats struct{ Sent, Lost, Overflowed, Duplicated, Reordered, Bytes uint64 }

// Way is one direction of a link. The zero value passes all at once. Link may be changed at any time; packets that have passed are not concerned.
type Way struct {
	Link

	free time.Time // when the link has sent what it has accepted
	last time.Time // when the last packet in order arrives
}

// Pass decides on a packet of so many bytes that is sent now: how many copies of it arrive, none to two, and when. It counts it, too.
func (w *Way) Pass(size int, now time.Time, rnd *rand.Rand, stats *Stats) (at time.Time, copies int) {
	stats.Sent++
	stats.Bytes += uint64(size)
	if rnd.Float64() < w.Loss {
		stats.Lost++
		return at, 0
	}
	at = now
	if w.Rate > 0 {
		room := w.Queue
		if room == 0 {
			room = 100 * time.Millisecond
		}
		if w.free.Before(now) {
			w.free = now
		}
		if w.free.Sub(now) > room {
			stats.Overflowed++
			return at, 0
		}
		w.free = w.free.Add(time.Duration(size) * time.Second / time.Duration(w.Rate))
		at = w.free
	}
	at = at.Add(w.Delay)
	if w.Jitter > 0 {
		at = at.Add(time.Duration(rnd.Int64N(int64(w.Jitter))))
	}
	if rnd.Float64() < w.Reorder {
		stats.Reordered++
		at = at.Add(held)
	} else {
		if at.Before(w.last) {
			at = w.last
		}
		w.last = at
	}
	if rnd.Float64() < w.Duplicate {
		stats.Duplicated++
		return at, 2
	}
	return at, 1
}
