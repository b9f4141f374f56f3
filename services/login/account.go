package login

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

const accountKind = "account"

// account is the document.
type account struct {
	UID     string    `bson:"uid"`
	Name    string    `bson:"name"`
	Hash    string    `bson:"hash"`
	Created time.Time `bson:"created"`
}

// find looks the account up.
func (s *Service) find(c *actor.Context, cred credentials, done func(Account, error)) {
	db, ok := c.System().Lookup(store.ServiceName)
	if !ok {
		done(Account{}, errNoAccounts)
		return
	}
	c.Ask(db, store.Load{Kind: accountKind, ID: cred.id, Fresh: true}, func(v any, err error) {
		switch {
		case errors.Is(err, store.ErrNotFound):
			s.absent(c, db, cred, done)
		case err != nil:
			done(Account{}, unavailable(c, cred.id, err))
		default:
			s.present(c, v.(store.Doc), cred, done) //nolint:forcetypeassert // what Load gives
		}
	})
}

// unavailable tells the operator why, and the client that it is so.
func unavailable(c *actor.Context, id string, err error) error {
	c.Log().Error("account can't be read or made", "account", id, "error", err)
	return errNoAccounts
}

// present checks the password of an account.
func (s *Service) present(c *actor.Context, doc store.Doc, cred credentials, done func(Account, error)) {
	var acc account
	if err := bson.Unmarshal(doc.Body, &acc); err != nil {
		done(Account{}, unavailable(c, cred.id, err))
		return
	}
	s.hasher.compare(c, cred.password, acc.Hash, func(match bool, err error) {
		switch {
		case err != nil:
			done(Account{}, err)
		case !match:
			s.guesses.wrong(cred.origin)
			done(Account{}, errDenied)
		default:
			s.guesses.right(cred.origin)
			done(Account{UID: acc.UID, Name: acc.Name}, nil)
		}
	})
}

// absent makes the account, or refuses as slowly as for a wrong password.
func (s *Service) absent(c *actor.Context, db actor.Ref, cred credentials, done func(Account, error)) {
	if s.cfg.Register {
		if !s.newbies.admit(cred.addr) {
			done(Account{}, errCrowd)
			return
		}
		s.register(c, db, cred, NewUID(), done, func(doc store.Doc) { s.present(c, doc, cred, done) })
		return
	}
	s.hasher.compare(c, cred.password, s.decoy, func(_ bool, err error) {
		if err == nil {
			s.guesses.wrong(cred.origin)
			err = errDenied
		}
		done(Account{}, err)
	})
}

// register makes an account for a uid; taken gets the one that somebody has made since the name was looked for.
func (s *Service) register(c *actor.Context, db actor.Ref, cred credentials, uid string, done func(Account, error), taken func(store.Doc)) {
	s.hasher.hash(c, cred.password, func(hash string, err error) {
		if err != nil {
			done(Account{}, err)
			return
		}
		acc := account{UID: uid, Name: cred.name, Hash: hash, Created: time.Now().UTC()}
		create(c, db, accountKind, cred.id, acc, taken, done)
	})
}

// create writes a new account of some kind, unless there is one: taken gets that.
func create(c *actor.Context, db actor.Ref, kind, id string, acc account, taken func(store.Doc), done func(Account, error)) {
	body, err := bson.Marshal(acc)
	if err != nil {
		done(Account{}, fmt.Errorf("login: %w", err))
		return
	}
	c.Ask(db, store.Claim{Kind: kind, ID: id, IfLost: store.TellOnly}, func(v any, err error) {
		if err != nil {
			done(Account{}, unavailable(c, id, err))
			return
		}
		if doc := v.(store.Doc); doc.Exists() { //nolint:forcetypeassert // what Claim gives
			// Another node has made it meanwhile: it is somebody's, and has a password of its own.
			c.Send(db, store.Release{Kind: kind, ID: id})
			taken(doc)
			return
		}
		c.Ask(db, store.Commit{Kind: kind, ID: id, Body: body}, func(_ any, err error) {
			c.Send(db, store.Release{Kind: kind, ID: id})
			if err != nil {
				done(Account{}, unavailable(c, id, err))
				return
			}
			done(Account{UID: acc.UID, Name: acc.Name, New: true}, nil)
		})
	})
}

// NewUID is a name for somebody new: random, never given twice.
func NewUID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
