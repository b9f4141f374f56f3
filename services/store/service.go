package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// ServiceName is the name under which a node's store is found.
const ServiceName = "store"

// Claim makes the sender the owner of a document: answered by its Doc, whose Body is empty if there is none yet. The ownership ends with the sender.
type Claim struct{ Kind, ID string }

// Load reads a document: answered by its Doc, or ErrNotFound. It sees what an owner on this node has saved but not yet written.
type Load struct{ Kind, ID string }

// Save hands in a document's new content, which replaces what was handed in before. It is answered when the content is accepted; it becomes durable within
// Config.Autosave and the time of one batch. ErrNotOwner, ErrInvalid, ErrTooLarge and actor.ErrOverloaded refuse it. The body is read only from then on.
type Save struct {
	Kind, ID string
	Body     bson.Raw
}

// Commit is a Save that is answered when the content is durable. ErrUnavailable says that the database can't be reached: the content is then kept and
// written when it is back, as after a Save.
type Commit Save

// Release ends the sender's ownership of a document before the sender ends. What it has handed in is still written.
type Release struct{ Kind, ID string }

// ErrNotOwner refuses a Save by an actor that has not claimed the document, or has been replaced as its owner on this node.
var ErrNotOwner = errors.New("store: not the owner")

// Config tells a Service how to write. Backend is needed.
type Config struct {
	Backend Backend
	// Autosave is the longest time that a saved change waits to be written: with the time of one batch it is what a crash may lose. Default 2 s.
	Autosave time.Duration
	// Batch is how many documents are written at once. Default 500.
	Batch int
	// MaxPending is how many documents may wait to be written; beyond it, changes of further ones are refused. Default 100,000.
	MaxPending int
	// Timeout bounds one batch. Default 10 s.
	Timeout time.Duration
	// Retry is the pause after the first failed batch; it doubles up to 5 s, with jitter. Default 100 ms.
	Retry time.Duration
	// Metrics counts; nil is fine.
	Metrics *Metrics
}

func (cfg *Config) defaults() {
	if cfg.Autosave <= 0 {
		cfg.Autosave = 2 * time.Second
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 500
	}
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = 100_000
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Retry <= 0 {
		cfg.Retry = 100 * time.Millisecond
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
}

// Service is the actor that keeps the documents of its node's owners between a change and the database.
type Service struct {
	cfg     Config
	docs    map[name]*document
	byOwner map[actor.Ref]map[*document]struct{}
	out     outbox
}

type name struct{ kind, id string }

// document is one that has an owner on this node, or still waits to be written.
type document struct {
	name
	owner   actor.Ref // zero when it has ended
	epoch   int64
	version int64
	known   bson.Raw // the newest content: what a new owner on this node gets

	changed bool            // known is newer than write
	since   time.Time       // when it changed
	waiting []actor.Promise // commits of known
	write   *Write          // on its way, or to be tried again just as it is
	told    []actor.Promise // commits of write
	place   place
}

// Spec is how to spawn the store of a node.
func Spec(cfg Config) actor.Spec {
	cfg.defaults()
	return actor.Spec{
		Name: ServiceName, StopTimeout: 30 * time.Second,
		New: func() actor.Actor {
			return &Service{cfg: cfg, docs: map[name]*document{}, byOwner: map[actor.Ref]map[*document]struct{}{}}
		},
		// What it holds exists nowhere else, so a restart with nothing would pretend that nothing is lost.
		Supervision: actor.Supervision{Limit: -1},
	}
}

// Receive takes the messages of this file, from Go and, under their names in small letters, from scripts.
func (s *Service) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Claim:
		s.claim(c, name{m.Kind, m.ID}, c.Reply)
	case Load:
		s.load(c, name{m.Kind, m.ID}, c.Reply)
	case Save:
		c.Reply(nil, s.save(c, name{m.Kind, m.ID}, m.Body))
	case Commit:
		s.commit(c, name{m.Kind, m.ID}, m.Body)
	case Release:
		s.release(c, name{m.Kind, m.ID})
	case lua.Message:
		s.script(c, m)
	case actor.Terminated:
		s.ownerEnded(m.Ref)
	default:
		c.Reply(nil, fmt.Errorf("store: %T is no message of the store", msg))
	}
}

func (s *Service) claim(c *actor.Context, n name, then func(any, error)) {
	owner := c.From()
	if owner.IsZero() {
		then(nil, fmt.Errorf("%w: only an actor can own %s", ErrNotOwner, Name(n.kind, n.id)))
		return
	}
	if d := s.docs[n]; d != nil {
		// It was this node's before, so nobody else can have written it: the new owner goes on where the old one was, even while the database is away.
		s.own(c, d, owner)
		then(d.doc(), nil)
		return
	}
	if err := CheckName(n.kind, n.id); err != nil {
		then(nil, err)
		return
	}
	c.Go(func(ctx context.Context) (any, error) { return s.cfg.Backend.Claim(ctx, n.kind, n.id) }, func(v any, err error) {
		if err != nil {
			then(nil, err)
			return
		}
		doc := v.(Doc) //nolint:forcetypeassert // what Claim returns
		d := s.docs[n]
		if d == nil {
			d = &document{name: n}
			s.docs[n] = d
		}
		// Of two claims at a time the one with the newer epoch holds; the other's content is the same, since neither has written.
		if doc.Epoch > d.epoch {
			d.epoch, d.version, d.known = doc.Epoch, doc.Version, doc.Body
		}
		s.own(c, d, owner)
		then(d.doc(), nil)
	})
}

func (d *document) doc() Doc {
	return Doc{Kind: d.kind, ID: d.id, Version: d.version, Epoch: d.epoch, Body: d.known}
}

func (s *Service) own(c *actor.Context, d *document, owner actor.Ref) {
	if d.owner == owner {
		return
	}
	s.disown(d)
	d.owner = owner
	if s.byOwner[owner] == nil {
		s.byOwner[owner] = map[*document]struct{}{}
		c.Watch(owner)
	}
	s.byOwner[owner][d] = struct{}{}
}

func (s *Service) disown(d *document) {
	if owned := s.byOwner[d.owner]; owned != nil {
		delete(owned, d)
	}
	d.owner = actor.Ref{}
}

func (s *Service) release(c *actor.Context, n name) {
	d := s.docs[n]
	if d == nil || d.owner != c.From() {
		return
	}
	s.disown(d)
	s.forget(d)
}

func (s *Service) ownerEnded(owner actor.Ref) {
	for d := range s.byOwner[owner] {
		d.owner = actor.Ref{}
		s.forget(d)
	}
	delete(s.byOwner, owner)
}

// forget drops a document that nobody owns and nothing is to be written of.
func (s *Service) forget(d *document) {
	if d.owner.IsZero() && d.write == nil && !d.changed && s.docs[d.name] == d {
		delete(s.docs, d.name)
	}
}

func (s *Service) load(c *actor.Context, n name, then func(any, error)) {
	if d := s.docs[n]; d != nil {
		if len(d.known) == 0 {
			then(nil, fmt.Errorf("%w: %s", ErrNotFound, Name(n.kind, n.id)))
			return
		}
		then(d.doc(), nil)
		return
	}
	c.Go(func(ctx context.Context) (any, error) { return s.cfg.Backend.Load(ctx, n.kind, n.id) }, then)
}

// save takes a change in; it is written later.
func (s *Service) save(c *actor.Context, n name, body bson.Raw) error {
	d, err := s.accept(c, n, body)
	if err != nil {
		return err
	}
	s.cfg.Metrics.saves.Inc()
	s.out.later(d)
	s.pump(c)
	return nil
}

// commit takes a change in and answers when it is written.
func (s *Service) commit(c *actor.Context, n name, body bson.Raw) {
	d, err := s.accept(c, n, body)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	s.cfg.Metrics.commits.Inc()
	if s.out.down() {
		s.out.later(d)
		c.Reply(nil, &UnavailableError{Op: "commit " + Name(n.kind, n.id) + " (kept until the database is back)", Err: s.out.cause})
		return
	}
	d.waiting = append(d.waiting, c.Promise())
	s.out.soon(d)
	s.pump(c)
}

func (s *Service) accept(c *actor.Context, n name, body bson.Raw) (*document, error) {
	d := s.docs[n]
	if d == nil || d.owner.IsZero() || d.owner != c.From() {
		return nil, fmt.Errorf("%w: %s must be claimed first", ErrNotOwner, Name(n.kind, n.id))
	}
	if err := CheckBody(n.kind, n.id, body); err != nil {
		return nil, err
	}
	if d.place == nowhere && d.write == nil && s.out.pending >= s.cfg.MaxPending {
		return nil, &actor.Error{Code: actor.Overloaded, Actor: ServiceName, Text: fmt.Sprintf("%d documents wait for the database", s.out.pending)}
	}
	if !d.changed {
		d.changed, d.since = true, time.Now()
	}
	d.known = body
	return d, nil
}

// Stop writes what waits to be written. The service ends when that is done.
func (s *Service) Stop(c *actor.Context, _ error) {
	s.out.stopping = true
	if s.out.pending > 0 {
		s.out.release = c.Hold()
	}
	s.pump(c)
}
