package main

import (
	"maps"
	"slices"
	"time"
)

// NamedGateConfig is a table [gates.NAME]: another way in, with listeners of its own. Keys of [gate] that it does not set are as in [gate], but `path`.
type NamedGateConfig struct {
	// Address for this gate's clients over TCP, or `off`.
	TCP string `toml:"tcp" env:"TCP"`
	// Address for this gate's clients over KCP, or `off`.
	KCP string `toml:"kcp" env:"KCP"`
	// Listeners of this gate that speak TLS: any of `tcp` and `kcp`. Default: those of them in `tls.listeners`.
	TLS []string `toml:"tls" env:"TLS"`
	// `none` lets this gate's clients in without a login, as codecs other than `pomelo` need it; empty: as `[login]` says.
	Login string `toml:"login" env:"LOGIN"`

	GateConfig
}

// TLSConfig is the table [tls].
type TLSConfig struct {
	// Files of certificates in PEM, each with the chain behind it, relative to the project's directory; none: no TLS. Clients get the first that is for the host which they name, else the first.
	Cert []string `toml:"cert" env:"CERT"`
	// Files of their keys, in the same order.
	Key []string `toml:"key" env:"KEY"`
	// Listeners that speak TLS 1.3 when there is a certificate: any of `tcp`, `kcp`, `http` and `admin`.
	Listeners []string `toml:"listeners" env:"LISTENERS"`
	// Interval at which the files are looked at. A pair that has changed is served to the next client; one that can't be used is told in the log, and the one before served on.
	Reload Duration `toml:"reload" env:"RELOAD"`
}

// The profiles of [kcp].
const (
	kcpFast    = "fast"
	kcpNormal  = "normal"
	kcpThrifty = "thrifty"
)

// kcpDefaults is what [kcp] is with a profile and nothing else.
func kcpDefaults(profile string) KCPConfig {
	c := KCPConfig{
		Profile: kcpFast, NoDelay: true, Interval: Duration{10 * time.Millisecond}, Resend: 2, NC: true, SndWnd: 128, RcvWnd: 128, MTU: 1200,
		Repeat: true, Crypt: "none", ReadBuffer: 4 << 20, WriteBuffer: 4 << 20,
	}
	switch profile {
	case kcpNormal:
		c.Profile, c.Interval, c.Repeat = kcpNormal, Duration{20 * time.Millisecond}, false
	case kcpThrifty:
		c.Profile, c.NoDelay, c.Interval, c.NC, c.Repeat = kcpThrifty, false, Duration{40 * time.Millisecond}, false, false
	}
	return c
}

// derive sets the defaults that depend on what was found.
func (c *Config) derive(found *Config) {
	c.KCP = kcpDefaults(found.KCP.Profile)
	c.Grains = grainDefaults(found.Grains)
	if len(found.Gates) > 0 {
		c.Gates = make(map[string]*NamedGateConfig, len(found.Gates))
	}
	for name, own := range found.Gates {
		g := &NamedGateConfig{TCP: addressOff, KCP: addressOff, GateConfig: found.Gate}
		for _, listener := range found.TLS.Listeners {
			if listener == "tcp" || listener == "kcp" {
				g.TLS = append(g.TLS, listener)
			}
		}
		g.Path = ""
		g.Origins, g.Protobuf = slices.Clone(g.Origins), slices.Clone(g.Protobuf)
		// A table of its own replaces the one of [gate], and is not mixed with it.
		g.Routes = inherited(g.Routes, own.Routes)
		g.Rates = inherited(g.Rates, own.Rates)
		g.ProtobufRequests = inherited(g.ProtobufRequests, own.ProtobufRequests)
		g.ProtobufAnswers = inherited(g.ProtobufAnswers, own.ProtobufAnswers)
		g.ProtobufPushes = inherited(g.ProtobufPushes, own.ProtobufPushes)
		c.Gates[name] = g
	}
}

// inherited is a copy of a table, or nothing if there is one instead of it.
func inherited[V any](table, own map[string]V) map[string]V {
	if own != nil {
		return nil
	}
	return maps.Clone(table)
}

// closeDoors turns all listeners off.
func (c *Config) closeDoors() {
	l := &c.Listen
	for _, addr := range []*string{&l.TCP, &l.KCP, &l.HTTP, &l.Admin, &l.RTMP, &l.RTSP, &l.RTSPUDP, &l.Media, &c.Media.WebRTC.UDP, &c.Media.WebRTC.TCP} {
		*addr = addressOff
	}
	for _, g := range c.Gates {
		g.TCP, g.KCP, g.Path = addressOff, addressOff, ""
	}
	c.TLS.Cert, c.TLS.Key = nil, nil
}
