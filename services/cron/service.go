package cron

import (
	"container/heap"
	"fmt"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// Service is the actor that keeps the jobs of a node.
type Service struct {
	cfg     Config
	jobs    map[key]*job
	queue   queue
	watched map[actor.Ref]map[*job]struct{} // targets and their jobs
	zones   map[string]*time.Location       // those that were asked for: as many as there are, at most
	order   uint64
	timer   *actor.Timer // runs while there are jobs
	looked  look
}

// Receive takes the messages of this package; scripts send theirs under small letters.
func (s *Service) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Add:
		due, err := s.add(c, m, false)
		if err != nil {
			s.refuse(c, err)
			return
		}
		c.Reply(due, nil)
	case Remove:
		if err := s.remove(c, m); err != nil {
			s.refuse(c, err)
			return
		}
		c.Reply(nil, nil)
	case Next:
		j, err := s.find(Remove(m))
		if err != nil {
			s.refuse(c, err)
			return
		}
		c.Reply(j.info(), nil)
	case List:
		c.Reply(s.list(), nil)
	case lua.Message:
		s.fromScript(c, m)
	case actor.Terminated:
		for j := range s.watched[m.Ref] {
			s.drop(j)
		}
		s.arm(c)
	default:
		c.Reply(nil, fmt.Errorf("cron: %T is no message of the cron service", msg))
	}
}

// refuse answers with an error; if nobody waits for the answer, the log gets it.
func (s *Service) refuse(c *actor.Context, err error) {
	if !c.IsRequest() {
		c.Log().Warn("refused", "error", err, "from", c.From().String())
	}
	c.Reply(nil, err)
}

// maxName bounds a job's name.
const maxName = 200

// add makes a job and gives its first time.
func (s *Service) add(c *actor.Context, m Add, script bool) (time.Time, error) {
	j, err := s.plan(c, m)
	if err != nil {
		err.Job = m.Name
		return time.Time{}, err
	}
	now := s.now()
	if j.next = j.times.next(now); j.next.IsZero() {
		return time.Time{}, &Error{Code: NeverDue, Job: m.Name, Msg: fmt.Sprintf("%q is never due: no year has such a day", m.Expr)}
	}
	if len(s.queue) == 0 {
		s.looked = s.glance(now)
	}
	if old := s.jobs[j.key]; old != nil {
		s.drop(old)
	}
	j.script = script
	s.order++
	j.order = s.order
	s.jobs[j.key] = j
	heap.Push(&s.queue, j)
	if j.service == "" {
		if s.watched[j.to] == nil {
			s.watched[j.to] = map[*job]struct{}{}
			c.Watch(j.to)
		}
		s.watched[j.to][j] = struct{}{}
	}
	s.cfg.Metrics.jobs.Inc()
	s.arm(c)
	return j.next, nil
}

// plan checks what a job is asked to be.
func (s *Service) plan(c *actor.Context, m Add) (*job, *Error) {
	if m.Name == "" || len(m.Name) > maxName {
		return nil, &Error{Code: BadName, Msg: fmt.Sprintf("the name has %d bytes, 1 to %d are allowed", len(m.Name), maxName)}
	}
	to := m.To
	switch {
	case m.Service != "" && !to.IsZero():
		return nil, &Error{Code: BadTarget, Msg: "To and Service are both given"}
	case m.Service == "" && to.IsZero():
		if to = c.From(); to.IsZero() {
			return nil, &Error{Code: BadTarget, Msg: "nobody to send to: To or Service is expected of whoever is no actor"}
		}
	}
	days, everyHour, err := parse(m.Expr)
	if err != nil {
		return nil, err
	}
	zone, err := s.zone(m.Zone)
	if err != nil {
		return nil, err
	}
	k := key{to: to, service: m.Service, name: m.Name}
	switch taken := s.jobs[k] != nil; {
	case taken && !m.Replace:
		return nil, &Error{Code: NameTaken, Msg: "the name is taken by another job of the same target"}
	case !taken && len(s.jobs) >= s.cfg.MaxJobs:
		return nil, &Error{Code: TooMany, Msg: fmt.Sprintf("there are %d jobs, and no more are allowed", len(s.jobs))}
	}
	return &job{key: k, expr: m.Expr, times: timetable{days: days, everyHour: everyHour, zone: zone}, msg: m.Msg}, nil
}

// zone finds a time zone. The first time it reads a file of 2 KiB from the system's database, which is no wait worth a goroutine.
func (s *Service) zone(name string) (*time.Location, *Error) {
	if zone := s.zones[name]; zone != nil {
		return zone, nil
	}
	if name == "Local" {
		return nil, &Error{Code: BadZone, Msg: `zone "Local" differs from node to node: a name such as Europe/Berlin is expected`}
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, &Error{Code: BadZone, Msg: fmt.Sprintf("zone %q: %v; a name of the IANA database such as Europe/Berlin is expected, or none for UTC", name, err)}
	}
	s.zones[name] = zone
	return zone, nil
}

func (s *Service) find(m Remove) (*job, error) {
	if j := s.jobs[key{to: m.To, service: m.Service, name: m.Name}]; j != nil {
		return j, nil
	}
	return nil, &Error{Code: NoJob, Job: m.Name, Msg: "there is no such job of this target"}
}

func (s *Service) remove(c *actor.Context, m Remove) error {
	j, err := s.find(m)
	if err != nil {
		return err
	}
	s.drop(j)
	if j.service == "" && s.watched[j.to] == nil {
		c.Unwatch(j.to)
	}
	s.arm(c)
	return nil
}

// drop forgets a job.
func (s *Service) drop(j *job) {
	delete(s.jobs, j.key)
	heap.Remove(&s.queue, j.place)
	if jobs := s.watched[j.to]; jobs != nil {
		delete(jobs, j)
		if len(jobs) == 0 {
			delete(s.watched, j.to)
		}
	}
	s.cfg.Metrics.jobs.Dec()
}

func (s *Service) list() []Job {
	sorted := slices.Clone(s.queue)
	slices.SortFunc(sorted, (*job).compare)
	all := make([]Job, len(sorted))
	for i, j := range sorted {
		all[i] = j.info()
	}
	return all
}
