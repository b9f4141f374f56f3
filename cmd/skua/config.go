package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skua-go/skua/net/packet"
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

	Log     LogConfig     `toml:"log" envPrefix:"LOG_"`
	Listen  ListenConfig  `toml:"listen" envPrefix:"LISTEN_"`
	Gate    GateConfig    `toml:"gate" envPrefix:"GATE_"`
	KCP     KCPConfig     `toml:"kcp" envPrefix:"KCP_"`
	TLS     TLSConfig     `toml:"tls" envPrefix:"TLS_"`
	Login   LoginConfig   `toml:"login" envPrefix:"LOGIN_"`
	Store   StoreConfig   `toml:"store" envPrefix:"STORE_"`
	Lua     LuaConfig     `toml:"lua" envPrefix:"LUA_"`
	Reload  ReloadConfig  `toml:"reload" envPrefix:"RELOAD_"`
	Socket  SocketConfig  `toml:"socket" envPrefix:"SOCKET_"`
	Mongo   MongoConfig   `toml:"mongo" envPrefix:"MONGO_"`
	Media   MediaConfig   `toml:"media" envPrefix:"MEDIA_"`
	Admin   AdminConfig   `toml:"admin" envPrefix:"ADMIN_"`
	Trace   TraceConfig   `toml:"trace" envPrefix:"TRACE_"`
	Cluster ClusterConfig `toml:"cluster" envPrefix:"CLUSTER_"`

	// Gates are the tables [gates.NAME], by their names.
	Gates map[string]*NamedGateConfig `toml:"gates"`
	// Grains are the tables [grains.NAME], by the names of the kinds.
	Grains map[string]*GrainConfig `toml:"grains"`

	// Dir is the project's directory; relative paths of the configuration begin there. It is not a key.
	Dir string `toml:"-"`
	// Warnings tell what looks like a mistake but does not stop a node, such as a misspelt SKUA_ variable.
	Warnings []string `toml:"-"`
}

// LogConfig is the table [log].
type LogConfig struct {
	// Least level that is written: `debug`, `info`, `warn` or `error`. `debug` costs speed under load.
	Level string `toml:"level" env:"LEVEL"`
	// Levels of single components, `gate = "debug"`: what lines say as `part` or `kind` (`gate` is for `gate.session`, too), the name of an actor, or `"lua:SCRIPT"`. Operators change them live: `skua log level`.
	Levels map[string]string `toml:"levels" env:"LEVELS"`
	// `text` for people, `json` for log collectors. Both go to standard error.
	Format string `toml:"format" env:"FORMAT"`
}

// ListenConfig is the table [listen]. An address is `host:port`; port 0 takes a free one, "off" opens no listener.
type ListenConfig struct {
	// Address for clients over TCP, or `off`.
	TCP string `toml:"tcp" env:"TCP"`
	// Address for clients over KCP (a UDP port, so it may have the number of the TCP one), or `off`.
	KCP string `toml:"kcp" env:"KCP"`
	// Address for browsers: pages, and WebSocket clients at `gate.path`; or `off`.
	HTTP string `toml:"http" env:"HTTP"`
	// Address of metrics, health, version and profiles, or `off`. Anything but a loopback address needs `admin.token`.
	Admin string `toml:"admin" env:"ADMIN"`
	// Address of Skynet's debug console, a loopback one such as `127.0.0.1:8000`, or `off`. It needs `admin.token` or `admin.tokens`, and asks for one.
	Console string `toml:"console" env:"CONSOLE"`
	// Address for publishers and viewers of live media over RTMP, such as `127.0.0.1:1935`, or `off`. It needs `media.admit`.
	RTMP string `toml:"rtmp" env:"RTMP"`
	// Address for publishers and viewers of live media over RTSP, such as `127.0.0.1:8554`, or `off`. It needs `media.admit`.
	RTSP string `toml:"rtsp" env:"RTSP"`
	// Address of the UDP ports by which these may get and send packets, such as `127.0.0.1:8000`: an even port, and the one behind it is taken, too. With `off` all goes through the connection.
	RTSPUDP string `toml:"rtsp_udp" env:"RTSP_UDP"`
	// Address at which other nodes of the cluster fetch and bring the frames of live rooms, or `off`: rooms are each node's own then. It is opened with `media.admit` and other nodes only. Anything but a loopback address needs `cluster.secret`.
	Media string `toml:"media" env:"MEDIA"`
	// Address at which other nodes join this one (`skua run --join`), or `off`: that of the NATS server inside the process. Anything but a loopback address needs `cluster.secret`.
	Cluster string `toml:"cluster" env:"CLUSTER"`
	// Address at which the NATS servers inside the nodes of `cluster.routes` take each other, or `off`.
	Routes string `toml:"routes" env:"ROUTES"`
	// Networks of the balancers, such as `10.0.0.0/8`, whose connections begin with a PROXY header (version 1 or 2) and have the address that it says; empty takes no headers.
	Proxy []string `toml:"proxy" env:"PROXY"`
	// Listeners behind these balancers: any of `tcp` (of all gates) and `http`.
	ProxyListeners []string `toml:"proxy_listeners" env:"PROXY_LISTENERS"`
	// What becomes there of connections from other networks: `refuse` closes them, `direct` serves them under their own address, without a header.
	ProxyOthers string `toml:"proxy_others" env:"PROXY_OTHERS"`
}

// Values of gate.agent_vm.
const vmOwn, vmShared = "own", "shared"

// GateConfig is the table [gate]: what a client may do before and after it is let in.
type GateConfig struct {
	// Script that plays the agent of one player; empty sends every request to the first service.
	Agent string `toml:"agent" env:"AGENT"`
	// Whether agents of a script have VMs of their `own`, or are up to 256 to a VM: `shared`. A player then takes a quarter of the memory and a request less time, but what the script keeps outside of its handlers' `self` (local variables of the file, globals) is one for all of them, and one VM is one core's at a time.
	AgentVM string `toml:"agent_vm" env:"AGENT_VM"`
	// Role of the nodes (`cluster.roles`) that have the agents of players, each player's on the one that its name is hashed to; empty: each node has those of its own clients. All nodes that have the gate need the same.
	AgentRole string `toml:"agent_role" env:"AGENT_ROLE"`
	// URLs at which clients reach this gate from outside, such as `wss://a.example.com/ws`: clients of other nodes are told of it, and go there when those drain or don't answer. Up to 8 of up to 128 bytes; with `cluster.labels`, those of all gates have up to 7 KB. None: clients come back by the addresses that they have.
	Addresses []string `toml:"addresses" env:"ADDRESSES"`
	// Interval of the heartbeat that clients are told to send; a client silent for two and a half is closed. Shorter finds the dead sooner and costs phones battery.
	Heartbeat Duration `toml:"heartbeat" env:"HEARTBEAT"`
	// Time a new connection has to finish its handshake. Long enough for bad mobile networks, short enough that half-open connections do not pile up.
	HandshakeTimeout Duration `toml:"handshake_timeout" env:"HANDSHAKE_TIMEOUT"`
	// Time a client has to log in, from the end of its handshake. Long enough to type a password where a game connects before it asks for one, short enough that strangers keep no places.
	LoginTimeout Duration `toml:"login_timeout" env:"LOGIN_TIMEOUT"`
	// Largest packet from a client, in bytes. Each connection may make the node hold this much.
	MaxPacket int `toml:"max_packet" env:"MAX_PACKET"`
	// Bytes from which on bodies of answers and pushes are compressed (zlib) for clients that can inflate them; 0: none. Worth it where bodies of text have 1 KiB and more and players pay for traffic; takes a core some 35 µs, and 25 µs for each KiB, of a push once however many get it. Only with codec `pomelo`.
	GzipFrom int `toml:"gzip_from" env:"GZIP_FROM"`
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
	// Sessions' packages on the wire: `pomelo`; or without login, routes and resume: `skynet` (2 bytes of length), `line` (text up to a line feed) or `raw` (what arrives), of which each is a request to the route `data`.
	Codec string `toml:"codec" env:"CODEC"`
	// How bodies of requests and pushes are written: `json`, `msgpack`, `protobuf` or `raw` (strings as they are). Codecs other than `pomelo` have strings, whatever this is.
	Serializer string `toml:"serializer" env:"SERIALIZER"`
	// Files with the messages for `protobuf`, relative to the project's directory.
	Protobuf []string `toml:"protobuf" env:"PROTOBUF"`
	// Messages of requests for `protobuf`, by route: `"shop.buy" = "game.BuyRequest"`.
	ProtobufRequests map[string]string `toml:"protobuf_requests" env:"PROTOBUF_REQUESTS"`
	// Messages of answers, by route.
	ProtobufAnswers map[string]string `toml:"protobuf_answers" env:"PROTOBUF_ANSWERS"`
	// Messages of pushes, by route.
	ProtobufPushes map[string]string `toml:"protobuf_pushes" env:"PROTOBUF_PUSHES"`
	// Time that a session waits for its client after the connection is lost; `0s`: not at all. Longer is kind to travellers and keeps the agents of those who will not come back.
	ResumeWindow Duration `toml:"resume_window" env:"RESUME_WINDOW"`
	// Packages that a session keeps until its client has acknowledged them; a client that lacks more must log in again.
	RingPackages int `toml:"ring_packages" env:"RING_PACKAGES"`
	// Bytes of these packages.
	RingBytes int `toml:"ring_bytes" env:"RING_BYTES"`
	// Bytes of these packages of all sessions together. When that much is kept, who is sent more keeps less, and who waits for its client ends.
	AllRingBytes int `toml:"all_ring_bytes" env:"ALL_RING_BYTES"`
	// Sessions that may wait for their clients. One more ends the one that has waited longest.
	MaxWaiting int `toml:"max_waiting" env:"MAX_WAITING"`
	// Requests and notifies a second of one session, by route; what comes faster is answered with `too_fast`. The route `*` is all others together.
	Rates map[string]float64 `toml:"rates" env:"RATES"`
	// Packets a second of one connection on average; one that sends more is closed with a reason. 0: no limit.
	PacketRate float64 `toml:"packet_rate" env:"PACKET_RATE"`
	// Packets at once after a quiet time; 0: what two seconds allow.
	PacketBurst int `toml:"packet_burst" env:"PACKET_BURST"`
	// Bytes a second of one connection on average; one that sends more is closed with a reason. 0: no limit.
	ByteRate float64 `toml:"byte_rate" env:"BYTE_RATE"`
	// Bytes at once after a quiet time; 0: what two seconds allow, at least a packet.
	ByteBurst int `toml:"byte_burst" env:"BYTE_BURST"`
	// Connections over each transport that have not finished their handshake; further ones are refused. Before TLS and PROXY headers are done with, which are counted apart, the oldest gives way; and so it is with as many connections for pages at `listen.http`.
	MaxHalfOpen int `toml:"max_half_open" env:"MAX_HALF_OPEN"`
	// How many of these may be of one network, an IPv4 /24 or IPv6 /48; further ones are refused. Attackers have whole networks, and so have carriers.
	MaxHalfOpenPerNetwork int `toml:"max_half_open_per_network" env:"MAX_HALF_OPEN_PER_NETWORK"`
	// Path of WebSocket clients at `listen.http`.
	Path string `toml:"path" env:"PATH"`
	// Pages' origins (such as `https://play.example.com`) that may open a WebSocket besides the node's own; `*` admits all. Native clients send none and are not concerned.
	Origins []string `toml:"origins" env:"ORIGINS"`
	// Table of short codes (1 to 65535) for route names, which clients learn in the handshake: fewer bytes a request. Never give a used code another meaning while old clients are out.
	Routes map[string]uint16 `toml:"routes" env:"ROUTES"`
}

// KCPConfig is the table [kcp], with the usual names of the protocol's knobs. It is for the KCP listeners of all gates.
type KCPConfig struct {
	// Knobs that fit together: `fast` for action games, `normal` for fewer packets at some 10 ms more, `thrifty` for chat and turns: least packets, yields to other traffic. Sets the defaults of `nodelay`, `interval`, `resend`, `nc` and `repeat`.
	Profile string `toml:"profile" env:"PROFILE"`
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
	// Send messages of up to 256 bytes once more in the next datagram that leaves within 200 ms: a loss then costs the time to the next message instead of a timeout. No more datagrams, up to twice the bytes.
	Repeat bool `toml:"repeat" env:"REPEAT"`
	// Forward error correction: datagrams of a group, 0 for none. Both ends must have the same.
	FECData int `toml:"fec_data" env:"FEC_DATA"`
	// Datagrams more a group, any of which makes up for one that is lost. 10 and 3 cost 30 % more bytes of dense streams and help them; sparse ones pay more and gain little.
	FECParity int `toml:"fec_parity" env:"FEC_PARITY"`
	// Encryption of datagrams, as kcp-go has it: `none`, `aes-128`, `aes-192`, `aes-256`, `salsa20` or `aes-gcm`. One key for all clients keeps out passers-by; TLS keeps clients from each other.
	Crypt string `toml:"crypt" env:"CRYPT"`
	// Key for that, in hex: 16, 24 or 32 bytes, as `kcp.crypt` asks. Clients have it too. May be `env:NAME` or `file:PATH`.
	Key Secret `toml:"key" env:"KEY"`
	// Bytes that the system may keep of datagrams that have not been read, asked for; it grants `net.core.rmem_max` at most.
	ReadBuffer int `toml:"read_buffer" env:"READ_BUFFER"`
	// The same for datagrams that have not been sent, and `net.core.wmem_max`.
	WriteBuffer int `toml:"write_buffer" env:"WRITE_BUFFER"`
	// Class of the datagrams, 0 to 63: 46 is expedited forwarding, for networks that heed it.
	DSCP int `toml:"dscp" env:"DSCP"`
	// Sockets that share a port, each read by a goroutine of its own; 0: one a core, at most 8.
	Sockets int `toml:"sockets" env:"SOCKETS"`
	// Let plain kcp-go and `ikcp` clients in, which know nothing of Skua's handshake: their addresses are not proven, so made-up ones can keep all places busy that there are for such clients: half of `gate.max_half_open`, those that play included.
	Raw bool `toml:"raw" env:"RAW"`
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
	// Keys that sign these tokens, one a line, each of 32 characters or more: the first signs, all are valid. Empty makes one of `cluster.secret`, which all nodes that have it share; without that it keeps one of its own in `data`, made at the first start. May be `env:NAME` or `file:PATH`.
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
	// URI of a MongoDB deployment; empty keeps documents in a database file in `data`. One with a password may only be `env:NAME` or `file:PATH`.
	Mongo Secret `toml:"mongo" env:"MONGO"`
	// Name of the MongoDB database. Not used by the embedded one.
	Database string `toml:"database" env:"DATABASE"`
	// Longest time that a change which was not committed waits to be written: with the time of up to two batches it is what a crash may lose. Shorter writes more.
	Autosave Duration `toml:"autosave" env:"AUTOSAVE"`
	// Documents a batch. Larger batches are cheaper a document and hold up a commit longer.
	FlushBatch int `toml:"flush_batch" env:"FLUSH_BATCH"`
	// Documents that may wait for a slow or absent database; beyond it writers get `overloaded`. Bounds the memory of an outage.
	MaxPending int `toml:"max_pending" env:"MAX_PENDING"`
	// Bytes of documents that may wait. Beyond a half of it commits are answered late, which slows those down who wait for them; beyond it changes that make it more get `overloaded`.
	MaxPendingBytes int `toml:"max_pending_bytes" env:"MAX_PENDING_BYTES"`
	// How long what was read of documents that nobody on this node owns is good for, a fifth more or less; 0 reads them anew each time. Other nodes' changes are seen that late.
	CacheTTL Duration `toml:"cache_ttl" env:"CACHE_TTL"`
	// Bytes that this cache may have.
	CacheBytes int `toml:"cache_bytes" env:"CACHE_BYTES"`
	// Indexes by which documents are found, `"KIND.NAME" = "FIELDS"`: paths with spaces between, `-` before those in descending order, then `(unique)` or `(ttl 24h)`, as in `"guild.by_name" = "name (unique)"`. They are built when the node starts; those that are no longer here are dropped.
	Indexes map[string]string `toml:"indexes" env:"INDEXES"`
}

// Values of lua.over_limit.
const overStop, overQuarantine = "stop", "quarantine"

// LuaConfig is the table [lua].
type LuaConfig struct {
	// Directories where scripts and modules are looked for, in order, relative to the project's directory.
	Path []string `toml:"path" env:"PATH"`
	// Deadline of `skynet.call` unless the call names another, inherited down the chain of calls.
	CallTimeout Duration `toml:"call_timeout" env:"CALL_TIMEOUT"`
	// Time that a handler may compute without a wait before it gets an error. More lets it hold up the others of its service; from 5 s on it is in the log and in `skua stuck`, and `skua signal` ends it.
	Budget Duration `toml:"budget" env:"BUDGET"`
	// Bytes that the VM of a service may keep, which agents that share one share; 0 sets no limit. A script that asks for more gets an error, and a service that keeps more is stopped, alone.
	MemoryLimit int `toml:"memory_limit" env:"MEMORY_LIMIT"`
	// What becomes of a service that keeps more than `lua.memory_limit`, or of which three handlers have exceeded `lua.budget` within a minute: `stop` ends the first and lets the second go on; `quarantine` keeps it with its messages, up to 16 services at a time, until an operator lets it go on or ends it: `skua quarantine`. It holds on to its memory. Services that share a VM are stopped.
	OverLimit string `toml:"over_limit" env:"OVER_LIMIT"`
	// Engine of the services: `lua54` is Lua 5.4; `gopher` is Lua 5.1, slower and larger, for scripts that were written for it. docs/lua-engines.md has the differences.
	Engine string `toml:"engine" env:"ENGINE"`
	// What services on `gopher` get for an integer beyond 2^53, which their numbers would round: `error` that names its field, or `text`, its digits as a string.
	Integers string `toml:"integers" env:"INTEGERS"`
	// Engines of single services, by the name of their script, such as `"world.map" = "gopher"`; all others are on `lua.engine`.
	ServiceEngine map[string]string `toml:"service_engine" env:"SERVICE_ENGINE"`
	// What single services get for an integer beyond 2^53, by the name of their script: `error` or `text`; all others get what `lua.integers` says.
	ServiceIntegers map[string]string `toml:"service_integers" env:"SERVICE_INTEGERS"`
	// Scripts whose services reach the host: `io`, `os.execute` and the like, `dofile`, more of `debug`. Names as in `ops` or `tools.map`; `tools.*` is all that begin with `tools.`, `*` all. Modules that these require are trusted with them.
	Trusted []string `toml:"trusted" env:"TRUSTED"`
	// What `skynet.getenv` finds, texts by their names: `region = "eu"`, or `env:NAME` or `file:PATH`, as for passwords. `node` and `start` are the node's own. In the variable they stand apart by spaces, `region=eu shard=7`.
	Env map[string]Secret `toml:"env" env:"ENV" envSeparator:" " envKeyValSeparator:"="`
}

// env is what scripts find with skynet.getenv.
func (c *Config) env() map[string]string {
	env := make(map[string]string, len(c.Lua.Env)+2)
	for name, v := range c.Lua.Env {
		env[name] = v.Reveal()
	}
	env["node"], env["start"] = c.Name, c.Start
	return env
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

// MongoConfig is the table [mongo]: what scripts may do with `skynet.db.mongo`.
type MongoConfig struct {
	// Deployments that scripts reach by a name, `mongo.client { name = "logs" }`: `logs = "env:LOGS_URI"`, a URI each. One with a password may only be `env:NAME` or `file:PATH`. `socket.connect` does not bind them. `store` is the name of `store.mongo`. In the variable they stand as `logs=URI`, with a space between two.
	Databases map[string]Secret `toml:"databases" env:"DATABASES" envSeparator:" " envKeyValSeparator:"="`
}

// AdminConfig is the table [admin].
type AdminConfig struct {
	// Bearer token for the admin listener, with the role `admin`; empty, and without `admin.tokens`, none is asked for, which is allowed on loopback addresses only. May be `env:NAME` or `file:PATH`.
	Token Secret `toml:"token" env:"TOKEN"`
	// Further tokens by the names that the audit log calls them, `ci = "env:CI_TOKEN"`: each `env:NAME`, `file:PATH`, at least 16 random characters, or `sha256:` and the hash of such a token in hexadecimal.
	Tokens map[string]Secret `toml:"tokens" env:"TOKENS" envSeparator:" " envKeyValSeparator:"="`
	// File of the authorities, in PEM, that sign the certificates of `admin.certificates`; empty takes none. The listener needs TLS: `admin` in `tls.listeners`.
	ClientCA string `toml:"client_ca" env:"CLIENT_CA"`
	// Who may come with a certificate instead of a token, by the names that the audit log calls them, `alice = "alice@example.com"`: each a name, address or URI that the certificate is for, its common name, or `sha256:` and its fingerprint in hexadecimal. In the variable they stand apart by spaces, `alice=NAME bob=NAME`.
	Certificates map[string]string `toml:"certificates" env:"CERTIFICATES" envSeparator:" " envKeyValSeparator:"="`
	// The roles of tokens and certificates: `view` (the default) looks, `operate` acts on what runs, `admin` may do all there is: also run code in services.
	Roles map[string]string `toml:"roles" env:"ROLES"`
	// When they end to be good: a day such as `2027-01-31`, at its beginning in UTC, or a time such as `2027-01-31T12:00:00Z`. Without, never.
	Expires map[string]string `toml:"expires" env:"EXPIRES"`
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

// ClusterConfig is the table [cluster]: this node among the others of its NATS cluster.
type ClusterConfig struct {
	// What this node is there for, such as `gate` or `world`; empty is for everything.
	Roles []string `toml:"roles" env:"ROLES"`
	// Words about this node by which others find it, such as `zone = "eu-1"`.
	Labels map[string]string `toml:"labels" env:"LABELS"`
	// Interval of the heartbeats by which nodes know of each other. Same on all nodes.
	Beat Duration `toml:"beat" env:"BEAT"`
	// Silence after which another node is suspected.
	Suspect Duration `toml:"suspect" env:"SUSPECT"`
	// Silence after which it is taken for dead: what waits for it fails. Shorter takes a long pause for a death.
	Dead Duration `toml:"dead" env:"DEAD"`
	// Time that the name of a node, and all that it holds in the cluster, is kept when it is not heard of; whole seconds. The cluster needs up to 12 s to go on without one of its NATS servers, so shorter risks what lives.
	Lease Duration `toml:"lease" env:"LEASE"`
	// Addresses, `host:port`, of nodes to join: their `listen.cluster`. One that is there is enough, it tells of the others. The node then has no NATS server of its own. `skua run --join` sets it.
	Join []string `toml:"join" env:"JOIN"`
	// What nodes that join each other have in common, 32 characters or more, the same on all: whoever has it may join, tell nodes to drain, and sign the tokens of players where there are no `login.token_keys`. May be `env:NAME` or `file:PATH`.
	Secret Secret `toml:"secret" env:"SECRET"`
	// Addresses, `host:port`, of the `listen.routes` of all nodes whose NATS servers are one cluster, this one's too: three or five, the same on each. Empty is a server that is alone.
	Routes []string `toml:"routes" env:"ROUTES"`
	// File, in PEM, of the authorities whose certificates NATS servers must have, and nodes that join; empty trusts those of the machine.
	CA string `toml:"ca" env:"CA"`
	// File of this node's certificate, in PEM: for NATS servers that ask for one, and for the one inside the process, which then speaks TLS only.
	Cert string `toml:"cert" env:"CERT"`
	// File of its key.
	Key string `toml:"key" env:"KEY"`
	// File of a NATS user's credentials (JWT and seed, as `nsc` writes it), for the servers of `nats`.
	Credentials string `toml:"credentials" env:"CREDENTIALS"`
	// File of an nkey's seed, for the servers of `nats`.
	NKey string `toml:"nkey" env:"NKEY"`
	// Longest time that a node which is told to stop (SIGTERM) gives what it has to other nodes, if there are any; 0 gives nothing. Less than the time after which the machine kills it.
	Drain Duration `toml:"drain" env:"DRAIN"`
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
			RTMP:  addressOff,
			Media: "127.0.0.1:0",
			RTSP:  addressOff,

			RTSPUDP: addressOff,

			Console: addressOff,
			Cluster: addressOff,
			Routes:  addressOff,

			ProxyListeners: []string{"tcp", "http"},
			ProxyOthers:    "refuse",
		},
		Gate: GateConfig{
			Heartbeat:                Duration{10 * time.Second},
			AgentVM:                  vmOwn,
			HandshakeTimeout:         Duration{5 * time.Second},
			LoginTimeout:             Duration{2 * time.Minute},
			MaxPacket:                64 << 10,
			Backlog:                  1 << 20,
			MaxConnections:           10_000,
			MaxConnectionsPerAddress: 1_000,
			MaxQueue:                 128,
			Linger:                   Duration{10 * time.Second},
			Codec:                    packet.CodecPomelo,
			Serializer:               "json",
			ResumeWindow:             Duration{time.Minute},
			RingPackages:             1024,
			RingBytes:                256 << 10,
			AllRingBytes:             512 << 20,
			MaxWaiting:               10_000,
			PacketRate:               2000,
			ByteRate:                 4 << 20,
			MaxHalfOpen:              4096,
			MaxHalfOpenPerNetwork:    512,
			Path:                     "/ws",
		},
		KCP: kcpDefaults(kcpFast),
		TLS: TLSConfig{Listeners: []string{"tcp", "kcp", "http"}, Reload: Duration{10 * time.Second}},
		// Memory and passes for argon2id are OWASP's first choice for servers that log many people in.
		Login: LoginConfig{
			Methods: []string{"password"}, Register: true, HashMemory: 19 << 20, HashTime: 2, MaxAttempts: 5, MaxNewPerAddress: 1000,
			TokenLifetime: Duration{720 * time.Hour}, JWTClaim: "sub", JWTLeeway: Duration{30 * time.Second}, JWTRefresh: Duration{15 * time.Minute},
			HookTimeout: Duration{3 * time.Second},
		},
		Store:  StoreConfig{Database: "skua", Autosave: Duration{2 * time.Second}, FlushBatch: 500, MaxPending: 100_000, MaxPendingBytes: 256 << 20, CacheTTL: Duration{10 * time.Second}, CacheBytes: 64 << 20},
		Lua:    LuaConfig{Path: []string{"scripts"}, CallTimeout: Duration{5 * time.Second}, Budget: Duration{time.Second}, MemoryLimit: 256 << 20, OverLimit: overStop, Engine: engineLua54, Integers: integersError},
		Reload: reloadDefaults(),
		Socket: SocketConfig{MaxSockets: 10_000, ConnectTimeout: Duration{10 * time.Second}},
		Media:  mediaDefaults(),
		Trace:  TraceConfig{Sample: 0.01},
		Cluster: ClusterConfig{
			Beat: Duration{500 * time.Millisecond}, Suspect: Duration{1500 * time.Millisecond}, Dead: Duration{3 * time.Second}, Lease: Duration{20 * time.Second},
			Drain: Duration{30 * time.Second},
		},
	}
}

// loadConfig reads dir/skua.toml over the defaults, the SKUA_ variables of environ (as os.Environ gives them) over
// that, then lets each of flags change the result, puts secrets in their places and checks everything. A missing file is no error,
// a missing directory is. The error joins all that is wrong, each naming the key, what was found and what was expected.
func loadConfig(dir string, environ []string, flags ...func(*Config)) (Config, error) {
	if dir == "" {
		return makeConfig("", "", nil, environ, flags...)
	}
	if info, err := os.Stat(dir); err != nil {
		return Config{}, fmt.Errorf("config: project directory: %w", err)
	} else if !info.IsDir() {
		return Config{}, fmt.Errorf("config: project directory: %s is a file, expected a directory", dir)
	}
	path := filepath.Join(dir, configFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	return makeConfig(dir, path, text, environ, flags...)
}

// demoConfig is loadConfig for the demo in the binary, whose file has this text. Its data is kept in the working directory.
func demoConfig(text []byte, environ []string, flags ...func(*Config)) (Config, error) {
	return makeConfig("", configFile+" (built in)", text, environ, flags...)
}

// makeConfig is loadConfig for the text of a file. Some defaults depend on other keys: those of [kcp] on its profile, those of [gates.NAME] on [gate], and tables such as [grains.NAME] on their names. So it is read twice, the second time
// over the defaults that the first has found.
func makeConfig(dir, path string, text []byte, environ []string, flags ...func(*Config)) (Config, error) {
	env := environMap(environ)
	found := DefaultConfig()
	if err := found.read(path, text, env); err != nil {
		return Config{}, err
	}
	cfg := DefaultConfig()
	cfg.Dir = dir
	cfg.derive(&found)
	if err := cfg.read(path, text, env); err != nil {
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

// read applies a file and the variables.
func (c *Config) read(path string, text []byte, env map[string]string) error {
	if err := c.decode(path, text); err != nil {
		return err
	}
	if err := c.refusePasswords(path); err != nil {
		return err
	}
	return c.override(env)
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
