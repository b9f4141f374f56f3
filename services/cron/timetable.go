package cron

import (
	"sort"
	"time"
)

// timetable is when a job is due: days and times of a calendar, by the clock of a zone.
//
// The calendar is asked about civil time, the one that a clock on the wall shows, which is kept as if it were UTC. What becomes of it when that clock is
// changed is decided here: no library for cron expressions gets all of the changes right (see docs/dependencies.md).
type timetable struct {
	days      calendar
	everyHour bool // whether it goes by the clock, or runs once for each time that it names: see the package
	zone      *time.Location
}

// civil is what a clock on the wall shows.
func civil(at time.Time) time.Time {
	_, offset := at.Zone()
	return time.Unix(at.Unix()+int64(offset), int64(at.Nanosecond())).UTC()
}

// bounds is from when to when the zone's offset at a moment holds at least; zero for a side without an end.
func bounds(at time.Time) (began, ends time.Time) {
	began, ends = at.ZoneBounds()
	if !ends.IsZero() && !ends.After(at) {
		// Behind the last change that the database lists, Go takes all years for 365 days: on 31 December of a leap year the bounds are over before it
		// has begun (golang/go#81583).
		ends = time.Date(at.UTC().Year()+1, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return began, ends
}

// next is the first time behind `after` at which the job is due, in the timetable's zone; zero if there is none.
func (t *timetable) next(after time.Time) time.Time {
	at := after.In(t.zone)
	seen := civil(at) // times up to here are over
	for {
		began, ends := bounds(at)
		if !t.everyHour && !began.IsZero() {
			// The clock may have been set back then, and shows times for the second time.
			if shown := civil(began.Add(-1)); shown.After(seen) {
				seen = shown
			}
		}
		want := t.days.Next(seen)
		if want.IsZero() {
			return want
		}
		_, offset := at.Zone()
		due := want.Add(-time.Duration(offset) * time.Second).In(t.zone)
		if ends.IsZero() || due.Before(ends) {
			return due
		}
		ends = ends.In(t.zone)
		sets := civil(ends) // what the clock shows from then on; it has not shown what we want before
		if !t.everyHour && want.Before(sets) {
			return ends
		}
		// Nothing is due until two days before; no change of a clock is larger than one.
		if far := due.AddDate(0, 0, -2); far.After(ends) {
			at, seen = far, civil(far)
			continue
		}
		at, seen = ends, sets.Add(-1)
	}
}

// last is the newest time, up to now, at which the job was due, given that it was due at first; how many there were from first on and before it, counted up to
// MaxMissed; and the one behind it.
func (t *timetable) last(first, now time.Time) (due time.Time, missed int, next time.Time) {
	due, next = first, t.next(first)
	for !next.IsZero() && !next.After(now) {
		if missed == MaxMissed {
			return t.search(due, now)
		}
		due, missed = next, missed+1
		next = t.next(due)
	}
	return due, missed, next
}

// search finds the newest time without a look at all of those before: as long as there is one that is due behind a moment and up to now, the newest is later.
func (t *timetable) search(from, now time.Time) (due time.Time, missed int, next time.Time) {
	seconds := sort.Search(int(now.Sub(from)/time.Second), func(n int) bool {
		next := t.next(from.Add(time.Duration(n) * time.Second))
		return next.IsZero() || next.After(now)
	})
	due = from.Add(time.Duration(seconds) * time.Second)
	return due, MaxMissed, t.next(due)
}
