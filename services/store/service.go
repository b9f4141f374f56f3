package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// ServiceName is the name under which a node's store is found.
const ServiceName = "store"

// Claim makes the sender the owner of a document, in the place of the one that it may have: answered by its Doc, whose Body is empty if there is none yet and
// is read only. The ownership ends with the sender. Of several claims at a time the last one holds, and the others get ErrNotOwner.
//
// When somebody on another node claims the document, or the database has another version than the owner's, the owner's next write fails and the ownership
// ends: an owner in Go gets a Lost, a script's service is stopped with the reason.
//
// Stop has an owner in Go stopped with the reason, too, in place of a Lost.
type Claim struct {
	Kind, ID string
	Stop     bool
}

// Lost tells an owner that a document is no longer its own, and why: ErrFenced or ErrConflict. What it handed in last is not written.
type Lost struct {
	Kind, ID string
	Err      error
}

// Load reads a document: answered by its Doc, or ErrNotFound. It sees what an owner on this node has saved but not yet written; Version and Epoch are those of
// the database. Body is read only.
type Load struct{ Kind, ID string }

// Save hands in a document's new content, which replaces what was handed in before. It is answered when the content is accepted; how soon it is durable says
// Config.Autosave. ErrNotOwner, ErrInvalid, ErrTooLarge and actor.ErrOverloaded refuse it. The body is read only from then on.
type Save struct {
	Kind, ID string
	Body     bson.Raw
	// Within is how long the change may wait for its turn, if that is less than Config.Autosave; 0: it is not. A Commit does not wait.
	Within time.Duration
}

// Commit is a Save that is answered when the content is durable, or something newer is that was saved on top of it. ErrUnavailable says that the database can't
// be reached: the content is then kept and written when it is back, as after a Save.
type Commit Save

// Release ends the sender's ownership of a document before the sender ends. What it has handed in is still written.
type Release struct{ Kind, ID string }

// ErrNotOwner refuses a Save by an actor that has not claimed the document, or has been replaced as its owner on this node.
var ErrNotOwner = errors.New("store: not the owner")

// Config tells a Service how to write. Backend is needed.
type Config struct {
	Backend Backend
	// Autosave is the longest time that a saved change waits for its turn to be written. A crash may lose it until then, and for as long as the batch that
	// is under way at that moment and its own take. Default 2 s.
	Autosave time.Duration
	// Batch is how many documents are written at once. Default 500. A batch ends earlier when its bodies have 16 MiB.
	Batch int
	// MaxPending is how many documents may wait to be written; beyond it, changes of further ones are refused. A document counts once, however often it
	// changes, and keeps two bodies at most. Default 100,000.
	MaxPending int
	// Timeout bounds one batch, and the claim of a document. Default 10 s.
	Timeout time.Duration
	// Retry is the pause after the first failed batch; it doubles up to 5 s, with jitter. Default 100 ms.
	Retry time.Duration
	// StopTimeout is how long a stopping Service tries to write what it holds; what remains is lost, and named in the log. Default 30 s.
	StopTimeout time.Duration
	// Metrics counts; nil is fine.
	Metrics *Metrics
}

func (cfg *Config) defaults() {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&cfg.Autosave, 2 * time.Second}, {&cfg.Timeout, 10 * time.Second}, {&cfg.Retry, 100 * time.Millisecond}, {&cfg.StopTimeout, 30 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 500
	}
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = 100_000
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
}

// Service is the actor that keeps the documents of its node's owners between a change and the database.
type Service struct {
	cfg     Config
	docs    map[name]*document // those that have an owner on this node, or wait to be written
	byOwner map[actor.Ref]map[*document]struct{}
	claims  map[name][]claimer // who waits for a claim that the database is being asked for
	loads   int                // that the database is being asked for
	out     outbox
}

// stopGrace is how much later than a Service itself its supervisor loses patience.
const stopGrace = time.Second

// Spec is how to spawn the store of a node. Whatever owns documents is to be spawned later, so that it stops earlier.
func Spec(cfg Config) actor.Spec {
	cfg.defaults()
	return actor.Spec{
		Name: ServiceName, StopTimeout: cfg.StopTimeout + stopGrace,
		New: func() actor.Actor {
			return &Service{cfg: cfg, docs: map[name]*document{}, byOwner: map[actor.Ref]map[*document]struct{}{}, claims: map[name][]claimer{}}
		},
		// What it holds exists nowhere else, so a restart with nothing would pretend that nothing is lost.
		Supervision: actor.Supervision{Limit: -1},
	}
}

// Receive takes the messages of this file, from Go and, under their names in small letters, from scripts.
func (s *Service) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Claim:
		s.claim(c, name{m.Kind, m.ID}, claimer{script: m.Stop, answer: asDoc})
	case Load:
		s.load(c, name{m.Kind, m.ID}, asDoc)
	case Save:
		c.Reply(nil, s.save(c, name{m.Kind, m.ID}, m.Body, m.Within))
	case Commit:
		s.commit(c, name{m.Kind, m.ID}, m.Body)
	case Release:
		c.Reply(nil, s.release(c, name{m.Kind, m.ID}))
	case lua.Message:
		s.script(c, m)
	case actor.Terminated:
		s.ownerEnded(m.Ref)
	default:
		c.Reply(nil, fmt.Errorf("store: %T is no message of the store", msg))
	}
}

// form makes the answer to a Claim or Load what its sender understands.
type form func(Doc, error) (any, error)

func asDoc(doc Doc, err error) (any, error) { return doc, err }

// maxProbes is how many reads ask a database that is known to be away. They may find it back; more would take the threads that the retries need.
const maxProbes = 8

func (s *Service) load(c *actor.Context, n name, answer form) {
	if d := s.docs[n]; d != nil {
		c.Reply(answer(d.loaded()))
		return
	}
	if s.out.down() && s.loads >= maxProbes {
		c.Reply(answer(Doc{}, s.unavailable("load "+n.String())))
		return
	}
	s.loads++
	c.Go(func(ctx context.Context) (any, error) { return s.cfg.Backend.Load(ctx, n.kind, n.id) }, func(v any, err error) {
		s.loads--
		if d := s.docs[n]; d != nil { // somebody has claimed it meanwhile, and may have changed it
			c.Reply(answer(d.loaded()))
			return
		}
		doc, _ := v.(Doc)
		c.Reply(answer(doc, err))
	})
}

// save takes a change in; it is written later.
func (s *Service) save(c *actor.Context, n name, body bson.Raw, within time.Duration) error {
	d, err := s.accept(c, n, body)
	if err != nil {
		return err
	}
	s.cfg.Metrics.saves.Inc()
	if within <= 0 || within > s.cfg.Autosave {
		within = s.cfg.Autosave
	}
	s.out.want(d, time.Now().Add(within))
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
	s.out.want(d, time.Now())
	if s.out.down() {
		c.Reply(nil, s.kept(d))
	} else {
		d.waiting = append(d.waiting, c.Promise())
	}
	s.pump(c)
}

func (s *Service) accept(c *actor.Context, n name, body bson.Raw) (*document, error) {
	d := s.docs[n]
	if d == nil || d.owner.IsZero() || d.owner != c.From() {
		return nil, fmt.Errorf("%w: %s must be claimed first", ErrNotOwner, n)
	}
	if err := CheckBody(n.kind, n.id, body); err != nil {
		return nil, err
	}
	if d.place == nowhere && s.out.pending >= s.cfg.MaxPending {
		return nil, &actor.Error{Code: actor.Overloaded, Actor: ServiceName, Text: fmt.Sprintf("%d documents wait for the database", s.out.pending)}
	}
	d.known = body
	return d, nil
}

// unavailable is the error of what can't be done, or not be known, until the database is back.
func (s *Service) unavailable(op string) error {
	cause := s.out.cause
	var inner *UnavailableError
	if errors.As(cause, &inner) {
		cause = inner.Err
	}
	return &UnavailableError{Op: op, Err: cause}
}

func (s *Service) kept(d *document) error {
	return s.unavailable("commit " + d.String() + " (kept until the database is back)")
}
