package cron_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/cron"
)

func TestAJobSendsWhatItIsAboutEachTimeItIsDue(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		g := r.target("")
		due := r.add(cron.Add{Name: "rewards", Expr: "0 6 * * *", Zone: "Europe/Berlin", To: g.ref, Msg: "gold"})
		if want := time.Date(2000, 1, 1, 5, 0, 0, 0, time.UTC); !due.Equal(want) || due.Location().String() != "Europe/Berlin" {
			t.Errorf("first at %v, want %v in Berlin", due, want)
		}
		pass(3 * 24 * time.Hour)
		g.mu.Lock()
		at := slices.Clone(g.at)
		g.mu.Unlock()
		ticks := g.ticks(t)
		if len(ticks) != 3 {
			t.Fatalf("got %v", ticks)
		}
		for i, tick := range ticks {
			want := due.AddDate(0, 0, i)
			if tick.Job != "rewards" || tick.Msg != "gold" || tick.Missed != 0 || !tick.Due.Equal(want) || tick.Due.Location() != want.Location() {
				t.Errorf("got %+v, want it due at %v", tick, want)
			}
			if late := at[i].Sub(want); late < 0 || late > 2*time.Millisecond {
				t.Errorf("it came %v late", late)
			}
		}
	})
}

func TestAJobIsForItsSenderIfItNamesNobody(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		g := r.target("")
		if _, err := r.sys.Ask(t.Context(), g.ref, cron.Add{Name: "mine", Expr: "*/5 * * * * *"}); err != nil {
			t.Fatal(err)
		}
		pass(11 * time.Second)
		if n := len(g.ticks(t)); n != 2 {
			t.Errorf("%d ticks", n)
		}
		if jobs := r.list(); len(jobs) != 1 || jobs[0].To != g.ref {
			t.Errorf("got %+v", jobs)
		}
	})
}

// The clock of the bubble, and all of the way through the service, over the changes of three zones.
func TestJobsRunAtTheirTimesWhenTheClockIsChanged(t *testing.T) {
	for _, c := range []struct {
		expr, zone, from string
		want             []string
	}{
		{"30 2 * * *", "Europe/Berlin", "2000-03-25 12:00:00 +0100", []string{"2000-03-26 03:00:00 +0200", "2000-03-27 02:30:00 +0200"}},
		{"30 2 * * *", "Europe/Berlin", "2000-10-28 12:00:00 +0200", []string{"2000-10-29 02:30:00 +0200", "2000-10-30 02:30:00 +0100"}},
		{"30 2 * * *", "America/New_York", "2000-04-01 12:00:00 -0500", []string{"2000-04-02 03:00:00 -0400", "2000-04-03 02:30:00 -0400"}},
		{"30 1 * * *", "America/New_York", "2000-10-28 12:00:00 -0400", []string{"2000-10-29 01:30:00 -0400", "2000-10-30 01:30:00 -0500"}},
		{"15 2 * * *", "Australia/Lord_Howe", "2000-08-26 12:00:00 +1030", []string{"2000-08-27 02:30:00 +1100", "2000-08-28 02:15:00 +1100"}},
		{"45 1 * * *", "Australia/Lord_Howe", "2000-03-25 12:00:00 +1100", []string{"2000-03-26 01:45:00 +1100", "2000-03-27 01:45:00 +1030"}},
		{"0 0 L 2 *", "Europe/Berlin", "2000-02-28 12:00:00 +0100", []string{"2000-02-29 00:00:00 +0100"}},
	} {
		t.Run(c.zone+" "+c.from, func(t *testing.T) {
			in(t, cron.Config{}, func(t *testing.T, r *rig) {
				from, err := time.Parse(moment, c.from)
				if err != nil {
					t.Fatal(err)
				}
				r.set(from)
				g := r.target("")
				r.add(cron.Add{Name: "job", Expr: c.expr, Zone: c.zone, To: g.ref})
				pass(44 * time.Hour)
				var got []string
				for _, tick := range g.ticks(t) {
					got = append(got, tick.Due.Format(moment))
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestTimesThatWereSleptThroughAreOneTickThatCountsThem(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		g := r.target("")
		r.add(cron.Add{Name: "hourly", Expr: "@hourly", To: g.ref})
		r.add(cron.Add{Name: "weekly", Expr: "@weekly", To: g.ref})
		pass(90 * time.Minute) // 1:30, one tick
		g.ticks(t)
		r.set(start().Add(7*time.Hour + 20*time.Minute)) // the machine slept, which no timer notices
		pass(31 * time.Second)
		ticks := g.ticks(t)
		if len(ticks) != 1 || ticks[0].Missed != 5 || !ticks[0].Due.Equal(start().Add(7*time.Hour)) {
			t.Fatalf("got %+v, want one of 7:00 that has missed 2:00 to 6:00", ticks)
		}
		r.until(start().Add(8*time.Hour + time.Minute))
		if ticks := g.ticks(t); len(ticks) != 1 || ticks[0].Missed != 0 || !ticks[0].Due.Equal(start().Add(8*time.Hour)) {
			t.Errorf("got %+v, want 8:00 as ever", ticks)
		}
		if job := r.list()[0]; job.Count != 3 || job.Missed != 5 || job.Absent != 0 {
			t.Errorf("got %+v", job)
		}
		if ticks, missed := r.metric("skua_cron_ticks_total"), r.metric("skua_cron_missed_total"); ticks != 3 || missed != 5 {
			t.Errorf("metrics: %v ticks, %v missed", ticks, missed)
		}
	})
}

func TestMissedTimesAreCountedUpToABoundAndTheNewestIsFound(t *testing.T) {
	for _, minutes := range []int{cron.MaxMissed, cron.MaxMissed + 1, cron.MaxMissed + 2, 30 * 24 * 60} {
		in(t, cron.Config{}, func(t *testing.T, r *rig) {
			g := r.target("")
			r.add(cron.Add{Name: "job", Expr: "* * * * *", To: g.ref})
			now := start().Add(time.Duration(minutes)*time.Minute + 29*time.Second)
			r.set(now)
			pass(30 * time.Second)
			want := cron.Tick{Job: "job", Due: now.Truncate(time.Minute), Missed: min(minutes-1, cron.MaxMissed)}
			if ticks := g.ticks(t); len(ticks) != 1 || ticks[0] != want {
				t.Errorf("behind %d minutes: got %+v, want %+v", minutes, ticks, want)
			}
			pass(time.Minute)
			want = cron.Tick{Job: "job", Due: want.Due.Add(time.Minute)}
			if ticks := g.ticks(t); len(ticks) != 1 || ticks[0] != want {
				t.Errorf("and then: got %+v, want %+v", ticks, want)
			}
		})
	}
}

func TestAClockThatIsSetBackALittleRepeatsNothing(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		g := r.target("")
		r.add(cron.Add{Name: "job", Expr: "*/10 * * * *", To: g.ref})
		r.until(start().Add(10*time.Minute + time.Second))
		if n := len(g.ticks(t)); n != 1 {
			t.Fatalf("%d ticks", n)
		}
		r.set(start().Add(9*time.Minute + 5*time.Second))
		r.until(start().Add(19 * time.Minute))
		if ticks := g.ticks(t); len(ticks) != 0 {
			t.Errorf("10:00 came again: %+v", ticks)
		}
		r.until(start().Add(20*time.Minute + time.Second))
		if ticks := g.ticks(t); len(ticks) != 1 || ticks[0].Missed != 0 {
			t.Errorf("got %+v", ticks)
		}
	})
}

func TestAClockThatIsSetBackIsFollowed(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		g := r.target("")
		r.set(start().AddDate(30, 0, 0)) // a clock that is wrong when the machine starts
		r.add(cron.Add{Name: "job", Expr: "0 * * * *", To: g.ref})
		r.add(cron.Add{Name: "other", Expr: "30 1 * * *", To: g.ref}) // comes before the other one now, and behind it later
		pass(time.Hour + time.Minute)
		g.ticks(t)
		r.set(start().Add(30 * time.Minute))
		r.until(start().Add(time.Hour + time.Second))
		if ticks := g.ticks(t); len(ticks) != 1 || ticks[0].Missed != 0 || !ticks[0].Due.Equal(start().Add(time.Hour)) {
			t.Errorf("got %+v, want 1:00", ticks)
		}
		if r.log.Count("the clock was set back") != 1 {
			t.Error("the operator does not hear of it")
		}
	})
}

func TestNothingRunsWhenThereAreNoJobs(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		pass(time.Hour)
		if n := r.looks.Load(); n != 0 {
			t.Errorf("%d looks at the clock without a job", n)
		}
		g := r.target("")
		r.add(cron.Add{Name: "job", Expr: "@yearly", To: g.ref})
		before := r.looks.Load()
		pass(time.Hour)
		// One to see what is due and one to set the timer, each 30 s.
		if n := r.looks.Load() - before; n < 118 || n > 2*121 {
			t.Errorf("%d looks at the clock in an hour", n)
		}
		if _, err := r.ask(cron.Remove{Name: "job", To: g.ref}); err != nil {
			t.Fatal(err)
		}
		before = r.looks.Load()
		pass(time.Hour)
		if n := r.looks.Load() - before; n != 0 {
			t.Errorf("%d looks at the clock without a job", n)
		}
	})
}

func TestARemovedJobSendsNoMore(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		g := r.target("")
		for _, name := range []string{"a", "b"} {
			r.add(cron.Add{Name: name, Expr: "* * * * *", To: g.ref})
		}
		pass(61 * time.Second)
		if _, err := r.ask(cron.Remove{Name: "a", To: g.ref}); err != nil {
			t.Fatal(err)
		}
		g.ticks(t)
		pass(time.Minute)
		if ticks := g.ticks(t); len(ticks) != 1 || ticks[0].Job != "b" {
			t.Errorf("got %+v", ticks)
		}
		r.refused(cron.Remove{Name: "a", To: g.ref}, cron.NoJob)
		r.refused(cron.Remove{Name: "b"}, cron.NoJob)
		r.refused(cron.Next{Name: "a", To: g.ref}, cron.NoJob)
		if first := r.add(cron.Add{Name: "a", Expr: "@daily", To: g.ref}); !first.Equal(start().AddDate(0, 0, 1)) {
			t.Errorf("the name is free, and gets %v", first)
		}
	})
}

func TestJobsEndWithTheirTarget(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		dies, lives := r.target(""), r.target("")
		for i := range 10 {
			r.add(cron.Add{Name: fmt.Sprint(i), Expr: "* * * * *", To: dies.ref})
		}
		r.add(cron.Add{Name: "0", Expr: "* * * * *", To: lives.ref})
		r.sys.Stop(dies.ref, nil)
		synctest.Wait()
		if jobs := r.list(); len(jobs) != 1 || jobs[0].To != lives.ref {
			t.Errorf("got %+v", jobs)
		}
		pass(time.Minute)
		if n := len(lives.ticks(t)); n != 1 {
			t.Errorf("%d ticks", n)
		}
		// One that has ended before is found out at once.
		r.add(cron.Add{Name: "late", Expr: "* * * * *", To: dies.ref})
		synctest.Wait()
		if jobs := r.list(); len(jobs) != 1 {
			t.Errorf("got %+v", jobs)
		}
		if n := r.metric("skua_cron_jobs"); n != 1 {
			t.Errorf("%v jobs", n)
		}
		if n := r.sys.Stats().DeadLetters; n != 0 {
			t.Errorf("%d messages to nobody", n)
		}
	})
}

func TestATargetThatHasJobsAgainIsWatchedAgain(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		g := r.target("")
		for range 3 {
			r.add(cron.Add{Name: "job", Expr: "@daily", To: g.ref})
			if _, err := r.ask(cron.Remove{Name: "job", To: g.ref}); err != nil {
				t.Fatal(err)
			}
		}
		r.add(cron.Add{Name: "job", Expr: "@daily", To: g.ref})
		r.sys.Stop(g.ref, nil)
		synctest.Wait()
		if jobs := r.list(); len(jobs) != 0 {
			t.Errorf("got %+v", jobs)
		}
	})
}

func TestAJobOfAServiceOutlivesItsRestarts(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		r.add(cron.Add{Name: "job", Expr: "* * * * *", Service: "guild"})
		first := r.target("guild")
		pass(61 * time.Second)
		if n := len(first.ticks(t)); n != 1 {
			t.Fatalf("%d ticks", n)
		}
		r.sys.Stop(first.ref, nil)
		pass(3 * time.Minute)
		v, err := r.ask(cron.Next{Name: "job", Service: "guild"})
		if err != nil {
			t.Fatal(err)
		}
		job := v.(cron.Job)
		if job.Absent != 3 || job.Missed != 3 || job.Count != 1 || !job.Last.Equal(start().Add(time.Minute)) || !job.Next.Equal(start().Add(5*time.Minute)) {
			t.Errorf("got %+v", job)
		}
		second := r.target("guild")
		pass(time.Minute)
		if ticks := second.ticks(t); len(ticks) != 1 || ticks[0].Missed != 3 {
			t.Errorf("got %+v", ticks)
		}
		pass(time.Minute)
		if ticks := second.ticks(t); len(ticks) != 1 || ticks[0].Missed != 0 {
			t.Errorf("got %+v", ticks)
		}
		if n := r.log.Count("nobody to send to"); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

// fragile adds its job at each start, and fails when it is told to.
type fragile struct{ target *target }

func (f *fragile) Start(c *actor.Context) error {
	service, _ := c.System().Lookup(cron.ServiceName)
	c.Ask(service, cron.Add{Name: "job", Replace: true, Expr: "* * * * *"}, func(_ any, err error) {
		if err != nil {
			panic(err)
		}
	})
	return nil
}

func (f *fragile) Receive(_ *actor.Context, msg any) {
	if msg == "fail" {
		panic(msg)
	}
	f.target.mu.Lock()
	defer f.target.mu.Unlock()
	f.target.got = append(f.target.got, msg)
}

func TestAnActorThatIsRestartedHasItsJobOnce(t *testing.T) {
	in(t, cron.Config{MaxJobs: 1}, func(t *testing.T, r *rig) {
		g := &target{}
		ref, err := r.sys.Spawn(actor.Spec{New: func() actor.Actor { return &fragile{target: g} }})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			pass(30 * time.Second)
			r.sys.Send(ref, "fail")
			pass(30 * time.Second)
		}
		pass(time.Second)
		if n := len(g.ticks(t)); n != 3 {
			t.Errorf("%d ticks in 3 minutes", n)
		}
		if n := r.sys.Stats().Restarts; n != 3 {
			t.Errorf("%d restarts", n)
		}
		r.refused(cron.Add{Name: "job", Expr: "@daily", To: ref}, cron.NameTaken)
		if due := r.add(cron.Add{Name: "job", Replace: true, Expr: "@daily", To: ref}); !due.Equal(start().AddDate(0, 0, 1)) {
			t.Errorf("due %v", due)
		}
		r.refused(cron.Add{Name: "job", Replace: true, Expr: "60 * * * *", To: ref}, cron.BadExpr)
		if jobs := r.list(); len(jobs) != 1 || jobs[0].Expr != "@daily" {
			t.Errorf("got %+v", jobs)
		}
		r.sys.Stop(ref, nil)
		synctest.Wait()
		if jobs := r.list(); len(jobs) != 0 {
			t.Errorf("got %+v", jobs)
		}
	})
}

func TestTenThousandJobsThatAreDueAtOnce(t *testing.T) {
	const n = 10_000
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		g := r.target("")
		for i := range n {
			r.add(cron.Add{Name: fmt.Sprint(i), Expr: []string{"@hourly", "* * * * *", "0 */2 * * *"}[i%3], Zone: "Europe/Berlin", To: g.ref})
		}
		if e := r.refused(cron.Add{Name: "more", Expr: "@hourly", To: g.ref}, cron.TooMany); !strings.Contains(e.Error(), "10000") {
			t.Errorf("it does not say how many: %v", e.Error())
		}
		r.until(start().Add(time.Hour + 59*time.Second)) // 2:00 in Berlin
		g.mu.Lock()
		first, last := g.at[len(g.at)-n], g.at[len(g.at)-1]
		g.mu.Unlock()
		got := map[string]int{}
		ticks := g.ticks(t)
		for _, tick := range ticks {
			got[tick.Job]++
		}
		if len(got) != n {
			t.Errorf("%d of the jobs have run", len(got))
		}
		if got["0"] != 1 || got["1"] != 60 || got["2"] != 1 {
			t.Errorf("%v", []int{got["0"], got["1"], got["2"]})
		}
		if late := last.Sub(start().Add(time.Hour)); late > 50*time.Millisecond {
			t.Errorf("the last came %v late", late)
		}
		if !last.After(first) {
			t.Error("nothing else could run between them")
		}
		// At 2:00 all are due, and the oldest comes first.
		for i, tick := range ticks[len(ticks)-n:] {
			if tick.Job != fmt.Sprint(i) {
				t.Fatalf("%d. is %s", i, tick.Job)
			}
		}
		r.sys.Stop(g.ref, nil)
		synctest.Wait()
		if jobs := r.list(); len(jobs) != 0 {
			t.Errorf("%d jobs are left", len(jobs))
		}
	})
}

func TestTheListIsInTheOrderOfWhatComesNext(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		for _, expr := range []string{"@yearly", "@daily", "@hourly", "@monthly", "0 0 * * *"} {
			r.add(cron.Add{Name: expr, Expr: expr, Zone: "UTC", Service: "nobody"})
		}
		var names []string
		for _, job := range r.list() {
			names = append(names, job.Name)
			if job.Expr != job.Name || job.Zone != "UTC" || job.Service != "nobody" || !job.Last.IsZero() || job.Next.IsZero() {
				t.Errorf("got %+v", job)
			}
		}
		if want := []string{"@hourly", "@daily", "0 0 * * *", "@monthly", "@yearly"}; !slices.Equal(names, want) {
			t.Errorf("got %q, want %q", names, want)
		}
	})
}

func TestWhatIsNoMessageIsAnErrorAndARefusalThatNobodyWaitsForIsLogged(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		if _, err := r.ask(42); err == nil || !strings.Contains(err.Error(), "int is no message of the cron service") {
			t.Errorf("got %v", err)
		}
		r.sys.Send(r.cron, cron.Add{Name: "job", Expr: "60 * * * *", Service: "guild"})
		synctest.Wait()
		if r.log.Count(`minute \"60\"`) != 1 {
			t.Errorf("the log does not tell:\n%s", r.log)
		}
	})
}

func TestAServiceThatFailsIsNotStartedAnewWithoutItsJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
		ref, err := sys.Spawn(cron.Spec(cron.Config{Now: func() time.Time { panic("no clock") }}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sys.Ask(t.Context(), ref, cron.Add{Name: "job", Expr: "@daily", Service: "guild"}); !errors.Is(err, actor.ErrFailed) {
			t.Errorf("got %v", err)
		}
		pass(time.Minute)
		if _, ok := sys.Lookup(cron.ServiceName); ok {
			t.Error("it is there")
		}
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
