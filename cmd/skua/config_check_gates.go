package main

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// The choices of listen.proxy_others.
const (
	proxyRefuse = "refuse"
	proxyDirect = "direct"
)

// mainGate is what the gate of [gate] is called beside those of [gates.NAME].
const mainGate = "main"

// tableName is what NAME of [gates.NAME] and [grains.NAME] may be. It is in the names of variables, too, so that it must be the same in capitals and back.
var tableName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func (c *Config) validateGates(k *check) {
	c.Gate.validate(k, "gate")
	k.that(c.Gate.Path != "", "gate.path", c.Gate.Path, "a path such as /ws")
	k.that(c.Gate.Codec == packet.CodecPomelo || c.Login.gate() == gate.LoginNone, "gate.codec", c.Gate.Codec,
		"pomelo, or login.methods = [\"none\"]: no other codec has requests to log in with")
	paths := map[string]string{c.Gate.Path: "gate"}
	for name, g := range c.Gates {
		key := "gates." + name
		k.that(tableName.MatchString(name) && name != mainGate, "gates", name, "names of small letters, digits and _, which begin with a letter, and not main")
		g.validate(k, key)
		k.address(key+".tcp", g.TCP)
		k.address(key+".kcp", g.KCP)
		k.eachOf(key+".tls", g.TLS, "tcp", "kcp")
		k.oneOf(key+".login", g.Login, "", string(gate.LoginNone))
		k.that(g.Codec == packet.CodecPomelo || g.Login == string(gate.LoginNone) || c.Login.gate() == gate.LoginNone, key+".codec", g.Codec,
			"pomelo, or "+key+".login = \"none\": no other codec has requests to log in with")
		k.that(g.Path == "" || Listens(c.Listen.HTTP), key+".path", g.Path, "nothing, or an address in listen.http")
		if g.Path != "" {
			other, taken := paths[g.Path]
			k.that(!taken, key+".path", g.Path, "a path of its own, not that of "+other)
			paths[g.Path] = key
		}
		if len(c.TLS.Cert) == 0 { // what it says of its own, not what it has from tls.listeners
			k.that(!c.tlsAsked(g), key+".tls", strings.Join(g.TLS, ","), "tls.cert and tls.key, or nothing")
		}
	}
}

// tlsAsked tells whether a gate names listeners for TLS that it does not have from tls.listeners.
func (c *Config) tlsAsked(g *NamedGateConfig) bool {
	return slices.ContainsFunc(g.TLS, func(l string) bool { return !slices.Contains(c.TLS.Listeners, l) })
}

// validate checks what all gates have, under their key.
func (g *GateConfig) validate(k *check, key string) {
	k.that(g.Agent == "" || isScript(g.Agent), key+".agent", g.Agent, "the name of a script, without .lua, inside lua.path, or nothing")
	k.that(g.AgentVM == vmOwn || g.AgentVM == vmShared, key+".agent_vm", g.AgentVM, "`own` or `shared`")
	k.that(g.AgentRole == "" || cluster.CheckName(g.AgentRole) == nil, key+".agent_role", g.AgentRole, "a role of cluster.roles, or nothing")
	k.that(len(g.Addresses) <= gate.MaxAddresses, key+".addresses", len(g.Addresses), fmt.Sprintf("at most %d", gate.MaxAddresses))
	for _, address := range g.Addresses {
		u, err := url.Parse(address)
		k.that(err == nil && slices.Contains([]string{"tcp", "tls", "kcp", "kcps", "ws", "wss"}, u.Scheme) && u.Host != "" && len(address) <= maxLabel && !strings.ContainsAny(address, " \t"),
			key+".addresses", address, "URLs of the schemes tcp, tls, kcp, kcps, ws and wss")
	}
	k.duration(key+".heartbeat", g.Heartbeat, time.Second, 10*time.Minute)
	k.duration(key+".handshake_timeout", g.HandshakeTimeout, 100*time.Millisecond, 5*time.Minute)
	k.duration(key+".login_timeout", g.LoginTimeout, time.Second, 24*time.Hour)
	// The packet header has three bytes for the length.
	most := 1<<24 - 1
	if g.Codec == packet.CodecSkynet { // and Skynet's two
		most = 1<<16 - 1
	}
	k.between(key+".max_packet", g.MaxPacket, 1<<10, most)
	k.that(g.Backlog >= g.MaxPacket, key+".backlog", g.Backlog, fmt.Sprintf("at least %s.max_packet, %d", key, g.MaxPacket))
	k.between(key+".gzip_from", g.GzipFrom, 0, 1<<24-1)
	k.between(key+".max_connections", g.MaxConnections, 1, 10_000_000)
	k.between(key+".max_connections_per_address", g.MaxConnectionsPerAddress, 1, 10_000_000)
	k.between(key+".max_half_open", g.MaxHalfOpen, 1, 10_000_000)
	k.between(key+".max_half_open_per_network", g.MaxHalfOpenPerNetwork, 1, 10_000_000)
	k.between(key+".max_queue", g.MaxQueue, 1, 1<<20)
	k.duration(key+".linger", g.Linger, 0, 24*time.Hour)
	k.duration(key+".resume_window", g.ResumeWindow, 0, 24*time.Hour)
	k.between(key+".ring_packages", g.RingPackages, 1, 1<<20)
	k.between(key+".ring_bytes", g.RingBytes, 1<<10, 1<<30)
	k.between(key+".all_ring_bytes", g.AllRingBytes, 1<<20, 1<<40)
	k.between(key+".max_waiting", g.MaxWaiting, 1, 10_000_000)
	k.rate(key+".packet_rate", g.PacketRate)
	k.between(key+".packet_burst", g.PacketBurst, 0, 1<<30)
	k.rate(key+".byte_rate", g.ByteRate)
	k.that(g.ByteBurst == 0 || g.ByteBurst >= g.MaxPacket, key+".byte_burst", g.ByteBurst, fmt.Sprintf("0, or at least %s.max_packet, %d", key, g.MaxPacket))
	for route, r := range g.Rates {
		k.that(route != "" && len(route) <= packet.MaxRoute && r > 0 && r <= 1e9, key+".rates", fmt.Sprintf("%s = %v", route, r), "a route's name and more than 0 a second")
	}
	k.that(g.Path == "" || strings.HasPrefix(g.Path, "/") && g.Path != "/" && !strings.ContainsAny(g.Path, "{}?# %"), key+".path", g.Path, "a path such as /ws")
	for _, o := range g.Origins {
		u, err := url.Parse(o)
		k.that(o == "*" || err == nil && u.Scheme != "" && u.Host != "" && u.Path == "", key+".origins", o, "origins such as https://play.example.com, or *")
	}
	k.routes(key+".routes", g.Routes)
	g.validateBodies(k, key)
}

func (g *GateConfig) validateBodies(k *check, key string) {
	k.oneOf(key+".codec", g.Codec, packet.CodecPomelo, packet.CodecSkynet, packet.CodecLine, packet.CodecRaw)
	k.oneOf(key+".serializer", g.Serializer, serializers...)
	k.that(g.Serializer != serializerProtobuf || len(g.Protobuf) > 0, key+".protobuf", "", "files with messages, for the serializer protobuf")
	for _, file := range g.Protobuf {
		k.that(file != "" && filepath.IsLocal(file), key+".protobuf", file, "files inside the project's directory")
	}
	for table, types := range map[string]map[string]string{"requests": g.ProtobufRequests, "answers": g.ProtobufAnswers, "pushes": g.ProtobufPushes} {
		for route, message := range types {
			k.that(route != "" && message != "", key+".protobuf_"+table, route+" = "+message, "a route's name and that of a message")
		}
	}
}

func (c *check) rate(key string, found float64) {
	c.that(found >= 0 && found <= 1e12, key, found, "0 or more")
}

func (c *check) routes(key string, routes map[string]uint16) {
	byCode := make(map[uint16]string, len(routes))
	for route, code := range routes {
		c.that(code > 0 && route != "", key, fmt.Sprintf("%s = %d", route, code), "a route's name and a code from 1 to 65535")
		other, taken := byCode[code]
		c.that(!taken, key, fmt.Sprintf("%s and %s = %d", min(route, other), max(route, other), code), "a code of its own for each route")
		byCode[code] = route
	}
}

// kcpKeys are the choices of kcp.crypt, with the bytes of their keys.
func kcpKeys() map[string][]int {
	return map[string][]int{"none": nil, "aes-128": {16}, "aes-192": {24}, "aes-256": {32}, "salsa20": {32}, "aes-gcm": {16, 24, 32}}
}

func (c *Config) validateKCP(k *check) {
	p := &c.KCP
	k.oneOf("kcp.profile", p.Profile, kcpFast, kcpNormal, kcpThrifty)
	k.duration("kcp.interval", p.Interval, 10*time.Millisecond, 5*time.Second)
	k.between("kcp.resend", p.Resend, 0, 100)
	k.between("kcp.sndwnd", p.SndWnd, 1, 32767)
	k.between("kcp.rcvwnd", p.RcvWnd, 128, 32767)
	k.between("kcp.mtu", p.MTU, 64, 1472)
	k.between("kcp.fec_data", p.FECData, 0, 128)
	k.between("kcp.fec_parity", p.FECParity, 0, 128)
	k.that((p.FECData == 0) == (p.FECParity == 0), "kcp.fec_parity", p.FECParity, "both kcp.fec_data and kcp.fec_parity, or neither")
	k.between("kcp.read_buffer", p.ReadBuffer, 64<<10, 1<<30)
	k.between("kcp.write_buffer", p.WriteBuffer, 64<<10, 1<<30)
	k.between("kcp.dscp", p.DSCP, 0, 63)
	k.between("kcp.sockets", p.Sockets, 0, 64)
	sizes, known := kcpKeys()[p.Crypt]
	k.oneOf("kcp.crypt", p.Crypt, "none", "aes-128", "aes-192", "aes-256", "salsa20", "aes-gcm")
	key, err := p.key()
	if known && len(sizes) == 0 {
		k.that(p.Key == "", "kcp.key", p.Key, "nothing, or another kcp.crypt than none")
	} else if known {
		k.that(err == nil && slices.Contains(sizes, len(key)), "kcp.key", p.Key, fmt.Sprintf("%s bytes in hex for %s", strings.Join(strings.Fields(strings.Trim(fmt.Sprint(sizes), "[]")), " or "), p.Crypt))
	}
}

// key is kcp.key as bytes.
func (c *KCPConfig) key() ([]byte, error) { return hex.DecodeString(c.Key.Reveal()) }

func (c *Config) validateTLS(k *check) {
	t := &c.TLS
	k.that(len(t.Cert) == len(t.Key), "tls.key", strings.Join(t.Key, ","), fmt.Sprintf("a file for each of tls.cert, which has %d", len(t.Cert)))
	k.that(len(t.Cert) <= 100, "tls.cert", len(t.Cert), "at most 100 files")
	k.that(!slices.Contains(t.Cert, "") && !slices.Contains(t.Key, ""), "tls.cert", strings.Join(t.Cert, ","), "names of files")
	k.eachOf("tls.listeners", t.Listeners, "tcp", "kcp", "http", "admin")
	k.duration("tls.reload", t.Reload, time.Second, 24*time.Hour)
}
