package cron_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// values is a field as its text and as what it means. nil means all.
type values struct {
	text string
	set  []int
}

func (v values) has(n int) bool { return v.set == nil || slices.Contains(v.set, n) }

// drawValues makes a field of numbers from low to high: all, some, a range, a range over the end, or a step.
func drawValues(t *rapid.T, name string, low, high int) values {
	one := rapid.IntRange(low, high)
	switch rapid.SampledFrom([]string{"all", "some", "range", "step"}).Draw(t, name) {
	case "some":
		set := rapid.SliceOfNDistinct(one, 1, 4, rapid.ID).Draw(t, name+" values")
		return values{strings.Trim(strings.ReplaceAll(fmt.Sprint(set), " ", ","), "[]"), set}
	case "range":
		from, to := one.Draw(t, name+" from"), one.Draw(t, name+" to")
		set := []int{from}
		for n := from; n != to; set = append(set, n) {
			if n++; n > high {
				n = low
			}
		}
		return values{fmt.Sprintf("%d-%d", from, to), set}
	case "step":
		step := rapid.IntRange(2, high-low).Draw(t, name+" step")
		set := []int{}
		for n := low; n <= high; n += step {
			set = append(set, n)
		}
		return values{fmt.Sprintf("*/%d", step), set}
	}
	return values{"*", nil}
}

// clock is the fields of an expression that a clock shows.
type clock struct{ second, minute, hour values }

func drawClock(t *rapid.T) clock {
	return clock{drawValues(t, "second", 0, 59), drawValues(t, "minute", 0, 59), drawValues(t, "hour", 0, 23)}
}

func (c clock) expr(days string) string {
	return strings.Join([]string{c.second.text, c.minute.text, c.hour.text, days}, " ")
}

func (c clock) shows(civil time.Time) bool {
	return c.second.has(civil.Second()) && c.minute.has(civil.Minute()) && c.hour.has(civil.Hour())
}

// changes are nights in which clocks are set, in all ways that there are: by an hour and by half of one, at night, at midnight, for good, by a day.
func changes() []struct{ zone, day string } {
	return []struct{ zone, day string }{
		{"Europe/Berlin", "2026-03-29"},
		{"Europe/Berlin", "2026-10-25"},
		{"Europe/Berlin", "2048-10-25"},
		{"Europe/Berlin", "2028-12-31"},
		{"America/New_York", "2026-03-08"},
		{"America/New_York", "2026-11-01"},
		{"Australia/Lord_Howe", "2026-04-05"},
		{"Australia/Lord_Howe", "2026-10-04"},
		{"Australia/Lord_Howe", "2041-04-07"},
		{"America/Sao_Paulo", "2018-02-18"},
		{"America/Sao_Paulo", "2018-11-04"},
		{"Africa/Casablanca", "2026-02-15"},
		{"Africa/Casablanca", "2026-03-22"},
		{"Asia/Pyongyang", "2015-08-15"},
		{"America/Caracas", "2016-05-01"},
		{"Pacific/Apia", "2011-12-30"},
		{"Pacific/Kwajalein", "1993-08-21"},
		{"UTC", "2026-12-31"},
	}
}

// scan finds all times between two moments by looking at what the clock on the wall shows at each second: slow, and with nothing to get wrong.
func scan(c clock, everyHour bool, loc *time.Location, from, to time.Time) []time.Time {
	var due []time.Time
	before := shown(from.In(loc))
	newest := before // that the clock has shown; it is set at full minutes, and back by a day at most
	for at := from.Truncate(time.Minute).Add(-time.Second); at.After(from.Add(-26 * time.Hour)); at = at.Add(-time.Minute) {
		if then := shown(at.In(loc)); then.After(newest) {
			newest = then
		}
	}
	for at := from.Add(time.Second); !at.After(to); at = at.Add(time.Second) {
		now := shown(at.In(loc))
		counts := c.shows(now) && (everyHour || now.After(newest))
		for skipped := before.Add(time.Second); !everyHour && !counts && skipped.Before(now); skipped = skipped.Add(time.Second) {
			counts = c.shows(skipped)
		}
		if counts {
			due = append(due, at)
		}
		before = now
		if now.After(newest) {
			newest = now
		}
	}
	return due
}

// shown is a clock's face as a time in UTC.
func shown(at time.Time) time.Time {
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
}

func TestTimesAreThoseThatAClockOnTheWallShows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		change := rapid.SampledFrom(changes()).Draw(rt, "change")
		loc := zone(t, change.zone)
		day, err := time.ParseInLocation(time.DateOnly, change.day, loc)
		if err != nil {
			t.Fatal(err)
		}
		c := drawClock(rt)
		from := day.Add(time.Duration(rapid.IntRange(-2*3600, 3*3600).Draw(rt, "from")) * time.Second)
		to := from.Add(5 * time.Hour)
		next := times(t, c.expr("* * *"), change.zone)

		want := scan(c, strings.HasPrefix(c.hour.text, "*"), loc, from, to)
		for at, n := next(from), 0; ; at, n = next(at), n+1 {
			if n == len(want) {
				if !at.After(to) {
					rt.Fatalf("%s: due at %s, the clock says no", c.expr(""), at.Format(moment))
				}
				return
			}
			if !at.Equal(want[n]) {
				rt.Fatalf("%s: due at %s, the clock says %s", c.expr(""), at.Format(moment), want[n].In(loc).Format(moment))
			}
		}
	})
}

// dates is the fields of an expression that a calendar shows.
type dates struct {
	day, month, weekday  values
	dayRule, weekdayRule func(date time.Time) bool // beside the numbers
}

func drawDates(t *rapid.T) dates {
	d := dates{month: drawValues(t, "month", 1, 12), weekday: drawValues(t, "weekday", 0, 6), day: drawValues(t, "day", 1, 31)}
	lastOf := func(date time.Time) time.Time { return time.Date(date.Year(), date.Month()+1, 0, 0, 0, 0, 0, time.UTC) }
	work := func(date time.Time) bool { return date.Weekday() != time.Saturday && date.Weekday() != time.Sunday }
	n := rapid.IntRange(1, 28).Draw(t, "n")
	switch rapid.SampledFrom([]string{"", "", "L", "L-n", "LW", "nW"}).Draw(t, "day rule") {
	case "L":
		d.day, d.dayRule = values{"L", []int{}}, func(date time.Time) bool { return date.Equal(lastOf(date)) }
	case "L-n":
		d.day, d.dayRule = values{fmt.Sprintf("L-%d", n), []int{}}, func(date time.Time) bool { return date.AddDate(0, 0, n).Equal(lastOf(date)) }
	case "LW":
		d.day, d.dayRule = values{"LW", []int{}}, func(date time.Time) bool {
			for later := date.AddDate(0, 0, 1); later.Month() == date.Month(); later = later.AddDate(0, 0, 1) {
				if work(later) {
					return false
				}
			}
			return work(date)
		}
	case "nW":
		d.day, d.dayRule = values{fmt.Sprintf("%dW", n), []int{}}, func(date time.Time) bool {
			// The working day of the month that is nearest to the nth; the earlier one of two.
			for off := range 4 {
				for _, near := range []int{n - off, n + off} {
					at := time.Date(date.Year(), date.Month(), near, 0, 0, 0, 0, time.UTC)
					if at.Month() == date.Month() && work(at) {
						return date.Equal(at)
					}
				}
			}
			return false
		}
	}
	weekday := rapid.IntRange(0, 6).Draw(t, "w")
	name := strings.ToUpper(time.Weekday(weekday).String()[:3])
	switch rapid.SampledFrom([]string{"", "", "#n", "#L"}).Draw(t, "weekday rule") {
	case "#n":
		nth := rapid.IntRange(1, 5).Draw(t, "nth")
		d.weekday, d.weekdayRule = values{fmt.Sprintf("%s#%d", name, nth), []int{}}, func(date time.Time) bool {
			return int(date.Weekday()) == weekday && date.AddDate(0, 0, -7*nth).Month() != date.Month() && date.AddDate(0, 0, -7*(nth-1)).Month() == date.Month()
		}
	case "#L":
		d.weekday, d.weekdayRule = values{name + "#L", []int{}}, func(date time.Time) bool {
			return int(date.Weekday()) == weekday && date.AddDate(0, 0, 7).Month() != date.Month()
		}
	}
	return d
}

func (d dates) expr() string {
	return strings.Join([]string{"0 0", d.day.text, d.month.text, d.weekday.text}, " ")
}

func (d dates) shows(date time.Time) bool {
	if !d.month.has(int(date.Month())) {
		return false
	}
	day := d.day.has(date.Day()) || d.dayRule != nil && d.dayRule(date)
	weekday := d.weekday.has(int(date.Weekday())) || d.weekdayRule != nil && d.weekdayRule(date)
	if d.day.text != "*" && d.weekday.text != "*" {
		return day || weekday
	}
	return day && weekday
}

func TestDaysAreThoseOfTheCalendar(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := drawDates(rt)
		date := time.Date(rapid.IntRange(1990, 2110).Draw(rt, "year"), 1, 1, 0, 0, 0, 0, time.UTC)
		last := date.AddDate(5, 0, 0)
		next := times(t, d.expr(), "UTC")
		at := next(date.Add(-1))
		for ; date.Before(last); date = date.AddDate(0, 0, 1) {
			want, got := d.shows(date), at.Equal(date)
			if want != got {
				rt.Fatalf("%s: %s: due %v, want %v", d.expr(), date.Format("Mon 2006-01-02"), got, want)
			}
			if got {
				at = next(at)
			}
		}
	})
}
