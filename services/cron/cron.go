// Package cron sends messages at times of the calendar: each day at 5:00 in Berlin, on the last day of the month, every ten minutes.
//
// An expression has five fields, or six with the second in front:
//
//	second        0-59   0 if there are five fields
//	minute        0-59
//	hour          0-23
//	day of month  1-31   also L (the last), L-2 (two days before it), LW (the last from Monday to Friday), 15W (the one of these nearest to the 15th)
//	month         1-12   or JAN-DEC
//	day of week   0-7    or SUN-SAT; 0 and 7 are Sunday; also FRI#2 (the second Friday of the month), FRI#L (the last)
//
// Each takes a value, a list (1,15), a range (9-17, also 22-5), a step (*/10, 9-17/2) or * for all; ? is * in the two fields of days. If both of these are
// given, that is neither is * or ?, a day counts when one of them fits, as in crontab(5). Names for common ones are @yearly, @annually, @monthly, @weekly,
// @daily, @midnight and @hourly.
//
// # When the clock is changed for summer
//
// A job whose hour field begins with * goes by the clock of the zone and runs whenever that shows a time of its own: in both of the hours that come twice in
// autumn, and not in the one that is left out in spring. A job that names its hours runs once for each time that it names: in the first of the two hours, and,
// for what is left out, at the moment when the clock is set, once for all of it. So a job at 2:30 runs once each day of the year.
//
// # When the node's clock is set
//
// Jobs go by the wall clock, which is looked at each 30 s at least. Times that are passed over, because the clock was set forward or the machine slept, are
// made up for by one Tick a job. A clock that is set back by up to a minute repeats nothing. One that is set back further makes the times between come again:
// who must not do a thing twice remembers the Due that it was done for.
package cron

import (
	"time"

	"github.com/skua-go/skua/actor"
)

// ServiceName is the name under which a node's cron service is found.
const ServiceName = "cron"

// Add makes a job: answered by the time.Time at which it is due first, or by an *Error. The job lives as long as its target, or as the service: nothing is kept
// on disk, so whoever wants a job adds it each time it starts.
type Add struct {
	// Name is the job's: 1 to 200 bytes. A target has one job of a name; jobs of others do not matter.
	Name string
	// Replace puts the job in the place of the one that its target may have under this name, and which is NameTaken else. Actors that are restarted keep their
	// jobs; with it, their Start can add them as the first time.
	Replace bool
	// Expr says when, see the package.
	Expr string
	// Zone is the one that Expr is meant in: a name of the IANA database, such as Europe/Berlin. Empty is UTC. A program that may run where there is no
	// such database imports time/tzdata; the skua command does.
	Zone string
	// To is who gets the message. The job ends with that actor. Neither To nor Service is whoever sends the Add.
	To actor.Ref
	// Service is who gets the message, in the place of To: the actor of this node that has the name when the job is due. If none has it then, that time counts
	// as missed, and the job lives on.
	Service string
	// Msg is what the job is about: it arrives in a Tick. A lua.Message arrives as it is, since scripts know no Tick.
	Msg any
}

// Tick is what a job sends.
type Tick struct {
	Job string
	// Due is when the job was due, in its zone; it is delivered at that moment or later.
	Due time.Time
	// Missed is how many times the job was due since its last Tick, and before Due, without one: because the node was suspended or too busy, because its clock was
	// set forward, or because there was nobody to send it to. It is counted up to MaxMissed.
	Missed int
	// Msg is what Add was given.
	Msg any
}

// MaxMissed is where the counting of missed times ends.
const MaxMissed = 1000

// Remove ends a job: answered by nil, or by an *Error if there is none. To and Service are those of its Add; what it has sent before may still be on its way.
type Remove struct {
	Name    string
	To      actor.Ref
	Service string
}

// Next asks for one job: answered by a Job, or by an *Error if there is none. To and Service are those of its Add.
type Next Remove

// List asks for all jobs: answered by a []Job, those first that are due first.
type List struct{}

// Job is what there is to know of a job. Times are in its zone.
type Job struct {
	Name, Expr, Zone string
	To               actor.Ref // zero if there is a Service
	Service          string
	// Next is when it is due, Last when it last sent a Tick; zero if it never has.
	Next, Last time.Time
	Count      int64 // Ticks that it has sent
	Missed     int64 // times that it has missed, of which
	Absent     int64 // so many because nobody had the service's name
}

// Config tells a Service its bounds. The zero value works.
type Config struct {
	// MaxJobs is how many jobs there may be. Default 10,000. One takes about half a KiB, beside what it sends.
	MaxJobs int
	// Now is the wall clock. Default time.Now.
	Now func() time.Time
	// Metrics counts; nil is fine.
	Metrics *Metrics
}

func (cfg *Config) defaults() {
	if cfg.MaxJobs <= 0 {
		cfg.MaxJobs = 10_000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
}

// Spec is how to spawn the cron service of a node. It needs no other service; those that use it are to be spawned later.
func Spec(cfg Config) actor.Spec {
	cfg.defaults()
	return actor.Spec{
		Name: ServiceName,
		New: func() actor.Actor {
			return &Service{cfg: cfg, jobs: map[key]*job{}, watched: map[actor.Ref]map[*job]struct{}{}, zones: map[string]*time.Location{}}
		},
		// The jobs exist nowhere else, so a restart without them would pretend that all is well.
		Supervision: actor.Supervision{Limit: -1},
	}
}
