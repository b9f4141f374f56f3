package gate_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

func TestLongBodiesAreCompressedForClientsThatInflate(t *testing.T) {
	long, short := `"`+strings.Repeat("long ", 100)+`"`, `"short"`
	group := gate.NewGroup()
	n := startSmall(t, gate.Config{GzipFrom: 100, Handle: func(_ *actor.Context, r *gate.Request) {
		if r.Route == "join" {
			_, _ = group.Add(r.Session)
		}
		_ = r.Session.Push("own", r.Body, gate.Delivery{})
		r.Reply(r.Body)
	}})
	clients := map[string]*raw{} // by their handshakes
	for hello, inflates := range map[string]bool{
		``: false,
		`{"sys":{"type":"js-websocket","version":"0.0.1"}}`: false,
		`{"sys":{"type":"skua-ts","gzip":true}}`:            true,
		`{"sys":{"platform":"mac","libVersion":"0.3.5"}}`:   true,
		`{"sys":{"gzip":true,"resume":{}}}`:                 true,
	} {
		conn, err := n.net.dial(never, never)
		must(t, err)
		r := &raw{Conn: conn, t: t}
		r.send(pack(packet.Handshake, []byte(hello)), pack(packet.HandshakeAck, nil))
		if p := r.next(); p.Type != packet.Handshake {
			t.Fatalf("got a %s, want the handshake", p.Type)
		}
		for i, body := range []string{short, long} {
			r.send(ask(uint64(i+1), "join", body))
			for range 2 { // a push, and the answer
				if m := r.answer(); string(m.Body) != body || m.Gzip != (inflates && body == long) {
					t.Errorf("%s: a %s of %d bytes, compressed: %t", hello, m.Type, len(m.Body), m.Gzip)
				}
			}
		}
		clients[hello] = r
	}
	for _, body := range []string{short, long} {
		must(t, group.Push("all", value.Of(strings.Trim(body, `"`)).At(0), gate.Delivery{}))
		for hello, r := range clients {
			m := r.answer()
			inflates := strings.Contains(hello, "gzip") || strings.Contains(hello, "libVersion")
			if string(m.Body) != body || m.Gzip != (inflates && body == long) {
				t.Errorf("%s: a %s of %d bytes, compressed: %t", hello, m.Type, len(m.Body), m.Gzip)
			}
		}
	}
}

func TestNothingIsCompressedUnlessTheGateIsTold(t *testing.T) {
	n := startSmall(t, gate.Config{Handle: func(_ *actor.Context, r *gate.Request) { r.Reply(r.Body) }})
	conn, err := n.net.dial(never, never)
	must(t, err)
	r := &raw{Conn: conn, t: t}
	body := `"` + strings.Repeat("x", 5000) + `"`
	r.send(pack(packet.Handshake, []byte(`{"sys":{"gzip":true}}`)), pack(packet.HandshakeAck, nil), ask(1, "echo", body))
	if p := r.next(); p.Type != packet.Handshake {
		t.Fatalf("got a %s, want the handshake", p.Type)
	}
	if m := r.answer(); string(m.Body) != body || m.Gzip {
		t.Errorf("an answer of %d bytes, compressed: %t", len(m.Body), m.Gzip)
	}
}

// countingJSON counts what is encoded as a push.
type countingJSON struct {
	codec.JSON
	pushes atomic.Int64
}

func (f *countingJSON) Append(dst []byte, route string, kind codec.Kind, v value.Value) ([]byte, error) {
	if kind == codec.Push {
		f.pushes.Add(1)
	}
	return f.JSON.Append(dst, route, kind, v)
}

func TestABroadcastIsEncodedOnceThoughSomeGetItCompressed(t *testing.T) {
	bodies := &countingJSON{}
	group := gate.NewGroup()
	n := startSmall(t, gate.Config{GzipFrom: 10, Bodies: bodies, Handle: func(_ *actor.Context, r *gate.Request) {
		_, _ = group.Add(r.Session)
		r.Reply(r.Body)
	}})
	for i := range 6 {
		conn, err := n.net.dial(never, never)
		must(t, err)
		r := &raw{Conn: conn, t: t}
		hello := []byte(`{"sys":{"gzip":true}}`)
		r.send(pack(packet.Handshake, hello[:len(hello)*(i%2)]), pack(packet.HandshakeAck, nil), ask(1, "join", `"me"`))
		_ = r.next()
		_ = r.answer()
	}
	must(t, group.Push("all", value.Of(strings.Repeat("x", 100)).At(0), gate.Delivery{}))
	if got := bodies.pushes.Load(); got != 1 {
		t.Errorf("encoded %d times", got)
	}
}

func TestTheGoClientTakesCompressedBodies(t *testing.T) {
	n := start(t, hubWorld(gate.Config{GzipFrom: 1}))
	said := make(chan []byte, 1)
	c := n.enter("ann", client.Options{On: map[string]func([]byte){"said": func(body []byte) { said <- bytes.Clone(body) }}})
	must(t, request(c, "join", nil, nil))
	body := `{"text":"` + strings.Repeat("hello ", 100) + `"}`
	must(t, request(c, "say", body, nil))
	if got := <-said; string(got) != body {
		t.Errorf("heard %.40q of %d bytes, want %d", got, len(got), len(body))
	}
}
