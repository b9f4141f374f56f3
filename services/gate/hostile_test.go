package gate_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/store"
)

func inflating(n int) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(bytes.Repeat([]byte(" "), n))
	_ = z.Close()
	return append([]byte{0x12, 4, 'e', 'c', 'h', 'o'}, out.Bytes()...) // a gzip notify
}

// evil is what a hostile client sends, and the kick that it gets.
var evil = []struct {
	name   string
	shaken bool
	send   []byte
	code   string
}{
	{"http", false, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "bad_packet"},
	{"zeros", false, make([]byte, 4096), "bad_packet"},
	{"an unknown package", false, []byte{9, 0, 0, 0}, "bad_packet"},
	{"an oversize length", false, []byte{1, 0xff, 0xff, 0xff}, "bad_packet"},
	{"one byte too many", true, []byte{4, 1, 0, 1}, "bad_packet"},
	{"data before the handshake", false, ask(1, "login", `{}`), "bad_packet"},
	{"a heartbeat before the handshake", false, pack(packet.Heartbeat, nil), "bad_packet"},
	{"an ack before the handshake", false, pack(packet.HandshakeAck, nil), "bad_packet"},
	{"a handshake that is no JSON", false, pack(packet.Handshake, []byte(`{"sys":`)), "bad_packet"},
	{"a second handshake", true, pack(packet.Handshake, nil), "bad_packet"},
	{"a second ack", true, pack(packet.HandshakeAck, nil), "bad_packet"},
	{"an empty message", true, pack(packet.Data, nil), "bad_packet"},
	{"unknown flags", true, pack(packet.Data, []byte{0xc0, 1, 1, 'x'}), "bad_packet"},
	{"an unknown type", true, pack(packet.Data, []byte{0x0e, 1}), "bad_packet"},
	{"an endless id", true, pack(packet.Data, bytes.Repeat([]byte{0x80}, 64)[:60]), "bad_packet"},
	{"a route beyond the end", true, pack(packet.Data, []byte{0, 1, 255, 'x'}), "bad_packet"},
	{"a route that is no UTF-8", true, pack(packet.Data, []byte{0, 1, 1, 0xff}), "bad_packet"},
	{"a code that is not in the dictionary", true, pack(packet.Data, []byte{1, 1, 0x12, 0x34}), "bad_packet"},
	{"a response", true, message(packet.Message{Type: packet.Response, ID: 1}), "bad_packet"},
	{"a push", true, message(packet.Message{Type: packet.Push, Route: "news"}), "bad_packet"},
	{"no gzip", true, pack(packet.Data, []byte{0x12, 1, 'x', 'z', 'z'}), "bad_packet"},
	{"a zip bomb", true, pack(packet.Data, inflating(16<<20)), "bad_packet"},
	{"half a header", true, []byte{4, 0}, "slow"},
	{"half a package", true, ask(1, "echo", `{"a":1}`)[:8], "slow"},
	{"nothing at all", false, nil, "handshake_timeout"},
	{"half a handshake", false, pack(packet.Handshake, []byte(`{}`))[:5], "handshake_timeout"},
	{"a handshake without an ack", false, pack(packet.Handshake, nil), "handshake_timeout"},
}

func TestHostileClientsAreKickedWithAReasonWhileOthersPlayOn(t *testing.T) {
	n := start(t, world{gate: gate.Config{Transport: limits}, kinds: []string{"tcp", "kcp", "ws"}})
	before := n.actors()
	stop := n.players()
	var all sync.WaitGroup
	for round := range 3 {
		for _, e := range evil {
			all.Go(func() {
				r := n.raw()
				if e.shaken {
					r = n.shaken()
				}
				r.send(e.send)
				why := r.kicked()
				if why.Code != e.code || why.Msg == "" {
					t.Errorf("round %d: %s is kicked with %+v, want %s", round, e.name, why, e.code)
				}
			})
		}
		for range 10 {
			all.Go(func() { // random bytes: whatever comes of it, the connection ends
				r := n.raw()
				noise := make([]byte, 2000)
				_, _ = rand.Read(noise)
				r.send(noise)
				for {
					if _, err := r.read(); err != nil {
						_ = r.Close()
						return
					}
				}
			})
		}
		all.Go(n.loris)
	}
	all.Wait()
	stop()
	n.quiet(before)
	until(t, "the log has no error", func() bool { return !strings.Contains(n.log.String(), "level=ERROR") })
}

// loris sends a package a byte at a time for longer than a package may take.
func (n *node) loris() {
	r := n.shaken()
	pkg := ask(1, "echo", `{"`+strings.Repeat("a", 500)+`":1}`)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, b := range pkg {
		if _, err := r.Write([]byte{b}); err != nil {
			break
		}
		<-tick.C
		_ = r.SetReadDeadline(time.Now().Add(time.Nanosecond))
		if p := make([]byte, 1024); len(r.buf) == 0 {
			m, _ := r.Read(p)
			r.buf = append(r.buf, p[:m]...)
		}
		if len(r.buf) > 0 {
			break
		}
	}
	if why := r.kicked(); why.Code != "slow" {
		n.t.Errorf("a slow loris is kicked with %+v", why)
	}
}

// players lets one player a transport play until the returned function is called: each request is answered in time and in order.
func (n *node) players() (stop func()) {
	var stopped atomic.Bool
	var all sync.WaitGroup
	for kind := range n.urls {
		c := n.dialOn(kind, client.Options{})
		must(n.t, logIn(c, "good-"+kind))
		all.Go(func() {
			for i := 0; i < 10 || !stopped.Load(); i++ {
				began := time.Now()
				var got struct{ N int }
				if err := request(c, "echo", map[string]int{"n": i}, &got); err != nil || got.N != i {
					n.t.Errorf("the good player over %s got %+v, %v, want %d", kind, got, err, i)
					return
				}
				if took := time.Since(began); took > patience {
					n.t.Errorf("the good player over %s waited %v", kind, took)
				}
			}
			if s := c.Stats(); s.OutOfOrder+s.Unknown+s.Late > 0 || s.Answers < 10 {
				n.t.Errorf("the good player over %s: %+v", kind, s)
			}
			_ = c.Close()
		})
	}
	return func() {
		stopped.Store(true)
		all.Wait()
	}
}

func TestWrongPasswordsEndInAKickAndAccountsHaveOneError(t *testing.T) {
	n := start(t, world{gate: gate.Config{Attempts: 3}, login: login.Config{MaxAttempts: 100}})
	stop := n.players()
	_ = n.enter("ann", client.Options{}).Close()
	c := n.dial(client.Options{})
	for i := range 3 {
		err := request(c, "login", map[string]string{"name": "ann", "password": "wrong"}, nil)
		if code := codeOf(err); code != "denied" {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	if code := kickOf(t, c); code != "denied" {
		t.Errorf("kicked with %s", code)
	}
	stop()
	for _, secret := range []string{"wrong", "pw of"} {
		if strings.Contains(n.log.String(), secret) {
			t.Errorf("the log has a password: %q", secret)
		}
	}
}

// away is a database that can't be reached while it says so.
type away struct {
	store.Backend
	now atomic.Bool
}

func (a *away) Load(ctx context.Context, kind, id string) (store.Doc, error) {
	if a.now.Load() {
		return store.Doc{}, &store.UnavailableError{Op: "load", Err: errors.New("pulled the plug")}
	}
	return a.Backend.Load(ctx, kind, id)
}

func TestADatabaseThatIsAwayIsNotTheClientsFault(t *testing.T) {
	db := &away{}
	n := start(t, world{gate: gate.Config{Attempts: 2}, backend: func(b store.Backend) store.Backend { db.Backend = b; return db }})
	n.enter("ben", client.Options{}) // the bans are read
	c := n.dial(client.Options{})
	db.now.Store(true)
	for range 5 {
		if err := logIn(c, "ann"); codeOf(err) != "unavailable" {
			t.Errorf("login: %v", err)
		}
	}
	db.now.Store(false)
	must(t, logIn(c, "ann"))
}

func TestLoginsOfEveryWrongShapeAreRefused(t *testing.T) {
	n := start(t, world{gate: gate.Config{Attempts: 1000}})
	c := n.dial(client.Options{})
	for _, test := range []struct{ body, code string }{
		{``, "bad_request"},
		{`null`, "bad_request"},
		{`[]`, "bad_request"},
		{`"ann"`, "bad_request"},
		{`{"name":1,"password":"x"}`, "bad_request"},
		{`{"name":"ann"}`, "bad_request"},
		{`{"name":"ann","password":["x"]}`, "bad_request"},
		{`{"name":"","password":"x"}`, "bad_name"},
		{`{"name":"a b","password":"x"}`, "bad_name"},
		{`{"name":"a\u0000b","password":"x"}`, "bad_name"},
		{`{"name":"` + strings.Repeat("a", 65) + `","password":"x"}`, "bad_name"},
		{`{"name":"` + strings.Repeat("a", 60<<10) + `","password":"x"}`, "bad_name"},
		{`{"name":"ann","password":""}`, "bad_password"},
		{`{"name":"ann","password":"a\u0000b"}`, "bad_password"},
		{`{"name":"ann","password":"` + strings.Repeat("x", 60<<10) + `"}`, "bad_password"},
	} {
		if err := request(c, "login", test.body, nil); codeOf(err) != test.code {
			t.Errorf("login %.60s: %v, want %s", test.body, err, test.code)
		}
	}
	if err := request(c, "echo", nil, nil); codeOf(err) != "not_logged_in" {
		t.Errorf("echo: %v", err)
	}
	must(t, logIn(c, "ann"))
	if err := logIn(c, "ann"); codeOf(err) != "logged_in" {
		t.Errorf("a second login: %v", err)
	}
}

func TestALongPackageThatSaysSoIsKicked(t *testing.T) {
	n := start(t, world{})
	c := n.dial(client.Options{})
	_ = request(c, "login", `{"name":"`+strings.Repeat("a", 1<<20)+`"}`, nil)
	if code := kickOf(t, c); code != "bad_packet" {
		t.Errorf("kicked with %s", code)
	}
}

func TestAClientWithoutHeartbeatsIsIdle(t *testing.T) {
	n := start(t, world{gate: gate.Config{Heartbeat: time.Second}})
	r := n.shaken()
	began := time.Now()
	r.send(pack(packet.Heartbeat, nil))
	if p := r.next(); p.Type != packet.Heartbeat {
		t.Errorf("a heartbeat is answered by a %s", p.Type)
	}
	if why := r.kicked(); why.Code != "idle" || time.Since(began) < 2*time.Second {
		t.Errorf("kicked with %+v after %v", why, time.Since(began))
	}
}

func TestTooManyConnectionsAreToldSo(t *testing.T) {
	for _, test := range []struct {
		limits transport.Config
		code   string
	}{
		{transport.Config{MaxConns: 2}, "full"},
		{transport.Config{MaxConnsPerAddr: 2}, "too_many_connections"},
	} {
		n := start(t, world{gate: gate.Config{Transport: test.limits}})
		n.shaken()
		n.shaken()
		if why := n.raw().kicked(); why.Code != test.code {
			t.Errorf("kicked with %+v, want %s", why, test.code)
		}
	}
}

func TestAStopOfTheServerIsSaid(t *testing.T) {
	w := newWitness()
	n := start(t, watched(w, gate.Config{}))
	c := n.enter("ann", client.Options{})
	must(t, request(c, "add", nil, nil))
	n.stop()
	if code := kickOf(t, c); code != "shutdown" {
		t.Errorf("kicked with %s", code)
	}
	must(t, n.sys.Shutdown(t.Context()))
	w.check(t)
	docs := 0
	for uid := range w.alive {
		doc, err := n.backend.Load(t.Context(), "player", uid)
		must(t, err)
		docs += len(doc.Body)
	}
	if docs == 0 {
		t.Error("the player was not saved")
	}
}

func TestAStopOfTheActorsAloneIsSaidToo(t *testing.T) {
	n := start(t, world{})
	c := n.enter("ann", client.Options{})
	must(t, n.sys.Shutdown(t.Context()))
	if code := kickOf(t, c); code != "shutdown" {
		t.Errorf("kicked with %s", code)
	}
	r := n.raw()
	r.send(pack(packet.Handshake, nil), pack(packet.HandshakeAck, nil))
	if why := r.kicked(); why.Code != "shutdown" {
		t.Errorf("kicked with %+v", why)
	}
}

func TestASessionThatPanicsEndsItsConnectionAndNoOther(t *testing.T) {
	n := start(t, world{loginActor: actor.Func(func(c *actor.Context, msg any) {
		if name, _ := msg.(login.Request).Body.Get("name").Str(); name != "bad" { // the others get what the session takes for granted
			c.Reply(login.Account{UID: name, Name: name}, nil)
			return
		}
		c.Reply("no account", nil)
	})})
	before := n.actors()
	good := n.enter("ann", client.Options{})
	c := n.dial(client.Options{})
	_ = logIn(c, "bad")
	if code := kickOf(t, c); code != "internal" {
		t.Errorf("kicked with %s", code)
	}
	must(t, request(good, "echo", nil, nil))
	must(t, good.Close())
	n.quiet(before)
}

func TestGuestsAndStrangersGetIn(t *testing.T) {
	n := start(t, world{gate: gate.Config{Login: gate.LoginGuest}})
	c := n.dial(client.Options{})
	if err := request(c, "login", `{"name":"a b"}`, nil); codeOf(err) != "bad_name" {
		t.Errorf("a bad name: %v", err)
	}
	var got struct{ UID, Name string }
	must(t, request(c, "login", `{"name":"Ann"}`, &got))
	if got.UID != "guest:ann" || got.Name != "Ann" {
		t.Errorf("%+v", got)
	}

	n = start(t, world{gate: gate.Config{Login: gate.LoginNone}})
	before := n.actors()
	uids := map[string]bool{}
	for range 3 {
		c := n.dial(client.Options{})
		must(t, request(c, "who", nil, &got))
		uids[got.UID] = true
		must(t, c.Close())
	}
	if len(uids) != 3 {
		t.Errorf("three strangers are %v", uids)
	}
	n.quiet(before)
}

func TestWithoutLoginAnAgentThatDoesNotStartIsAKick(t *testing.T) {
	n := start(t, world{scripts: map[string]string{"agent.lua": `error("no")`}, gate: gate.Config{Login: gate.LoginNone}})
	before := n.actors()
	r := n.raw()
	r.send(pack(packet.Handshake, nil), pack(packet.HandshakeAck, nil))
	if why := r.kicked(); why.Code != "internal" {
		t.Errorf("kicked with %+v", why)
	}
	n.quiet(before)
}

func TestWithoutAnAgentTheFirstServiceGetsTheRequests(t *testing.T) {
	n := start(t, world{first: "main", scripts: map[string]string{"main.lua": `
local gate = require "gate"
local M = { client = {} }
function M.client.where(self, request, session, uid)
  gate.push(session, "hello", { uid = uid })
  return { x = request.x, uid = uid }
end
return M`}})
	pushed := make(chan string, 1)
	c := n.dial(client.Options{On: map[string]func([]byte){"hello": func(body []byte) { pushed <- string(body) }}})
	var in, got struct {
		UID string
		X   int
	}
	must(t, request(c, "login", `{"name":"ann","password":"x"}`, &in))
	must(t, request(c, "where", `{"x":3}`, &got))
	if got.X != 3 || got.UID != in.UID || got.UID == "" {
		t.Errorf("%+v", got)
	}
	want, _ := json.Marshal(map[string]string{"uid": in.UID})
	if s := <-pushed; s != string(want) {
		t.Errorf("pushed %s", s)
	}
	if err := request(c, "nowhere", nil, nil); codeOf(err) != "not_found" {
		t.Error(err)
	}
}

func TestAGateChecksItsConfiguration(t *testing.T) {
	for _, cfg := range []gate.Config{{}, {Login: "gust"}} {
		if _, err := gate.New(nil, cfg); err == nil || !strings.HasPrefix(err.Error(), "gate: ") {
			t.Error(fmt.Sprint(cfg.Login), err)
		}
	}
}
