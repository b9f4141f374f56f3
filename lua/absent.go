package lua

import "strings"

// What scripts written for Skynet require, or start, that is not there: the reasons.
const (
	noHTTP     = "HTTP and WebSocket for scripts are not there yet"
	noSproto   = "sproto is not there yet; protobuf, msgpack and cjson are"
	noRedis    = "the driver of Redis is not there yet"
	noMySQL    = "the driver of MySQL is not there yet"
	noServers  = "Skynet's gate, login and msg servers are not there yet; clients come in through the node's own gate, see docs/lua.md"
	noDNS      = "skynet.socket looks names up by itself: socket.open takes them, and socket.resolve gives their addresses"
	noNetpack  = "it takes messages of the socket thread apart, which there is not; string.unpack and socket.read do that for skynet.socket"
	noQueue    = "skynet.queue has taken its place"
	noShareMap = "it needs sproto, which is not there yet; skynet.sharedata and skynet.stm share tables"
	noMemory   = "there is no memory of C to look at; skynet.stat and the console's mem tell of the VMs"
	noDebugger = "the debugger by lines is not there; the console's inject runs code in a service"
	noHarbors  = "nodes find each other by themselves, see docs/cluster.md"
	noC        = "it is a module in C, and those can't be loaded"
)

// absences are the reasons by names.
var absences = map[string]string{ //nolint:gochecknoglobals // a constant
	"http": noHTTP, "http.httpc": noHTTP, "http.httpd": noHTTP, "http.internal": noHTTP, "http.sockethelper": noHTTP, "http.tlshelper": noHTTP, "http.url": noHTTP,
	"http.websocket": noHTTP,
	"sproto":         noSproto, "sprotoloader": noSproto, "sprotoparser": noSproto, "sproto.core": noSproto,
	"skynet.db.redis": noRedis, "skynet.db.redis.cluster": noRedis, "skynet.db.redis.crc16": noRedis, "redis": noRedis,
	"skynet.db.mysql": noMySQL, "mysql": noMySQL,
	"snax.gateserver": noServers, "snax.loginserver": noServers, "snax.msgserver": noServers, "gate": noServers,
	"skynet.dns": noDNS, "dns": noDNS,
	"skynet.netpack": noNetpack, "netpack": noNetpack,
	"skynet.mqueue": noQueue, "mqueue": noQueue,
	"skynet.sharemap": noShareMap, "sharemap": noShareMap,
	"skynet.memory": noMemory, "memory": noMemory,
	"skynet.remotedebug": noDebugger, "skynet.injectcode": noDebugger, "skynet.debugchannel": noDebugger, "debugchannel": noDebugger,
	"clusterd": noHarbors, "cmaster": noHarbors, "cslave": noHarbors, "cdummy": noHarbors,
	"lpeg": noC, "lfs": noC, "zlib": noC, "pb": noC + "; protobuf is built in", "cmsgpack": noC + "; msgpack is built in", "client.socket": noC + "; skynet.socket is there",
	"client.crypt": noC + "; skynet.crypt is there",
}

// absent tells why a module or a service that Skynet has, or its users have, is not there; "" for other names.
func absent(name string) string { return absences[strings.ReplaceAll(name, "/", ".")] }
