package main

import (
	"math"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/services/room"
)

// The values of media.admit.
const (
	admitOff    = "off"
	admitOpen   = "open"
	admitSigned = "signed"
	admitRules  = "rules"
)

// MediaConfig is the table [media]: live rooms, docs/media.md.
type MediaConfig struct {
	// Who may publish and watch: `off` is nobody, and there are no rooms; `open` is everybody who reaches the node; `signed` is who has a URL signed with `media.keys`; `rules` is whom the script `media.rules` lets in, by a signed URL only if there are `media.keys`.
	Admit string `toml:"admit" env:"ADMIT"`
	// Script of the rules, whose service is asked with `on_publish` and `on_join`.
	Rules string `toml:"rules" env:"RULES"`
	// Time that it has to decide. One that does not lets nobody in.
	RulesTimeout Duration `toml:"rules_timeout" env:"RULES_TIMEOUT"`
	// Keys that sign URLs, one a line, each of 32 characters or more: the first signs, all are good. May be `env:NAME` or `file:PATH`.
	Keys Secret `toml:"keys" env:"KEYS"`
	// Time that viewers wait for a publisher that has gone.
	Reconnect Duration `toml:"reconnect" env:"RECONNECT"`
	// Rooms of the node. Publishers of further ones are refused.
	MaxRooms int `toml:"max_rooms" env:"MAX_ROOMS"`
	// Viewers of a room. Further ones are refused.
	MaxViewers int `toml:"max_viewers" env:"MAX_VIEWERS"`
	// Connections over RTMP, and over RTSP. Further ones are closed.
	MaxConnections int `toml:"max_connections" env:"MAX_CONNECTIONS"`
	// Bytes of frames that a room keeps, from its newest key frame on and for slow viewers; each protocol that is watched takes as much again.
	RingBytes int `toml:"ring_bytes" env:"RING_BYTES"`
	// Largest picture, in bytes.
	MaxFrame int `toml:"max_frame" env:"MAX_FRAME"`
	// Time that a viewer may be behind. One that is more goes on at the newest key frame; sound is not left out.
	Lag Duration `toml:"lag" env:"LAG"`
	// Time that a viewer may go on being too slow, again and again, before it is closed.
	Patience Duration `toml:"patience" env:"PATIENCE"`
	// Time that a viewer may take nothing at all, before it is closed.
	WriteTimeout Duration `toml:"write_timeout" env:"WRITE_TIMEOUT"`
	// Bytes that the system keeps for a viewer, asked for. More bridges slower links and shows later that a viewer is slow.
	WriteBuffer int `toml:"write_buffer" env:"WRITE_BUFFER"`
	// Viewers over HLS, of all rooms. Further ones are refused. Each is some 1 KiB; each room that is watched so has its last 10 segments in memory.
	MaxHLSSessions int `toml:"max_hls_sessions" env:"MAX_HLS_SESSIONS"`
	// Directory of recordings, which `room:record_start` of `skua.room` begins; a relative one is in the project's. Empty: there are none.
	RecordDir string `toml:"record_dir" env:"RECORD_DIR"`
	// Bytes that all files in it may have, those of others too. Recordings end when they are reached; nothing is deleted.
	RecordQuota int `toml:"record_quota" env:"RECORD_QUOTA"`
	// Recordings at a time. Further ones are refused.
	MaxRecordings int `toml:"max_recordings" env:"MAX_RECORDINGS"`
	// Time after which a recording begins a new file, at the next key frame, unless the script asks for another.
	RecordEvery Duration `toml:"record_every" env:"RECORD_EVERY"`
	// Bytes after which it does so.
	RecordBytes int `toml:"record_bytes" env:"RECORD_BYTES"`
	// Time of the stream that is written at once: what a killed node loses of a recording at most. Less makes larger files of MP4.
	RecordFlush Duration `toml:"record_flush" env:"RECORD_FLUSH"`
	// Hosts that `room:forward` and `room:pull` of `skua.room` may reach: networks such as `10.0.0.0/8`, names such as `live.example.com`, or `*.example.com` for all below one; empty admits none. A name is trusted whatever its address is; other names are resolved, and their addresses have to be in a network.
	Reach []string `toml:"reach" env:"REACH"`
	// Servers that a room may be forwarded to and pulled from at a time. Further ones are refused.
	MaxRemotes int `toml:"max_remotes" env:"MAX_REMOTES"`
	// Address by which other nodes reach `listen.media`, such as `10.0.0.5:7020`; empty: that address itself.
	LinkAddress string `toml:"link_address" env:"LINK_ADDRESS"`
	// Links that other nodes may have to this one: one for each room that is watched there, one for each publisher there. Further ones are refused.
	MaxLinks int `toml:"max_links" env:"MAX_LINKS"`
	// Whether sound is made anew for viewers whose players do not know what is published: Opus of AAC and MP3 over WHEP, AAC of Opus over FLV, RTMP and HLS. An ffmpeg does it for each room that has such viewers, while it has any.
	TranscodeAudio bool `toml:"transcode_audio" env:"TRANSCODE_AUDIO"`
	// The program for that: a name that is looked for in PATH, or a path.
	FFmpeg string `toml:"ffmpeg" env:"FFMPEG"`
	// How many of them there may be. Viewers of further rooms get sound as it is published, or none.
	MaxTranscoders int          `toml:"max_transcoders" env:"MAX_TRANSCODERS"`
	WebRTC         WebRTCConfig `toml:"webrtc" envPrefix:"WEBRTC_"`
}

func mediaDefaults() MediaConfig {
	return MediaConfig{
		Admit: admitOff, RulesTimeout: Duration{5 * time.Second}, Reconnect: Duration{15 * time.Second}, MaxRooms: 1000, MaxViewers: 10_000, MaxConnections: 10_000,
		RingBytes: 16 << 20, MaxFrame: 8 << 20, Lag: Duration{2 * time.Second}, Patience: Duration{20 * time.Second}, WriteTimeout: Duration{10 * time.Second}, WriteBuffer: 256 << 10,
		MaxHLSSessions: 10_000, RecordQuota: 10 << 30, MaxRecordings: 100, RecordEvery: Duration{time.Hour}, RecordBytes: 1 << 30, RecordFlush: Duration{time.Second}, MaxLinks: 10_000, MaxRemotes: 8, FFmpeg: "ffmpeg", MaxTranscoders: 8, Reach: []string{"127.0.0.0/8", "::1/128"},
		WebRTC: webRTCDefaults(),
	}
}

func (c *Config) validateMedia(k *check) {
	m := &c.Media
	k.oneOf("media.admit", m.Admit, admitOff, admitOpen, admitSigned, admitRules)
	k.that(m.Rules == "" || isScript(m.Rules), "media.rules", m.Rules, "the name of a script, without .lua, inside lua.path, or nothing")
	k.that(m.Admit != admitRules || m.Rules != "", "media.rules", m.Rules, `the name of a script, as media.admit is "rules"`)
	k.that(m.Admit == admitRules || m.Rules == "", "media.rules", m.Rules, `nothing, as media.admit is not "rules"`)
	k.that(longEnough(lines(m.Keys)), "media.keys", m.Keys, "keys of 32 characters or more, one a line, or nothing")
	k.that(m.Admit != admitSigned || len(lines(m.Keys)) > 0, "media.keys", m.Keys, `at least one key, as media.admit is "signed"`)
	k.that(!Listens(c.Listen.RTMP) || m.Admit != admitOff, "listen.rtmp", c.Listen.RTMP, `"off", as media.admit is "off"`)
	k.that(!Listens(c.Listen.RTSP) || m.Admit != admitOff, "listen.rtsp", c.Listen.RTSP, `"off", as media.admit is "off"`)
	k.that(!Listens(c.Listen.RTSPUDP) || Listens(c.Listen.RTSP), "listen.rtsp_udp", c.Listen.RTSPUDP, `"off", as listen.rtsp is "off"`)
	k.duration("media.rules_timeout", m.RulesTimeout, 10*time.Millisecond, time.Minute)
	k.duration("media.reconnect", m.Reconnect, time.Second, time.Hour)
	k.between("media.max_rooms", m.MaxRooms, 1, 1_000_000)
	k.between("media.max_viewers", m.MaxViewers, 1, 1_000_000)
	k.between("media.max_connections", m.MaxConnections, 1, math.MaxInt32)
	k.between("media.ring_bytes", m.RingBytes, 64<<10, 1<<30)
	k.between("media.max_frame", m.MaxFrame, 64<<10, 16<<20-1)
	k.duration("media.lag", m.Lag, 100*time.Millisecond, time.Minute)
	k.duration("media.patience", m.Patience, time.Second, time.Hour)
	k.duration("media.write_timeout", m.WriteTimeout, 100*time.Millisecond, 10*time.Minute)
	k.between("media.write_buffer", m.WriteBuffer, 4<<10, 64<<20)
	k.between("media.max_hls_sessions", m.MaxHLSSessions, 1, 1_000_000)
	k.between("media.record_quota", m.RecordQuota, 1<<20, math.MaxInt)
	k.between("media.max_recordings", m.MaxRecordings, 1, 10_000)
	k.duration("media.record_every", m.RecordEvery, time.Second, 7*24*time.Hour)
	k.between("media.record_bytes", m.RecordBytes, 64<<10, math.MaxInt)
	_, err := parseReach(m.Reach)
	k.that(err == nil, "media.reach", strings.Join(m.Reach, ","), "networks such as 10.0.0.0/8, and names such as live.example.com or *.example.com")
	k.between("media.max_remotes", m.MaxRemotes, 1, 1000)
	k.between("media.max_links", m.MaxLinks, 1, 1_000_000)
	k.that(!m.TranscodeAudio || m.Admit != admitOff, "media.transcode_audio", "true", `false, as media.admit is "off"`)
	k.that(strings.TrimSpace(m.FFmpeg) != "", "media.ffmpeg", m.FFmpeg, "the name or the path of a program")
	k.between("media.max_transcoders", m.MaxTranscoders, 1, 1000)
	c.validateLinks(k)
	k.duration("media.record_flush", m.RecordFlush, 100*time.Millisecond, 10*time.Second)
}

// validateLinks looks at how rooms reach other nodes.
func (c *Config) validateLinks(k *check) {
	at, m := c.Listen.Media, &c.Media
	k.that(m.LinkAddress == "" || Listens(m.LinkAddress) && isListenAddress(m.LinkAddress) && !strings.HasSuffix(m.LinkAddress, ":0"), "media.link_address", m.LinkAddress, "an address such as 10.0.0.5:7020, or nothing")
	if !Listens(at) || !isListenAddress(at) {
		return
	}
	k.that(cluster.Loopback(at) || c.Cluster.Secret != "", "listen.media", at, "a loopback address such as 127.0.0.1:7020, or cluster.secret (SKUA_CLUSTER_SECRET), as other machines reach this one")
	host, _, _ := net.SplitHostPort(at)
	ip, err := netip.ParseAddr(host)
	k.that(m.LinkAddress != "" || host != "" && (err != nil || !ip.IsUnspecified()), "media.link_address", m.LinkAddress, "an address such as 10.0.0.5:7020, as listen.media is not one that others can reach")
}

// linked tells whether rooms are the same on all nodes.
func (c *Config) linked() bool {
	return c.Media.Admit != admitOff && Listens(c.Listen.Media) && c.shared()
}

// rooms is what the rooms are told.
func (m *MediaConfig) rooms() room.Config {
	cfg := room.Config{
		RulesTimeout: m.RulesTimeout.Duration, Reconnect: m.Reconnect.Duration, MaxRooms: m.MaxRooms, Lag: m.Lag.Duration, Patience: m.Patience.Duration,
		Stream: media.Config{RingBytes: m.RingBytes, MaxViewers: m.MaxViewers},
	}
	if m.Admit != admitOpen {
		cfg.Rules, cfg.Keys = m.Rules, lines(m.Keys)
	}
	return cfg
}
