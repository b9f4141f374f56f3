// Package login finds out who a client is.
package login

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/skua-go/skua/actor"
)

// ServiceName is the name under which a node's login service is found.
const ServiceName = "login"

// Password is a request to let somebody in by name and password: answered by an Account or by an *Error.
type Password struct {
	Name, Password string
	// Addr is where the attempt comes from; wrong passwords are counted by name and address, so that nobody can lock others out.
	Addr netip.Addr
}

// Guest is a request to let somebody in under a name that nobody checks: answered by an Account or by an *Error.
type Guest struct{ Name string }

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
	Denied      Code = "denied"       // no such name, or a wrong password: which one is not told
	BadName     Code = "bad_name"     // the name can't be one
	BadPassword Code = "bad_password" // the password can't be one
	TooMany     Code = "too_many"     // too many wrong passwords; wait
	Busy        Code = "busy"         // more logins than the node can check
	Unavailable Code = "unavailable"  // the database can't be reached
)

// Error is a refusal that the client may read.
type Error struct {
	Code Code
	Msg  string
}

func (e *Error) Error() string { return "login: " + string(e.Code) + ": " + e.Msg }

// Guessed tells whether a login failed by the fault of whoever tried, and not of the server.
func Guessed(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code != Busy && e.Code != Unavailable
}

// Config tells a Service whom to let in. The zero value works.
type Config struct {
	// Register makes an account for a name that nobody has.
	Register bool
	// Memory that one hash takes, in KiB, and Passes over it: the costs of argon2id (RFC 9106). Default 19,456 and 2, OWASP's first choice. They hold for
	// new accounts; one that exists keeps the costs that it was made with.
	Memory, Passes uint32
	// MaxAttempts is how many wrong passwords a name may get from one address (IPv6: one /64) before it has to Wait. Default 5.
	MaxAttempts int
	// Wait after too many attempts; after as long without a wrong one, they are forgotten. Default 30 s.
	Wait time.Duration
	// Hashing is how many passwords are checked at a time; each takes a core and Memory. Default: the number of cores.
	Hashing int
	// Queue is how many more may wait for that. Default 4,096.
	Queue int
}

func (cfg *Config) defaults() {
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
}

// Service is the actor that checks passwords. Accounts are documents of kind "account" whose id is the name, folded so that names which differ only in case,
// width or composition of letters are one (RFC 8265, UsernameCaseMapped).
type Service struct {
	cfg     Config
	hasher  hasher
	decoy   string // checked in place of an account that does not exist, so that the time tells nothing
	guesses guesses
	inside  int                 // logins that are not answered yet
	turns   map[string][]func() // by id: those behind the login that is being checked
}

// Spec is how to spawn the login service.
func Spec(cfg Config) actor.Spec {
	cfg.defaults()
	return actor.Spec{Name: ServiceName, New: func() actor.Actor {
		return &Service{
			cfg: cfg,
			hasher: hasher{
				limit:  cfg.Hashing,
				params: argon2id.Params{Memory: cfg.Memory, Iterations: cfg.Passes, Parallelism: 1, SaltLength: 16, KeyLength: 32},
			},
			guesses: guesses{limit: cfg.MaxAttempts, wait: cfg.Wait, failed: map[origin]*failures{}},
			turns:   map[string][]func(){},
		}
	}}
}

// Start makes the decoy.
func (s *Service) Start(*actor.Context) error {
	hash, err := argon2id.CreateHash("nobody has this password", &s.hasher.params)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	s.decoy = hash
	return nil
}

// Stop forgets the logins that wait: they are answered by the end of the service. Those that are being checked are still answered.
func (s *Service) Stop(*actor.Context, error) {
	s.hasher.close()
	clear(s.turns)
}

// Receive handles Password and Guest.
func (s *Service) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case Password:
		s.password(c, m)
	case Guest:
		c.Reply(guest(m))
	default:
		c.Reply(nil, fmt.Errorf("login: %T is no message of the login service", msg))
	}
}

func guest(m Guest) (any, error) {
	id, name, err := checkName(m.Name)
	if err != nil {
		return nil, err
	}
	return Account{UID: "guest:" + id, Name: name}, nil
}

func (s *Service) password(c *actor.Context, m Password) {
	cred, err := check(m)
	if err != nil {
		c.Reply(nil, err)
		return
	}
	if s.inside >= s.cfg.Hashing+s.cfg.Queue {
		c.Reply(nil, errBusy)
		return
	}
	s.inside++
	s.inTurn(cred.id, c.Resume(func() {
		s.attempt(c, cred, func(acc Account, err error) {
			s.inside--
			c.Reply(acc, err)
			s.turnEnds(cred.id)
		})
	}))
}

// inTurn runs the logins of one name one after the other: two of them must not both make its account, nor guess faster than one.
func (s *Service) inTurn(id string, run func()) {
	behind, busy := s.turns[id]
	if busy {
		s.turns[id] = append(behind, run)
		return
	}
	s.turns[id] = nil
	run()
}

func (s *Service) turnEnds(id string) {
	behind := s.turns[id]
	if len(behind) == 0 {
		delete(s.turns, id)
		return
	}
	s.turns[id] = behind[1:]
	behind[0]()
}

// attempt checks a login whose turn it is.
func (s *Service) attempt(c *actor.Context, cred credentials, done func(Account, error)) {
	if !c.IsRequest() {
		done(Account{}, errBusy) // nobody waits for it any more
		return
	}
	if wait := s.guesses.mustWait(cred.origin); wait > 0 {
		done(Account{}, &Error{TooMany, fmt.Sprintf("too many wrong passwords; try again in %v", max(wait.Round(time.Second), time.Second))})
		return
	}
	s.find(c, cred, done)
}
