package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// The embedded JetStream holds names, leases and directories. The bounds keep a fault elsewhere from filling the machine.
	maxMemory = 64 << 20
	maxStore  = 1 << 30
	// maxServed bounds the connections that strangers can open: nodes, and what an operator looks with.
	maxServed = 1024
	// clusterName is the same on all servers of one NATS cluster.
	clusterName = "skua"
	routeUser   = "skua"
	// minServers is how many servers have a majority when one of them is gone.
	minServers = 3
	tlsSeconds = 5
	// authSeconds is how long a client or another server has to say who it is: with the 2 s of nats-server routes were cut on a machine that was busy.
	authSeconds = 10
)

// Routes has the embedded servers of several nodes form one NATS cluster, which goes on as long as more than half of them run. They need Config.Listen, too. The zero value leaves this node's server alone.
type Routes struct {
	// Listen is the address, host:port, at which the server takes the others.
	Listen string
	// Servers are the addresses, host:port, at which the servers of the cluster take each other, of all of them: three or more, and the same on each node. One that is this node's own does no harm.
	Servers []string
}

// TLS has the files, in PEM, for connections to other machines. The zero value encrypts what the scheme of a URL says, with the authorities that the machine trusts.
type TLS struct {
	// CA are the authorities whose certificates servers must have, and those who connect to the embedded server.
	CA string
	// Cert and Key are those of this node: for servers that ask for one, and for its embedded server, which is then reached by TLS only.
	Cert, Key string
}

// Login is how the node proves to an external server who it is, beside what stands in the URL. At most one is set.
type Login struct {
	// Credentials is the file of a user with its JWT and seed, as `nsc` writes it.
	Credentials string
	// NKey is the file of a seed.
	NKey string
}

// check looks at what the server is told.
func (cfg *Config) checkServer() error {
	if cfg.Listen != "" && len(cfg.Join) > 0 || cfg.Listen != "" && cfg.URL != "" {
		return errors.New("cluster: found both an address for others and one to join, expected one: a node that uses another's server has none of its own")
	}
	if cfg.URL != "" && len(cfg.Join) > 0 {
		return errors.New("cluster: found both a URL and addresses to join, expected one")
	}
	clustered := cfg.Routes.Listen != "" || len(cfg.Routes.Servers) > 0
	if clustered && (cfg.Routes.Listen == "" || len(cfg.Routes.Servers) < minServers) {
		return fmt.Errorf("cluster: routes: found the address %q and %d servers, expected both, and at least %d", cfg.Routes.Listen, len(cfg.Routes.Servers), minServers)
	}
	if clustered && (cfg.URL != "" || len(cfg.Join) > 0) {
		return errors.New("cluster: found routes of an embedded server and others' servers to use, expected one")
	}
	if clustered && cfg.Listen == "" { // such a server does not begin to look for the others, see nats-server's StartRouting
		return errors.New("cluster: found routes without an address for nodes that join, expected both")
	}
	for _, addr := range slices.Concat(cfg.Join, cfg.Routes.Servers) {
		if _, _, err := splitAddress(addr); err != nil {
			return err
		}
	}
	for _, addr := range []string{cfg.Listen, cfg.Routes.Listen} {
		if addr != "" && cfg.Secret == "" && !Loopback(addr) {
			return fmt.Errorf("cluster: %s is reachable from other machines, and there is no secret: expected one, or a loopback address", addr)
		}
	}
	if (cfg.TLS.Cert == "") != (cfg.TLS.Key == "") {
		return errors.New("cluster: TLS: expected a certificate and its key, or neither")
	}
	if cfg.Login.Credentials != "" && cfg.Login.NKey != "" {
		return errors.New("cluster: found credentials and an nkey, expected one")
	}
	if cfg.Secret != "" {
		_, err := Key(cfg.Secret, "check")
		return err
	}
	return nil
}

// Loopback tells whether an address, host:port, can be reached from this machine only. A name other than localhost can't be trusted to.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("cluster: address %q: expected host:port", addr)
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("cluster: address %q: expected a port of 0 to 65535", addr)
	}
	return host, int(number), nil
}

// alone tells whether nobody but this process reaches the NATS server that the node uses.
func (n *Node) alone() bool {
	return n.embedded() && n.cfg.Listen == "" && len(n.cfg.Routes.Servers) == 0
}

// embedded tells whether the NATS server runs in this process.
func (cfg *Config) embedded() bool { return cfg.URL == "" && len(cfg.Join) == 0 }

func (n *Node) embedded() bool { return n.cfg.embedded() }

// serverOptions are what the embedded server is told.
func (n *Node) serverOptions(dir string) (*server.Options, error) {
	opts := &server.Options{
		ServerName:         n.cfg.Name,
		DontListen:         n.cfg.Listen == "",
		NoSigs:             true, // signals are the program's business
		JetStream:          true,
		StoreDir:           dir,
		JetStreamMaxMemory: maxMemory,
		JetStreamMaxStore:  maxStore,
		MaxConn:            maxServed,
		// An incarnation that was handed out must survive a power failure too; writes are too few for the fsyncs to matter.
		SyncAlways: true,
	}
	if n.alone() {
		return opts, nil
	}
	var err error
	if n.cfg.Listen != "" {
		if opts.Host, opts.Port, err = listenOn(n.cfg.Listen); err != nil {
			return nil, err
		}
	}
	if n.cfg.Secret != "" {
		_, public, err := identity(n.cfg.Secret)
		if err != nil {
			return nil, err
		}
		opts.Nkeys = []*server.NkeyUser{{Nkey: public}}
	}
	if opts.TLSConfig, err = n.cfg.TLS.server(); err != nil {
		return nil, err
	}
	opts.TLS, opts.TLSTimeout = opts.TLSConfig != nil, tlsSeconds
	opts.AuthTimeout = authSeconds
	opts.TLSVerify = opts.TLSConfig != nil && opts.TLSConfig.ClientAuth == tls.RequireAndVerifyClientCert
	if len(n.cfg.Routes.Servers) == 0 {
		return opts, nil
	}
	return opts, n.route(opts)
}

// route makes the server one of several.
func (n *Node) route(opts *server.Options) (err error) {
	c := &opts.Cluster
	c.Name, c.TLSTimeout, c.AuthTimeout = clusterName, tlsSeconds, authSeconds
	if c.Host, c.Port, err = listenOn(n.cfg.Routes.Listen); err != nil {
		return err
	}
	if c.TLSConfig, err = n.cfg.TLS.server(); err != nil {
		return err
	}
	var user *url.Userinfo
	if n.cfg.Secret != "" {
		password, err := routePassword(n.cfg.Secret)
		if err != nil {
			return err
		}
		c.Username, c.Password = routeUser, password
		user = url.UserPassword(routeUser, password)
	}
	for _, addr := range n.cfg.Routes.Servers {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", User: user, Host: addr})
	}
	return nil
}

// listenOn is an address as the server wants it: it takes 0 for its default port.
func listenOn(addr string) (string, int, error) {
	host, port, err := splitAddress(addr)
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, err
}

// server is how the embedded server speaks TLS, nil without a certificate. With authorities of its own it asks for certificates, too.
func (t *TLS) server() (*tls.Config, error) {
	if t.Cert == "" {
		return nil, nil //nolint:nilnil // nothing is what was asked for
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("cluster: TLS certificate: %w", err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if t.CA != "" {
		pool, err := readPool(t.CA)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs, cfg.ClientCAs, cfg.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	}
	return cfg, nil
}

func readPool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cluster: TLS authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("cluster: TLS authorities: %s has no certificate in PEM", path)
	}
	return pool, nil
}
