package mongodb

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/internal/mongouri"
	"github.com/skua-go/skua/lua/vm"
)

// conf is what a script says of the deployment that it wants: a name of Config.Databases, a URI or hosts.
type conf struct {
	name, uri                         string
	hosts                             []string
	user, password, authmod, database string
}

// argConf reads the table that scripts/skynet/db/mongo.lua makes.
func argConf(s vm.State, what string) *conf {
	if s.Type(1) != vm.Table {
		s.Errorf("%s: a table is expected, got %s", what, s.Type(1))
	}
	c := &conf{}
	for name, to := range map[string]*string{
		"name": &c.name, "uri": &c.uri, "username": &c.user, "password": &c.password, "authmod": &c.authmod, "authdb": &c.database,
	} {
		s.Field(1, name)
		var ok bool
		if *to, ok = s.String(-1); !ok && s.Type(-1) != vm.Nil {
			s.Errorf("%s: %s: a string is expected, got %s", what, name, s.Type(-1))
		}
		s.Pop(1)
	}
	s.Field(1, "hosts")
	if s.Type(-1) == vm.Table {
		for i := range s.Len(-1) {
			s.RawGetInt(-1, int64(i)+1)
			host, ok := s.String(-1)
			if !ok || host == "" {
				s.Errorf("%s: a host is expected, got %s", what, s.Type(-1))
			}
			c.hosts = append(c.hosts, host)
			s.Pop(1)
		}
	}
	s.Pop(1)
	if n := len(slices.DeleteFunc([]string{c.name, c.uri, strings.Join(c.hosts, ",")}, func(v string) bool { return v == "" })); n != 1 {
		s.Errorf("%s: one of host, rs, uri and name is expected, got %d of them", what, n)
	}
	return c
}

// key tells wishes apart.
func (c *conf) key() string {
	return fmt.Sprintf("%q %q %q %q %q %q %q", c.name, c.uri, c.hosts, c.user, c.password, c.authmod, c.database)
}

// settings are the driver's, and what takes secrets out of its errors.
func (n *Clients) settings(c *conf) (*options.ClientOptions, mongouri.Scrubber, error) {
	settings, clean, err := n.target(c)
	if err != nil {
		return nil, nil, err
	}
	if err := c.authenticate(settings); err != nil {
		return nil, nil, err
	}
	if c.password != "" {
		clean = append(clean, c.password)
	}
	if c.name == "" {
		settings.SetDialer(dialer{n.cfg.Connect})
	}
	if settings.MaxPoolSize == nil {
		settings.SetMaxPoolSize(n.cfg.MaxPool)
	}
	if settings.ServerSelectionTimeout == nil {
		settings.SetServerSelectionTimeout(n.cfg.Timeout)
	}
	if settings.AppName == nil {
		settings.SetAppName("skua")
	}
	return settings, clean, nil
}

// target is where the deployment is.
func (n *Clients) target(c *conf) (*options.ClientOptions, mongouri.Scrubber, error) {
	uri := c.uri
	switch {
	case c.name != "":
		var ok bool
		if uri, ok = n.cfg.Databases[c.name]; !ok {
			return nil, nil, fmt.Errorf("mongo: no database of the name %q is configured: %s", c.name, known(n.cfg.Databases))
		}
	case uri == "":
		for _, host := range c.hosts {
			if err := checkHost(host); err != nil {
				return nil, nil, err
			}
		}
		return options.Client().SetHosts(c.hosts), nil, nil
	default:
		if err := checkURI(uri); err != nil {
			return nil, nil, err
		}
	}
	settings, err := mongouri.Parse(uri)
	if err != nil {
		return nil, nil, fmt.Errorf("mongo: %w", err)
	}
	if c.name == "" && settings.Auth != nil && !slices.Contains([]string{"", "SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"}, settings.Auth.AuthMechanism) {
		return nil, nil, fmt.Errorf("mongo: authMechanism %s is for databases that the node's configuration names", settings.Auth.AuthMechanism)
	}
	return settings, mongouri.ScrubberFor(uri), nil
}

// known lists the names of databases for an error.
func known(databases map[string]string) string {
	if len(databases) == 0 {
		return "there is none"
	}
	names := slices.Sorted(maps.Keys(databases))
	for i, name := range names {
		names[i] = strconv.Quote(name)
	}
	return "those are " + strings.Join(names, ", ")
}

func checkHost(host string) error {
	at := strings.LastIndexByte(host, ':')
	if at > 0 {
		if port, err := strconv.Atoi(host[at+1:]); err == nil && port > 0 && port < 65536 && !strings.ContainsAny(host, "/,@?") {
			return nil
		}
	}
	return fmt.Errorf("mongo: invalid host %q: host:port is expected", host)
}

// checkURI refuses a script's URI that names files of the node, before anybody reads them.
func checkURI(uri string) error {
	_, query, _ := strings.Cut(uri, "?")
	for _, part := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(key); err != nil || strings.Contains(strings.ToLower(plain), "file") {
			return fmt.Errorf("mongo: %q: a script's URI can't name files; a database that the node's configuration names can", key)
		}
	}
	return nil
}

// authenticate adds the user that a script names apart from a URI.
func (c *conf) authenticate(settings *options.ClientOptions) error {
	mechanism, known := map[string]string{"": "", "scram_sha1": "SCRAM-SHA-1", "scram_sha256": "SCRAM-SHA-256"}[c.authmod]
	if !known {
		return fmt.Errorf("mongo: authmod: scram_sha1 or scram_sha256 is expected, got %q", c.authmod)
	}
	if c.user == "" {
		return nil
	}
	settings.SetAuth(options.Credential{AuthMechanism: mechanism, AuthSource: c.database, Username: c.user, Password: c.password, PasswordSet: true})
	return nil
}
