// Package login finds out who a client is.
package login

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/text/secure/precis"
)

// ServiceName is the name under which a node's login service is found.
const ServiceName = "login"

// Password is a request to let somebody in by name and password: answered by an Account or by an *Error.
type Password struct {
	Name, Password string
	// Addr is where the attempt comes from; wrong passwords are counted by name and address, so that nobody can lock others out.
	Addr netip.Addr
}

// Account is who somebody is.
type Account struct {
	UID  string // does not change, is never given to another
	Name string // as its owner writes it
	New  bool   // made by this login
}

// Code tells why somebody is not let in.
type Code string

// The reasons.
const (
	Denied       Code = "denied"        // no such name, or a wrong password: which one is not told
	BadName      Code = "bad_name"      // the name can't be one
	BadPassword  Code = "bad_password"  // the password can't be one
	TooMany      Code = "too_many"      // too many wrong passwords; wait
	Busy         Code = "busy"          // more logins than the node can check
	Unavailable  Code = "unavailable"   // the database can't be reached
	NotSupported Code = "not_supported" // this node lets nobody in that way
)

// Error is a refusal that the client may read.
type Error struct {
	Code Code
	Msg  string
}

func (e *Error) Error() string { return "login: " + e.Msg }

// Config tells a Service whom to let in. The zero value works.
type Config struct {
	// Register makes an account for a name that nobody has.
	Register bool
	// Memory that one hash takes, in KiB, and Passes over it: the costs of argon2id (RFC 9106). Default 19,456 and 2, OWASP's first choice.
	Memory, Passes uint32
	// MaxAttempts is how many wrong passwords a name may get from one address before it has to Wait. Default 5.
	MaxAttempts int
	// Wait after too many attempts. Default 30 s.
	Wait time.Duration
	// Hashing is how many passwords are checked at a time; each takes a core and Memory. Default: the number of cores.
	Hashing int
	// Queue is how many more may wait for that. Default 4,096.
	Queue int
}

// Service is the actor that checks passwords. Accounts are documents of kind "account" whose id is the name, folded so that
// names which look alike are one (RFC 8265, UsernameCaseMapped).
type Service struct {
	cfg      Config
	params   argon2id.Params
	decoy    string // checked in place of an account that does not exist, so that the time tells nothing
	hashing  int
	waiting  []func()
	attempts map[attempt]*failures
	pending  map[string][]func() // logins for a name behind the one that may be making it
}

type attempt struct {
	id   string
	addr netip.Addr
}

type failures struct {
	n     int
	until time.Time
}

// account is the document.
type account struct {
	UID     string    `bson:"uid"`
	Name    string    `bson:"name"`
	Hash    string    `bson:"hash"`
	Created time.Time `bson:"created"`
}

const (
	accountKind = "account"
	// maxAttempts bounds the memory of wrong passwords; beyond it the oldest wait is not remembered.
	maxAttempts = 100_000
)

// Spec is how to spawn the login service.
func Spec(cfg Config) actor.Spec {
	if cfg.Memory == 0 {
		cfg.Memory = 19 << 10
	}
	if cfg.Passes == 0 {
		cfg.Passes = 2
	}
	if cfg.MaxAttempts <= 0 {
		cfg.MaxAttempts = 5
	}
	if cfg.Wait <= 0 {
		cfg.Wait = 30 * time.Second
	}
	if cfg.Hashing <= 0 {
		cfg.Hashing = runtime.GOMAXPROCS(0)
	}
	if cfg.Queue <= 0 {
		cfg.Queue = 4096
	}
	return actor.Spec{Name: ServiceName, New: func() actor.Actor {
		return &Service{
			cfg:      cfg,
			params:   argon2id.Params{Memory: cfg.Memory, Iterations: cfg.Passes, Parallelism: 1, SaltLength: 16, KeyLength: 32},
			attempts: map[attempt]*failures{}, pending: map[string][]func(){},
		}
	}}
}

// Start makes the decoy.
func (s *Service) Start(*actor.Context) error {
	hash, err := argon2id.CreateHash("nobody has this password", &s.params)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	s.decoy = hash
	return nil
}

// Receive handles Password.
func (s *Service) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Password:
		s.password(c, m)
	default:
		c.Reply(nil, fmt.Errorf("login: %T is no message of the login service", msg))
	}
}

// credentials are a name and a password in the form in which they are compared.
type credentials struct {
	attempt
	name, password string
}

func check(m Password) (credentials, error) {
	id, err := precis.UsernameCaseMapped.String(m.Name)
	if err != nil || id == "" || len(id) > 64 {
		return credentials{}, &Error{BadName, "a name has 1 to 64 bytes of letters, digits and the like, without spaces"}
	}
	name, err := precis.UsernameCasePreserved.String(m.Name)
	if err != nil {
		return credentials{}, &Error{BadName, "a name has 1 to 64 bytes of letters, digits and the like, without spaces"}
	}
	password, err := precis.OpaqueString.String(m.Password)
	if err != nil || len(password) > 256 {
		return credentials{}, &Error{BadPassword, "a password has 1 to 256 bytes of text"}
	}
	return credentials{attempt{id, m.Addr}, name, password}, nil
}

func (s *Service) password(c *actor.Context, m Password) {
	cred, err := check(m)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	if wait := s.mustWait(cred.attempt); wait > 0 {
		c.Reply(nil, &Error{TooMany, fmt.Sprintf("too many wrong passwords; try again in %v", wait.Round(time.Second))})
		return
	}
	s.inTurn(cred.id, c.Resume(func() {
		s.find(c, cred, func(acc Account, err error) {
			c.Reply(acc, err)
			s.turnEnds(cred.id)
		})
	}))
}

// inTurn runs the logins of one name one after the other: two of them must not both make its account, nor guess faster than one.
func (s *Service) inTurn(id string, run func()) {
	turns, busy := s.pending[id]
	if busy {
		s.pending[id] = append(turns, run)
		return
	}
	s.pending[id] = nil
	run()
}

func (s *Service) turnEnds(id string) {
	turns := s.pending[id]
	if len(turns) == 0 {
		delete(s.pending, id)
		return
	}
	s.pending[id] = turns[1:]
	turns[0]()
}

func (s *Service) mustWait(a attempt) time.Duration {
	f := s.attempts[a]
	if f == nil || f.n < s.cfg.MaxAttempts {
		return 0
	}
	wait := time.Until(f.until)
	if wait <= 0 {
		delete(s.attempts, a)
	}
	return wait
}

func (s *Service) find(c *actor.Context, cred credentials, done func(Account, error)) {
	db, ok := c.System().Lookup(store.ServiceName)
	if !ok {
		done(Account{}, &Error{Unavailable, "accounts can't be looked up now"})
		return
	}
	c.Ask(db, store.Load{Kind: accountKind, ID: cred.id}, func(v any, err error) {
		if errors.Is(err, store.ErrNotFound) {
			s.absent(c, db, cred, done)
			return
		}
		var acc account
		if err == nil {
			err = bson.Unmarshal(v.(store.Doc).Body, &acc) //nolint:forcetypeassert // what Load gives
		}
		if err != nil {
			c.Log().Error("account can't be read", "account", cred.id, "error", err)
			done(Account{}, &Error{Unavailable, "accounts can't be looked up now"})
			return
		}
		s.compare(c, cred, acc.Hash, func(match bool, err error) {
			switch {
			case err != nil:
				done(Account{}, err)
			case !match:
				done(Account{}, s.denied(cred.attempt))
			default:
				delete(s.attempts, cred.attempt)
				done(Account{UID: acc.UID, Name: acc.Name}, nil)
			}
		})
	})
}

// absent makes the account, or refuses as slowly as for a wrong password.
func (s *Service) absent(c *actor.Context, db actor.Ref, cred credentials, done func(Account, error)) {
	if !s.cfg.Register {
		s.compare(c, cred, s.decoy, func(_ bool, err error) {
			if err == nil {
				err = s.denied(cred.attempt)
			}
			done(Account{}, err)
		})
		return
	}
	s.hash(c, func() (any, error) { return argon2id.CreateHash(cred.password, &s.params) }, func(v any, err error) {
		if err != nil {
			done(Account{}, err)
			return
		}
		s.create(c, db, cred, v.(string), done) //nolint:forcetypeassert // the work above
	})
}

func (s *Service) create(c *actor.Context, db actor.Ref, cred credentials, hash string, done func(Account, error)) {
	acc := account{UID: newUID(), Name: cred.name, Hash: hash, Created: time.Now().UTC()}
	body, err := bson.Marshal(acc)
	if err != nil {
		done(Account{}, fmt.Errorf("login: %w", err))
		return
	}
	failed := func(err error) {
		c.Log().Error("account can't be made", "account", cred.id, "error", err)
		done(Account{}, &Error{Unavailable, "accounts can't be made now"})
	}
	c.Ask(db, store.Claim{Kind: accountKind, ID: cred.id}, func(_ any, err error) {
		if err != nil {
			failed(err)
			return
		}
		c.Ask(db, store.Commit{Kind: accountKind, ID: cred.id, Body: body}, func(_ any, err error) {
			c.Send(db, store.Release{Kind: accountKind, ID: cred.id})
			if err != nil {
				failed(err)
				return
			}
			done(Account{UID: acc.UID, Name: acc.Name, New: true}, nil)
		})
	})
}

func newUID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}

func (s *Service) denied(a attempt) error {
	f := s.attempts[a]
	if f == nil {
		if len(s.attempts) >= maxAttempts {
			s.prune()
		}
		f = &failures{}
		s.attempts[a] = f
	}
	f.n++
	f.until = time.Now().Add(s.cfg.Wait)
	return &Error{Denied, "the name or the password is wrong"}
}

// prune forgets waits that are over, and some others if none is.
func (s *Service) prune() {
	now := time.Now()
	for a, f := range s.attempts {
		if now.After(f.until) || len(s.attempts) > maxAttempts*9/10 {
			delete(s.attempts, a)
		}
	}
}

func (s *Service) compare(c *actor.Context, cred credentials, hash string, then func(bool, error)) {
	s.hash(c, func() (any, error) { return argon2id.ComparePasswordAndHash(cred.password, hash) }, func(v any, err error) {
		match, _ := v.(bool)
		then(match, err)
	})
}

// hash runs work off the actor, with as many others as there are cores, and after those that came before.
func (s *Service) hash(c *actor.Context, work func() (any, error), then func(any, error)) {
	start := func() {
		s.hashing++
		c.Go(func(context.Context) (any, error) { return work() }, func(v any, err error) {
			s.hashing--
			if len(s.waiting) > 0 {
				next := s.waiting[0]
				s.waiting = s.waiting[1:]
				next()
			}
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				c.Log().Error("password can't be hashed", "error", err)
			}
			if err != nil {
				err = &Error{Busy, "too many logins at a time"}
			}
			then(v, err)
		})
	}
	switch {
	case s.hashing < s.cfg.Hashing:
		start()
	case len(s.waiting) < s.cfg.Queue:
		s.waiting = append(s.waiting, c.Resume(start))
	default:
		then(nil, &Error{Busy, "too many logins at a time"})
	}
}
