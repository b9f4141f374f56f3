package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/skua-go/skua/actor"
)

// JWT is whose JSON Web Tokens (RFC 7519) are trusted, and for what. Algorithms are HS256 with one of Secrets, and RS256, ES256 and EdDSA with a key of Source;
// which one a key is for is the key's own matter, never that of a token.
type JWT struct {
	// Source has the public keys: the URL of a JSON Web Key Set (https, or http on a loopback address), or a file with one or with PEM blocks. It is read again
	// each Refresh, and sooner when a token names a key that is not known.
	Source string
	// Secrets for HS256, each of 32 bytes or more.
	Secrets [][]byte
	// Issuer and Audience have to be in the token, unless they are empty.
	Issuer, Audience string
	// Claim is what names the player: a string or an integer. Default "sub". The uid is Prefix and it.
	Claim, Prefix string
	// NameClaim is what has the player's name for others, if it is there. Default "name".
	NameClaim string
	// Leeway for clocks that differ. Default 30 s.
	Leeway time.Duration
	// Refresh of the keys. Default 15 min. Keys that could not be read again for a day are trusted no more.
	Refresh time.Duration
	// MinRefresh is the least time between two readings of the keys because of unknown ones. Default 10 s.
	MinRefresh time.Duration
	// Timeout of one reading. Default 4 s: who waits for it has 5 s.
	Timeout time.Duration
	// Once refuses a token whose jti came before. Each is remembered until it expires.
	Once bool
	// MaxSeen is how many are remembered; while there are more, logins by JWT are busy. Default 200,000.
	MaxSeen int
}

func (j *JWT) defaults() {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&j.Leeway, 30 * time.Second}, {&j.Refresh, 15 * time.Minute}, {&j.MinRefresh, 10 * time.Second}, {&j.Timeout, 4 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if j.Claim == "" {
		j.Claim = "sub"
	}
	if j.NameClaim == "" {
		j.NameClaim = "name"
	}
	if j.MaxSeen <= 0 {
		j.MaxSeen = 200_000
	}
}

// maxJWT is in bytes. Those of the large identity providers have some 2 KB.
const maxJWT = 8 << 10

var (
	errJWT        = &Error{BadToken, "the JWT is not valid"}
	errJWTExpired = &Error{Expired, "the JWT has expired; get a new one"}
	errJWTUsed    = &Error{BadToken, "the JWT has been used before; get a new one"}
	errNoJWTKeys  = &Error{Unavailable, "JWTs can't be checked now"}
)

// verifier checks JWTs.
type verifier struct {
	cfg     JWT
	now     func() time.Time
	metrics *Metrics
	secrets []key
	keys    keySource
	seen    seen
}

func newVerifier(cfg JWT, limit int, now func() time.Time, metrics *Metrics) verifier {
	v := verifier{
		cfg: cfg, now: now, metrics: metrics,
		keys: keySource{cfg: cfg, limit: limit, now: now, metrics: metrics},
		seen: seen{limit: cfg.MaxSeen, metrics: metrics},
	}
	for _, secret := range cfg.Secrets {
		v.secrets = append(v.secrets, key{alg: jose.HS256, key: secret})
	}
	return v
}

func (v *verifier) start(c *actor.Context) { v.keys.start(c) }

func (v *verifier) login(c *actor.Context, m Request, done func(Account, error)) {
	text, ok := m.Body.Get("jwt").Str()
	switch {
	case !ok:
		done(Account{}, &Error{BadRequest, `a login by JWT needs "jwt", a string`})
	case len(text) > maxJWT:
		done(Account{}, errJWT)
	default:
		v.check(c, text, false, done)
	}
}

// check verifies a token. One that names an unknown key waits, once, until the keys were read again.
func (v *verifier) check(c *actor.Context, text string, again bool, done func(Account, error)) {
	// Algorithms that are not in the list, "none" first of all, are refused while the token is read.
	tok, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.HS256, jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil || len(tok.Headers) != 1 {
		done(Account{}, errJWT)
		return
	}
	header := tok.Headers[0]
	alg := jose.SignatureAlgorithm(header.Algorithm)
	keys := v.secrets
	if alg != jose.HS256 {
		keys = v.keys.of(alg, header.KeyID)
		if len(keys) == 0 && !again {
			v.keys.learn(c, func(err error) {
				if err != nil {
					done(Account{}, err)
					return
				}
				v.check(c, text, true, done)
			})
			return
		}
		if v.keys.none() {
			done(Account{}, errNoJWTKeys)
			return
		}
	}
	var std registered
	var all map[string]json.RawMessage
	err = errJWT
	for _, k := range keys {
		if k.alg != alg {
			continue
		}
		if err = tok.Claims(k.key, &std, &all); !errors.Is(err, jose.ErrCryptoFailure) {
			break
		}
	}
	if err != nil {
		done(Account{}, errJWT)
		return
	}
	done(v.claims(std.claims(), all))
}

// registered are the claims that are checked. The subject is not among them, since it may be a number, and need not be what names the player.
type registered struct {
	Issuer    string           `json:"iss"`
	Audience  jwt.Audience     `json:"aud"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	ID        string           `json:"jti"`
}

func (r *registered) claims() *jwt.Claims {
	return &jwt.Claims{Issuer: r.Issuer, Audience: r.Audience, Expiry: r.Expiry, NotBefore: r.NotBefore, IssuedAt: r.IssuedAt, ID: r.ID}
}

// claims judges what a token says that was signed by somebody who is trusted.
func (v *verifier) claims(std *jwt.Claims, all map[string]json.RawMessage) (Account, error) {
	expected := jwt.Expected{Issuer: v.cfg.Issuer, Time: v.now()}
	if v.cfg.Audience != "" {
		expected.AnyAudience = jwt.Audience{v.cfg.Audience}
	}
	switch err := std.ValidateWithLeeway(expected, v.cfg.Leeway); {
	case errors.Is(err, jwt.ErrExpired):
		return Account{}, errJWTExpired
	case err != nil:
		return Account{}, &Error{BadToken, "the JWT is not valid here or now"}
	case std.Expiry == nil:
		return Account{}, &Error{BadToken, "the JWT has no exp"}
	}
	id, err := textOf(all[v.cfg.Claim])
	if err == nil {
		err = checkUID(v.cfg.Prefix + id)
	}
	if err != nil || id == "" {
		return Account{}, &Error{BadToken, fmt.Sprintf("the JWT has no %q that can be a player's id", v.cfg.Claim)}
	}
	acc := Account{UID: v.cfg.Prefix + id}
	if name, err := textOf(all[v.cfg.NameClaim]); err == nil && len(name) <= maxName && utf8.ValidString(name) {
		acc.Name = name
	}
	if v.cfg.Once {
		if err := v.seen.add(std, v.now(), v.cfg.Leeway); err != nil {
			return Account{}, err
		}
	}
	return acc, nil
}

var errNoText = errors.New("login: a claim is neither a string nor an integer")

// textOf is a claim as text: a string, or the digits of an integer, whatever its length.
func textOf(raw json.RawMessage) (string, error) {
	if len(raw) > 0 && raw[0] == '"' {
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	}
	for i, b := range raw {
		if (b < '0' || b > '9') && (b != '-' || i != 0 || len(raw) == 1) {
			return "", errNoText
		}
	}
	if len(raw) == 0 {
		return "", errNoText
	}
	return string(raw), nil
}
