package rtsp

import (
	"time"

	"github.com/skua-go/skua/net/media"
)

// drift is how far a track may be from where its publisher's reports say that it is, before it is placed anew.
const drift = 10 * time.Millisecond

// clock is what the tracks of a publisher have in common: each counts from a number of its own, and the reports (RFC 3550 section 6.4.1) tell what was at the same time.
type clock struct {
	begun    time.Time // by the node's clock: 0 of the tracks' times
	reported bool
	behind   time.Duration // the publisher's clock, as it stands in reports, to the tracks' times
}

// trackClock is one track of it.
type trackClock struct {
	clock  *clock
	ticks  media.Unwrap
	offset time.Duration // from the track's own count
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
		t.placed, t.offset = true, now.Sub(t.clock.begun)-own
	}
	return moment{own, t.offset}
}

// report takes in what a publisher says. The first track that has one stays where it is.
func (t *trackClock) report(ntp uint64, stamp uint32, now time.Time) {
	own := t.ticks.At(stamp)
	theirs := media.FromNTP(ntp).Sub(time.Unix(0, 0))
	c := t.clock
	if !c.reported {
		if !t.placed {
			t.placed, t.offset = true, now.Sub(c.begun)-own
		}
		c.reported, c.behind = true, own+t.offset-theirs
	}
	want := theirs + c.behind - own
	if !t.placed || !t.exact || (want-t.offset).Abs() > drift {
		t.offset = want
	}
	t.placed, t.exact = true, true
}
