package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// configFile is the name of a project's configuration inside its directory.
const configFile = "skua.toml"

// Config is everything that a node can be told. A file that is missing or empty gives a node that works;
// each key of skua.toml can be overridden by its environment variable, and that by a flag of the command.
// The comment of each field is its entry in docs/operating.md (go test ./cmd/skua -run Reference -update).
type Config struct {
	// Name of this node in its cluster: letters, digits, `-` and `_`. Two live nodes of one NATS cluster never have the same name.
	Name string `toml:"name" env:"NAME"`
	// Script of the first service, found along `lua.path`, without `.lua`. When it calls `skynet.abort()` the node stops.
	Start string `toml:"start" env:"START"`
	// Directory of the embedded database and the embedded NATS server, relative to the project's directory. One process at a time may use it.
	Data string `toml:"data" env:"DATA"`
	// URLs of the NATS servers, separated by commas; empty runs a server inside the process, which is right for a single node. May be `env:NAME` or `file:PATH`.
	NATS Secret `toml:"nats" env:"NATS"`

	Log    LogConfig    `toml:"log" envPrefix:"LOG_"`
	Listen ListenConfig `toml:"listen" envPrefix:"LISTEN_"`
	Gate   GateConfig   `toml:"gate" envPrefix:"GATE_"`
	KCP    KCPConfig    `toml:"kcp" envPrefix:"KCP_"`
	Login  LoginConfig  `toml:"login" envPrefix:"LOGIN_"`
	Store  StoreConfig  `toml:"store" envPrefix:"STORE_"`
	Lua    LuaConfig    `toml:"lua" envPrefix:"LUA_"`
	Socket SocketConfig `toml:"socket" envPrefix:"SOCKET_"`
	Admin  AdminConfig  `toml:"admin" envPrefix:"ADMIN_"`
	Trace  TraceConfig  `toml:"trace" envPrefix:"TRACE_"`

	// Dir is the project's directory; relative paths of the configuration begin there. It is not a key.
	Dir string `toml:"-"`
	// Warnings tell what looks like a mistake but does not stop a node, such as a misspelt SKUA_ variable.
	Warnings []string `toml:"-"`
}

// LogConfig is the table [log].
type LogConfig struct {
	// Least level that is written: `debug`, `info`, `warn` or `error`. `debug` costs speed under load.
	Level string `toml:"level" env:"LEVEL"`
	// `text` for people, `json` for log collectors. Both go to standard error.
	Format string `toml:"format" env:"FORMAT"`
}

// ListenConfig is the table [listen]. An address is `host:port`; port 0 takes a free one, "off" opens no listener.
type ListenConfig struct {
	// Address for clients over TCP, or `off`.
	TCP string `toml:"tcp" env:"TCP"`
	// Address for clients over KCP (a UDP port, so it may have the number of the TCP one), or `off`.
	KCP string `toml:"kcp" env:"KCP"`
	// Address for browsers: pages, and WebSocket clients at `/ws`; or `off`.
	HTTP string `toml:"http" env:"HTTP"`
	// Address of metrics, health, version and profiles, or `off`. Anything but a loopback address needs `admin.token`.
	Admin string `toml:"admin" env:"ADMIN"`
}

// GateConfig is the table [gate]: what a client may do before and after it is let in.
type GateConfig struct {
	// Script that plays the agent of one player; empty sends every request to the first service.
	Agent string `toml:"agent" env:"AGENT"`
	// Interval of the heartbeat that clients are told to send; a client silent for two and a half is closed. Shorter finds the dead sooner and costs phones battery.
	Heartbeat Duration `toml:"heartbeat" env:"HEARTBEAT"`
	// Time a new connection has to finish its handshake. Long enough for bad mobile networks, short enough that half-open connections do not pile up.
	HandshakeTimeout Duration `toml:"handshake_timeout" env:"HANDSHAKE_TIMEOUT"`
	// Largest packet from a client, in bytes. Each connection may make the node hold this much.
	MaxPacket int `toml:"max_packet" env:"MAX_PACKET"`
	// Bytes that may wait to be written to one client; one that is slower is closed with a reason. Multiply by the connections for the worst case of memory.
	Backlog int `toml:"backlog" env:"BACKLOG"`
	// Connections over each transport. Further ones are refused.
	MaxConnections int `toml:"max_connections" env:"MAX_CONNECTIONS"`
	// Connections from one address over each transport. Players behind one carrier's NAT share an address, so too low a figure locks them out.
	MaxConnectionsPerAddress int `toml:"max_connections_per_address" env:"MAX_CONNECTIONS_PER_ADDRESS"`
	// Requests of one session that may wait for earlier ones; one more closes the session with a reason.
	MaxQueue int `toml:"max_queue" env:"MAX_QUEUE"`
	// Time that a player's agent stays after its client is gone. Longer makes a comeback cheap and keeps memory taken.
	Linger Duration `toml:"linger" env:"LINGER"`
	// How bodies of requests and pushes are written: `json`.
	Serializer string `toml:"serializer" env:"SERIALIZER"`
	// Pages' origins (such as `https://play.example.com`) that may open a WebSocket besides the node's own; `*` admits all. Native clients send none and are not concerned.
	Origins []string `toml:"origins" env:"ORIGINS"`
	// Table of short codes (1 to 65535) for route names, which clients learn in the handshake: fewer bytes a request. Never give a used code another meaning while old clients are out.
	Routes map[string]uint16 `toml:"routes" env:"ROUTES"`
}

// KCPConfig is the table [kcp], with the usual names of the protocol's knobs.
type KCPConfig struct {
	// Retransmit after the measured round trip with slow growth instead of doubling: less delay on lossy networks, more packets.
	NoDelay bool `toml:"nodelay" env:"NODELAY"`
	// Clock of the protocol. 10ms for action games; 40ms saves CPU and packets.
	Interval Duration `toml:"interval" env:"INTERVAL"`
	// Acknowledgements of later packets after which one is sent again at once; 0 turns fast retransmission off.
	Resend int `toml:"resend" env:"RESEND"`
	// Ignore the congestion window. Right for the small streams of games, unfair to the network for bulk data.
	NC bool `toml:"nc" env:"NC"`
	// Packets in flight to a client. Window times MTU over the round trip is the most bytes a second.
	SndWnd int `toml:"sndwnd" env:"SNDWND"`
	// Packets kept from a client. At least 128, the largest message that the protocol cuts in pieces.
	RcvWnd int `toml:"rcvwnd" env:"RCVWND"`
	// Largest datagram in bytes. 1200 passes everywhere; more risks fragments, which mobile networks lose.
	MTU int `toml:"mtu" env:"MTU"`
	// Acknowledge at once instead of at the next interval: quicker recovery, up to twice the packets.
	AckNoDelay bool `toml:"ack_nodelay" env:"ACK_NODELAY"`
}

// LoginConfig is the table [login].
type LoginConfig struct {
	// Ways to log in, any of: `password`: name and password; `jwt`: a JSON Web Token of somebody trusted; `hook`: a script decides; `device`: an account of the device; `guest`: whoever comes gets in under the name given; or `none` alone: no login, sessions are anonymous.
	Methods []string `toml:"methods" env:"METHODS"`
	// Older name of `login.methods`, for one. Set only one of the two.
	Method string `toml:"method" env:"METHOD"`
	// Whether the first login under a free name, or of a new device, makes the account.
	Register bool `toml:"register" env:"REGISTER"`
	// Bytes of memory that hashing one password takes (argon2id). More costs attackers more, and each login as much.
	HashMemory int `toml:"hash_memory" env:"HASH_MEMORY"`
	// Passes over that memory (argon2id). Logins a second fall in proportion.
	HashTime int `toml:"hash_time" env:"HASH_TIME"`
	// Wrong passwords after which a name must wait before it may try again.
	MaxAttempts int `toml:"max_attempts" env:"MAX_ATTEMPTS"`
	// Accounts that may be made from one address (IPv6: one /64) in an hour. Players behind one carrier's NAT share an address.
	MaxNewPerAddress int `toml:"max_new_per_address" env:"MAX_NEW_PER_ADDRESS"`
	// Lifetime of the token that a login gives for the next one; `0s` gives none. Longer spares logins, shorter bounds what a stolen one is worth.
	TokenLifetime Duration `toml:"token_lifetime" env:"TOKEN_LIFETIME"`
	// Keys that sign these tokens, one a line, each of 32 characters or more: the first signs, all are valid. Empty keeps one in `data`, made at the first start; several nodes need the same. May be `env:NAME` or `file:PATH`.
	TokenKeys Secret `toml:"token_keys" env:"TOKEN_KEYS"`
	// Public keys for `jwt` (RS256, ES256, EdDSA): the `https` URL of a JSON Web Key Set, or a file with one or with PEM blocks, relative to the project's directory.
	JWTKeys string `toml:"jwt_keys" env:"JWT_KEYS"`
	// Secrets for `jwt` with HS256, one a line, each of 32 bytes or more. May be `env:NAME` or `file:PATH`.
	JWTSecret Secret `toml:"jwt_secret" env:"JWT_SECRET"`
	// What the claim `iss` of a JWT has to be; empty asks for nothing.
	JWTIssuer string `toml:"jwt_issuer" env:"JWT_ISSUER"`
	// What has to be in the claim `aud` of a JWT; empty asks for nothing, which is right only if its issuer makes JWTs for nobody else.
	JWTAudience string `toml:"jwt_audience" env:"JWT_AUDIENCE"`
	// Claim that has the player's id: a string or an integer.
	JWTClaim string `toml:"jwt_claim" env:"JWT_CLAIM"`
	// What stands before that claim in the player's uid, so that ids of the issuer can't be those that other ways give.
	JWTPrefix string `toml:"jwt_prefix" env:"JWT_PREFIX"`
	// How far the clocks of issuer and node may differ.
	JWTLeeway Duration `toml:"jwt_leeway" env:"JWT_LEEWAY"`
	// Interval at which `login.jwt_keys` is read again. A JWT with a key that is not known has it read at once, at most each 10 s.
	JWTRefresh Duration `toml:"jwt_refresh" env:"JWT_REFRESH"`
	// Whether a JWT lets in once only; it needs the claim `jti` then. Each node remembers those that it has seen, up to 200,000 at a time.
	JWTOnce bool `toml:"jwt_once" env:"JWT_ONCE"`
	// Script for `hook`, whose command `login` decides.
	Hook string `toml:"hook" env:"HOOK"`
	// Time that it has to decide, at most `lua.call_timeout`.
	HookTimeout Duration `toml:"hook_timeout" env:"HOOK_TIMEOUT"`
}

// StoreConfig is the table [store].
type StoreConfig struct {
	// URI of a MongoDB deployment; empty keeps documents in a database file in `data`. May be `env:NAME` or `file:PATH`, so that the password stays out of this file.
	Mongo Secret `toml:"mongo" env:"MONGO"`
	// Name of the MongoDB database. Not used by the embedded one.
	Database string `toml:"database" env:"DATABASE"`
	// Longest time that a change which was not committed waits to be written: with the time of up to two batches it is what a crash may lose. Shorter writes more.
	Autosave Duration `toml:"autosave" env:"AUTOSAVE"`
	// Documents a batch. Larger batches are cheaper a document and hold up a commit longer.
	FlushBatch int `toml:"flush_batch" env:"FLUSH_BATCH"`
	// Documents that may wait for a slow or absent database; beyond it writers get `overloaded`. Bounds the memory of an outage.
	MaxPending int `toml:"max_pending" env:"MAX_PENDING"`
}

// LuaConfig is the table [lua].
type LuaConfig struct {
	// Directories where scripts and modules are looked for, in order, relative to the project's directory.
	Path []string `toml:"path" env:"PATH"`
	// Deadline of `skynet.call` unless the call names another, inherited down the chain of calls.
	CallTimeout Duration `toml:"call_timeout" env:"CALL_TIMEOUT"`
	// Bytes that the VM of a service may keep, which agents that share one share; 0 sets no limit. A script that asks for more gets an error, and a service that keeps more is stopped, alone.
	MemoryLimit int `toml:"memory_limit" env:"MEMORY_LIMIT"`
	// Engine of the services: `lua54` is Lua 5.4; `gopher` is Lua 5.1, whose services take less memory. docs/lua-engines.md has the differences.
	Engine string `toml:"engine" env:"ENGINE"`
	// What services on `gopher` get for an integer beyond 2^53, which their numbers would round: `error` that names its field, or `text`, its digits as a string.
	Integers string `toml:"integers" env:"INTEGERS"`
	// Engines of single services, by the name of their script, such as `"world.map" = "gopher"`; all others are on `lua.engine`.
	ServiceEngine map[string]string `toml:"service_engine" env:"SERVICE_ENGINE"`
	// What single services get for an integer beyond 2^53, by the name of their script: `error` or `text`; all others get what `lua.integers` says.
	ServiceIntegers map[string]string `toml:"service_integers" env:"SERVICE_INTEGERS"`
	// Scripts whose services reach the host: `io`, `os.execute` and the like, `dofile`, more of `debug`. Names as in `ops` or `tools.map`; `tools.*` is all that begin with `tools.`, `*` all. Modules that these require are trusted with them.
	Trusted []string `toml:"trusted" env:"TRUSTED"`
}

// SocketConfig is the table [socket]: what scripts may do with `skynet.socket`.
type SocketConfig struct {
	// Networks such as `10.0.0.0/8` that scripts may connect and send to; empty admits all. Names are resolved before they are checked.
	Connect []string `toml:"connect" env:"CONNECT"`
	// Networks of the addresses that scripts may listen on; empty admits all that a script names. `0.0.0.0` itself needs a network that contains it, such as `0.0.0.0/0`.
	Listen []string `toml:"listen" env:"LISTEN"`
	// Sockets of all scripts. Further ones are refused. Each takes a file descriptor beside those of players.
	MaxSockets int `toml:"max_sockets" env:"MAX_SOCKETS"`
	// Time to find a host and connect to it.
	ConnectTimeout Duration `toml:"connect_timeout" env:"CONNECT_TIMEOUT"`
}

// AdminConfig is the table [admin].
type AdminConfig struct {
	// Bearer token for the admin listener; empty asks for none and is allowed on loopback addresses only. May be `env:NAME` or `file:PATH`.
	Token Secret `toml:"token" env:"TOKEN"`
}

// TraceConfig is the table [trace]: what is told of requests on their way through the actors, with OpenTelemetry.
type TraceConfig struct {
	// URL of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; empty traces nothing, at no cost. A URL without a path means `/v1/traces` there.
	Endpoint string `toml:"endpoint" env:"ENDPOINT"`
	// Share of clients' requests, and of other messages from outside of all actors, that are traced, 0 to 1. Each span costs some microseconds; all others cost next to nothing.
	Sample float64 `toml:"sample" env:"SAMPLE"`
	// HTTP headers for the collector, `name=value` separated by commas, values percent-encoded where need be. May be `env:NAME` or `file:PATH`, so that tokens stay out of this file.
	Headers Secret `toml:"headers" env:"HEADERS"`
}

// DefaultConfig is what a node runs with when nobody says anything.
func DefaultConfig() Config {
	return Config{
		Name:  "skua",
		Start: "main",
		Data:  "data",
		Log:   LogConfig{Level: "info", Format: "text"},
		Listen: ListenConfig{
			TCP:   "127.0.0.1:7000",
			KCP:   "127.0.0.1:7000",
			HTTP:  "127.0.0.1:7080",
			Admin: "127.0.0.1:7090",
		},
		Gate: GateConfig{
			Heartbeat:                Duration{10 * time.Second},
			HandshakeTimeout:         Duration{5 * time.Second},
			MaxPacket:                64 << 10,
			Backlog:                  1 << 20,
			MaxConnections:           10_000,
			MaxConnectionsPerAddress: 1_000,
			MaxQueue:                 128,
			Linger:                   Duration{10 * time.Second},
			Serializer:               "json",
		},
		// The fast profile that the protocol's documents recommend, with the window and MTU that proved safe.
		KCP: KCPConfig{NoDelay: true, Interval: Duration{10 * time.Millisecond}, Resend: 2, NC: true, SndWnd: 128, RcvWnd: 128, MTU: 1200},
		// Memory and passes for argon2id are OWASP's first choice for servers that log many people in.
		Login: LoginConfig{
			Methods: []string{"password"}, Register: true, HashMemory: 19 << 20, HashTime: 2, MaxAttempts: 5, MaxNewPerAddress: 1000,
			TokenLifetime: Duration{720 * time.Hour}, JWTClaim: "sub", JWTLeeway: Duration{30 * time.Second}, JWTRefresh: Duration{15 * time.Minute},
			HookTimeout: Duration{3 * time.Second},
		},
		Store:  StoreConfig{Database: "skua", Autosave: Duration{2 * time.Second}, FlushBatch: 500, MaxPending: 100_000},
		Lua:    LuaConfig{Path: []string{"scripts"}, CallTimeout: Duration{5 * time.Second}, MemoryLimit: 256 << 20, Engine: engineLua54, Integers: integersError},
		Socket: SocketConfig{MaxSockets: 10_000, ConnectTimeout: Duration{10 * time.Second}},
		Trace:  TraceConfig{Sample: 0.01},
	}
}

// loadConfig reads dir/skua.toml over the defaults, the SKUA_ variables of environ (as os.Environ gives them) over
// that, then lets each of flags change the result, puts secrets in their places and checks everything. A missing file is no error,
// a missing directory is. The error joins all that is wrong, each naming the key, what was found and what was expected.
func loadConfig(dir string, environ []string, flags ...func(*Config)) (Config, error) {
	cfg := DefaultConfig()
	cfg.Dir = dir
	if dir != "" {
		if info, err := os.Stat(dir); err != nil {
			return Config{}, fmt.Errorf("config: project directory: %w", err)
		} else if !info.IsDir() {
			return Config{}, fmt.Errorf("config: project directory: %s is a file, expected a directory", dir)
		}
		path := filepath.Join(dir, configFile)
		text, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return Config{}, fmt.Errorf("config: %w", err)
		default:
			if err := cfg.decode(path, text); err != nil {
				return Config{}, err
			}
		}
	}
	return cfg.complete(environ, flags...)
}

// demoConfig is loadConfig for the demo in the binary, whose file has this text. Its data is kept in the working directory.
func demoConfig(text []byte, environ []string, flags ...func(*Config)) (Config, error) {
	cfg := DefaultConfig()
	if err := cfg.decode(configFile+" (built in)", text); err != nil {
		return Config{}, err
	}
	return cfg.complete(environ, flags...)
}

// complete applies what overrides the file, and checks everything.
func (c Config) complete(environ []string, flags ...func(*Config)) (Config, error) {
	cfg := c
	env := environMap(environ)
	if err := cfg.override(env); err != nil {
		return Config{}, err
	}
	for _, apply := range flags {
		apply(&cfg)
	}
	if err := cfg.resolveSecrets(env); err != nil {
		return Config{}, err
	}
	if err := cfg.validate(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// Path makes a path of the configuration relative to the project's directory, unless it is absolute.
func (c *Config) Path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Dir, p)
}

// Duration is a time.Duration that is written "2s", "150ms" or "1h30m". It is a struct so that a bare number, which would
// mean nanoseconds, is refused.
type Duration struct{ time.Duration }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	d.Duration = v
	return nil
}

// MarshalText writes what UnmarshalText reads, without zero parts: 1m, not 1m0s.
func (d Duration) MarshalText() ([]byte, error) {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return []byte(s), nil
}
