package gate_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// deeds is a handler that answers in each of the ways that there are.
func deeds(c *actor.Context, r *gate.Request) {
	switch r.Route {
	case "reply":
		r.Reply(r.Body)
		r.Fail("twice", "is nothing")
	case "respond":
		v, err := r.Value()
		if err != nil {
			r.Fail("bad_request", err.Error())
			return
		}
		r.Respond(v)
	case "fail":
		r.Fail("poor", "no gold")
	case "defect":
		r.FailWith(errors.New("a secret"))
	case "nan":
		zero := 0.0
		r.Respond(value.Of(zero / zero).At(0))
	case "after":
		c.After(time.Millisecond, func() { r.Reply([]byte(`"after"`)) })
	case "go":
		answer := r.Later()
		go func() {
			answer([]byte(`"elsewhere"`), nil)
			answer(nil, errors.New("twice"))
		}()
	case "never":
	}
}

func TestAGoHandlerAnswersNowOrLaterAndInOrder(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: deeds})
	p := n.peer()
	must(t, p.connect(never, never))
	for _, route := range []string{"after", "reply", "go", "respond", "fail", "defect", "nan"} {
		p.ask(route, `{"a":1}`)
		p.notify(route, "1")
	}
	p.ask("respond", "{")
	must(t, p.hear(8))
	want := []string{
		`response 1 "after"`, `response 2 {"a":1}`, `response 3 "elsewhere"`, `response 4 {"a":1}`, `response 5 {"code":"poor","msg":"no gold"}`,
		`response 6 {"code":"internal","msg":"internal error"}`, `response 7 {"code":"internal","msg":"internal error"}`,
	}
	if !slices.Equal(p.heard[:7], want) {
		t.Errorf("heard\n%q, want\n%q", p.heard[:7], want)
	}
	if !strings.Contains(p.heard[7], "bad_request") {
		t.Errorf("heard %s", p.heard[7])
	}
	if log := n.log.String(); !strings.Contains(log, "a secret") || !strings.Contains(log, "NaN") {
		t.Error("the log does not say what failed")
	}
}

func TestAGoHandlerThatNeverAnswersIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startSmall(t, gate.Config{Handle: deeds, Heartbeat: time.Minute})
		p := n.peer()
		must(t, p.connect(never, never))
		p.ask("never", "")
		p.ask("reply", "1")
		must(t, p.hear(2))
		if want := []string{`response 1 {"code":"timeout","msg":"no answer in time"}`, "response 2 1"}; !slices.Equal(p.heard, want) {
			t.Errorf("heard %q, want %q", p.heard, want)
		}
		_, _ = p.conn.Write(pack(packet.Kick, nil))
		_ = p.conn.Close()
	})
}

func TestAGoHandlerThatPanicsEndsItsSessionAndNoOther(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: func(_ *actor.Context, r *gate.Request) {
		if string(r.Body) == "1" {
			panic("a defect")
		}
		r.Reply(r.Body)
	}})
	good, bad := n.peer(), n.peer()
	must(t, good.connect(never, never))
	must(t, bad.connect(never, never))
	bad.ask("x", "1")
	if err := bad.hear(1); err == nil || bad.kick != "internal" {
		t.Errorf("ended with %v", err)
	}
	good.ask("x", "2")
	must(t, good.hear(1))
	until(t, "one is left", func() bool { return n.gate.Sessions().Count() == 1 })
}

func TestAWebSocketClosedWith1000IsAGoodbyeAndOneThatIsCutIsNot(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *wsClient)
		code string
	}{
		{"1000", func(c *wsClient) { c.close(ws.StatusNormalClosure) }, packet.ResumeUnknown},
		{"1001", func(c *wsClient) { c.close(ws.StatusGoingAway) }, ""},
		{"cut", func(*wsClient) {}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := start(t, world{kinds: []string{"ws"}, gate: gate.Config{Login: gate.LoginNone, Transport: limits}})
			c := n.wsClient(t)
			r := c.greet(t, packet.ResumeRequest{})
			c.send(t, pack(packet.HandshakeAck, nil))
			c.send(t, ask(1, "echo", "1"))
			c.await(t, packet.Data)
			test.end(c)
			_ = c.conn.Close()
			if test.code == "" {
				until(t, "the session waits", func() bool { return gathered(t, n)["skua_gate_sessions_waiting"] == 1 })
			} else {
				until(t, "the session ended", func() bool { return gathered(t, n)["skua_gate_sessions"] == 0 })
			}
			again := n.wsClient(t).greet(t, packet.ResumeRequest{Token: r.Token, Received: 1})
			code := ""
			if again.Refused != nil {
				code = again.Refused.Code
			}
			if code != test.code || again.Resumed == (test.code != "") {
				t.Errorf("%+v, want %q", again, test.code)
			}
		})
	}
}

// wsClient is a WebSocket whose end is a test's business.
type wsClient struct{ conn net.Conn }

func (n *node) wsClient(t *testing.T) *wsClient {
	t.Helper()
	conn, _, _, err := ws.Dial(t.Context(), n.urls["ws"])
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &wsClient{conn}
}

func (c *wsClient) send(t *testing.T, frame []byte) {
	t.Helper()
	must(t, wsutil.WriteClientBinary(c.conn, frame))
}

func (c *wsClient) close(code ws.StatusCode) {
	_ = ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, ""))))
}

func (c *wsClient) await(t *testing.T, typ packet.Type) packet.Packet {
	t.Helper()
	for {
		data, err := wsutil.ReadServerBinary(c.conn)
		must(t, err)
		p, err := packet.Decode(data)
		must(t, err)
		if p.Type == typ {
			return p
		}
		if p.Type == packet.Kick {
			t.Fatalf("kicked: %s", p.Body)
		}
	}
}

func (c *wsClient) greet(t *testing.T, r packet.ResumeRequest) *packet.ResumeAnswer {
	t.Helper()
	hello, err := packet.AppendHandshake(nil, packet.HandshakeRequest{Sys: packet.ClientSys{Resume: &r}})
	must(t, err)
	c.send(t, hello)
	answer, err := packet.DecodeHandshakeResponse(c.await(t, packet.Handshake).Body, 0)
	must(t, err)
	return answer.Sys.Resume
}
