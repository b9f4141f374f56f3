package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
)

// loginMethods are the values of login.methods.
var loginMethods = []string{ //nolint:gochecknoglobals // a constant
	string(login.MethodPassword), string(login.MethodJWT), string(login.MethodHook), string(login.MethodDevice), string(login.MethodGuest), string(login.MethodNone),
}

func (c *Config) validateLogin(k *check) {
	l := &c.Login
	if l.Method != "" {
		k.oneOf("login.method", l.Method, loginMethods...)
		k.that(slices.Equal(l.Methods, DefaultConfig().Login.Methods), "login.method", l.Method, "nothing beside login.methods, which is its newer name")
	}
	k.that(len(l.Methods) > 0, "login.methods", "", "one of "+strings.Join(loginMethods, ", ")+", or more")
	for _, m := range l.Methods {
		k.oneOf("login.methods", m, loginMethods...)
		k.that(m != string(login.MethodNone) || len(l.Methods) == 1, "login.methods", strings.Join(l.Methods, ","), "none alone, or other ways")
	}
	has := func(m login.Method) bool { return slices.Contains(l.methods(), m) }
	k.between("login.hash_memory", l.HashMemory, 8<<10, 4<<30)
	k.between("login.hash_time", l.HashTime, 1, 1000)
	k.between("login.max_attempts", l.MaxAttempts, 1, math.MaxInt32)
	k.between("login.max_new_per_address", l.MaxNewPerAddress, 1, math.MaxInt32)
	k.that(l.TokenLifetime.Duration == 0 || l.TokenLifetime.Duration >= time.Minute && l.TokenLifetime.Duration <= 10*365*24*time.Hour,
		"login.token_lifetime", l.TokenLifetime, "0s, or 1m to 87600h")
	k.that(longEnough(l.tokenKeys()), "login.token_keys", l.TokenKeys, "keys of 32 characters or more, one a line, or nothing")
	k.that(longEnough(lines(l.JWTSecret)), "login.jwt_secret", l.JWTSecret, "secrets of 32 bytes or more, one a line, or nothing")
	k.that(!has(login.MethodJWT) || l.JWTKeys != "" || l.JWTSecret != "", "login.jwt_keys", l.JWTKeys, "the URL or the file of keys, or login.jwt_secret, for the method jwt")
	k.that(l.JWTClaim != "", "login.jwt_claim", l.JWTClaim, "the name of a claim")
	k.that(len(l.JWTPrefix) <= 32, "login.jwt_prefix", l.JWTPrefix, "up to 32 bytes")
	k.duration("login.jwt_leeway", l.JWTLeeway, 0, 10*time.Minute)
	k.duration("login.jwt_refresh", l.JWTRefresh, 10*time.Second, 24*time.Hour)
	k.that(l.Hook == "" || isScript(l.Hook), "login.hook", l.Hook, "the name of a script, without .lua, inside lua.path, or nothing")
	k.that(!has(login.MethodHook) || l.Hook != "", "login.hook", l.Hook, "the name of a script, for the method hook")
	k.duration("login.hook_timeout", l.HookTimeout, 10*time.Millisecond, time.Minute)
}

// methods are the ways in, by whichever name of the key.
func (l *LoginConfig) methods() []login.Method {
	if l.Method != "" {
		return []login.Method{login.Method(l.Method)}
	}
	all := make([]login.Method, len(l.Methods))
	for i, m := range l.Methods {
		all[i] = login.Method(m)
	}
	return all
}

func (l *LoginConfig) tokenKeys() [][]byte { return lines(l.TokenKeys) }

// gate is what a gate has to know of it.
func (l *LoginConfig) gate() gate.Login {
	if slices.Contains(l.methods(), login.MethodNone) {
		return gate.LoginNone
	}
	return gate.LoginPassword
}

// lines are those of a secret that are not empty.
func lines(s Secret) [][]byte {
	var all [][]byte
	for line := range strings.Lines(s.Reveal()) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, []byte(line))
		}
	}
	return all
}

func longEnough(keys [][]byte) bool {
	return !slices.ContainsFunc(keys, func(k []byte) bool { return len(k) < login.MinKey })
}

// loginConfig is what the login service is told.
func (n *node) loginConfig() (login.Config, error) {
	cfg := &n.project.cfg
	l := &cfg.Login
	keys := l.JWTKeys
	if keys != "" && !strings.Contains(keys, "://") {
		keys = cfg.Path(keys)
	}
	lc := login.Config{
		Methods: l.methods(), Register: l.Register, Memory: uint32(l.HashMemory >> 10), Passes: uint32(l.HashTime), MaxAttempts: l.MaxAttempts,
		NewPerAddress: l.MaxNewPerAddress, Lifetime: l.TokenLifetime.Duration,
		JWT: login.JWT{
			Source: keys, Secrets: lines(l.JWTSecret), Issuer: l.JWTIssuer, Audience: l.JWTAudience, Claim: l.JWTClaim, Prefix: l.JWTPrefix,
			Leeway: l.JWTLeeway.Duration, Refresh: l.JWTRefresh.Duration, Once: l.JWTOnce,
		},
		Hook: l.Hook, HookTimeout: l.HookTimeout.Duration, Now: n.sys.Now, Metrics: login.NewMetrics(),
	}
	if cfg.Store.Mongo != "" {
		lc.Refresh = bansRefresh // others may write there
	}
	if l.TokenLifetime.Duration > 0 {
		var err error
		if lc.TokenKeys, err = cfg.tokenKeys(); err != nil {
			return login.Config{}, err
		}
	}
	if l.Hook != "" && !n.rt.Has(l.Hook) {
		return login.Config{}, fmt.Errorf("login.hook = %q: there is no such script in %s", l.Hook, strings.Join(cfg.Lua.Path, ", "))
	}
	if err := lc.Check(); err != nil {
		return login.Config{}, err
	}
	n.metrics.MustRegister(lc.Metrics)
	return lc, nil
}

// bansRefresh is how long it takes at most until a ban of another node holds on this one.
const bansRefresh = 15 * time.Second

// tokenKeys are those of the configuration, or what all nodes make of the cluster's secret, or the node's own.
func (c *Config) tokenKeys() ([][]byte, error) {
	if len(c.Login.tokenKeys()) > 0 || c.Cluster.Secret == "" {
		return c.Login.tokenKeysIn(c.Path(c.Data))
	}
	key, err := cluster.Key(c.Cluster.Secret.Reveal(), "login tokens")
	if err != nil {
		return nil, err
	}
	return [][]byte{key}, nil
}

// tokenKeysIn gives the keys of the configuration, or the one in a directory, which is made if there is none.
func (l *LoginConfig) tokenKeysIn(dir string) ([][]byte, error) {
	if keys := l.tokenKeys(); len(keys) > 0 {
		return keys, nil
	}
	path := filepath.Join(dir, "login.key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeKey(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("key for tokens: %w", err)
	}
	keys := lines(Secret(text))
	if len(keys) == 0 || !longEnough(keys) {
		return nil, fmt.Errorf("key for tokens: %s has no keys of %d characters or more, one a line", path, login.MinKey)
	}
	return keys, nil
}

// makeKey writes a new key so that there is all of it or nothing.
func makeKey(dir, path string) (text []byte, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand
	text = append(base64.StdEncoding.AppendEncode(nil, random[:]), '\n')
	f, err := os.CreateTemp(dir, "login.key.*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return nil, err
	}
	return text, os.Rename(f.Name(), path)
}
