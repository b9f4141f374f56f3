package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/internal/testcert"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/packet"
)

// echoAgent answers with what it was asked, and bare codecs with the same in capitals.
const echoAgent = `
local gate = require "gate"
local M = { client = {} }
function M.connect(self, session) self.session = session end
function M.client.echo(self, request) return request end
function M.client.data(self, text) return string.upper(text) end
function M.client.push(self, body) gate.push(self.session, "pushed", body) return "done" end
return M
`

// doors is a node of a project, in this process.
type doors struct {
	t    *testing.T
	dir  string
	addr map[string]string
	log  *watched
}

// openDoors runs a node with this skua.toml until the test ends. Its main gate has free ports.
func openDoors(t *testing.T, dir, config string) *doors {
	t.Helper()
	for name, text := range map[string]string{
		configFile: config, "scripts/echo.lua": echoAgent, "scripts/main.lua": `require("skynet").start(function() end)`,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, log := newWatched(), newWatched()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{
			"run", dir, "--listen-tcp", "127.0.0.1:0", "--listen-kcp", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		}, out, log)
	}()
	d := &doors{t: t, dir: dir, addr: map[string]string{}, log: log}
	t.Cleanup(func() {
		cancel()
		if got := <-code; got != exitDone {
			t.Errorf("exit code %d, log:\n%s", got, log.text())
		}
	})
	for _, field := range strings.Fields(out.waitFor(t, "ready")) {
		name, addr, _ := strings.Cut(field, "=")
		d.addr[name] = addr
	}
	return d
}

// plays logs nobody in and expects an answer.
func (d *doors) plays(url string, roots *x509.CertPool) *client.Client {
	d.t.Helper()
	c, err := client.Dial(d.t.Context(), url, client.Options{TLS: trust(roots), HandshakeTimeout: time.Minute})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Close() })
	answers(d.t, c)
	return c
}

func answers(t *testing.T, c *client.Client) {
	t.Helper()
	var got struct{ N int }
	if err := c.Request(t.Context(), "echo", map[string]int{"n": 7}, &got); err != nil || got.N != 7 {
		t.Fatalf("answer %+v, %v", got, err)
	}
}

func trust(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
}

// scraped is what the admin listener says of a metric.
func (d *doors) scraped(line string) bool {
	d.t.Helper()
	return strings.Contains(d.get("http://"+d.addr["admin"]+"/metrics", nil), line+"\n")
}

func (d *doors) get(url string, roots *x509.CertPool) string {
	d.t.Helper()
	transport := &http.Transport{TLSClientConfig: trust(roots), DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

const openGate = `
login.method = "none"
gate.agent = "echo"
`

const withTLS = openGate + `
[tls]
cert = ["tls/server.crt"]
key = ["tls/server.key"]
reload = "1s"
`

// tlsDir is a project's directory with a certificate.
func tlsDir(t *testing.T, ca *testcert.Authority) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	ca.Write(t, filepath.Join(dir, "tls"), "server", "127.0.0.1")
	return dir
}

func TestClientsOfEachTransportComeInOverTLS(t *testing.T) {
	ca := testcert.New(t)
	d := openDoors(t, tlsDir(t, ca), withTLS)
	d.plays("tls://"+d.addr["tcp"], ca.Roots)
	d.plays("wss://"+d.addr["http"]+"/ws", ca.Roots)
	d.playsOverKCP(ca.Roots)
	if page := d.get("https://"+d.addr["http"]+"/", ca.Roots); !strings.HasPrefix(page, "404 This project has no web/ directory. Clients connect to /ws.") {
		t.Errorf("the page is %q", page)
	}
	for _, line := range []string{
		`skua_door_tls_handshakes_total{gate="main",listener="tcp"} 1`, `skua_door_tls_handshakes_total{gate="main",listener="kcp"} 1`,
		`skua_door_tls_handshakes_total{gate="main",listener="http"} 2`, `skua_kcp_accepted_total{gate="main"} 1`,
	} {
		if !d.scraped(line) {
			t.Errorf("no %s", line)
		}
	}

	// Who speaks no TLS is told so.
	if page := d.get("http://"+d.addr["http"]+"/", nil); page != "400 This address speaks TLS: ask for https:// or wss://.\n" {
		t.Errorf("the page is %q", page)
	}
	if _, err := client.Dial(t.Context(), "tcp://"+d.addr["tcp"], client.Options{}); err == nil || !strings.Contains(err.Error(), "tls_required") {
		t.Errorf("without TLS: %v", err)
	}
	await(t, "both are counted", func() bool {
		return d.scraped(`skua_door_refused_total{gate="main",listener="http",reason="plain"} 1`) &&
			d.scraped(`skua_door_refused_total{gate="main",listener="tcp",reason="plain"} 1`)
	})
}

// playsOverKCP is plays for TLS over KCP, which the client does not speak by itself.
func (d *doors) playsOverKCP(roots *x509.CertPool) {
	t := d.t
	t.Helper()
	raw, err := kcp.Dial(t.Context(), d.addr["kcp"], kcp.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	cfg := trust(roots)
	cfg.ServerName = "127.0.0.1"
	c := tls.Client(raw, cfg)
	if _, err := c.Write([]byte{byte(packet.Handshake), 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if p := readPackage(t, r); p.Type != packet.Handshake || !strings.Contains(string(p.Body), `"code":200`) {
		t.Fatalf("handshake: %v %s", p.Type, p.Body)
	}
	request := append([]byte{0, 1, 4}, `echo{"n":7}`...)
	if _, err := c.Write(append([]byte{byte(packet.HandshakeAck), 0, 0, 0, byte(packet.Data), 0, 0, byte(len(request))}, request...)); err != nil {
		t.Fatal(err)
	}
	for {
		p := readPackage(t, r)
		if p.Type == packet.Heartbeat {
			continue
		}
		if p.Type != packet.Data || string(p.Body) != "\x04\x01"+`{"n":7}` {
			t.Fatalf("answer: %v %q", p.Type, p.Body)
		}
		return
	}
}

func readPackage(t *testing.T, r io.Reader) packet.Packet {
	t.Helper()
	head := make([]byte, packet.HeaderSize)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(head[1])<<16|int(head[2])<<8|int(head[3]))
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatal(err)
	}
	p, err := packet.Decode(slices.Concat(head, body))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestACertificateIsSwappedUnderLiveConnections(t *testing.T) {
	ca, other := testcert.New(t), testcert.New(t)
	d := openDoors(t, tlsDir(t, ca), withTLS)
	tcp, wss := d.plays("tls://"+d.addr["tcp"], ca.Roots), d.plays("wss://"+d.addr["http"]+"/ws", ca.Roots)

	// A pair that does not fit together changes nothing, and is told.
	good, err := os.ReadFile(filepath.Join(d.dir, "tls", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	_, foreign := other.Issue(t, time.Now(), time.Now().Add(time.Hour), "127.0.0.1")
	testcert.Replace(t, filepath.Join(d.dir, "tls", "server.key"), foreign)
	if line := d.log.waitFor(t, "can't be used"); !strings.Contains(line, "private key does not match public key") {
		t.Errorf("the log says %s", line)
	}
	cert := filepath.Join(d.dir, "tls", "server.crt")
	if !d.scraped(fmt.Sprintf(`skua_tls_certificate_stale{cert=%q} 1`, cert)) {
		t.Error("the metric does not tell")
	}
	d.plays("tls://"+d.addr["tcp"], ca.Roots)
	testcert.Replace(t, filepath.Join(d.dir, "tls", "server.key"), good)

	other.Write(t, filepath.Join(d.dir, "tls"), "server", "127.0.0.1")
	d.log.waitFor(t, "certificate renewed")
	for _, url := range []string{"tls://" + d.addr["tcp"], "wss://" + d.addr["http"] + "/ws"} {
		d.plays(url, other.Roots)
		if _, err := client.Dial(t.Context(), url, client.Options{TLS: trust(ca.Roots)}); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
			t.Errorf("%s: who trusts the old authority only: %v", url, err)
		}
	}
	answers(t, tcp)
	answers(t, wss)
	if !d.scraped(fmt.Sprintf(`skua_tls_certificate_loads_total{cert=%q} 2`, cert)) || !d.scraped(fmt.Sprintf(`skua_tls_certificate_stale{cert=%q} 0`, cert)) {
		t.Error("the metrics do not tell")
	}
}

// from connects to a gate as a balancer does, with a client of that address, and tells what the gate says to its handshake.
func (d *doors) from(version byte, client string) packet.Packet {
	d.t.Helper()
	var header []byte
	if client != "" {
		source, err := net.ResolveTCPAddr("tcp", client)
		if err != nil {
			d.t.Fatal(err)
		}
		if header, err = proxyproto.HeaderProxyFromAddrs(version, source, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 7000}).Format(); err != nil {
			d.t.Fatal(err)
		}
	}
	c, err := (&net.Dialer{}).DialContext(d.t.Context(), "tcp", d.addr["tcp"])
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		d.t.Fatal(err)
	}
	if _, err := c.Write(append(header, byte(packet.Handshake), 0, 0, 0)); err != nil {
		d.t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := c.Read(first); err != nil {
		return packet.Packet{} // closed without a word
	}
	return readPackage(d.t, io.MultiReader(strings.NewReader(string(first)), c))
}

func kickCode(p packet.Packet) string {
	var reason struct{ Code string }
	if p.Type != packet.Kick || json.Unmarshal(p.Body, &reason) != nil {
		return ""
	}
	return reason.Code
}

func TestBehindABalancerClientsAreCountedByTheirOwnAddresses(t *testing.T) {
	d := openDoors(t, t.TempDir(), openGate+`
gate.max_connections_per_address = 1
listen.proxy = ["127.0.0.0/8"]
`)
	for i, address := range []string{"203.0.113.1:5000", "203.0.113.2:5000", "203.0.113.3:5000"} {
		if p := d.from(byte(1+i%2), address); p.Type != packet.Handshake {
			t.Errorf("%s gets %v %s", address, p.Type, p.Body)
		}
	}
	for version := range byte(2) {
		if p := d.from(version+1, "203.0.113.2:6000"); kickCode(p) != "too_many_connections" {
			t.Errorf("the second of one address gets %v %s", p.Type, p.Body)
		}
	}
	if p := d.from(0, ""); p.Type != 0 {
		t.Errorf("a connection without a header gets %v %s", p.Type, p.Body)
	}
	d.log.waitFor(t, "is the PROXY protocol on there?")
	await(t, "all are counted", func() bool {
		return d.scraped(`skua_door_proxy_headers_total{gate="main",listener="tcp"} 5`) && d.scraped(`skua_door_refused_total{gate="main",listener="tcp",reason="header"} 1`)
	})
}

func TestAClientCanNotMakeItselfAnotherAddress(t *testing.T) {
	const proxied = openGate + "gate.max_connections_per_address = 2\nlisten.proxy = [\"192.0.2.0/24\"]\n"
	t.Run("refused", func(t *testing.T) {
		d := openDoors(t, t.TempDir(), proxied)
		for version := range byte(2) {
			if p := d.from(version+1, "203.0.113.1:5000"); p.Type != 0 {
				t.Errorf("with a header of version %d it gets %v %s", version+1, p.Type, p.Body)
			}
		}
		d.log.waitFor(t, "past the balancer")
		await(t, "both are counted", func() bool {
			return d.scraped(`skua_door_refused_total{gate="main",listener="tcp",reason="untrusted"} 2`)
		})
	})
	t.Run("direct", func(t *testing.T) {
		d := openDoors(t, t.TempDir(), proxied+"listen.proxy_others = \"direct\"\n")
		for version := range byte(2) {
			if p := d.from(version+1, "203.0.113.1:5000"); kickCode(p) != "bad_packet" {
				t.Errorf("with a header of version %d it gets %v %s", version+1, p.Type, p.Body)
			}
		}
		await(t, "both have ended", func() bool { return d.scraped(`skua_transport_connections{gate="main",transport="tcp"} 0`) })
		d.plays("tcp://"+d.addr["tcp"], nil)
		d.plays("tcp://"+d.addr["tcp"], nil)
		if p := d.from(0, ""); kickCode(p) != "too_many_connections" {
			t.Errorf("the third of one address gets %v %s", p.Type, p.Body)
		}
	})
}

const gameProto = `
syntax = "proto3";
package game;
message Ask { int32 n = 1; }
message Answer { string spare = 1; int32 n = 2; }
message Told { string text = 3; }
`

func TestGatesOfOneNodeSpeakEachItsOwn(t *testing.T) {
	ca := testcert.New(t)
	dir := tlsDir(t, ca)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "proto"), 0o700), os.WriteFile(filepath.Join(dir, "proto", "game.proto"), []byte(gameProto), 0o600)); err != nil {
		t.Fatal(err)
	}
	d := openDoors(t, dir, withTLS+`
listeners = ["http"]
[gates.text]
tcp = "127.0.0.1:0"
codec = "line"
[gates.frames]
tcp = "127.0.0.1:0"
tls = ["tcp"]
codec = "skynet"
max_packet = 4096
[gates.typed]
tcp = "127.0.0.1:0"
serializer = "protobuf"
protobuf = ["proto/game.proto"]
protobuf_requests = { echo = "game.Ask", push = "game.Told" }
protobuf_answers = { echo = "game.Answer" }
protobuf_pushes = { pushed = "game.Told" }
[gates.packed]
path = "/packed"
serializer = "msgpack"
max_connections = 1
`)
	d.plays("tcp://"+d.addr["tcp"], nil)
	d.plays("wss://"+d.addr["http"]+"/ws", ca.Roots)

	talk := func(c net.Conn, say, hear string) {
		t.Helper()
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(say)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(hear))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != hear {
			t.Errorf("to %q: %q, %v, expected %q", say, got, err, hear)
		}
		_ = c.Close()
	}
	text, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", d.addr["text.tcp"])
	if err != nil {
		t.Fatal(err)
	}
	talk(text, "hello\r\nagain\n", "HELLO\nAGAIN\n")
	frames, err := (&tls.Dialer{Config: trust(ca.Roots)}).DialContext(t.Context(), "tcp", d.addr["frames.tcp"])
	if err != nil {
		t.Fatal(err)
	}
	talk(frames, "\x00\x05hello\x00\x02yo", "\x00\x05HELLO\x00\x02YO")

	packed, err := client.Dial(t.Context(), "wss://"+d.addr["packed.ws"], client.Options{TLS: trust(ca.Roots)})
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	var body []byte
	if err := packed.Request(t.Context(), "echo", []byte("\x81\xa1n\x07"), &body); err != nil || string(body) != "\x81\xa1n\x07" {
		t.Errorf("MessagePack: %q, %v", body, err)
	}
	if _, err := client.Dial(t.Context(), "wss://"+d.addr["packed.ws"], client.Options{TLS: trust(ca.Roots)}); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("beyond the gate's own limit: %v", err)
	}
	told := make(chan string, 1)
	typed, err := client.Dial(t.Context(), "tcp://"+d.addr["typed.tcp"], client.Options{
		On: map[string]func(body []byte){"pushed": func(body []byte) { told <- string(body) }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	if err := typed.Request(t.Context(), "echo", []byte("\x08\x07"), &body); err != nil || string(body) != "\x10\x07" {
		t.Errorf("protobuf: %q, %v", body, err)
	}
	if err := typed.Notify(t.Context(), "push", []byte("\x1a\x02hi")); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-told:
		if got != "\x1a\x02hi" {
			t.Errorf("pushed: %q", got)
		}
	case <-time.After(time.Minute):
		t.Error("nothing is pushed")
	}
	if !d.scraped(`skua_transport_accepted_total{gate="packed",transport="ws"} 1`) || !d.scraped(`skua_gate_requests_total{gate="packed"} 1`) {
		t.Error("the metrics do not tell the gates apart")
	}
}

func TestLimitsOfTheConfigurationHold(t *testing.T) {
	d := openDoors(t, t.TempDir(), openGate+`
[gate.rates]
echo = 0.001
[gates.slow]
tcp = "127.0.0.1:0"
packet_rate = 0.001
packet_burst = 5
[gates.thin]
tcp = "127.0.0.1:0"
max_packet = 1024
byte_rate = 1
byte_burst = 2048
`)
	c := d.plays("tcp://"+d.addr["tcp"], nil) // has had its one
	if err := c.Request(t.Context(), "echo", nil, nil); err == nil || !strings.Contains(err.Error(), "too_fast") {
		t.Errorf("the second of a route within its time: %v", err)
	}
	for _, gate := range []string{"slow", "thin"} {
		c, err := client.Dial(t.Context(), "tcp://"+d.addr[gate+".tcp"], client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		for range 10 {
			_ = c.Notify(t.Context(), "echo", strings.Repeat("x", 500)) // fails once it is closed
		}
		<-c.Done()
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "too_fast") {
			t.Errorf("%s: %v", gate, err)
		}
		await(t, "it is counted", func() bool {
			return d.scraped(fmt.Sprintf(`skua_transport_closed_total{gate=%q,reason="rate",transport="tcp"} 1`, gate))
		})
	}
}

func TestANodeWithoutItsCertificateDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	ca := testcert.New(t)
	ca.Write(t, dir, "server", "127.0.0.1")
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte("[tls]\ncert = [\"server.crt\", \"b.crt\"]\nkey = [\"server.key\", \"b.key\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, log := newWatched(), newWatched()
	code := run(t.Context(), []string{"run", dir, "--listen-tcp", "127.0.0.1:0", "--listen-kcp", "off", "--listen-http", "off", "--admin", "off"}, out, log)
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	log.waitFor(t, "tls: secure: certificate "+filepath.Join(dir, "b.crt")+": no such file or directory")
}
