package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
)

type name struct{ kind, id string }

func (n name) String() string { return Name(n.kind, n.id) }

// document is one that has an owner on this node, or still waits to be written.
type document struct {
	name
	owner   actor.Ref // zero when it has ended
	ifLost  IfLost
	epoch   int64
	version int64    // of the last write
	known   bson.Raw // the newest content: what a new owner on this node gets
	written bson.Raw // that of version, which patches are made of; empty: there is none
	checked bool     // known has passed CheckBody
	change  delta    // that has led to known

	next    time.Time // when known is to be written; zero: it is no newer than write
	waiting []waiter  // commits of known
	write   *Write    // on its way, or to be tried again just as it is
	told    []waiter  // commits of write

	place place
	due   time.Time // when it may leave the queue
	index int       // in the queue
	bytes int       // that are counted in outbox.bytes

	aside    *aside // content that the database refused, if there is some
	file     string // in the quarantine
	shelving bool   // it is to be changed
}

func (d *document) doc() Doc {
	return Doc{Kind: d.kind, ID: d.id, Version: d.version, Epoch: d.epoch, Body: d.known}
}

func (d *document) loaded(fields []string) (doc Doc, err error) {
	doc = d.doc()
	if !doc.Exists() {
		return doc, fmt.Errorf("%w: %s", ErrNotFound, d)
	}
	doc.Body, err = Project(doc.Body, fields)
	return doc, err
}

// claimer is somebody who wants to own a document.
type claimer struct {
	owner   actor.Ref
	ifLost  IfLost
	epoch   int64 // that a directory has given it; 0: none has
	promise actor.Promise
}

func (w claimer) reply(doc Doc, err error) { w.promise.Reply(doc, err) }

func (s *Service) claim(c *actor.Context, n name, who claimer) {
	who.owner, who.promise = c.From(), c.Promise()
	waiting, asked := s.claims[n]
	switch d := s.docs[n]; {
	case who.owner.IsZero():
		who.reply(Doc{}, fmt.Errorf("%w: only an actor can own %s", ErrNotOwner, n))
	case d != nil:
		// It was this node's before, so the new owner goes on where the old one was, even while the database is away. Should another node have claimed it
		// since, the next write will tell.
		who.reply(s.take(c, d, who))
	case asked:
		// Two claims at the database could come back in any order, the later one with content from before the first owner's changes.
		s.claims[n] = append(waiting, who)
	case s.out.down():
		who.reply(Doc{}, s.unavailable("claim "+n.String()))
	default:
		if err := CheckName(n.kind, n.id); err != nil {
			who.reply(Doc{}, err)
			return
		}
		s.claims[n] = []claimer{who}
		c.Detached(func() { s.ask(c, n, who.epoch) })
	}
}

// epochRoom is how many epochs there are from one of a directory to the next, as a power of two: for those who claim the document in between, and ask no directory.
const epochRoom = 7

// epochOf is the epoch in the database of one that a directory has given.
func epochOf(given uint64) int64 { return int64(min(given, MaxCount>>epochRoom) << epochRoom) }

// take makes somebody the owner of a document of this node, if the epoch allows that.
func (s *Service) take(c *actor.Context, d *document, who claimer) (Doc, error) {
	if who.epoch != 0 && who.epoch < d.epoch {
		return Doc{}, &FencedError{Kind: d.kind, ID: d.id, Epoch: who.epoch, Have: d.epoch}
	}
	d.epoch = max(d.epoch, who.epoch) // which the next write takes to the database
	s.own(c, d, who)
	return d.doc(), nil
}

// claimed is a document as the database has it, and as its owner gets it.
type claimed struct {
	Doc
	known bson.Raw
}

// ask claims a document at the database, for all who want it until that has answered.
func (s *Service) ask(c *actor.Context, n name, epoch int64) {
	c.Go(func(ctx context.Context) (any, error) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		defer cancel()
		doc, err := s.cfg.Backend.Claim(ctx, n.kind, n.id, epoch)
		if err != nil {
			return nil, err
		}
		got := claimed{Doc: doc, known: doc.Body}
		got.known, err = s.cfg.Migrations[n.kind].Apply(n.kind, n.id, doc.Body)
		return got, err
	}, func(v any, err error) {
		waiting := s.claims[n]
		delete(s.claims, n)
		got, ok := v.(claimed)
		if err == nil && !ok {
			err = errors.New("store: the backend's claim gave no document")
		}
		doc := got.Doc
		if err != nil {
			s.notClaimed(c, n, waiting, epoch, err)
			return
		}
		d := &document{name: n, epoch: doc.Epoch, version: doc.Version, known: got.known, written: doc.Body}
		s.docs[n] = d
		s.reads.invalidate(n)
		for i := len(waiting) - 1; i >= 0; i-- {
			w := waiting[i]
			switch {
			case !w.promise.Open(): // gave up, and would not know that it owns anything
			case d.owner.IsZero(), d.owner == w.owner:
				w.reply(s.take(c, d, w))
			default:
				w.reply(Doc{}, fmt.Errorf("%w: another actor claimed %s as well, and later", ErrNotOwner, n))
			}
		}
		s.forget(d)
	})
}

// notClaimed tells those who wanted a document why they don't get it. An epoch that is too low is no reason for those who came with a higher one since.
func (s *Service) notClaimed(c *actor.Context, n name, waiting []claimer, epoch int64, err error) {
	var rest []claimer
	for _, w := range waiting {
		if errors.Is(err, ErrFenced) && (w.epoch == 0 || w.epoch > epoch) {
			rest = append(rest, w)
			continue
		}
		w.reply(Doc{}, err)
	}
	if len(rest) > 0 {
		s.claims[n] = rest
		s.ask(c, n, rest[len(rest)-1].epoch)
	}
}

func (s *Service) own(c *actor.Context, d *document, by claimer) {
	d.ifLost = by.ifLost
	if d.owner == by.owner {
		return
	}
	s.disown(d)
	d.owner = by.owner
	if s.byOwner[d.owner] == nil {
		s.byOwner[d.owner] = map[*document]struct{}{}
		c.Watch(d.owner) // an owner that has ended by now is told of at once
	}
	s.byOwner[d.owner][d] = struct{}{}
}

func (s *Service) disown(d *document) {
	delete(s.byOwner[d.owner], d) // the watched owner stays in the map, without documents, until it ends
	d.owner = actor.Ref{}
}

func (s *Service) release(c *actor.Context, n name) error {
	d, err := s.owned(c, n)
	if err != nil {
		return err
	}
	s.disown(d)
	s.forget(d)
	return nil
}

func (s *Service) ownerEnded(owner actor.Ref) {
	owned := s.byOwner[owner]
	delete(s.byOwner, owner)
	for d := range owned {
		d.owner = actor.Ref{}
		s.forget(d)
	}
}

// forget drops a document that nobody owns and nothing is to be written of.
func (s *Service) forget(d *document) {
	if d.owner.IsZero() && d.place == nowhere && (d.aside == nil || d.aside.filed) && s.docs[d.name] == d {
		delete(s.docs, d.name)
	}
}

// lastWords is how long an owner that has lost a document may take until it has seen its Lost.
const lastWords = time.Second

// lose ends the ownership of a document that is somebody else's now: what its owner believes of it is no longer true.
func (s *Service) lose(c *actor.Context, d *document, why error) {
	owner := d.owner
	s.disown(d)
	s.forget(d)
	switch {
	case owner.IsZero():
	case d.ifLost == StopOnly:
		c.Stop(owner, why)
	default:
		c.Send(owner, Lost{Kind: d.kind, ID: d.id, Err: why})
		if d.ifLost == TellThenStop {
			c.Detached(func() { c.Resume(func() { c.Retire(owner, lastWords, why) })() }) // behind what else it loses with this batch
		}
	}
}
