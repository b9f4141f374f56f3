package cron_test

import (
	"slices"
	"testing"
	"time"

	"github.com/skua-go/skua/services/cron"
)

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return loc
}

func times(tb testing.TB, expr, name string) func(time.Time) time.Time {
	tb.Helper()
	next, err := cron.Times(expr, zone(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	return next
}

// moment is how the tests write times: by the clock of the zone, with its offset.
const moment = "2006-01-02 15:04:05 -0700"

func TestTimesWhenTheClockIsChanged(t *testing.T) {
	for _, c := range []struct {
		name, expr, zone string
		from             string // where to begin, itself not counted
		want             []string
	}{
		{
			"a time that is left out comes when the clock is set", "30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00 +0100",
			[]string{"2026-03-29 03:00:00 +0200", "2026-03-30 02:30:00 +0200"},
		},
		{
			"and as one, however many are left out", "*/10 2,3 * * *", "Europe/Berlin", "2026-03-29 01:00:00 +0100",
			[]string{"2026-03-29 03:00:00 +0200", "2026-03-29 03:10:00 +0200"},
		},
		{
			"a time that comes twice is the first", "30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00 +0200",
			[]string{"2026-10-25 02:30:00 +0200", "2026-10-26 02:30:00 +0100"},
		},
		{
			"also for who comes between the two", "30 2 * * *", "Europe/Berlin", "2026-10-25 02:15:00 +0100",
			[]string{"2026-10-26 02:30:00 +0100"},
		},
		{
			"the hour behind the repeated one is itself", "0 3 * * *", "Europe/Berlin", "2026-10-25 02:30:00 +0200",
			[]string{"2026-10-25 03:00:00 +0100"},
		},
		{
			"each half hour is each half hour in autumn", "*/30 * * * *", "Europe/Berlin", "2026-10-25 01:30:00 +0200",
			[]string{
				"2026-10-25 02:00:00 +0200", "2026-10-25 02:30:00 +0200", "2026-10-25 02:00:00 +0100", "2026-10-25 02:30:00 +0100", "2026-10-25 03:00:00 +0100",
			},
		},
		{
			"and in spring", "*/30 * * * *", "Europe/Berlin", "2026-03-29 01:00:00 +0100",
			[]string{"2026-03-29 01:30:00 +0100", "2026-03-29 03:00:00 +0200", "2026-03-29 03:30:00 +0200"},
		},
		{
			"each other hour leaves out the one that is not there", "0 */2 * * *", "Europe/Berlin", "2026-03-29 00:00:00 +0100",
			[]string{"2026-03-29 04:00:00 +0200"},
		},
		{
			"seconds", "*/20 59 1 * * *", "Europe/Berlin", "2026-03-29 01:59:00 +0100",
			[]string{"2026-03-29 01:59:20 +0100", "2026-03-29 01:59:40 +0100", "2026-03-30 01:59:00 +0200"},
		},
		{
			"New York in spring", "15 2 * * *", "America/New_York", "2026-03-07 12:00:00 -0500",
			[]string{"2026-03-08 03:00:00 -0400", "2026-03-09 02:15:00 -0400"},
		},
		{
			"New York in autumn", "15 1 * * *", "America/New_York", "2026-10-31 12:00:00 -0400",
			[]string{"2026-11-01 01:15:00 -0400", "2026-11-02 01:15:00 -0500"},
		},
		{
			"over the change", "0 */8 * * *", "America/New_York", "2026-11-01 00:30:00 -0400",
			[]string{"2026-11-01 08:00:00 -0500", "2026-11-01 16:00:00 -0500"},
		},
		{
			"half an hour is left out", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00 +1030",
			[]string{"2026-10-04 02:30:00 +1100", "2026-10-05 02:15:00 +1100"},
		},
		{
			"half an hour comes twice", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00:00 +1100",
			[]string{"2026-04-05 01:45:00 +1100", "2026-04-06 01:45:00 +1030"},
		},
		{
			"a quarter to each hour in it", "45 * * * *", "Australia/Lord_Howe", "2026-04-05 00:50:00 +1100",
			[]string{"2026-04-05 01:45:00 +1100", "2026-04-05 01:45:00 +1030", "2026-04-05 02:45:00 +1030"},
		},
		{
			"the full hour that is left out", "0 * * * *", "Australia/Lord_Howe", "2026-10-04 00:30:00 +1030",
			[]string{"2026-10-04 01:00:00 +1030", "2026-10-04 03:00:00 +1100"},
		},
		{
			"a midnight that is not there", "@daily", "America/Sao_Paulo", "2018-11-03 12:00:00 -0300",
			[]string{"2018-11-04 01:00:00 -0200", "2018-11-05 00:00:00 -0200"},
		},
		{
			"a time behind it", "0 1 4 11 *", "America/Sao_Paulo", "2018-11-03 23:00:00 -0300",
			[]string{"2018-11-04 01:00:00 -0200", "2019-11-04 01:00:00 -0300"},
		},
		{
			"a day that is not there", "0 12 * * *", "Pacific/Apia", "2011-12-29 12:00:00 -1000",
			[]string{"2011-12-31 00:00:00 +1400", "2011-12-31 12:00:00 +1400"},
		},
		{
			"a day that comes twice", "0 12 * * *", "Pacific/Kwajalein", "1993-08-20 00:00:00 -1200",
			[]string{"1993-08-20 12:00:00 -1200", "1993-08-22 00:00:00 +1200"},
		},
		{
			"the ends of February", "0 0 29 2 *", "Europe/Berlin", "2026-01-01 00:00:00 +0100",
			[]string{"2028-02-29 00:00:00 +0100", "2032-02-29 00:00:00 +0100"},
		},
		{
			"2100 is no leap year", "0 0 29 2 *", "America/New_York", "2096-03-01 00:00:00 -0500",
			[]string{"2104-02-29 00:00:00 -0500"},
		},
		{
			"a fifth Monday in February over 2100", "0 0 * 2 MON#5", "UTC", "2072-03-01 00:00:00 +0000",
			[]string{"2112-02-29 00:00:00 +0000"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := times(t, c.expr, c.zone)
			at, err := time.Parse(moment, c.from)
			if err != nil {
				t.Fatal(err)
			}
			if shown := at.In(zone(t, c.zone)).Format(moment); shown != c.from {
				t.Fatalf("the zone writes %s as %s", c.from, shown)
			}
			var got []string
			for range c.want {
				at = next(at)
				got = append(got, at.Format(moment))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s\n got %q\nwant %q", c.expr, got, c.want)
			}
		})
	}
}

// Go's time package ends the year 2040 a day early, see bounds.
func TestEachDayOfFortyYearsHasItsTime(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := times(t, "30 12 * * *", name)
			want := time.Date(2026, 1, 1, 12, 30, 0, 0, zone(t, name))
			for at := want; want.Year() < 2066; at = next(at) {
				if !at.Equal(want) {
					t.Fatalf("got %v, want %v", at, want)
				}
				want = want.AddDate(0, 0, 1)
			}
		})
	}
}

func TestAMomentWithinASecondIsBehindIt(t *testing.T) {
	next := times(t, "* * * * * *", "UTC")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, within := range []time.Duration{0, 1, time.Second / 2, time.Second - 1} {
		if got := next(at.Add(within)); !got.Equal(at.Add(time.Second)) {
			t.Errorf("behind %v: %v", within, got)
		}
	}
}

// What a busy node pays for a time of a job.
func BenchmarkNextTime(b *testing.B) {
	for _, c := range []struct{ name, expr string }{
		{"minute", "* * * * *"}, {"day", "30 2 * * *"}, {"month", "0 5 L * *"}, {"leap day", "0 0 29 2 *"},
	} {
		b.Run(c.name, func(b *testing.B) {
			next := times(b, c.expr, "Europe/Berlin")
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for b.Loop() {
				at = next(at)
				if at.Year() > 2090 {
					at = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				}
			}
		})
	}
}
