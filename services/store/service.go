package store

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// Config tells a Service how to write. Backend is needed.
type Config struct {
	Backend Backend
	// Autosave is the longest time that a saved change waits for its turn to be written. A crash may lose it until then, and for as long as the batch that
	// is under way at that moment and its own take. Default 2 s.
	Autosave time.Duration
	// Batch is how many documents are written at once. Default 500. A batch ends earlier when its bodies have 16 MiB.
	Batch int
	// Parallel is how many batches are on their way at most: one of all that is due, and others of commits, which then need not wait for it. More is quicker where
	// the database works on several at a time; a Serial Backend gets one of commits at a time whatever it is. Default 4.
	Parallel int
	// MaxPending is how many documents may wait to be written; beyond it, changes of further ones are refused. A document counts once, however often it
	// changes, and keeps two bodies that wait at most. Default 100,000.
	MaxPending int
	// MaxPendingBytes is how many bytes of content may wait to be written. Beyond a half of it the log warns and commits are answered late, which slows those
	// down who wait for them; beyond it changes that make it more are refused. Default 256 MiB.
	MaxPendingBytes int
	// Timeout bounds one batch, the claim of a document, and a reading that several wait for. Default 10 s.
	Timeout time.Duration
	// Retry is the pause after the first failed batch; it doubles up to 5 s, with jitter. Default 100 ms.
	Retry time.Duration
	// StopTimeout is how long a stopping Service tries to write what it holds; what remains is lost, and named in the log. Default 30 s.
	StopTimeout time.Duration
	// CacheTTL is how long what was read of documents that nobody on this node owns, or that there was nothing, is good for; a fifth of it more or less at random,
	// so that what was read together is not read again together. Default 10 s; negative: nothing is kept.
	CacheTTL time.Duration
	// CacheBytes is how much of it is kept, what was asked for last. Default 64 MiB.
	CacheBytes int
	// Indexes of the database. The Service sees that they are there.
	Indexes []Index
	// Migrations by kind, of documents that scripts do not migrate.
	Migrations map[string]Migration
	// Quarantine keeps content that the database refuses; nil: it is not kept.
	Quarantine *Quarantine
	// Metrics counts; nil is fine.
	Metrics *Metrics

	serial bool // the Backend is a Serial
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
	for _, n := range []struct {
		v   *int
		def int
	}{{&cfg.Batch, 500}, {&cfg.Parallel, 4}, {&cfg.MaxPending, 100_000}, {&cfg.MaxPendingBytes, 256 << 20}, {&cfg.CacheBytes, 64 << 20}} {
		if *n.v <= 0 {
			*n.v = n.def
		}
	}
	if cfg.CacheTTL == 0 {
		cfg.CacheTTL = 10 * time.Second
	}
	_, cfg.serial = cfg.Backend.(Serial)
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
	reads   reads
	out     outbox
	aside   shelf

	stopIndexing context.CancelFunc // nil: there is nothing to build
	turn         actor.Ref          // of a Serial backend, see pumpInTurn
}

// stopGrace is how much later than a Service itself its supervisor loses patience.
const stopGrace = time.Second

// Spec is how to spawn the store of a node. Whatever owns documents is to be spawned later, so that it stops earlier.
func Spec(cfg Config) actor.Spec {
	cfg.defaults()
	return actor.Spec{
		Name: ServiceName, StopTimeout: cfg.StopTimeout + stopGrace,
		New: func() actor.Actor {
			return &Service{
				cfg: cfg, docs: map[name]*document{}, byOwner: map[actor.Ref]map[*document]struct{}{}, claims: map[name][]claimer{},
				reads: newReads(&cfg), aside: newShelf(&cfg),
			}
		},
		// What it holds exists nowhere else, so a restart with nothing would pretend that nothing is lost.
		Supervision: actor.Supervision{Limit: -1},
	}
}

// Start sees that the declared indexes are there, and starts the turn of a Serial backend.
func (s *Service) Start(c *actor.Context) (err error) {
	if s.cfg.serial {
		if s.turn, err = c.Spawn(actor.Spec{New: func() actor.Actor { return turn{} }}); err != nil {
			return err
		}
	}
	if len(s.cfg.Indexes) > 0 {
		s.index(c)
	}
	return nil
}

// index tries until the database has the indexes, or says that it can't. Until then it answers no queries.
func (s *Service) index(c *actor.Context) {
	began := time.Now()
	given, giveUp := context.WithCancel(context.Background())
	s.stopIndexing = giveUp
	c.Go(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(given, cancel)()
		return nil, s.cfg.Backend.Indexes(ctx, s.cfg.Indexes)
	}, func(_ any, err error) {
		giveUp()
		switch {
		case err == nil:
			c.Log().Info("indexes are there", "indexes", len(s.cfg.Indexes), "took", time.Since(began).Round(time.Millisecond))
		case s.out.stopping:
		case Retryable(err):
			c.Log().Warn("indexes can't be built now: it is tried again", "error", err)
			c.After(maxRetry, func() { s.index(c) })
		default:
			c.Log().Error("indexes can't be built: queries are refused, and what unique ones forbid is not", "error", err)
		}
	})
}

// Receive takes the messages of this package. Scripts send them by their module store, see the package documents.
func (s *Service) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Claim:
		s.claim(c, name{m.Kind, m.ID}, claimer{ifLost: m.IfLost, epoch: epochOf(m.Epoch)})
	case Load:
		s.load(c, m)
	case Find:
		s.find(c, m.Query)
	case Save:
		c.Reply(nil, s.save(c, name{m.Kind, m.ID}, m.Body, m.Within))
	case Commit:
		s.commit(c, name{m.Kind, m.ID}, m.Body)
	case Amend:
		s.amend(c, m)
	case Delete:
		s.delete(c, name{m.Kind, m.ID})
	case Release:
		c.Reply(nil, s.release(c, name{m.Kind, m.ID}))
	case Settle:
		s.settleOf(c, name{m.Kind, m.ID})
	case settings:
		c.Reply(s.cfg.Autosave, nil)
	case Invalidated:
		s.reads.invalidate(name{m.Kind, m.ID})
		c.Reply(nil, nil)
	case lua.Message:
		command, _ := m.Args.At(0).Str()
		c.Reply(nil, fmt.Errorf("store: the message %q: scripts use the module store", command))
	case actor.Terminated:
		s.ownerEnded(m.Ref)
	default:
		c.Reply(nil, fmt.Errorf("store: %T is no message of the store", msg))
	}
}

// save takes a change in; it is written later.
func (s *Service) save(c *actor.Context, n name, body bson.Raw, within time.Duration) error {
	d, body, err := s.accept(c, n, body)
	if err != nil {
		return err
	}
	if d.aside != nil && d.aside.err != nil { // a commit is let through: its caller hears what becomes of it
		return d.aside.full(n)
	}
	if within <= 0 || within > s.cfg.Autosave {
		within = s.cfg.Autosave
	}
	s.cfg.Metrics.saves.Inc()
	s.change(c, d, body, time.Now().Add(within))
	s.wakeFor(c, d.due)
	return nil
}

// commit takes a change in and answers when it is written.
func (s *Service) commit(c *actor.Context, n name, body bson.Raw) {
	d, body, err := s.accept(c, n, body)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	s.commitTo(c, d, body)
}

func (s *Service) commitTo(c *actor.Context, d *document, body bson.Raw) {
	s.cfg.Metrics.commits.Inc()
	now := time.Now()
	if !s.out.down() {
		d.waiting = append(d.waiting, waiter{c.Promise(), now})
	}
	s.change(c, d, body, now)
	if s.out.down() {
		c.Reply(nil, s.kept(d))
	}
	s.pumpSoon(c)
}

// delete takes a document's content away.
func (s *Service) delete(c *actor.Context, n name) {
	d, err := s.owned(c, n)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	s.commitTo(c, d, nil)
}

// settleOf answers when nothing of a document waits to be written any more.
func (s *Service) settleOf(c *actor.Context, n name) {
	d, err := s.owned(c, n)
	switch {
	case err != nil || d.place == nowhere:
		c.Reply(nil, nil)
		return
	case s.out.down():
		c.Reply(nil, s.kept(d))
		return
	case d.next.IsZero():
		d.told = append(d.told, waiter{Promise: c.Promise()})
		s.out.put(d, d.due)
	default:
		d.waiting = append(d.waiting, waiter{Promise: c.Promise()})
		s.out.want(d, time.Now())
	}
	s.pumpSoon(c)
}

// amend changes a document by a patch.
func (s *Service) amend(c *actor.Context, m Amend) {
	n := name{m.Kind, m.ID}
	d, err := s.owned(c, n)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	body, err := m.Patch.Apply(d.known)
	switch {
	case len(d.known) == 0:
		c.Reply(nil, fmt.Errorf("%w: %s: there is nothing to amend", ErrInvalid, n))
	case err != nil:
		c.Reply(nil, fmt.Errorf("store: %s: %w", n, err))
	case m.Commit:
		s.commit(c, n, body)
	default:
		c.Reply(nil, s.save(c, n, body, 0))
	}
}

// owned is a document that the sender of the present message owns.
func (s *Service) owned(c *actor.Context, n name) (*document, error) {
	d := s.docs[n]
	if d == nil || d.owner.IsZero() || d.owner != c.From() {
		return nil, fmt.Errorf("%w: %s must be claimed first", ErrNotOwner, n)
	}
	return d, nil
}

// accept tells whether content may be handed in, and completes it.
func (s *Service) accept(c *actor.Context, n name, body bson.Raw) (*document, bson.Raw, error) {
	d, err := s.owned(c, n)
	if err != nil {
		return nil, nil, err
	}
	patch, err := d.check(body)
	if err != nil {
		return nil, nil, err
	}
	if stamped := s.cfg.Migrations[n.kind].stamp(body); !same(stamped, body) {
		body, patch = stamped, nil
	}
	if err := s.room(d, len(body)); err != nil {
		return nil, nil, err
	}
	d.change = delta{d.known, body, patch}
	return d, body, nil
}
