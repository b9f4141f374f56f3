package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Role is what somebody may do. Each may do what those before it may.
type Role uint8

// The roles. The zero Role may do nothing.
const (
	View    Role = iota + 1 // look: metrics, actors, sessions, the configuration without its secrets
	Operate                 // act on what runs: kick, kill, drain, levels of the log, live messages, profiles
	Admin                   // all there is: also run code in services
)

// String is the role's name in the configuration.
func (r Role) String() string {
	switch r {
	case View:
		return "view"
	case Operate:
		return "operate"
	case Admin:
		return "admin"
	default:
		return "nobody"
	}
}

// ParseRole reads the name of a role: view, operate or admin.
func ParseRole(text string) (Role, error) {
	for _, r := range []Role{View, Operate, Admin} {
		if text == r.String() {
			return r, nil
		}
	}
	return 0, fmt.Errorf("admin: found role %q, expected view, operate or admin", text)
}

// MinToken is how short a token may be that is not given as a hash.
const MinToken = 16

// hashPrefix begins a token that is given as its SHA-256, in hexadecimal.
const hashPrefix = "sha256:"

// Token is a named way in. Tokens are long and random, so a plain SHA-256 keeps them as well as a slow hash would.
type Token struct {
	Name string
	Role Role
	Hash [sha256.Size]byte // of the token
	// Expires is when it stops to be good; zero: never.
	Expires time.Time
}

// HashToken is the SHA-256 of a token, which may be given as "sha256:" and 64 hexadecimal digits. Errors never say what was found.
func HashToken(text string) (hash [sha256.Size]byte, err error) {
	digits, hashed := strings.CutPrefix(text, hashPrefix)
	if !hashed {
		if len(text) < MinToken {
			return hash, fmt.Errorf("admin: a token of %d bytes, expected at least %d random ones, or sha256: and the hash of a token", len(text), MinToken)
		}
		return sha256.Sum256([]byte(text)), nil
	}
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != len(hash) {
		return hash, fmt.Errorf("admin: behind %s: expected %d hexadecimal digits", hashPrefix, 2*len(hash))
	}
	copy(hash[:], raw)
	return hash, nil
}

// Identity is who asks.
type Identity struct {
	Name string
	Role Role
}

// Why a request is refused.
var (
	errHost    = errors.New("without admin.token only requests to a loopback host are served")
	errToken   = errors.New("the admin token is missing or wrong")
	errExpired = errors.New("the admin token or certificate has expired")
)

// The names of those who have no token of a name.
const (
	nameOfToken    = "admin"    // admin.token
	nameOfLoopback = "loopback" // nobody asks for a token
)

// guarded tells whether requests need a token or a certificate.
func (s *Server) guarded() bool {
	return s.Token != "" || len(s.Tokens) > 0 || len(s.Certificates) > 0
}

// identify tells who sends a request.
func (s *Server) identify(r *http.Request) (Identity, error) {
	if !s.guarded() {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if isLoopback(strings.Trim(host, "[]")) {
			return Identity{nameOfLoopback, Admin}, nil
		}
		return Identity{}, errHost
	}
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		if shown := certificates(r.Context()); len(shown) > 0 && s.ClientRoots != nil && r.Header.Get("Authorization") == "" {
			return s.identifyCertificate(shown)
		}
		return Identity{}, errToken
	}
	return s.identifyToken(token)
}

// identifyToken tells whose token it is.
func (s *Server) identifyToken(token string) (Identity, error) {
	// Hashes have one length, and all tokens are looked at, so that the time taken tells nothing.
	got := sha256.Sum256([]byte(token))
	who, err := Identity{}, errToken
	if s.Token != "" {
		if want := sha256.Sum256([]byte(s.Token)); subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			who, err = Identity{nameOfToken, Admin}, nil
		}
	}
	for i := range s.Tokens {
		t := &s.Tokens[i]
		if subtle.ConstantTimeCompare(got[:], t.Hash[:]) != 1 || err == nil {
			continue
		}
		if !t.Expires.IsZero() && !time.Now().Before(t.Expires) {
			err = errExpired
			continue
		}
		who, err = Identity{t.Name, t.Role}, nil
	}
	return who, err
}

type identityKey struct{}

// withIdentity is ctx with who asks in it.
func withIdentity(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}

// whoAsks is who the guard has let in; nobody for a probe.
func whoAsks(ctx context.Context) Identity {
	who, _ := ctx.Value(identityKey{}).(Identity)
	return who
}

// need has a handler serve those with a role only.
func (s *Server) need(role Role, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who := whoAsks(r.Context())
		if who.Role >= role {
			next(w, r)
			return
		}
		s.deny(r, who, "role")
		plain(w, http.StatusForbidden, lacksRole(who, role).Error())
	}
}

func lacksRole(who Identity, role Role) error {
	return fmt.Errorf("the role %s is needed, %s has %s", role, who.Name, who.Role)
}

// deny counts, logs and audits a request that is refused. Strangers' ones go to a log of their own, one in a while, so that they push nothing out.
func (s *Server) deny(r *http.Request, who Identity, reason string) {
	s.refuse(Entry{Who: who.Name, From: r.RemoteAddr, Action: r.Method, Target: clip(r.URL.Path), Outcome: Refused, Detail: reason}, who)
}

// refuse counts, logs and audits what the entry says; its Detail is the reason.
func (s *Server) refuse(e Entry, who Identity) {
	s.denied.WithLabelValues(e.Detail).Inc()
	s.Log.Debug("admin: request denied", "from", e.From, "method", e.Action, "path", e.Target, "who", who.Name, "reason", e.Detail)
	if who.Role == 0 {
		s.strangers(e)
		return
	}
	e.Role, e.Node = who.Role.String(), s.Version.Node
	s.record(e)
}

// record puts an entry into the audit log. What was done is done: that it can't be written is logged loudly, and counted.
func (s *Server) record(e Entry) {
	if s.Audit == nil {
		return
	}
	if err := s.Audit.Add(e); err != nil {
		s.unaudited.Inc()
		s.Log.Error("admin: the audit log can't be written", "error", err, "who", e.Who, "action", e.Action, "target", e.Target, "outcome", e.Outcome)
	}
}

// strangerPause is how often requests without a good token are audited; those between are counted in the next entry.
const strangerPause = 5 * time.Second

// strangers records that somebody without a good token has asked.
func (s *Server) strangers(e Entry) {
	if s.Refusals == nil {
		return
	}
	s.strange.Lock()
	now := time.Now()
	if now.Sub(s.strangeAt) < strangerPause {
		s.silent++
		s.strange.Unlock()
		return
	}
	e.More, s.silent, s.strangeAt = s.silent, 0, now
	s.strange.Unlock()
	if err := s.Refusals.Add(e); err != nil {
		s.unaudited.Inc()
		s.Log.Error("admin: the log of refused requests can't be written", "error", err)
	}
}

// maxText bounds what an entry keeps of a text that a stranger has chosen.
const maxText = 256

func clip(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxText)], "") }
