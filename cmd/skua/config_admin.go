package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
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
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		t := admin.Token{Name: name}
		var err error
		if t.Role, t.Expires, err = c.named("tokens", name); err != nil {
			failed = append(failed, err)
		}
		if t.Hash, err = admin.HashToken(c.Tokens[name].Reveal()); err != nil {
			failed = append(failed, wrongAdmin("tokens", name, err))
		}
		all = append(all, t)
	}
	for i := range all {
		for _, other := range all[:i] {
			if other.Hash == all[i].Hash {
				failed = append(failed, wrongAdmin("tokens", all[i].Name, errors.New("it is the same token as that of "+other.Name)))
			}
		}
	}
	return all, errors.Join(failed...)
}

// certificates are those of admin.certificates, by their names.
func (c *AdminConfig) certificates() ([]admin.Certificate, error) {
	all := make([]admin.Certificate, 0, len(c.Certificates))
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(c.Certificates)) {
		one := admin.Certificate{Name: name, Subject: c.Certificates[name]}
		var err error
		if one.Role, one.Expires, err = c.named("certificates", name); err != nil {
			failed = append(failed, err)
		}
		if err := admin.CheckSubject(one.Subject); err != nil {
			failed = append(failed, wrongAdmin("certificates", name, err))
		}
		if _, both := c.Tokens[name]; both {
			failed = append(failed, wrongAdmin("certificates", name, errors.New("there is a token of this name, too")))
		}
		for _, other := range all {
			if other.Subject == one.Subject {
				failed = append(failed, wrongAdmin("certificates", name, errors.New("it is the same certificate as that of "+other.Name)))
			}
		}
		all = append(all, one)
	}
	return all, errors.Join(failed...)
}

func wrongAdmin(key, name string, err error) error {
	return fmt.Errorf("config: admin.%s.%s: %w", key, name, err)
}

// named is what the configuration says of somebody who has a name, in a table of these.
func (c *AdminConfig) named(table, name string) (role admin.Role, expires time.Time, err error) {
	var failed []error
	role = admin.View
	if !isDatabaseName(name) {
		failed = append(failed, wrongAdmin(table, name, errors.New("expected a name of 1 to 64 letters, digits, - and _")))
	}
	if text, ok := c.Roles[name]; ok {
		if role, err = admin.ParseRole(text); err != nil {
			failed = append(failed, wrongAdmin("roles", name, err))
		}
	}
	if text, ok := c.Expires[name]; ok {
		if expires, err = parseMoment(text); err != nil {
			failed = append(failed, wrongAdmin("expires", name, err))
		}
	}
	return role, expires, errors.Join(failed...)
}

// nobody are the names that have a role or an end, and neither token nor certificate.
func (c *AdminConfig) nobody() error {
	var failed []error
	for key, names := range map[string]map[string]string{"roles": c.Roles, "expires": c.Expires} {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			_, token := c.Tokens[name]
			if _, certificate := c.Certificates[name]; !token && !certificate {
				failed = append(failed, wrongAdmin(key, name, errors.New("there is no admin.tokens."+name+" and no admin.certificates."+name)))
			}
		}
	}
	return errors.Join(failed...)
}

// clientRoots are the authorities of admin.client_ca; nil if there are none.
func (c *Config) clientRoots() (*x509.CertPool, error) {
	if c.Admin.ClientCA == "" {
		return nil, nil //nolint:nilnil // nothing is what was asked for
	}
	return readRoots(c.Path(c.Admin.ClientCA))
}

// readRoots reads authorities from a file.
func readRoots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("expected a file with certificates in PEM: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: expected a file with certificates in PEM", path)
	}
	return pool, nil
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

// guarded tells whether requests to the admin listener need a token or a certificate.
func (c *AdminConfig) guarded() bool {
	return c.Token != "" || len(c.Tokens) > 0 || len(c.Certificates) > 0
}

func (c *Config) validateAdmin(k *check) {
	a := &c.Admin
	_, tokens := a.tokens()
	_, certificates := a.certificates()
	for _, err := range []error{tokens, certificates, a.nobody()} {
		if err != nil {
			k.failed = append(k.failed, err)
		}
	}
	k.that((a.ClientCA == "") == (len(a.Certificates) == 0), "admin.client_ca", a.ClientCA, "a file of authorities if there are admin.certificates, and else nothing")
	k.that(a.ClientCA == "" || slices.Contains(c.TLS.Listeners, "admin") && len(c.TLS.Cert) > 0, "admin.client_ca", a.ClientCA, "admin in tls.listeners, and tls.cert, where clients come with certificates")
	if !Listens(c.Listen.Console) || !isListenAddress(c.Listen.Console) {
		return
	}
	if err := admin.CheckConsole(c.Listen.Console); err != nil {
		k.failed = append(k.failed, fmt.Errorf("config: listen.console (%sLISTEN_CONSOLE): %w", envPrefix, err))
	}
	k.that(a.Token != "" || len(a.Tokens) > 0, "listen.console", c.Listen.Console, "admin.token or admin.tokens with it: the console asks for one")
}
