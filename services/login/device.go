package login

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

const deviceKind = "device"

// Limits of what a device sends, in bytes. Its secret is made at random, so that it can't be guessed and needs no slow hash: 32 bytes of base64 are 192 bits.
const (
	minDevice, maxDevice = 8, 128
	minSecret, maxSecret = 32, 128
)

var (
	errDevice       = &Error{BadRequest, `a login of a device needs "device", 8 to 128 bytes of text, and "secret", 32 to 128 bytes that it has made at random and keeps`}
	errDeviceDenied = &Error{Denied, "the device or its secret is not known"}
)

// device lets a device in: whoever comes first with its id makes the account, bound to the secret, without which the id is worth nothing.
func (s *Service) device(c *actor.Context, m Request, done func(Account, error)) {
	device, _ := m.Body.Get("device").Str()
	secret, _ := m.Body.Get("secret").Str()
	if len(device) < minDevice || len(device) > maxDevice || len(secret) < minSecret || len(secret) > maxSecret || !utf8.ValidString(device) {
		done(Account{}, errDevice)
		return
	}
	id := digest("id", device)
	o := origin{id, network(m.Addr)}
	// A zero byte is in no name, so no name waits for a device.
	s.oneByOne(c, "\x00"+id, done, func(done func(Account, error)) { s.attemptDevice(c, o, digest("secret", device, secret), done) })
}

func (s *Service) attemptDevice(c *actor.Context, o origin, hash string, done func(Account, error)) {
	if wait := s.guesses.mustWait(o); wait > 0 {
		done(Account{}, tooMany(wait))
		return
	}
	db, ok := c.System().Lookup(store.ServiceName)
	if !ok {
		done(Account{}, errNoAccounts)
		return
	}
	known := func(doc store.Doc) { s.knownDevice(c, doc, o, hash, done) }
	c.Ask(db, store.Load{Kind: deviceKind, ID: o.id, Fresh: true}, func(v any, err error) {
		doc, _ := v.(store.Doc)
		switch {
		case err == nil:
			known(doc)
		case !errors.Is(err, store.ErrNotFound):
			done(Account{}, unavailable(c, o.id, err))
		case !s.cfg.Register:
			s.guesses.wrong(o)
			done(Account{}, errDeviceDenied)
		case !s.newbies.admit(o.addr):
			done(Account{}, errCrowd)
		default:
			create(c, db, deviceKind, o.id, account{UID: NewUID(), Hash: hash, Created: time.Now().UTC()}, known, done)
		}
	})
}

func (s *Service) knownDevice(c *actor.Context, doc store.Doc, o origin, hash string, done func(Account, error)) {
	var acc account
	err := bson.Unmarshal(doc.Body, &acc)
	switch {
	case err != nil || acc.UID == "":
		done(Account{}, unavailable(c, o.id, errors.Join(err, errBroken)))
	case subtle.ConstantTimeCompare([]byte(acc.Hash), []byte(hash)) != 1:
		s.guesses.wrong(o)
		done(Account{}, errDeviceDenied)
	default:
		s.guesses.right(o)
		done(Account{UID: acc.UID, Name: acc.Name}, nil)
	}
}

var errBroken = errors.New("login: the document is no account")

// digest is a SHA-256 of texts, each behind its length.
func digest(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		h.Write([]byte{byte(len(t))})
		h.Write([]byte(t))
	}
	return hex.EncodeToString(h.Sum(nil))
}
