package cron

import (
	"container/heap"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

const (
	// relook is how often the wall clock is looked at while there are jobs. A timer measures time that passes, so it does not notice that the clock was set,
	// nor, on some systems, that the machine slept; at the latest then what is due by the clock is found.
	relook = 30 * time.Second
	// slack is how far the clock may be set back without a change of plans: jobs that ran do not run again.
	slack = time.Minute
	// maxSteps bounds the due times that are looked at in one go; the rest comes behind the messages that wait.
	maxSteps = 2000
)

// look is a moment by both of the clocks.
type look struct {
	wall   time.Time
	passed time.Time // has a monotonic reading
}

// now is the wall clock, without the monotonic one that Go's times carry with them.
func (s *Service) now() time.Time { return s.cfg.Now().Round(0) }

func (s *Service) glance(now time.Time) look { return look{wall: now, passed: time.Now()} }

// arm sets the timer for the first job, or for the next look at the clock; without jobs there is none.
func (s *Service) arm(c *actor.Context) {
	if s.timer != nil {
		s.timer.Cancel()
		s.timer = nil
	}
	if len(s.queue) == 0 {
		return
	}
	wait := min(max(s.queue[0].next.Sub(s.now()), 0), relook)
	c.Detached(func() { s.timer = c.After(wait, func() { s.ring(c) }) })
}

// ring sends what is due.
func (s *Service) ring(c *actor.Context) {
	s.timer = nil
	now, was := s.now(), s.looked
	s.looked = s.glance(now)
	if back := was.wall.Add(s.looked.passed.Sub(was.passed)).Sub(now); back > slack {
		s.replan(c, now, back)
	}
	for steps := 0; steps < maxSteps && len(s.queue) > 0 && !s.queue[0].next.After(now); {
		steps += s.fire(c, s.queue[0], now)
	}
	s.arm(c)
}

// replan takes the times of all jobs from a clock that was set back. The times between come once more.
func (s *Service) replan(c *actor.Context, now time.Time, back time.Duration) {
	c.Log().Warn("the clock was set back; jobs go by the new time", "by", back.Round(time.Second), "jobs", len(s.queue))
	for _, j := range s.queue {
		j.next = j.times.next(now)
	}
	heap.Init(&s.queue)
}

// fire sends a job's tick and tells how many times it has looked at.
func (s *Service) fire(c *actor.Context, j *job, now time.Time) (steps int) {
	due, missed, next := j.times.last(j.next, now)
	if j.next = next; next.IsZero() {
		s.drop(j) // the calendar of an expression repeats itself, so this is for a clock that is set to the end of time
	} else {
		heap.Fix(&s.queue, j.place)
	}
	j.missed += int64(missed)
	s.cfg.Metrics.missed.Add(float64(missed))
	j.behind = min(j.behind+missed, MaxMissed)
	to := j.to
	if j.service != "" {
		ref, ok := c.System().Lookup(j.service)
		if !ok {
			s.nobody(c, j)
			return missed + 1
		}
		to = ref
	}
	c.Send(to, j.message(due))
	j.last, j.behind = due, 0
	j.count++
	s.cfg.Metrics.ticks.Inc()
	return missed + 1
}

// nobody counts a time at which a service was not there.
func (s *Service) nobody(c *actor.Context, j *job) {
	if j.behind == 0 {
		c.Log().Warn("nobody to send to; the job waits for its next time", "job", j.name, "service", j.service)
	}
	j.behind = min(j.behind+1, MaxMissed)
	j.missed++
	j.absent++
	s.cfg.Metrics.missed.Inc()
}

// message is what the target gets.
func (j *job) message(due time.Time) any {
	if j.script {
		return lua.Message{Type: lua.TypeCron, Args: value.Of(j.name, due.Unix(), j.behind)}
	}
	if m, ok := j.msg.(lua.Message); ok {
		return m
	}
	return Tick{Job: j.name, Due: due, Missed: j.behind, Msg: j.msg}
}
