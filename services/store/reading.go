package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
)

// maxProbes is how many reads ask a database that is known to be away. They may find it back; more would take the threads that the retries need.
const maxProbes = 8

// maxReads is how many reads ask the database at a time. Further ones are refused: they would take the memory of a node whose database is slow.
const maxReads = 1024

// reads is what is being read for those who own nothing, and what was.
type reads struct {
	cache   *cache
	flights map[name][]*flight
	n       int // that the database is being asked for
}

// flight is a reading that several may wait for.
type flight struct {
	name
	fields  []string
	waiting []actor.Promise
	stale   bool // the document has changed since it began
}

func newReads(cfg *Config) reads {
	return reads{cache: newCache(cfg), flights: map[name][]*flight{}}
}

// invalidate forgets what is known of a document that has changed.
func (r *reads) invalidate(n name) {
	r.cache.drop(n)
	for _, f := range r.flights[n] {
		f.stale = true
	}
	delete(r.flights, n) // who asks from now on wants what is there now
}

func (r *reads) flight(n name, fields []string) *flight {
	for _, f := range r.flights[n] {
		if slices.Equal(f.fields, fields) {
			return f
		}
	}
	return nil
}

func (r *reads) landed(f *flight) {
	all := slices.DeleteFunc(r.flights[f.name], func(other *flight) bool { return other == f })
	if len(all) == 0 {
		delete(r.flights, f.name)
		return
	}
	r.flights[f.name] = all
}

func (s *Service) load(c *actor.Context, m Load) {
	n := name{m.Kind, m.ID}
	if err := errors.Join(CheckName(n.kind, n.id), CheckFields(m.Fields)); err != nil {
		c.Reply(Doc{}, err)
		return
	}
	if d := s.docs[n]; d != nil {
		doc, err := d.loaded(m.Fields)
		c.Reply(doc, err)
		return
	}
	r := &s.reads
	if !m.Fresh {
		if p, ok := r.cache.get(n, m.Fields, time.Now()); ok {
			s.cfg.Metrics.hits.Inc()
			c.Reply(p.doc, p.err)
			return
		}
		s.cfg.Metrics.misses.Inc()
	}
	who := c.Promise()
	if f := r.flight(n, m.Fields); f != nil && !m.Fresh {
		f.waiting = append(f.waiting, who)
		return
	}
	if err := s.mayRead("load " + n.String()); err != nil {
		c.Reply(Doc{}, err)
		return
	}
	f := &flight{name: n, fields: m.Fields, waiting: []actor.Promise{who}}
	r.flights[n] = append(r.flights[n], f)
	c.Detached(func() { s.fly(c, f) })
}

// mayRead tells whether the database may be asked now.
func (s *Service) mayRead(op string) error {
	switch {
	case s.out.down() && s.reads.n >= maxProbes:
		return s.unavailable(op)
	case s.reads.n >= maxReads:
		s.cfg.Metrics.overloaded.Inc()
		return &actor.Error{Code: actor.Overloaded, Actor: ServiceName, Text: fmt.Sprintf("%s: %d reads wait for the database", op, s.reads.n)}
	}
	return nil
}

// fly asks the database, for all who want the same until it has answered.
func (s *Service) fly(c *actor.Context, f *flight) {
	n, r := f.name, &s.reads
	r.n++
	c.Go(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		defer cancel()
		return s.read(ctx, n, f.fields)
	}, func(v any, err error) {
		r.n--
		r.landed(f)
		doc, _ := v.(Doc)
		if d := s.docs[n]; d != nil { // somebody has claimed it meanwhile, and may have changed it
			doc, err = d.loaded(f.fields)
		} else if !f.stale && (err == nil || errors.Is(err, ErrNotFound)) {
			r.cache.put(n, f.fields, part{doc: doc, err: err}, time.Now())
		}
		for _, w := range f.waiting {
			w.Reply(doc, err)
		}
	})
}

// read reads a document as owners see it. It is used outside the actor.
func (s *Service) read(ctx context.Context, n name, fields []string) (Doc, error) {
	m, migrates := s.cfg.Migrations[n.kind]
	if !migrates && len(fields) > 0 {
		return s.cfg.Backend.LoadFields(ctx, n.kind, n.id, fields)
	}
	doc, err := s.cfg.Backend.Load(ctx, n.kind, n.id)
	if err != nil || !migrates {
		return doc, err
	}
	if doc.Body, err = m.Apply(n.kind, n.id, doc.Body); err == nil {
		doc.Body, err = Project(doc.Body, fields)
	}
	return doc, err
}

func (s *Service) find(c *actor.Context, q Query) {
	if err := s.mayRead("find " + clip(q.Kind)); err != nil {
		c.Reply(nil, err)
		return
	}
	s.reads.n++
	c.Go(func(ctx context.Context) (any, error) { return s.query(ctx, q) }, func(v any, err error) {
		s.reads.n--
		c.Reply(v, err)
	})
}

// query asks for more fields than were wanted, if it needs them to tell the next page's position. It is used outside the actor.
func (s *Service) query(ctx context.Context, q Query) (Found, error) {
	plan, err := q.Plan(s.cfg.Indexes)
	if err != nil {
		return Found{}, err
	}
	wider := q
	m, migrates := s.cfg.Migrations[q.Kind]
	switch {
	case len(q.Fields) == 0:
	case migrates:
		wider.Fields = nil
	default:
		wider.Fields = withFields(q.Fields, plan.Index.Fields)
	}
	docs, err := s.cfg.Backend.Find(ctx, wider)
	if err != nil {
		return Found{}, err
	}
	found := Found{Docs: docs}
	if n := len(docs); n > 0 {
		if found.Next, err = plan.Position(docs[n-1]); err != nil {
			return Found{}, err
		}
	}
	for i := range docs {
		d := &docs[i]
		if d.Body, err = m.Apply(d.Kind, d.ID, d.Body); err == nil {
			d.Body, err = Project(d.Body, q.Fields)
		}
		if err != nil {
			return Found{}, err
		}
	}
	return found, nil
}
