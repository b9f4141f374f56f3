package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

const envPrefix = "SKUA_"

// environMap turns the form of os.Environ into a map.
func environMap(environ []string) map[string]string {
	m := make(map[string]string, len(environ))
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok {
			m[name] = value
		}
	}
	return m
}

// override applies the SKUA_ variables. An empty variable counts as not set. Lists are separated by commas, routes are name:code.
func (c *Config) override(environ map[string]string) error {
	var failed []error
	known := make([]string, 0, 64)
	for _, k := range configKeys(c) {
		known = append(known, k.env)
		value := environ[k.env]
		if value == "" {
			continue
		}
		// One variable at a time, so that an error is known to be this one's.
		err := env.ParseWithOptions(k.root, env.Options{Prefix: k.prefix, Environment: map[string]string{k.env: value}})
		if err != nil {
			shown := strconv.Quote(value)
			if k.secret() {
				shown = Secret(value).String()
			}
			failed = append(failed, fmt.Errorf("config: %s: found %s, expected %s", k.env, shown, k.expected()))
		}
	}
	for name := range environ {
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(known, name) {
			continue
		}
		// Not an error: orchestrators set variables such as SKUA_SERVICE_HOST for a service called skua.
		if near := nearest(name, known); near != "" {
			c.Warnings = append(c.Warnings, fmt.Sprintf("environment variable %s is not known, did you mean %s?", name, near))
		}
	}
	slices.Sort(c.Warnings)
	return errors.Join(failed...)
}
