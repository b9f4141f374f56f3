package main

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
)

// Secret is a value that is never printed: logs and %v show whether it is set, Reveal gives it.
type Secret string

// Reveal is the value itself, for whoever opens the connection with it.
func (s Secret) Reveal() string { return string(s) }

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue hides the value from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// resolveSecrets replaces env:NAME and file:PATH by what they point to. It runs once, after flags, so that all three sources may point.
func (c *Config) resolveSecrets(env map[string]string) error {
	for _, s := range []struct {
		key   string
		value *Secret
	}{
		{"nats", &c.NATS},
		{"store.mongo", &c.Store.Mongo},
		{"admin.token", &c.Admin.Token},
		{"trace.headers", &c.Trace.Headers},
		{"kcp.key", &c.KCP.Key},
		{"login.token_keys", &c.Login.TokenKeys},
		{"login.jwt_secret", &c.Login.JWTSecret},
		{"media.keys", &c.Media.Keys},
		{"cluster.secret", &c.Cluster.Secret},
		{"media.webrtc.turn_password", &c.Media.WebRTC.TURNPassword},
		{"media.webrtc.turn_secret", &c.Media.WebRTC.TURNSecret},
	} {
		v, err := c.resolveSecret(s.value.Reveal(), env)
		if err != nil {
			return fmt.Errorf("config: %s: %w", s.key, err)
		}
		*s.value = Secret(v)
	}
	for _, table := range []struct {
		key    string
		values map[string]Secret
	}{{"mongo.databases", c.Mongo.Databases}, {"admin.tokens", c.Admin.Tokens}, {"lua.env", c.Lua.Env}} {
		for _, name := range slices.Sorted(maps.Keys(table.values)) {
			v, err := c.resolveSecret(table.values[name].Reveal(), env)
			if err != nil {
				return fmt.Errorf("config: %s.%s: %w", table.key, name, err)
			}
			table.values[name] = Secret(v)
		}
	}
	return nil
}

func (c *Config) resolveSecret(v string, env map[string]string) (string, error) {
	if name, ok := strings.CutPrefix(v, "env:"); ok {
		got := env[name]
		if got == "" {
			return "", fmt.Errorf("found env:%s, but the variable %s is not set", name, name)
		}
		return got, nil
	}
	if path, ok := strings.CutPrefix(v, "file:"); ok {
		text, err := os.ReadFile(c.Path(path))
		if err != nil {
			return "", fmt.Errorf("found file:%s: %w", path, err)
		}
		got := strings.TrimSpace(string(text))
		if got == "" {
			return "", fmt.Errorf("found file:%s, but the file is empty", path)
		}
		return got, nil
	}
	return v, nil
}
