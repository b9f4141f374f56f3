package gate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

func TestPlayersPlayOverEveryTransport(t *testing.T) {
	n := start(t, world{kinds: []string{"tcp", "kcp", "ws"}})
	before := n.actors()
	for kind := range n.urls {
		t.Run(kind, func(t *testing.T) {
			c := n.dialOn(kind, client.Options{})
			must(t, logIn(c, "ann-"+kind))
			var who struct{ UID, Name string }
			must(t, request(c, "who", nil, &who))
			if who.Name != "ann-"+kind || who.UID == "" {
				t.Errorf("the agent is %+v", who)
			}
			must(t, c.Close())
		})
	}
	// A KCP client says goodbye, so its session ends as soon as the others'.
	n.quiet(before)
}

func TestAnswersComeInOrderWithTheirOwnIDsWhileHandlersWait(t *testing.T) {
	n := start(t, world{})
	r := n.shaken()
	r.send(ask(1, "login", `{"name":"ann","password":"x"}`))
	const each = 60
	for i := uint64(2); i < each; i++ {
		switch i % 3 {
		case 0:
			r.send(ask(1000-i, "slow", fmt.Sprintf(`{"cs":%d,"n":%d}`, i%2, i)))
		case 1:
			r.send(ask(1000-i, "echo", fmt.Sprintf(`{"n":%d}`, i)))
		default:
			r.send(message(packet.Message{Type: packet.Notify, Route: "note", Body: fmt.Appendf(nil, `{"n":%d}`, i)}))
		}
	}
	r.send(ask(9999, "seen", ""))
	if m := r.answer(); m.ID != 1 || m.Error {
		t.Fatalf("login: %+v %s", m, m.Body)
	}
	var notified []uint64
	for i := uint64(2); i < each; i++ {
		if i%3 == 2 {
			notified = append(notified, i)
			continue
		}
		m := r.answer()
		var body struct{ N uint64 }
		must(t, json.Unmarshal(m.Body, &body))
		if m.ID != 1000-i || body.N != i || m.Error {
			t.Fatalf("answer %d has id %d and body %s", i, m.ID, m.Body)
		}
	}
	m := r.answer()
	if want, _ := json.Marshal(notified); m.ID != 9999 || !bytes.Equal(m.Body, want) {
		t.Errorf("notifies were handled as %s, want %s", m.Body, want)
	}
}

func TestMoreRequestsThanTheQueueHoldsCloseWithAReason(t *testing.T) {
	n := start(t, world{gate: gate.Config{MaxQueue: 5}})
	before := n.actors()
	r := n.shaken()
	r.send(ask(1, "login", `{"name":"ann","password":"x"}`))
	r.answer()
	for i := range uint64(5) {
		r.send(ask(i, "slow", `{"cs":100000}`))
	}
	r.send(ask(9, "echo", ""))
	if why := r.kicked(); why.Code != "too_many_requests" || !strings.Contains(why.Msg, "5 requests") {
		t.Errorf("kicked with %+v", why)
	}
	_ = r.Close()
	until(t, "the session ended", func() bool { return n.actors() <= before+1 }) // the one that still waits for its handler
}

func TestRequestsThatTakeTooMuchMemoryCloseWithAReason(t *testing.T) {
	n := start(t, world{})
	r := n.shaken()
	r.send(ask(1, "login", `{"name":"ann","password":"x"}`))
	r.answer()
	body := `{"cs":100000,"fill":"` + strings.Repeat("x", 60<<10) + `"}`
	for i := range uint64(20) {
		r.send(ask(i, "slow", body))
	}
	if why := r.kicked(); why.Code != "too_many_requests" || !strings.Contains(why.Msg, "bytes") {
		t.Errorf("kicked with %+v", why)
	}
}

const failing = `
local skynet = require "skynet"
local M = { client = {} }
local client = M.client
function client.text() return nil, "you have no gold" end
function client.coded() return nil, { code = "poor", msg = "you have no gold" } end
function client.message() return nil, { code = "poor", message = "no gold" } end
function client.raises() error("secret_of_the_server") end
function client.defect() local t = nil; return t.secret_field end
function client.raises_table() error({ code = "poor", msg = "no gold" }) end
function client.nan() return { x = 0/0 } end
function client.func() return { f = print } end
function client.exits() skynet.exit() end
function client.never() skynet.wait("for ever") end
function client.nested() return skynet.call("store", "lua", "secret_command", "a", "b") end
function client.gone() local r = skynet.call(123456789, "lua", "secret") return r end
function client.late() local r = skynet.call_timeout(1, skynet.self(), "lua", "hang") return r end
function M.hang() skynet.wait("secret_wait") end
function client.none() end
function client.false_result() return false, "not an error" end
return M`

func TestEachFailureHasItsErrorAndKeepsTheServersInsideToTheLog(t *testing.T) {
	for _, test := range []struct {
		route, body, code, msg string
		log                    string // what the operator reads
	}{
		{"nowhere", "", "not_found", `no route "nowhere"`, ""},
		{"start", "", "not_found", `no route "start"`, ""},
		{"text", "{", "bad_request", "the body is not JSON", ""},
		{"text", `{"a":1,"a":2}`, "bad_request", "the body is not JSON", ""},
		{"text", strings.Repeat("[", 5000), "bad_request", "the body is not JSON", ""},
		{"text", "\"\xff\"", "bad_request", "the body is not JSON", ""},
		{"text", "", "refused", "you have no gold", ""},
		{"coded", "", "poor", "you have no gold", ""},
		{"message", "", "poor", "no gold", ""},
		{"raises_table", "", "poor", "no gold", ""},
		{"raises", "", "internal", "internal error", "agent.lua:8: secret_of_the_server"},
		{"defect", "", "internal", "internal error", "agent.lua:9:"},
		{"nan", "", "internal", "internal error", "NaN is no number"},
		{"func", "", "internal", "internal error", "a function cannot be sent"},
		{"nested", "", "internal", "internal error", "secret_command"},
		{"gone", "", "unavailable", "who should answer is not there", "agent.lua:16"},
		{"late", "", "timeout", "no answer in time", "agent.lua:17"},
		{"never", "", "timeout", "no answer in time", "route=never"},
		{"exits", "", "unavailable", "who should answer is not there", "agent ended while its player was in"},
	} {
		t.Run(test.route+test.code, func(t *testing.T) {
			w := world{scripts: map[string]string{"agent.lua": failing}}
			if test.route == "never" { // the others, and the login, are answered, however busy the machine is
				w.callTimeout = 3 * time.Second
			}
			n := start(t, w)
			c := n.enter("ann", client.Options{})
			err := request(c, test.route, test.body, nil)
			e, ok := err.(*client.Error) //nolint:errorlint // exactly that
			if !ok || e.Code != test.code || !strings.HasPrefix(e.Msg, test.msg) {
				t.Fatalf("got %v, want %s: %s", err, test.code, test.msg)
			}
			if strings.Contains(e.Msg, "secret") || strings.Contains(e.Msg, ".lua") {
				t.Errorf("the client reads %q", e.Msg)
			}
			until(t, "the log says "+test.log, func() bool { return strings.Contains(n.log.String(), test.log) })
			if test.route == "exits" {
				if code := kickOf(t, c); code != "agent_ended" {
					t.Errorf("kicked with %s", code)
				}
				return
			}
			var got any
			must(t, request(c, "false_result", nil, &got)) // it lives on
			if got != false {
				t.Errorf("false, \"...\" is answered by %v", got)
			}
			must(t, request(c, "none", nil, nil))
		})
	}
}

func TestRoutesOfTheDictionaryGoAsCodesBothWays(t *testing.T) {
	n := start(t, world{gate: gate.Config{Routes: map[string]uint16{"push": 7, "news": 300}}})
	r := n.raw()
	r.send(pack(packet.Handshake, []byte(`{"sys":{"type":"js-websocket","version":"0.0.1"}}`)), pack(packet.HandshakeAck, nil))
	hello, err := packet.DecodeHandshakeResponse(r.next().Body, 0)
	must(t, err)
	if hello.Code != 200 || hello.Sys.Dict["push"] != 7 || hello.Sys.Dict["news"] != 300 || hello.Sys.Serializer != "json" || hello.Sys.Heartbeat != 10 {
		t.Fatalf("handshake %+v", hello)
	}
	routes, err := packet.NewRoutes(hello.Sys.Dict)
	must(t, err)
	r.next()
	r.send(ask(1, "login", `{"name":"ann","password":"x"}`))
	r.answer()
	coded, err := packet.AppendData(nil, packet.Message{Type: packet.Request, ID: 2, Route: "push", Body: []byte(`{"n":1}`)}, routes)
	must(t, err)
	r.send(coded)
	p := r.next()
	if want := []byte{0x07, 0x01, 0x2c}; !bytes.HasPrefix(p.Body, want) {
		t.Errorf("the push begins with % x, want % x: push, route is code 300", p.Body[:3], want)
	}
	if m := r.answer(); m.ID != 2 || m.Error {
		t.Errorf("answer %+v %s", m, m.Body)
	}
	r.send(ask(3, "push", `{"n":0}`)) // a string does as well
	if m := r.answer(); m.ID != 3 || m.Error {
		t.Errorf("answer %+v %s", m, m.Body)
	}
}

func TestManyClientsPipelineWithoutALossOrASwap(t *testing.T) {
	n := start(t, world{kinds: []string{"tcp", "kcp", "ws"}})
	var all sync.WaitGroup
	for kind := range n.urls {
		for i := range 5 {
			c := n.dialOn(kind, client.Options{})
			must(t, logIn(c, fmt.Sprintf("%s-player%d", kind, i)))
			for worker := range 20 {
				all.Go(func() {
					for round := range 20 {
						want := fmt.Sprintf("%s/%d/%d/%d", kind, i, worker, round)
						var got struct{ S string }
						if err := request(c, []string{"echo", "slow"}[round%2], map[string]any{"s": want, "cs": 0}, &got); err != nil || got.S != want {
							t.Errorf("got %q, %v, want %q", got.S, err, want)
							return
						}
					}
					if s := c.Stats(); s.OutOfOrder+s.Unknown+s.Late > 0 {
						t.Errorf("%+v", s)
					}
				})
			}
		}
	}
	all.Wait()
}
