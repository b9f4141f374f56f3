package cron_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/services/cron"
)

func TestAnExpressionThatCannotBeReadIsAnErrorThatTellsTheFieldAndWhatIsExpected(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		for _, c := range []struct{ expr, field, want string }{
			{"", "", `the expression "" has 0 fields: minute, hour, day of month, month and day of week are expected`},
			{"* * * *", "", `"* * * *" has 4 fields`},
			{"0 0 * * * * 2026", "", "has 7 fields"},
			{"@fortnightly", "", `there is no "@fortnightly": @yearly`},
			{"@every 5m", "", "has 2 fields"},
			{"@reboot", "", "@daily"},
			{strings.Repeat("0,", 130) + "0 * * * *", "", "has 269 bytes, at most 256"},
			{"60 * * * * *", "second", "0-59 is expected"},
			{"60 * * * *", "minute", `"60": end of range (60) above maximum (59): "60"; 0-59 is expected`},
			{"-1 * * * *", "minute", "0-59 is expected"},
			{"+1 * * * *", "minute", `'+' can't be in it`},
			{"1.5 * * * *", "minute", `'.' can't be in it`},
			{"five * * * *", "minute", "0-59 is expected"},
			{"1,,2 * * * *", "minute", "an element of the list is empty"},
			{", * * * *", "minute", "an element of the list is empty"},
			{"*5 * * * *", "minute", "* stands alone or before a step"},
			{"*-5 * * * *", "minute", "* stands alone or before a step"},
			{"5* * * * *", "minute", "* stands alone or before a step"},
			{"** * * * *", "minute", "* stands alone or before a step"},
			{"*/0 * * * *", "minute", "step of range must be a positive number"},
			{"*/60 * * * *", "minute", "step (60) must be less than range size (60)"},
			{"*/5/5 * * * *", "minute", "too many slashes"},
			{"1-2-3 * * * *", "minute", "too many hyphens"},
			{"? * * * *", "minute", "? stands alone, for a day"},
			{"H * * * *", "minute", "0-59 is expected"},
			{"0 24 * * *", "hour", "0-23 is expected"},
			{"0 L * * *", "hour", "0-23 is expected"},
			{"0 0 0 * *", "day of month", "1-31 is expected"},
			{"0 0 32 * *", "day of month", "1-31 is expected"},
			{"0 0 32W * *", "day of month", "day must be 1-31"},
			{"0 0 L-31 * *", "day of month", "offset must be 1-30"},
			{"0 0 ?/2 * *", "day of month", "? stands alone"},
			{"0 0 1 13 *", "month", "1-12 or JAN-DEC is expected"},
			{"0 0 1 JANUARY *", "month", "1-12 or JAN-DEC is expected"},
			{"0 0 * * 8", "day of week", "0-7 or SUN-SAT is expected"},
			{"0 0 * * MOON", "day of week", "0-7 or SUN-SAT is expected"},
			{"0 0 * * FRI#6", "day of week", "occurrence must be 1-5"},
			{"0 0 * * FRI-MON/2", "day of week", "a range over the end of the week takes no step"},
			{"0 0 * * 5-1/2", "day of week", "a range over the end of the week takes no step"},
			{"TZ=UTC 0 0 * * *", "second", "'=' can't be in it"},
			{"0 0 * * *\x00", "day of week", `'\x00' can't be in it`},
		} {
			e := r.refused(cron.Add{Name: "job", Expr: c.expr, Service: "guild"}, cron.BadExpr)
			if e.Field != c.field || !strings.Contains(e.Error(), c.want) || !strings.HasPrefix(e.Error(), `cron: job "job": `+c.field) {
				t.Errorf("%q: field %q: %v\nwant field %q: %s", c.expr, e.Field, e.Error(), c.field, c.want)
			}
		}
		if jobs := r.list(); len(jobs) != 0 {
			t.Errorf("got %+v", jobs)
		}
	})
}

func TestAnExpressionThatIsNeverDueIsAnError(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		for _, expr := range []string{"0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30W 2 *", "0 0 L-29 2 *", "0 0 31 2 ?"} {
			if e := r.refused(cron.Add{Name: "job", Expr: expr, Service: "guild"}, cron.NeverDue); !strings.Contains(e.Error(), expr) {
				t.Error(expr, e.Error())
			}
		}
		// On a weekday or on the 30th of February is on a weekday.
		r.add(cron.Add{Name: "job", Expr: "0 0 30 2 MON", Service: "guild"})
	})
}

func TestWhatIsWrongWithAJobIsToldApart(t *testing.T) {
	in(t, cron.Config{MaxJobs: 2}, func(t *testing.T, r *rig) {
		g := r.target("")
		good := cron.Add{Name: "job", Expr: "@daily", To: g.ref}
		r.add(good)
		for _, c := range []struct {
			change func(m *cron.Add)
			code   cron.Code
			want   string
		}{
			{func(m *cron.Add) { m.Name = "" }, cron.BadName, "the name has 0 bytes, 1 to 200 are allowed"},
			{func(m *cron.Add) { m.Name = strings.Repeat("x", 201) }, cron.BadName, "the name has 201 bytes"},
			{func(m *cron.Add) { m.Service = "guild" }, cron.BadTarget, "To and Service are both given"},
			{func(m *cron.Add) { *m = cron.Add{Name: "x", Expr: "@daily"} }, cron.BadTarget, "nobody to send to"},
			{func(m *cron.Add) { m.Zone = "Europe/Berln" }, cron.BadZone, `zone "Europe/Berln": unknown time zone Europe/Berln; a name of the IANA database`},
			{func(m *cron.Add) { m.Zone = "../../etc/passwd" }, cron.BadZone, "invalid"},
			{func(m *cron.Add) { m.Zone = "Local" }, cron.BadZone, "differs from node to node"},
			{func(*cron.Add) {}, cron.NameTaken, "the name is taken by another job of the same target"},
		} {
			bad := good
			c.change(&bad)
			if e := r.refused(bad, c.code); !strings.Contains(e.Error(), c.want) || e.Job != bad.Name {
				t.Errorf("got %v, want %s", e.Error(), c.want)
			}
		}
		// The same name is free for another target, and a name that is removed is free again.
		other := cron.Add{Name: "job", Expr: "@daily", Service: "guild"}
		r.add(other)
		r.refused(cron.Add{Name: "third", Expr: "@daily", To: g.ref}, cron.TooMany)
		if _, err := r.ask(cron.Remove{Name: "job", Service: "guild"}); err != nil {
			t.Fatal(err)
		}
		r.add(other)
	})
}
