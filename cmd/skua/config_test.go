package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/services/store"
)

// load puts text into a project directory and reads it with these SKUA_ variables.
func load(t *testing.T, text string, environ ...string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadConfig(dir, environ)
}

func TestZeroConfigIsValid(t *testing.T) {
	for what, dir := range map[string]string{"an empty directory": t.TempDir(), "no directory": ""} {
		cfg, err := loadConfig(dir, nil)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		want := DefaultConfig()
		want.Dir = dir
		if !reflect.DeepEqual(cfg, want) {
			t.Errorf("%s: got %+v", what, cfg)
		}
	}
}

func TestFileIsReadOverTheDefaults(t *testing.T) {
	cfg, err := load(t, `
name = "eu-1"
nats = "nats://10.0.0.1:4222,nats://10.0.0.2:4222"
log.level = "debug"
[listen]
kcp = "off"
[gate]
heartbeat = "1m30s"
origins = ["https://play.example.com"]
[gate.routes]
"player.buy" = 1
chat = 65535
[lua]
path = ["scripts", "/opt/lib"]
[trace]
endpoint = "https://collector.example.com/v1/traces"
sample = 1
headers = "a=b, c=d%2Ce"
`)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Name != "eu-1" || cfg.Log.Level != "debug" || cfg.Listen.KCP != "off" || cfg.Listen.TCP != "127.0.0.1:7000" ||
		cfg.Gate.Heartbeat.Duration != 90*time.Second || cfg.Gate.Routes["player.buy"] != 1 || cfg.Gate.Routes["chat"] != 65535 ||
		len(cfg.Lua.Path) != 2 || cfg.Trace.Sample != 1 || cfg.Trace.Headers.Reveal() != "a=b, c=d%2Ce" || cfg.NATS.Reveal() != "nats://10.0.0.1:4222,nats://10.0.0.2:4222" {
		t.Errorf("got %+v", cfg)
	}
	if Listens(cfg.Listen.KCP) || !Listens(cfg.Listen.TCP) {
		t.Error("off is not off")
	}
	if got := cfg.Path(cfg.Lua.Path[0]); got != filepath.Join(cfg.Dir, "scripts") {
		t.Errorf("a relative path became %s", got)
	}
	if got := cfg.Path(cfg.Lua.Path[1]); got != "/opt/lib" {
		t.Errorf("an absolute path became %s", got)
	}
}

func TestMistakesInTheFileAreNamedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"nmae = \"x\"", ":1:1: unknown key nmae, did you mean name?"},
		{"[gate]\nmax_pakcet = 1", ":2:1: unknown key gate.max_pakcet, did you mean gate.max_packet?"},
		{"\n[gaet]\nheartbeat = \"1s\"", ":2:2: unknown table gaet, did you mean gate?"},
		{"[gate]\nautosave = \"1s\"", ":2:1: unknown key gate.autosave, did you mean store.autosave?"},
		{"[gate]\nxyzzyplugh = 1", ":2:1: unknown key gate.xyzzyplugh"},
		{"[quux]\na = 1", ":1:2: unknown table quux"},
		{"[gate]\nheartbeat = 10", `:2:13: gate.heartbeat: found 10, expected a duration such as "2s"`},
		{"[gate]\nheartbeat = \"10\" # seconds", `:2:13: gate.heartbeat: found "10", expected a duration such as "2s"`},
		{"gate = {heartbeat = 7}", `:1:21: gate.heartbeat: found 7, expected a duration such as "2s"`},
		{"[gate]\nmax_packet = \"64k\"", `:2:14: gate.max_packet: found "64k", expected a whole number`},
		{"[gate]\nmax_packet = 1.5", ":2:14: gate.max_packet: found 1.5, expected a whole number"},
		{"[gate]\nmax_packet = 99999999999999999999", ":2:14: gate.max_packet: found 99999999999999999999, expected a whole number"},
		{"[trace]\nsample = \"all\"", `:2:10: trace.sample: found "all", expected a number`},
		{"[login]\nregister = \"yes\"", `:2:12: login.register: found "yes", expected true or false`},
		{"name = 1", ":1:8: name: found 1, expected a string"},
		{"[gates.world]\ntpc = \"off\"", ":2:1: unknown key gates.world.tpc, did you mean gates.world.tcp?"},
		{"[gates.world]\nhartbeat = \"5s\"", ":2:1: unknown key gates.world.hartbeat, did you mean gates.world.heartbeat?"},
		{"[gates.world]\ntcp = 7000", ":2:7: gates.world.tcp: found 7000, expected a string"},
		{"[gates.world]\nheartbeat = 10", `:2:13: gates.world.heartbeat: found 10, expected a duration such as "2s"`},
		{"[gates.world]\nmax_queue = \"x\"", `:2:13: gates.world.max_queue: found "x", expected a whole number`},
		{"[grains.guild]\nidel = \"5s\"", ":2:1: unknown key grains.guild.idel, did you mean grains.guild.idle?"},
		{"[grains.guild]\nidle = 300", `:2:8: grains.guild.idle: found 300, expected a duration such as "2s"`},
		{"[grains.guild]\nrole = [\"a\", [\"]\"]] # roles", `:2:8: grains.guild.role: found ["a", ["]"]], expected a string`},
		{"[grains.guild]\nrole = [\"world\"]", ":2:8: grains.guild.role: found [\"world\"], expected a string"},
		{"[gate.rates]\nchat = \"x\"", `:2:8: gate.rates.chat: found "x", expected route names, each with a number`},
		{"gate = 1", ":1:8: gate: found 1, expected a table [gate]"},
		{"[[gate]]\nmax_packet = 1", ":1:3: gate: cannot store an array table in a struct"},
		{"[lua.service_engine]\nmap = 5", ":2:7: lua.service_engine.map: found 5, expected names, each with a string"},
		{"[gate]\norigins = \"a\"", `:2:11: gate.origins: found "a", expected a list of strings`},
		{"[gate.routes]\nbuy = 70000", ":2:7: gate.routes.buy: found 70000, expected route names, each with a code from 1 to 65535"},
		{"[gate.routes]\nplayer.buy = 7", "gate.routes.player.buy: found"},
		{"[gate\n", ":1:6: expected ']' to close table name"},
		{"name = \"a\"\nname = \"b\"", ":2:1: name: key name is already defined"},
		{"name = \"\xff\"", "invalid UTF-8"},
	} {
		_, err := load(t, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), configFile+":") {
			t.Errorf("%q\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestAllUnknownKeysAreReportedAtOnce(t *testing.T) {
	_, err := load(t, "nmae = \"x\"\n[listen]\ntpc = \"off\"\n")
	if err == nil || !strings.Contains(err.Error(), "did you mean name?") || !strings.Contains(err.Error(), "did you mean listen.tcp?") {
		t.Error(err)
	}
}

func TestImpossibleValuesNameTheKeyFoundAndExpected(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`name = "a.b"`, `name (SKUA_NAME): found "a.b", expected 1 to 64 letters`},
		{`start = "../evil"`, `start (SKUA_START): found "../evil", expected the name of a script`},
		{`start = "main.lua"`, "start (SKUA_START)"},
		{`data = ""`, "data (SKUA_DATA)"},
		{`nats = "127.0.0.1:4222"`, "nats (SKUA_NATS): found [secret], expected URLs such as"},
		{`log.level = "loud"`, `log.level (SKUA_LOG_LEVEL): found "loud", expected one of debug, info, warn, error`},
		{`log.format = "xml"`, "expected one of text, json"},
		{`listen.tcp = "7000"`, `listen.tcp (SKUA_LISTEN_TCP): found "7000", expected an address`},
		{`listen.kcp = "127.0.0.1:70000"`, "listen.kcp"},
		{`listen.http = ""`, "listen.http"},
		{`listen.admin = "0.0.0.0:7090"`, "admin.token (SKUA_ADMIN_TOKEN)"},
		{`gate.agent = "/etc/passwd"`, "gate.agent"},
		{`gate.heartbeat = "0s"`, "gate.heartbeat (SKUA_GATE_HEARTBEAT): found 0s, expected 1s to 10m0s"},
		{`gate.handshake_timeout = "-1s"`, "gate.handshake_timeout"},
		{`gate.max_packet = 16777216`, "gate.max_packet (SKUA_GATE_MAX_PACKET): found 16777216, expected 1024 to 16777215"},
		{`gate.backlog = 1000`, "gate.backlog (SKUA_GATE_BACKLOG): found 1000, expected at least gate.max_packet, 65536"},
		{`gate.gzip_from = -1`, "gate.gzip_from (SKUA_GATE_GZIP_FROM): found -1, expected 0 to 16777215"},
		{`gate.max_connections = 0`, "gate.max_connections"},
		{`gate.max_connections_per_address = 0`, "gate.max_connections_per_address"},
		{`gate.max_queue = 0`, "gate.max_queue"},
		{`gate.linger = "25h"`, "gate.linger"},
		{`socket.connect = ["10.0.0.1"]`, `socket.connect (SKUA_SOCKET_CONNECT): found "10.0.0.1", expected networks such as 10.0.0.0/8 or ::1/128`},
		{`socket.listen = ["127.0.0.0/8", "x"]`, "socket.listen (SKUA_SOCKET_LISTEN)"},
		{`socket.max_sockets = 0`, "socket.max_sockets"},
		{`socket.connect_timeout = "1ms"`, "socket.connect_timeout"},
		{`gate.serializer = "xml"`, `gate.serializer (SKUA_GATE_SERIALIZER): found "xml", expected one of json, msgpack, protobuf, raw`},
		{`gate.serializer = "protobuf"`, "gate.protobuf (SKUA_GATE_PROTOBUF)"},
		{`gate.protobuf = ["/etc/passwd"]`, "gate.protobuf"},
		{`gate.protobuf_requests = {a = ""}`, `gate.protobuf_requests (SKUA_GATE_PROTOBUF_REQUESTS): found "a = "`},
		{`gate.codec = "http"`, `gate.codec (SKUA_GATE_CODEC): found "http", expected one of pomelo, skynet, line, raw`},
		{`gate.codec = "line"`, `gate.codec (SKUA_GATE_CODEC): found "line", expected pomelo, or login.methods = ["none"]`},
		{"gate.codec = \"skynet\"\nlogin.method = \"none\"", "gate.max_packet (SKUA_GATE_MAX_PACKET): found 65536, expected 1024 to 65535"},
		{`gate.resume_window = "-1s"`, "gate.resume_window"},
		{`gate.ring_packages = 0`, "gate.ring_packages"},
		{`gate.ring_bytes = 10`, "gate.ring_bytes"},
		{`gate.all_ring_bytes = 10`, "gate.all_ring_bytes"},
		{`gate.max_waiting = 0`, "gate.max_waiting"},
		{`gate.rates = {chat = 0}`, `gate.rates (SKUA_GATE_RATES): found "chat = 0", expected a route's name and more than 0 a second`},
		{`gate.rates = {chat = nan}`, "gate.rates"},
		{`gate.packet_rate = -1`, "gate.packet_rate (SKUA_GATE_PACKET_RATE): found -1, expected 0 or more"},
		{`gate.packet_burst = -1`, "gate.packet_burst"},
		{`gate.byte_rate = inf`, "gate.byte_rate"},
		{`gate.byte_burst = 100`, "gate.byte_burst (SKUA_GATE_BYTE_BURST): found 100, expected 0, or at least gate.max_packet, 65536"},
		{`gate.max_half_open = 0`, "gate.max_half_open"},
		{`gate.max_half_open_per_network = 0`, "gate.max_half_open_per_network"},
		{`gate.path = "ws"`, `gate.path (SKUA_GATE_PATH): found "ws", expected a path such as /ws`},
		{`gate.path = "/{x}"`, "gate.path"},
		{`gate.path = ""`, "gate.path"},
		{`gates.World.tcp = "off"`, `gates (SKUA_GATES): found "World", expected names of small letters`},
		{`gates.main.tcp = "off"`, `found "main"`},
		{`grains.Guild.idle = "5s"`, `grains (SKUA_GRAINS): found "Guild", expected names of small letters`},
		{`grains.guild.script = "guild.lua"`, `grains.guild.script (SKUA_GRAINS_GUILD_SCRIPT): found "guild.lua", expected the name of a script`},
		{`grains.guild.idle = "1ms"`, "grains.guild.idle (SKUA_GRAINS_GUILD_IDLE): found 1ms, expected 0s, or 1s to 720h0m0s"},
		{`grains.guild.placement = "anywhere"`, `grains.guild.placement (SKUA_GRAINS_GUILD_PLACEMENT): found "anywhere", expected one of least_loaded, prefer_local, spread`},
		{`grains.guild.role = "a b"`, `grains.guild.role (SKUA_GRAINS_GUILD_ROLE): found "a b", expected a role of cluster.roles`},
		{`cluster.labels = { grain-weight = "0" }`, `cluster.labels (SKUA_CLUSTER_LABELS): found "grain-weight = 0", expected a number above 0, 1000 at most`},
		{`gates.world.tcp = "7000"`, `gates.world.tcp (SKUA_GATES_WORLD_TCP): found "7000", expected an address`},
		{`gates.world.kcp = ""`, "gates.world.kcp"},
		{`gates.world.tls = ["http"]`, `gates.world.tls (SKUA_GATES_WORLD_TLS): found "http", expected one of tcp, kcp`},
		{"gates.world.tls = [\"tcp\"]\ntls.listeners = []", `gates.world.tls (SKUA_GATES_WORLD_TLS): found "tcp", expected tls.cert and tls.key, or nothing`},
		{`gates.world.login = "password"`, "gates.world.login"},
		{`gates.world.codec = "raw"`, `gates.world.codec (SKUA_GATES_WORLD_CODEC): found "raw", expected pomelo, or gates.world.login = "none"`},
		{`gates.world.path = "/ws"`, `gates.world.path (SKUA_GATES_WORLD_PATH): found "/ws", expected a path of its own, not that of gate`},
		{"gates.world.path = \"/world\"\nlisten.http = \"off\"", "gates.world.path"},
		{`gates.world.heartbeat = "0s"`, "gates.world.heartbeat (SKUA_GATES_WORLD_HEARTBEAT): found 0s, expected 1s to 10m0s"},
		{`listen.proxy = ["10.0.0.1"]`, `listen.proxy (SKUA_LISTEN_PROXY): found "10.0.0.1", expected networks such as`},
		{`listen.proxy_listeners = ["kcp"]`, "listen.proxy_listeners"},
		{`listen.proxy_others = "ignore"`, "listen.proxy_others"},
		{`tls.cert = ["a.crt"]`, `tls.key (SKUA_TLS_KEY): found "", expected a file for each of tls.cert, which has 1`},
		{"tls.cert = [\"\"]\ntls.key = [\"a\"]", "tls.cert"},
		{`tls.listeners = ["udp"]`, `tls.listeners (SKUA_TLS_LISTENERS): found "udp", expected one of tcp, kcp, http, admin`},
		{`tls.reload = "1ms"`, "tls.reload"},
		{`gate.origins = ["play.example.com"]`, "gate.origins"},
		{`gate.routes = {a = 0}`, "gate.routes (SKUA_GATE_ROUTES): found \"a = 0\", expected a route's name and a code"},
		{`gate.routes = {a = 3, b = 3}`, "found \"a and b = 3\", expected a code of its own"},
		{`kcp.interval = "1ms"`, "kcp.interval"},
		{`kcp.resend = -1`, "kcp.resend"},
		{`kcp.sndwnd = 0`, "kcp.sndwnd"},
		{`kcp.rcvwnd = 32`, "kcp.rcvwnd"},
		{`kcp.mtu = 9000`, "kcp.mtu"},
		{`kcp.profile = "turbo"`, `kcp.profile (SKUA_KCP_PROFILE): found "turbo", expected one of fast, normal, thrifty`},
		{`kcp.fec_data = 10`, "kcp.fec_parity (SKUA_KCP_FEC_PARITY): found 0, expected both kcp.fec_data and kcp.fec_parity, or neither"},
		{`kcp.fec_data = -1`, "kcp.fec_data"},
		{`kcp.crypt = "rot13"`, "kcp.crypt"},
		{`kcp.crypt = "aes-gcm"`, "kcp.key (SKUA_KCP_KEY): found , expected 16 or 24 or 32 bytes in hex for aes-gcm"},
		{"kcp.crypt = \"aes-128\"\nkcp.key = \"00112233\"", "kcp.key (SKUA_KCP_KEY): found [secret], expected 16 bytes in hex for aes-128"},
		{`kcp.key = "00112233445566778899aabbccddeeff"`, "kcp.key (SKUA_KCP_KEY): found [secret], expected nothing, or another kcp.crypt than none"},
		{`kcp.read_buffer = 1`, "kcp.read_buffer"},
		{`kcp.write_buffer = 1`, "kcp.write_buffer"},
		{`kcp.dscp = 64`, "kcp.dscp"},
		{`kcp.sockets = 65`, "kcp.sockets"},
		{`login.method = "ldap"`, "login.method"},
		{`login.method = "guest"` + "\n" + `login.methods = ["jwt"]`, `login.method (SKUA_LOGIN_METHOD): found "guest", expected nothing beside login.methods`},
		{`login.methods = []`, "login.methods"},
		{manyAddresses(9), "config: gates.g0.addresses (SKUA_GATES_G0_ADDRESSES): found 9, expected at most 8\nconfig: gates.g1.addresses"},
		{manyAddresses(8), "gate.addresses (SKUA_GATE_ADDRESSES): found 80, expected roles, labels and addresses of all gates that have up to 7168 bytes as JSON"},
		{"[cluster.labels]\n" + manyLabels(), "cluster.labels (SKUA_CLUSTER_LABELS): found 32, expected roles, labels and"},
		{`login.methods = ["password", "ldap"]`, `login.methods (SKUA_LOGIN_METHODS): found "ldap", expected one of password, jwt, hook, device, guest, none`},
		{`login.methods = ["none", "guest"]`, `found "none,guest", expected none alone`},
		{`login.methods = ["jwt"]`, "login.jwt_keys (SKUA_LOGIN_JWT_KEYS)"},
		{`login.methods = ["hook"]`, "login.hook (SKUA_LOGIN_HOOK)"},
		{`login.hook = "../x"`, "login.hook"},
		{`login.hook_timeout = "0s"`, "login.hook_timeout"},
		{`login.token_lifetime = "1s"`, "login.token_lifetime"},
		{`login.token_keys = "short"`, "login.token_keys (SKUA_LOGIN_TOKEN_KEYS): found [secret], expected keys of 32 characters or more"},
		{`login.jwt_secret = "short"`, "login.jwt_secret (SKUA_LOGIN_JWT_SECRET): found [secret]"},
		{`login.jwt_claim = ""`, "login.jwt_claim"},
		{`login.jwt_refresh = "1s"`, "login.jwt_refresh"},
		{`login.jwt_leeway = "1h"`, "login.jwt_leeway"},
		{`login.max_new_per_address = 0`, "login.max_new_per_address"},
		{`login.hash_memory = 1`, "login.hash_memory"},
		{`login.hash_time = 0`, "login.hash_time"},
		{`login.max_attempts = 0`, "login.max_attempts"},
		{`store.mongo = "localhost"`, "store.mongo (SKUA_STORE_MONGO): found [secret]"},
		{`store.database = "a b"`, "store.database"},
		{`store.autosave = "0s"`, "store.autosave"},
		{`store.flush_batch = 0`, "store.flush_batch"},
		{`store.max_pending = 499`, "store.max_pending (SKUA_STORE_MAX_PENDING): found 499, expected at least store.flush_batch, 500"},
		{`store.max_pending_bytes = 1000000`, "store.max_pending_bytes"},
		{`store.cache_ttl = "-1s"`, "store.cache_ttl"},
		{`store.cache_bytes = 0`, "store.cache_bytes"},
		{`store.indexes = {player = "score"}`, `store.indexes (SKUA_STORE_INDEXES): found "player", which is no kind and name`},
		{`store.indexes = {"player.best" = "score (unique"}`, "store.indexes"},
		{`store.indexes = {"player.best" = "score (sparse)"}`, "store.indexes"},
		{`store.indexes = {"player.best" = "score (ttl soon)"}`, "store.indexes"},
		{`store.indexes = {"player.best" = ""}`, "store.indexes"},
		{`store.indexes = {"Player.best" = "score"}`, "store.indexes"},
		{`lua.path = []`, "lua.path"},
		{`lua.call_timeout = "0s"`, "lua.call_timeout"},
		{`lua.engine = "luajit"`, `lua.engine (SKUA_LUA_ENGINE): found "luajit", expected one of lua54, gopher`},
		{`lua.integers = "round"`, `lua.integers (SKUA_LUA_INTEGERS): found "round", expected one of error, text`},
		{`lua.service_engine = {map = "v8"}`, `lua.service_engine (SKUA_LUA_SERVICE_ENGINE): found "map = v8", expected the name of a script and one of lua54, gopher`},
		{`lua.service_engine = {"../x" = "gopher"}`, "lua.service_engine"},
		{`lua.service_engine = {"a.b" = "gopher", "a/b" = "lua54"}`, `found "a.b and a/b", expected each script once`},
		{`lua.trusted = ["../ops"]`, `lua.trusted (SKUA_LUA_TRUSTED): found "../ops", expected names of scripts, or beginnings of names with * behind`},
		{`lua.trusted = ["ops", "a*b"]`, `lua.trusted (SKUA_LUA_TRUSTED): found "a*b"`},
		{`lua.trusted = [""]`, `lua.trusted (SKUA_LUA_TRUSTED): found ""`},
		{`lua.service_integers = {map = "text"}`, `found "map = text", expected a script on the engine gopher: on lua54 all integers are exact`},
		{`lua.service_integers = {map = "float"}`, `found "map = float", expected the name of a script and one of error, text`},
		{`trace.endpoint = "127.0.0.1:4318"`, `trace.endpoint (SKUA_TRACE_ENDPOINT): found "127.0.0.1:4318", expected a URL such as http://127.0.0.1:4318`},
		{`trace.endpoint = "grpc://collector"`, "trace.endpoint"},
		{`trace.endpoint = "http://ann:sesame@collector"`, `trace.endpoint (SKUA_TRACE_ENDPOINT): found "http://ann:xxxxx@collector"`},
		{`trace.sample = 1.5`, "trace.sample (SKUA_TRACE_SAMPLE): found 1.5, expected 0 to 1"},
		{`trace.sample = nan`, "trace.sample"},
		{`trace.sample = -1`, "trace.sample"},
		{`trace.headers = "sesame"`, "trace.headers (SKUA_TRACE_HEADERS): found [secret], expected name=value"},
		{`trace.headers = "a=b,c d=e"`, "trace.headers"},
		{`trace.headers = "a=%zz"`, "trace.headers"},
		{`media.webrtc.udp = "7088"`, `media.webrtc.udp (SKUA_MEDIA_WEBRTC_UDP): found "7088", expected an address`},
		{`media.webrtc.tcp = "127.0.0.1:0"`, `media.webrtc.tcp (SKUA_MEDIA_WEBRTC_TCP): found "127.0.0.1:0", expected off, as long as media.webrtc.udp is off`},
		{`media.webrtc.udp = "127.0.0.1:0"`, `media.webrtc.udp (SKUA_MEDIA_WEBRTC_UDP): found "127.0.0.1:0", expected off, as long as media.admit is "off"`},
		{"media.webrtc.udp = \"127.0.0.1:0\"\nlisten.http = \"off\"", `media.webrtc.udp (SKUA_MEDIA_WEBRTC_UDP): found "127.0.0.1:0", expected off, as long as listen.http is off`},
		{`media.webrtc.hosts = ["example.com"]`, `media.webrtc.hosts (SKUA_MEDIA_WEBRTC_HOSTS): found "example.com", expected an IP address`},
		{`media.webrtc.ice_servers = ["http://a"]`, `media.webrtc.ice_servers (SKUA_MEDIA_WEBRTC_ICE_SERVERS): found "http://a", expected a server such as stun:`},
		{"media.webrtc.turn_user = \"u\"\nmedia.webrtc.turn_secret = \"s\"", `found "[secret]", expected either it, or turn_user and turn_password`},
		{`media.webrtc.silence = "0s"`, "media.webrtc.silence (SKUA_MEDIA_WEBRTC_SILENCE): found 0s, expected 1s to 10m0s"},
		{`trace.headers = "a=%0Ab"`, "trace.headers"},
	} {
		if _, err := load(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
	_, err := load(t, "start = \"\"\nlog.level = \"loud\"")
	if err == nil || strings.Count(err.Error(), "config: ") != 2 {
		t.Errorf("two faults, reported: %v", err)
	}
}

// manyAddresses are ten gates with so many long addresses each.
func manyAddresses(n int) string {
	var b strings.Builder
	for gate := range 10 {
		fmt.Fprintf(&b, "[gates.g%d]\ntcp = \"127.0.0.1:%d\"\naddresses = [", gate, 9000+gate)
		for i := range n {
			fmt.Fprintf(&b, "\"wss://%s.example.com:%d/ws\", ", strings.Repeat("x", 70), 1000+i)
		}
		b.WriteString("]\n")
	}
	return b.String()
}

// manyLabels are as many and as long as labels may be, but not all of them.
func manyLabels() string {
	var b strings.Builder
	for i := range 32 {
		fmt.Fprintf(&b, "%s%02d = %q\n", strings.Repeat("k", 120), i, strings.Repeat("v", 128))
	}
	return b.String()
}

// sample is a value of each kind that no default has, as an environment variable and as the field's value then.
func sample(k configKey) (text string, want any) {
	switch v := k.value.Interface().(type) {
	case Duration:
		return "12m", Duration{12 * time.Minute}
	case bool:
		return fmt.Sprint(!v), !v
	case int:
		return "4242", 4242
	case float64:
		return "0.25", 0.25
	case []string:
		return "a,b", []string{"a", "b"}
	case map[string]uint16:
		return "player.buy:1,chat:2", map[string]uint16{"player.buy": 1, "chat": 2}
	case map[string]float64:
		return "chat:2,walk:0.5", map[string]float64{"chat": 2, "walk": 0.5}
	case map[string]string:
		if k.path == "admin.certificates" { // whose values may have a colon
			return "alice=spiffe://a.example/alice ci=sha256:00", map[string]string{"alice": "spiffe://a.example/alice", "ci": "sha256:00"}
		}
		return "world.map:gopher,chat:lua54", map[string]string{"world.map": "gopher", "chat": "lua54"}
	case map[string]Secret:
		return "logs=mongodb://h1:1,h2:2/?a=b more=env:MORE", map[string]Secret{"logs": "mongodb://h1:1,h2:2/?a=b", "more": "env:MORE"}
	case Secret:
		return "sample", Secret("sample")
	default:
		return "sample", "sample"
	}
}

func TestEveryKeyCanBeOverriddenByItsVariable(t *testing.T) {
	defaults := DefaultConfig()
	for _, k := range configKeys(&defaults) {
		if want := "SKUA_" + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_")); k.env != want {
			t.Errorf("%s is overridden by %s, want %s", k.path, k.env, want)
		}
		text, want := sample(k)
		cfg := DefaultConfig()
		if err := cfg.override(map[string]string{k.env: text}); err != nil {
			t.Errorf("%s: %v", k.path, err)
			continue
		}
		changed := 0
		for i, now := range configKeys(&cfg) {
			if reflect.DeepEqual(now.value.Interface(), configKeys(&defaults)[i].value.Interface()) {
				continue
			}
			changed++
			if now.path != k.path || !reflect.DeepEqual(now.value.Interface(), want) {
				t.Errorf("%s=%s set %s to %v", k.env, text, now.path, now.value.Interface())
			}
		}
		if changed != 1 {
			t.Errorf("%s=%s changed %d keys", k.env, text, changed)
		}
	}
}

func TestAProfileOfKCPSetsTheDefaultsOfItsKnobs(t *testing.T) {
	for _, c := range []struct {
		text, environ string
		want          KCPConfig
	}{
		{"", "", kcpDefaults("fast")},
		{`kcp.profile = "normal"`, "", kcpDefaults("normal")},
		{`kcp.profile = "normal"`, "SKUA_KCP_PROFILE=thrifty", kcpDefaults("thrifty")},
	} {
		cfg, err := load(t, c.text, c.environ)
		if err != nil || cfg.KCP != c.want {
			t.Errorf("%q, %q: %+v, %v", c.text, c.environ, cfg.KCP, err)
		}
	}
	cfg, err := load(t, "[kcp]\nnodelay = true\nprofile = \"thrifty\"\n", "SKUA_KCP_RESEND=0")
	if err != nil || !cfg.KCP.NoDelay || cfg.KCP.NC || cfg.KCP.Interval.Duration != 40*time.Millisecond || cfg.KCP.Resend != 0 {
		t.Errorf("%+v, %v", cfg.KCP, err)
	}
	for _, name := range []string{"fast", "normal", "thrifty"} {
		want, err := kcp.Profile(name)
		if err != nil {
			t.Fatal(err)
		}
		own := kcpDefaults(name)
		got, err := kcpConfig(&own, &GateConfig{})
		if err != nil || got.NoDelay != want.NoDelay || got.Interval != want.Interval || got.Resend != want.Resend || got.NC != want.NC || got.Repeat != want.Repeat {
			t.Errorf("%s: %+v, expected %+v", name, got, want)
		}
	}
}

func TestAGateHasWhatItDoesNotSetFromTheMainOne(t *testing.T) {
	cfg, err := load(t, `
[gate]
heartbeat = "20s"
agent = "agent"
origins = ["*"]
[gate.routes]
chat = 1
[gate.rates]
chat = 5
[gates.world]
tcp = "127.0.0.1:7100"
max_queue = 7
[gates.world.routes]
walk = 2
[gates.guests]
path = "/guests"
agent = ""
[tls]
listeners = ["http", "tcp"]
`, "SKUA_GATE_MAX_PACKET=2048", "SKUA_GATES_WORLD_HEARTBEAT=30s", "SKUA_GATES_GUESTS_RATES=walk:2", "SKUA_GATES_GUESTS_KCP=127.0.0.1:7200")
	if err != nil {
		t.Fatal(err)
	}
	want := cfg.Gate
	want.Heartbeat, want.MaxQueue, want.Path, want.Routes = Duration{30 * time.Second}, 7, "", map[string]uint16{"walk": 2}
	if world := cfg.Gates["world"]; !reflect.DeepEqual(*world, NamedGateConfig{TCP: "127.0.0.1:7100", KCP: "off", TLS: []string{"tcp"}, GateConfig: want}) {
		t.Errorf("world: %+v", world)
	}
	want = cfg.Gate
	want.Path, want.Agent, want.Rates = "/guests", "", map[string]float64{"walk": 2}
	if guests := cfg.Gates["guests"]; !reflect.DeepEqual(*guests, NamedGateConfig{TCP: "off", KCP: "127.0.0.1:7200", TLS: []string{"tcp"}, GateConfig: want}) {
		t.Errorf("guests: %+v", guests)
	}
	if cfg.Gate.MaxPacket != 2048 || cfg.Gate.Heartbeat.Duration != 20*time.Second || len(cfg.Gate.Routes) != 1 || cfg.Gate.Path != "/ws" {
		t.Errorf("the main one: %+v", cfg.Gate)
	}
	if _, err := load(t, "[gates.world]\ntcp = \"off\"\n", "SKUA_GATES_WORLD_MAX_QUEUE=x"); err == nil || !strings.Contains(err.Error(), `SKUA_GATES_WORLD_MAX_QUEUE: found "x", expected a whole number`) {
		t.Error(err)
	}
	cfg, err = load(t, "[gates.world]\ntcp = \"off\"\n", "SKUA_GATES_WORLD_TPC=off")
	if err != nil || len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0], "did you mean SKUA_GATES_WORLD_TCP?") {
		t.Errorf("%q, %v", cfg.Warnings, err)
	}
}

func TestAKindOfGrainsHasDefaults(t *testing.T) {
	cfg, err := load(t, "[grains.guild]\n[grains.cell]\nscript = \"world.cell\"\nidle = \"0s\"\nplacement = \"least_loaded\"\n", "SKUA_GRAINS_CELL_ROLE=world", "SKUA_GRAINS_GUILD_IDLE=1h")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*GrainConfig{
		"guild": {Idle: Duration{time.Hour}, Placement: "spread"}, "cell": {Script: "world.cell", Placement: "least_loaded", Role: "world"},
	}
	if !reflect.DeepEqual(cfg.Grains, want) {
		t.Errorf("%+v, %+v", cfg.Grains["guild"], cfg.Grains["cell"])
	}
}

func TestVariablesOverrideTheFileAndFlagsOverrideBoth(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte("name = \"file\"\nstart = \"file\"\ndata = \"file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(dir, []string{"SKUA_START=env", "SKUA_DATA=env", "SKUA_NAME=", "PATH=/bin"}, func(c *Config) { c.Data = "flag" })
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Name != "file" || cfg.Start != "env" || cfg.Data != "flag" {
		t.Errorf("got %s, %s, %s", cfg.Name, cfg.Start, cfg.Data)
	}
	if _, err := loadConfig(dir, nil, func(c *Config) { c.Listen.TCP = "nowhere" }); err == nil || !strings.Contains(err.Error(), "listen.tcp") {
		t.Errorf("a wrong flag passed: %v", err)
	}
}

func TestWrongVariablesAreNamed(t *testing.T) {
	_, err := load(t, "", "SKUA_GATE_HEARTBEAT=10", "SKUA_GATE_MAX_PACKET=64k", "SKUA_LOGIN_REGISTER=perhaps", "SKUA_GATE_ROUTES=a:70000", "SKUA_TRACE_SAMPLE=all")
	for _, want := range []string{
		`SKUA_GATE_HEARTBEAT: found "10", expected a duration such as "2s"`,
		`SKUA_GATE_MAX_PACKET: found "64k", expected a whole number`,
		`SKUA_LOGIN_REGISTER: found "perhaps", expected true or false`,
		`SKUA_GATE_ROUTES: found "a:70000", expected route names`,
		`SKUA_TRACE_SAMPLE: found "all", expected a number`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestMisspeltVariablesAreWarnedAbout(t *testing.T) {
	cfg, err := load(t, "", "SKUA_LISTEN_TPC=off", "SKUA_SERVICE_HOST=10.0.0.1", "OTHER=x")
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) != 1 || cfg.Warnings[0] != "environment variable SKUA_LISTEN_TPC is not known, did you mean SKUA_LISTEN_TCP?" {
		t.Errorf("got %q", cfg.Warnings)
	}
}

func TestSecretsComeFromVariablesAndFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"token.txt": "sesame\n",
		"empty":     "\n",
		configFile:  "store.mongo = \"env:MONGO\"\nadmin.token = \"file:token.txt\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := loadConfig(dir, []string{"MONGO=mongodb://me:pw@db"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Store.Mongo.Reveal() != "mongodb://me:pw@db" || cfg.Admin.Token.Reveal() != "sesame" {
		t.Errorf("got %q and %q", cfg.Store.Mongo.Reveal(), cfg.Admin.Token.Reveal())
	}
	for env, want := range map[string]string{
		"SKUA_ADMIN_TOKEN=env:NOTHING":        "admin.token: found env:NOTHING, but the variable NOTHING is not set",
		"SKUA_ADMIN_TOKEN=file:nowhere":       "admin.token: found file:nowhere",
		"SKUA_ADMIN_TOKEN=file:empty":         "admin.token: found file:empty, but the file is empty",
		"SKUA_STORE_MONGO=file:" + os.DevNull: "store.mongo: found file:" + os.DevNull,
	} {
		if _, err := loadConfig(dir, []string{"MONGO=mongodb://db", env}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", env, err, want)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	cfg := DefaultConfig()
	cfg.NATS, cfg.Store.Mongo, cfg.Admin.Token = "hidden-a", "hidden-b", "hidden-c"
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", cfg.Admin.Token, "config", cfg)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", cfg, cfg, cfg, cfg.NATS, cfg.NATS), log.String()} {
		if strings.Contains(text, "hidden") {
			t.Error(text)
		}
	}
	if Secret("").String() != "" {
		t.Error("an empty secret looks set")
	}
}

func TestProjectDirectoryMustExist(t *testing.T) {
	if _, err := loadConfig(filepath.Join(t.TempDir(), "none"), nil); err == nil || !strings.Contains(err.Error(), "project directory") {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadConfig(file, nil); err == nil || !strings.Contains(err.Error(), "expected a directory") {
		t.Error(err)
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{
		"", "name = \"x\"", "[gate]\nheartbeat = 10", "[gate.routes]\na = 1", "gate = {heartbeat = 7}", "[[gate]]", "a.b.c = 1",
		"[gate]\nheartbeat = [\n1]", "\"\" = 1", "[store]\nautosave = 1979-05-27T07:32:00Z", "[gate]\nheartbeat = '''\n1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg := DefaultConfig()
		if err := cfg.decode("f", text); err != nil && !strings.Contains(err.Error(), "f:") {
			t.Errorf("%q: %v has no place", text, err)
		}
	})
}

func TestIndexesAreReadFromTheirText(t *testing.T) {
	c := StoreConfig{Indexes: map[string]string{"player.best": " -score  in.level ", "guild.by_name": "name (unique)", "mail.old": "sent (ttl 24h)"}}
	got, err := c.indexes()
	want := []store.Index{
		{Kind: "guild", Name: "by_name", Fields: []string{"name"}, Unique: true},
		{Kind: "mail", Name: "old", Fields: []string{"sent"}, TTL: 24 * time.Hour},
		{Kind: "player", Name: "best", Fields: []string{"-score", "in.level"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) || store.CheckIndexes(got) != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}
