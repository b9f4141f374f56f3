package rtsp

import (
	"time"

	"github.com/skua-go/skua/net/media"
)

const (
	// drift is how far a track may be from where its publisher's reports say that it is, before it is moved.
	drift = 10 * time.Millisecond
	// farOff is from where on it is put there at once. What is nearer goes there evenly, faster or slower by one part in easing: else pictures would stand still, or be left out.
	farOff = time.Second
	easing = 8
)

// clock is what the tracks of a publisher have in common: each counts from a number of its own, and the reports (RFC 3550 section 6.4.1) tell what was at the same time.
type clock struct {
	begun  time.Time     // by the node's clock: 0 of the tracks' times
	leads  *trackClock   // the others go by it: the first that was reported, or the first of sound, which players hear each move of
	behind time.Duration // the publisher's clock, as it stands in reports, to the tracks' times
}

// trackClock is one track of it.
type trackClock struct {
	clock  *clock
	sound  bool
	ticks  media.Unwrap
	last   time.Duration // by the track's own count
	offset time.Duration // from that
	due    time.Duration // what is still to be added to it
	behind time.Duration // the clock's, that this is due to
	placed bool
	exact  bool // by a report
}

// moment is when a frame is shown: by its track's own count, which goes on evenly, and what is added for the time that all tracks have in common.
type moment struct{ own, offset time.Duration }

func (m moment) shown() time.Duration { return m.own + m.offset }

// at is that of a timestamp. Until there is a report it goes by when packets come.
func (t *trackClock) at(stamp uint32, now time.Time) moment {
	own := t.ticks.At(stamp)
	if !t.placed {
		t.place(now.Sub(t.clock.begun), own)
	}
	if t.exact && t.behind != t.clock.behind { // another track leads since
		t.due, t.behind = t.due+t.clock.behind-t.behind, t.clock.behind
	}
	if most := (own - t.last) / easing; most > 0 {
		step := min(max(t.due, -most), most)
		t.offset, t.due = t.offset+step, t.due-step
	}
	t.last = own
	return moment{own, t.offset}
}

// place has a track begin, or go on, at a time.
func (t *trackClock) place(at, own time.Duration) {
	t.placed, t.offset, t.due, t.last = true, at-own, 0, own
}

// report takes in what a publisher says. The track that leads stays where it is.
func (t *trackClock) report(ntp uint64, stamp uint32, now time.Time) {
	own := t.ticks.At(stamp)
	theirs := media.FromNTP(ntp).Sub(time.Unix(0, 0))
	c := t.clock
	first := c.leads == nil
	if !t.placed {
		at := theirs + c.behind
		if first {
			at = now.Sub(c.begun)
		}
		t.place(at, own)
	}
	if first || t.sound && !c.leads.sound {
		c.leads = t
	}
	off := theirs + c.behind - own - t.offset
	switch near := off.Abs() <= farOff; {
	case first, c.leads == t && near:
		if first || off.Abs() > drift {
			c.behind -= off
		}
	case !near:
		t.place(theirs+c.behind, own)
	case !t.exact || (off-t.due).Abs() > drift:
		t.due = off
	}
	t.behind, t.exact = c.behind, true
}
