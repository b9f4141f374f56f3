package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/services/admin"
)

// check collects what is wrong, each with its key, what was found and what was expected.
type check struct{ failed []error }

func (c *check) that(ok bool, key string, found any, expected string) {
	if ok {
		return
	}
	shown := fmt.Sprintf("%v", found)
	if s, isString := found.(string); isString {
		shown = strconv.Quote(s)
	}
	env := envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
	c.failed = append(c.failed, fmt.Errorf("config: %s (%s): found %s, expected %s", key, env, shown, expected))
}

func (c *check) oneOf(key, found string, choices ...string) {
	c.that(slices.Contains(choices, found), key, found, "one of "+strings.Join(choices, ", "))
}

func (c *check) eachOf(key string, found []string, choices ...string) {
	for _, one := range found {
		c.oneOf(key, one, choices...)
	}
}

func (c *check) address(key, addr string) {
	c.that(isListenAddress(addr), key, addr, `an address such as 127.0.0.1:7000, or "off"`)
}

func (c *check) between(key string, found, least, most int) {
	c.that(found >= least && found <= most, key, found, fmt.Sprintf("%d to %d", least, most))
}

func (c *check) duration(key string, found Duration, least, most time.Duration) {
	c.that(found.Duration >= least && found.Duration <= most, key, found, fmt.Sprintf("%v to %v", least, most))
}

// validate looks at the whole configuration and reports all faults at once.
func (c *Config) validate() error {
	var k check
	k.that(cluster.CheckName(c.Name) == nil, "name", c.Name, "1 to 64 letters, digits, - and _")
	k.that(isScript(c.Start), "start", c.Start, "the name of a script, without .lua, inside lua.path")
	k.that(c.Data != "", "data", c.Data, "a directory")
	k.that(c.NATS == "" || isNATS(c.NATS.Reveal()), "nats", c.NATS, "URLs such as nats://127.0.0.1:4222, separated by commas, or nothing")
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	for component, level := range c.Log.Levels {
		k.that(component != "" && len(component) <= maxComponent, "log.levels", component, fmt.Sprintf("the name of a component, of 1 to %d bytes", maxComponent))
		k.oneOf("log.levels."+component, level, "debug", "info", "warn", "error")
	}
	k.that(len(c.Log.Levels) <= maxLogLevels, "log.levels", len(c.Log.Levels), fmt.Sprintf("up to %d components", maxLogLevels))
	k.oneOf("log.format", c.Log.Format, "text", "json")
	c.validateListen(&k)
	c.validateGates(&k)
	c.validateGrains(&k)
	c.validateReload(&k)
	c.validateKCP(&k)
	c.validateTLS(&k)
	c.validateServices(&k)
	c.validateSocket(&k)
	c.Mongo.validate(&k)
	c.validateMedia(&k)
	c.validateWebRTC(&k)
	c.validateTrace(&k)
	c.validateAdmin(&k)
	c.validateCluster(&k)
	return errors.Join(k.failed...)
}

func (c *Config) validateListen(k *check) {
	for _, l := range []struct{ key, addr string }{
		{"listen.tcp", c.Listen.TCP},
		{"listen.kcp", c.Listen.KCP},
		{"listen.http", c.Listen.HTTP},
		{"listen.admin", c.Listen.Admin},
		{"listen.console", c.Listen.Console},
		{"listen.rtmp", c.Listen.RTMP},
		{"listen.rtsp", c.Listen.RTSP},
		{"listen.rtsp_udp", c.Listen.RTSPUDP},
		{"listen.media", c.Listen.Media},
		{"listen.cluster", c.Listen.Cluster},
		{"listen.routes", c.Listen.Routes},
	} {
		k.address(l.key, l.addr)
	}
	_, err := networks(c.Listen.Proxy)
	k.that(err == nil, "listen.proxy", strings.Join(c.Listen.Proxy, ","), "networks such as 10.0.0.0/8 or ::1/128")
	k.eachOf("listen.proxy_listeners", c.Listen.ProxyListeners, "tcp", "http")
	k.oneOf("listen.proxy_others", c.Listen.ProxyOthers, proxyRefuse, proxyDirect)
	if Listens(c.Listen.Admin) && isListenAddress(c.Listen.Admin) {
		if err := admin.CheckBind(c.Listen.Admin, c.Admin.guarded()); err != nil {
			k.failed = append(k.failed, fmt.Errorf("config: listen.admin (%sLISTEN_ADMIN): %w", envPrefix, err))
		}
	}
}

func (c *Config) validateServices(k *check) {
	c.validateLogin(k)
	c.Store.validate(k)
	k.that(len(c.Lua.Path) > 0 && !slices.Contains(c.Lua.Path, ""), "lua.path", strings.Join(c.Lua.Path, ","), "at least one directory")
	k.duration("lua.call_timeout", c.Lua.CallTimeout, time.Millisecond, time.Hour)
	k.oneOf("lua.over_limit", c.Lua.OverLimit, overStop, overQuarantine)
	k.duration("lua.budget", c.Lua.Budget, 10*time.Millisecond, time.Hour)
	k.that(c.Lua.MemoryLimit == 0 || c.Lua.MemoryLimit >= 1<<20, "lua.memory_limit", c.Lua.MemoryLimit, "0 or at least 1048576")
	c.validateEngines(k)
}

func (c *Config) validateSocket(k *check) {
	for key, list := range map[string][]string{"socket.connect": c.Socket.Connect, "socket.listen": c.Socket.Listen} {
		_, err := networks(list)
		k.that(err == nil, key, strings.Join(list, ","), "networks such as 10.0.0.0/8 or ::1/128")
	}
	k.between("socket.max_sockets", c.Socket.MaxSockets, 1, 1_000_000)
	k.duration("socket.connect_timeout", c.Socket.ConnectTimeout, 10*time.Millisecond, 10*time.Minute)
}

// networks reads a list of networks.
func networks(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (c *Config) validateTrace(k *check) {
	t := &c.Trace
	found := t.Endpoint
	if u, err := url.Parse(found); err == nil {
		found = u.Redacted()
	}
	k.that(t.Endpoint == "" || isCollector(t.Endpoint), "trace.endpoint", found, "a URL such as http://127.0.0.1:4318, without user and query, or nothing")
	k.that(t.Sample >= 0 && t.Sample <= 1, "trace.sample", t.Sample, "0 to 1")
	_, err := parseHeaders(t.Headers.Reveal())
	k.that(err == nil, "trace.headers", t.Headers, "name=value separated by commas, values percent-encoded")
}

// addressOff is the address of no listener.
const addressOff = "off"

// Listens tells whether an address of [listen] opens a listener.
func Listens(addr string) bool { return addr != addressOff }

func isListenAddress(addr string) bool {
	if !Listens(addr) {
		return true
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n <= math.MaxUint16
}

// isScript admits a/b and a.b alike, but nothing that leaves the directories of lua.path.
func isScript(name string) bool {
	return name != "" && !strings.HasSuffix(name, ".lua") && !path.IsAbs(name) &&
		path.Clean(name) == name && name != "." && name != ".." && !strings.HasPrefix(name, "../") && !strings.ContainsAny(name, "\\\x00")
}

func isNATS(urls string) bool {
	for u := range strings.SplitSeq(urls, ",") {
		parsed, err := url.Parse(strings.TrimSpace(u))
		if err != nil || parsed.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, parsed.Scheme) {
			return false
		}
	}
	return true
}

// isCollector admits no user in the URL, which would be logged with every error.
func isCollector(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// parseHeaders reads "name=value,name=value" with percent-encoded values.
func parseHeaders(text string) (map[string]string, error) {
	headers := map[string]string{}
	if text == "" {
		return headers, nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, encoded, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(encoded))
		if !ok || err != nil || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, errors.New("no name=value") // never what was found: it is secret
		}
		headers[name] = value
	}
	return headers, nil
}
