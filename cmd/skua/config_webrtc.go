package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/skua-go/skua/net/rtc"
)

// WebRTCConfig is the table [media.webrtc]: the rooms as browsers publish to them by WHIP and watch them by WHEP, at `listen.http`; docs/webrtc.md.
type WebRTCConfig struct {
	// Address for media over UDP, one port for all, such as `127.0.0.1:7088`; `off`: no WebRTC. With `0.0.0.0:7088` each address of the machine is told to clients.
	UDP string `toml:"udp" env:"UDP"`
	// Address for clients whose network lets no UDP through, or `off`. It may have the number of the UDP one.
	TCP string `toml:"tcp" env:"TCP"`
	// IP addresses that clients are told instead of the node's own: the public ones, where a NAT maps the ports 1:1.
	Hosts []string `toml:"hosts" env:"HOSTS"`
	// STUN and TURN servers that clients are told of, such as `stun:stun.example.com` or `turn:turn.example.com?transport=udp`; the node needs none.
	ICEServers []string `toml:"ice_servers" env:"ICE_SERVERS"`
	// User of the TURN servers among them, the same for all clients.
	TURNUser string `toml:"turn_user" env:"TURN_USER"`
	// Password of that user. May be `env:NAME` or `file:PATH`.
	TURNPassword Secret `toml:"turn_password" env:"TURN_PASSWORD"`
	// Instead of user and password: what the TURN servers have in common with the node (`static-auth-secret` of coturn). Each client gets credentials of its own then, for an hour. May be `env:NAME` or `file:PATH`.
	TURNSecret Secret `toml:"turn_secret" env:"TURN_SECRET"`
	// Pages' origins (such as `https://play.example.com`) that may come in besides the node's own; `*` admits all.
	Origins []string `toml:"origins" env:"ORIGINS"`
	// Publishers and viewers together; further ones are told to come again later. Each takes up to 40 KB, and 90 KB more with data channels.
	MaxSessions int `toml:"max_sessions" env:"MAX_SESSIONS"`
	// Publishers of one room.
	MaxPublishers int `toml:"max_publishers" env:"MAX_PUBLISHERS"`
	// Silence after which a publisher or viewer is taken for gone. Shorter frees the places of the vanished sooner, and ends those whose phone changes its network.
	Silence Duration `toml:"silence" env:"SILENCE"`
}

func webRTCDefaults() WebRTCConfig {
	return WebRTCConfig{UDP: addressOff, TCP: addressOff, MaxSessions: 5000, MaxPublishers: 100, Silence: Duration{10 * time.Second}}
}

func (c *Config) validateWebRTC(k *check) {
	w := &c.Media.WebRTC
	const table = "media.webrtc."
	k.address(table+"udp", w.UDP)
	k.address(table+"tcp", w.TCP)
	for _, h := range w.Hosts {
		_, err := netip.ParseAddr(h)
		k.that(err == nil, table+"hosts", h, "an IP address such as 203.0.113.7")
	}
	for _, s := range w.ICEServers {
		u, err := url.Parse(s)
		k.that(err == nil && u.Opaque != "" && slices.Contains([]string{"stun", "stuns", "turn", "turns"}, u.Scheme), table+"ice_servers", s, "a server such as stun:stun.example.com or turn:turn.example.com?transport=udp")
	}
	k.that(w.TURNSecret == "" || w.TURNUser == "" && w.TURNPassword == "", table+"turn_secret", w.TURNSecret.String(), "either it, or turn_user and turn_password")
	k.between(table+"max_sessions", w.MaxSessions, 1, 100_000)
	k.between(table+"max_publishers", w.MaxPublishers, 1, 10_000)
	k.duration(table+"silence", w.Silence, time.Second, 10*time.Minute)
	if !Listens(w.UDP) || !isListenAddress(w.UDP) {
		k.that(!Listens(w.TCP), table+"tcp", w.TCP, "off, as long as media.webrtc.udp is off")
		return
	}
	k.that(Listens(c.Listen.HTTP), table+"udp", w.UDP, "off, as long as listen.http is off: clients come in there")
	k.that(c.Media.Admit != admitOff, table+"udp", w.UDP, `off, as long as media.admit is "off"`)
}

// server is what the door for media is told.
func (w *WebRTCConfig) server() (rtc.Config, error) {
	cfg := rtc.Config{
		UDP: w.UDP, Origins: w.Origins, MaxSessions: w.MaxSessions, MaxPublishers: w.MaxPublishers, Silence: w.Silence.Duration,
	}
	if len(cfg.Origins) == 0 {
		cfg.Origins = []string{"none"} // the node's own pages only
	}
	if Listens(w.TCP) {
		cfg.TCP = w.TCP
	}
	for _, h := range w.Hosts {
		a, err := netip.ParseAddr(h)
		if err != nil {
			return cfg, fmt.Errorf("media.webrtc.hosts: %w", err)
		}
		cfg.Hosts = append(cfg.Hosts, a)
	}
	for _, s := range w.ICEServers {
		server := rtc.ICEServer{URL: s}
		if strings.HasPrefix(s, "turn") {
			server.Username, server.Credential, server.Secret = w.TURNUser, w.TURNPassword.Reveal(), w.TURNSecret.Reveal()
		}
		cfg.ICEServers = append(cfg.ICEServers, server)
	}
	return cfg, nil
}
