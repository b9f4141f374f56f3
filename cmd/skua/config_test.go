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
		{`gate.max_connections = 0`, "gate.max_connections"},
		{`gate.max_connections_per_address = 0`, "gate.max_connections_per_address"},
		{`gate.max_queue = 0`, "gate.max_queue"},
		{`gate.linger = "25h"`, "gate.linger"},
		{`socket.connect = ["10.0.0.1"]`, `socket.connect (SKUA_SOCKET_CONNECT): found "10.0.0.1", expected networks such as 10.0.0.0/8 or ::1/128`},
		{`socket.listen = ["127.0.0.0/8", "x"]`, "socket.listen (SKUA_SOCKET_LISTEN)"},
		{`socket.max_sockets = 0`, "socket.max_sockets"},
		{`socket.connect_timeout = "1ms"`, "socket.connect_timeout"},
		{`gate.serializer = "protobuf"`, "gate.serializer"},
		{`gate.origins = ["play.example.com"]`, "gate.origins"},
		{`gate.routes = {a = 0}`, "gate.routes (SKUA_GATE_ROUTES): found \"a = 0\", expected a route's name and a code"},
		{`gate.routes = {a = 3, b = 3}`, "found \"a and b = 3\", expected a code of its own"},
		{`kcp.interval = "1ms"`, "kcp.interval"},
		{`kcp.resend = -1`, "kcp.resend"},
		{`kcp.sndwnd = 0`, "kcp.sndwnd"},
		{`kcp.rcvwnd = 32`, "kcp.rcvwnd"},
		{`kcp.mtu = 9000`, "kcp.mtu"},
		{`login.method = "ldap"`, "login.method"},
		{`login.method = "guest"` + "\n" + `login.methods = ["jwt"]`, `login.method (SKUA_LOGIN_METHOD): found "guest", expected nothing beside login.methods`},
		{`login.methods = []`, "login.methods"},
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
	case map[string]string:
		return "world.map:gopher,chat:lua54", map[string]string{"world.map": "gopher", "chat": "lua54"}
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
