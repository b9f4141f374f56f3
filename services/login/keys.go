package login

import (
	"context"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/skua-go/skua/actor"
)

// keySource has the public keys that JWTs are checked with. They are read off the actor, and those who wait for that are bounded.
type keySource struct {
	cfg     JWT
	limit   int
	now     func() time.Time
	metrics *Metrics
	keys    []key
	good    time.Time // when they were read
	reading bool
	next    time.Time // no reading because of an unknown key before
	waiting []func()
}

// key is one that JWTs can be checked with.
type key struct {
	id  string // may be empty: then it is tried for any
	alg jose.SignatureAlgorithm
	key any
}

const (
	maxKeys = 64
	// maxTries bounds the keys that are tried for one token.
	maxTries = 8
	// maxStale is how long keys are trusted that can't be read again.
	maxStale = 24 * time.Hour
)

func (k *keySource) start(c *actor.Context) {
	if k.cfg.Source == "" {
		return
	}
	k.read(c)
	c.Every(k.cfg.Refresh, func() { k.read(c) })
}

// of gives the keys for an algorithm and an id.
func (k *keySource) of(alg jose.SignatureAlgorithm, id string) []key {
	var fit []key
	for _, candidate := range k.keys {
		if candidate.alg == alg && (candidate.id == id || candidate.id == "" || id == "") && len(fit) < maxTries {
			fit = append(fit, candidate)
		}
	}
	return fit
}

// none tells that there should be keys, and are not.
func (k *keySource) none() bool { return k.cfg.Source != "" && len(k.keys) == 0 }

// learn reads the keys again for somebody who needs one that is not known, unless they were read a moment ago; then is called once they are what they can be.
func (k *keySource) learn(c *actor.Context, then func(error)) {
	switch {
	case k.cfg.Source == "", !k.reading && k.now().Before(k.next):
		then(nil)
	case len(k.waiting) >= k.limit:
		then(errBusy)
	default:
		k.waiting = append(k.waiting, c.Resume(func() { then(nil) }))
		k.read(c)
	}
}

// read reads the keys, unless that is under way.
func (k *keySource) read(c *actor.Context) {
	if k.reading {
		return
	}
	k.reading = true
	c.Detached(func() {
		c.Go(func(ctx context.Context) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
			defer cancel()
			text, err := fetch(ctx, k.cfg.Source)
			if err != nil {
				return nil, err
			}
			return parseKeys(text)
		}, func(v any, err error) { k.done(c, v, err) })
	})
}

func (k *keySource) done(c *actor.Context, v any, err error) {
	now := k.now()
	k.reading, k.next = false, now.Add(k.cfg.MinRefresh)
	keys, _ := v.([]key)
	if err == nil {
		k.keys, k.good = keys, now
		k.metrics.fetches.WithLabelValues("ok").Inc()
	} else {
		k.metrics.fetches.WithLabelValues("failed").Inc()
		if now.Sub(k.good) > maxStale {
			k.keys = nil
		}
		c.Log().Error("the keys for JWTs can't be read", "source", k.cfg.Source, "known", len(k.keys), "read", k.good, "error", err)
		if len(k.keys) == 0 {
			c.Detached(func() { c.After(k.cfg.MinRefresh, func() { k.read(c) }) })
		}
	}
	k.metrics.keys.Set(float64(len(k.keys)))
	waiting := k.waiting
	k.waiting = nil
	for _, f := range waiting {
		f()
	}
}

// Check tells what is wrong with a configuration: keys that are too short, a source of keys that is neither an allowed URL nor a file with keys, and ways in
// that lack what they need. It reads files, but asks no servers.
func (cfg Config) Check() error {
	for i, k := range cfg.TokenKeys {
		if len(k) < MinKey {
			return fmt.Errorf("login: key %d for tokens has %d bytes, expected %d or more", i+1, len(k), MinKey)
		}
	}
	for _, m := range cfg.Methods {
		switch m {
		case MethodPassword, MethodDevice, MethodGuest, MethodNone:
		case MethodHook:
			if cfg.Hook == "" {
				return fmt.Errorf("login: method %q needs a hook, the name of a script", m)
			}
		case MethodJWT:
			if err := cfg.JWT.check(); err != nil {
				return err
			}
		default:
			return fmt.Errorf("login: %q is no method: password, jwt, hook, device, guest or none is expected", m)
		}
	}
	return nil
}

func (j *JWT) check() error {
	if j.Source == "" && len(j.Secrets) == 0 {
		return fmt.Errorf("login: method %q needs keys or a secret", MethodJWT)
	}
	for i, s := range j.Secrets {
		if len(s) < MinKey {
			return fmt.Errorf("login: secret %d for JWTs has %d bytes, expected %d or more", i+1, len(s), MinKey)
		}
	}
	if j.Source == "" {
		return nil
	}
	if isURL(j.Source) {
		return checkURL(j.Source)
	}
	text, err := readKeyFile(j.Source)
	if err == nil {
		_, err = parseKeys(text)
	}
	if err != nil {
		return fmt.Errorf("login: keys for JWTs in %s: %w", j.Source, err)
	}
	return nil
}
