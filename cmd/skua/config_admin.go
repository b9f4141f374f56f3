package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skua-go/skua/services/admin"
)

// dayForm is how a day is written in the configuration.
const dayForm = time.DateOnly

// tokens are those of admin.tokens, by their names.
func (c *AdminConfig) tokens() ([]admin.Token, error) {
	all := make([]admin.Token, 0, len(c.Tokens))
	var failed []error
	wrong := func(key, name string, err error) {
		failed = append(failed, fmt.Errorf("config: admin.%s.%s: %w", key, name, err))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		t := admin.Token{Name: name, Role: admin.View}
		var err error
		if !isDatabaseName(name) {
			wrong("tokens", name, errors.New("expected a name of 1 to 64 letters, digits, - and _"))
		}
		if t.Hash, err = admin.HashToken(c.Tokens[name].Reveal()); err != nil {
			wrong("tokens", name, err)
		}
		if role, ok := c.Roles[name]; ok {
			if t.Role, err = admin.ParseRole(role); err != nil {
				wrong("roles", name, err)
			}
		}
		if text, ok := c.Expires[name]; ok {
			if t.Expires, err = parseMoment(text); err != nil {
				wrong("expires", name, err)
			}
		}
		all = append(all, t)
	}
	for key, names := range map[string]map[string]string{"roles": c.Roles, "expires": c.Expires} {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if _, ok := c.Tokens[name]; !ok {
				wrong(key, name, errors.New("there is no admin.tokens."+name))
			}
		}
	}
	for i := range all {
		for _, other := range all[:i] {
			if other.Hash == all[i].Hash {
				wrong("tokens", all[i].Name, errors.New("it is the same token as that of "+other.Name))
			}
		}
	}
	return all, errors.Join(failed...)
}

// parseMoment reads a time, or a day of UTC at whose beginning it is.
func parseMoment(text string) (time.Time, error) {
	if t, err := time.Parse(dayForm, text); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("found %q, expected a day such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z", text)
	}
	return t, nil
}

// guarded tells whether requests to the admin listener need a token.
func (c *AdminConfig) guarded() bool { return c.Token != "" || len(c.Tokens) > 0 }

func (c *AdminConfig) validate(k *check) {
	if _, err := c.tokens(); err != nil {
		k.failed = append(k.failed, err)
	}
}
