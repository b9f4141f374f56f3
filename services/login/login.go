// Package login finds out who a client is.
package login

import (
	"errors"
	"net/netip"
	"runtime"
	"time"

	"github.com/skua-go/skua/actor/value"
)

// ServiceName is the name under which a node's login service is found.
const ServiceName = "login"

// Request is a client's wish to be let in: answered by an Account, or by an *Error that the client may read. It is the only message that a gate sends.
type Request struct {
	// Body is what the client has sent as its login: a table with the fields that docs/protocol.md lists.
	Body value.Value
	// Addr is where the client is; wrong passwords are counted by name and address, so that nobody can lock others out.
	Addr netip.Addr
	// Method is the gate's own choice, MethodGuest or MethodNone, whatever Config.Methods says; empty: the client proves itself by one of Config.Methods.
	Method Method
}

// Account is who somebody is.
type Account struct {
	UID  string // does not change, is never given to another
	Name string // as its owner writes it; may be empty
	New  bool   // made by this login
	// Token lets the client in again until Expires, without other proof. Empty after a login by such a token, and where there are none.
	Token   string
	Expires time.Time
	// Turn is to be compared with that of an Out.
	Turn uint64
}

// Topic is where the service publishes an Out, see actor.Context.Subscribe.
const Topic = "login.out"

// Out tells gates whose sessions are to end, with the code and the message that these are told. A login that was answered before it, Account.Turn < Out.Turn, and
// that has not reached its session yet, is over as well.
type Out struct {
	UID    string              // one player; empty: all,
	Except map[string]struct{} // but these. Read only
	Code   Code
	Msg    string
	Turn   uint64
}

// Expendable tells that a node without a gate has nobody to tell.
func (Out) Expendable() {}

// Concerns tells whether a session of a player is to end that was let in by a login with this turn.
func (o Out) Concerns(uid string, turn uint64) bool {
	if turn >= o.Turn || (o.UID != "" && o.UID != uid) {
		return false
	}
	_, stays := o.Except[uid]
	return !stays
}

// Method is a way to tell who one is.
type Method string

// The ways.
const (
	MethodPassword Method = "password" // name and password, checked here
	MethodJWT      Method = "jwt"      // a token of somebody who is trusted with players' names
	MethodHook     Method = "hook"     // a script of the project decides
	MethodDevice   Method = "device"   // an account of a device, which proves itself by a secret
	MethodGuest    Method = "guest"    // a name that nobody checks
	MethodNone     Method = "none"     // not at all: each connection is somebody new
	MethodToken    Method = "token"    // a token of this service, from an earlier login; there wherever Config.Lifetime is
)

// Code tells why somebody is not let in.
type Code string

// The reasons.
const (
	Denied      Code = "denied"       // no such name or device, or not its password or secret: which one is not told
	BadRequest  Code = "bad_request"  // the body is no login
	BadName     Code = "bad_name"     // the name can't be one
	BadPassword Code = "bad_password" // the password can't be one
	BadToken    Code = "bad_token"    // a token that is broken, forged, for somebody else, not valid yet, or used twice
	Expired     Code = "expired"      // a token whose time is over
	Revoked     Code = "revoked"      // a token that was taken back
	Banned      Code = "banned"       // the player is shut out
	Maintenance Code = "maintenance"  // nobody is let in for now
	TooMany     Code = "too_many"     // too many wrong passwords, or new accounts; wait
	Busy        Code = "busy"         // more logins than the node can check
	Unavailable Code = "unavailable"  // the database, the keys or the hook can't be reached
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
	return errors.As(err, &e) && e.Code != Busy && e.Code != Unavailable && e.Code != Maintenance
}

// Config tells a Service whom to let in. The zero value lets in who has a name and a password, and gives no tokens.
type Config struct {
	// Methods are the ways in. Default MethodPassword.
	Methods []Method
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
	// Queue is how many more may wait for that, and how many may wait for the hook, for keys, or for the service to be ready. Default 4,096.
	Queue int
	// NewPerAddress is how many accounts may be made from one address (IPv6: one /64) in an hour. Default 1,000: players share addresses.
	NewPerAddress int

	// TokenKeys sign the tokens of this service: the first signs, all are valid. Each has 32 bytes or more. Without one there are no tokens.
	TokenKeys [][]byte
	// Lifetime of a token. Default 720 h. Tokens that were made while it was longer end with it, too.
	Lifetime time.Duration

	// JWT is what MethodJWT trusts.
	JWT JWT
	// Hook is the script of MethodHook, started once if it does not run: its command login(request, address) answers a uid or a refusal.
	Hook string
	// HookTimeout bounds its answer. Default 3 s.
	HookTimeout time.Duration

	// MaxStandings is how many players may have a ban or revoked tokens. Default 200,000.
	MaxStandings int
	// Refresh is how often all bans are read again, for those that other nodes have made. 0: never, for a database that is this node's own.
	Refresh time.Duration
	// Retry is the pause after a failure of the database. Default 2 s.
	Retry time.Duration
	// Now is the clock for tokens and bans. Default time.Now.
	Now func() time.Time
	// Metrics counts; nil is fine.
	Metrics *Metrics
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
	if cfg.NewPerAddress <= 0 {
		cfg.NewPerAddress = 1000
	}
	if cfg.MaxStandings <= 0 {
		cfg.MaxStandings = 200_000
	}
	if len(cfg.Methods) == 0 {
		cfg.Methods = []Method{MethodPassword}
	}
	if cfg.Lifetime <= 0 {
		cfg.Lifetime = 720 * time.Hour
	}
	if cfg.HookTimeout <= 0 {
		cfg.HookTimeout = 3 * time.Second
	}
	if cfg.Retry <= 0 {
		cfg.Retry = 2 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	cfg.JWT.defaults()
}
