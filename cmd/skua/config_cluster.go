package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skua-go/skua/cluster"
)

func (c *Config) validateCluster(k *check) {
	m, before := &c.Cluster, len(k.failed)
	for _, role := range m.Roles {
		k.that(cluster.CheckName(role) == nil, "cluster.roles", role, "1 to 64 letters, digits, - and _")
	}
	k.that(len(m.Roles) <= maxTraits && len(m.Labels) <= maxTraits, "cluster.roles", len(m.Roles), fmt.Sprintf("at most %d of them, and of cluster.labels", maxTraits))
	for name, text := range m.Labels {
		k.that(name != "" && len(name) <= maxLabel && len(text) <= maxLabel, "cluster.labels", name+" = "+text, fmt.Sprintf("at most %d bytes each", maxLabel))
	}
	if len(k.failed) == before {
		c.validateTraits(k)
	}
	k.duration("cluster.beat", m.Beat, 10*time.Millisecond, time.Minute)
	k.duration("cluster.suspect", m.Suspect, 2*m.Beat.Duration, time.Hour)
	k.duration("cluster.dead", m.Dead, m.Suspect.Duration+time.Millisecond, time.Hour)
	k.that(m.Lease.Duration >= 2*time.Second && m.Lease.Duration <= time.Hour && m.Lease.Duration%time.Second == 0, "cluster.lease", m.Lease, "whole seconds from 2s to 1h")
	k.duration("cluster.drain", m.Drain, 0, time.Hour)
	c.validateServers(k)
	c.validateProof(k)
}

// validateTraits looks at whether what the node tells of itself with each heartbeat has room there.
func (c *Config) validateTraits(k *check) {
	m := &c.Cluster
	const expected = "roles, labels and addresses of all gates that have up to %d bytes as JSON and fill up to %d labels, as each heartbeat tells of them"
	if cluster.CheckTraits(m.Roles, m.Labels) != nil {
		k.that(false, "cluster.labels", len(m.Labels), fmt.Sprintf(expected, cluster.MaxTraits, maxTraits))
		return
	}
	addresses := len(c.Gate.Addresses)
	for _, g := range c.Gates {
		addresses += len(g.Addresses)
	}
	k.that(cluster.CheckTraits(m.Roles, c.gateLabels()) == nil, "gate.addresses", addresses, fmt.Sprintf(expected, cluster.MaxTraits, maxTraits))
}

// validateServers looks at who runs the NATS servers, and who reaches them.
func (c *Config) validateServers(k *check) {
	m := &c.Cluster
	for _, list := range []struct {
		key   string
		addrs []string
	}{{"cluster.join", m.Join}, {"cluster.routes", m.Routes}} {
		for _, addr := range list.addrs {
			host, _, _ := strings.Cut(addr, ":")
			k.that(Listens(addr) && isListenAddress(addr) && host != "" && !strings.HasSuffix(addr, ":0"), list.key, addr, "addresses such as 10.0.0.5:7010, each with the port that the node listens on")
		}
	}
	if len(m.Join) > 0 {
		const none = "nothing, as cluster.join says whose NATS servers are used"
		k.that(c.NATS == "", "nats", c.NATS, none)
		k.that(!Listens(c.Listen.Cluster), "listen.cluster", c.Listen.Cluster, `"off", as this node has no NATS server that others could join`)
		k.that(len(m.Routes) == 0, "cluster.routes", strings.Join(m.Routes, ","), none)
	} else if c.NATS != "" {
		const none = "nothing, as nats says whose NATS servers are used"
		k.that(!Listens(c.Listen.Cluster), "listen.cluster", c.Listen.Cluster, `"off", as this node has no NATS server that others could join`)
		k.that(len(m.Routes) == 0, "cluster.routes", strings.Join(m.Routes, ","), none)
	}
	k.that(len(m.Routes) == 0 || len(m.Routes) >= 3 && len(m.Routes)%2 == 1 && len(m.Routes) <= 7, "cluster.routes", len(m.Routes), "three, five or seven addresses, or none")
	k.that(len(m.Routes) == 0 || Listens(c.Listen.Routes), "listen.routes", c.Listen.Routes, "an address such as 10.0.0.5:7011, as cluster.routes has this node's server be one of several")
	k.that(len(m.Routes) > 0 || !Listens(c.Listen.Routes), "listen.routes", c.Listen.Routes, `"off", as cluster.routes has no servers for it`)
	k.that(len(m.Routes) == 0 || Listens(c.Listen.Cluster), "listen.cluster", c.Listen.Cluster, "an address such as 127.0.0.1:7010, which a server of cluster.routes needs")
	for _, l := range []struct{ key, addr string }{{"listen.cluster", c.Listen.Cluster}, {"listen.routes", c.Listen.Routes}} {
		k.that(!Listens(l.addr) || cluster.Loopback(l.addr) || m.Secret != "", l.key, l.addr, "a loopback address such as 127.0.0.1:7010, or cluster.secret (SKUA_CLUSTER_SECRET), as other machines reach this one")
	}
}

// validateProof looks at how nodes show who they are.
func (c *Config) validateProof(k *check) {
	m := &c.Cluster
	k.that(m.Secret == "" || len(m.Secret) >= cluster.MinSecret, "cluster.secret", m.Secret, fmt.Sprintf("at least %d characters (openssl rand -base64 32), or nothing", cluster.MinSecret))
	k.that(m.Cert == "" || m.Key != "", "cluster.key", m.Key, "the file of the key of cluster.cert")
	k.that(m.Key == "" || m.Cert != "", "cluster.cert", m.Cert, "the file of the certificate that cluster.key is for")
	k.that(m.Credentials == "" || m.NKey == "", "cluster.nkey", m.NKey, "nothing beside cluster.credentials")
	for _, f := range []struct {
		key, path string
		external  bool
	}{
		{"cluster.ca", m.CA, false}, {"cluster.cert", m.Cert, false}, {"cluster.key", m.Key, false}, {"cluster.credentials", m.Credentials, true}, {"cluster.nkey", m.NKey, true},
	} {
		if f.path == "" {
			continue
		}
		k.that(!f.external || c.NATS != "", f.key, f.path, "nothing without nats, whose servers it is for")
		if _, err := os.Stat(c.Path(f.path)); err != nil {
			k.that(false, f.key, f.path, "a file that is there: "+errors.Unwrap(err).Error())
		}
	}
}

// peers is how the node finds the others.
func (c *Config) peers() cluster.Config {
	m := &c.Cluster
	file := func(path string) string {
		if path == "" {
			return ""
		}
		return c.Path(path)
	}
	on := func(addr string) string {
		if !Listens(addr) {
			return ""
		}
		return addr
	}
	return cluster.Config{
		URL: c.NATS.Reveal(), Name: c.Name, Dir: filepath.Join(c.Path(c.Data), "nats"), Version: version, Lease: m.Lease.Duration,
		Join: m.Join, Listen: on(c.Listen.Cluster), Routes: cluster.Routes{Listen: on(c.Listen.Routes), Servers: m.Routes}, Secret: m.Secret.Reveal(),
		TLS: cluster.TLS{CA: file(m.CA), Cert: file(m.Cert), Key: file(m.Key)}, Login: cluster.Login{Credentials: file(m.Credentials), NKey: file(m.NKey)},
	}
}

// shared tells whether there may be other nodes.
func (c *Config) shared() bool {
	return c.NATS != "" || len(c.Cluster.Join) > 0 || Listens(c.Listen.Cluster)
}

// standAlone has the node be one that nobody can join.
func (c *Config) standAlone() {
	m := &c.Cluster
	c.NATS, c.Listen.Cluster, c.Listen.Routes = "", addressOff, addressOff
	m.Join, m.Routes, m.Secret, m.CA, m.Cert, m.Key, m.Credentials, m.NKey = nil, nil, "", "", "", "", "", ""
}

// joinedName is the name of a node that joins others and was given none of its own: the project's, which all its nodes have, and the machine's.
func joinedName(project, host string) string {
	host, _, _ = strings.Cut(host, ".")
	letter := func(r rune) rune {
		if r < 0x80 && cluster.CheckName(string(r)) == nil {
			return r
		}
		return '-'
	}
	name := project + "-" + strings.Map(letter, host)
	return strings.Trim(name[:min(len(name), maxNodeName)], "-")
}

// maxNodeName is what cluster.CheckName admits.
const maxNodeName = 64

// What a node may tell of itself, see cluster.MembersConfig.
const (
	maxTraits = 32
	maxLabel  = 128
)
