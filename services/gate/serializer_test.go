package gate_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/fstest"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/codec/protobuf"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// mirror is an agent that pushes what it is asked and answers with it.
const mirror = `
local gate = require "gate"
local M = { client = {} }
function M.client.echo(self, body, session) gate.push(session, "echoed", body) return body end
return M`

const mirrorTypes = `
syntax = "proto3";
package game;
message Login { string name = 1; }
message Welcome { string uid = 1; string name = 2; bool new = 3; }
message Move { int64 x = 1; string text = 2; }`

func TestEachSerializerCarriesBodiesBothWays(t *testing.T) {
	proto, err := protobuf.New(protobuf.Config{
		Files: fstest.MapFS{"game.proto": {Data: []byte(mirrorTypes)}}, Names: []string{"game.proto"},
		Routes: map[string]protobuf.Types{
			"login": {Request: "game.Login", Response: "game.Welcome"}, "echo": {Request: "game.Move", Response: "game.Move"}, "echoed": {Push: "game.Move"},
		},
	})
	must(t, err)
	move := value.Of(map[string]any{"x": int64(1) << 60, "text": "hi"}).At(0)
	for _, test := range []struct {
		format, login codec.Format
		body          value.Value
		bad           []byte
	}{
		{codec.JSON{}, codec.JSON{}, move, []byte("{")},
		{codec.Msgpack{}, codec.Msgpack{}, move, []byte{0xc1}},
		{proto, proto, move, binary.AppendUvarint(nil, 1<<3|7)},
		{codec.Raw{}, codec.JSON{}, value.Of("any \xff bytes").At(0), nil},
	} {
		t.Run(test.format.Name(), func(t *testing.T) {
			n := start(t, world{scripts: map[string]string{"agent.lua": mirror}, gate: gate.Config{Login: gate.LoginGuest, Bodies: test.format}})
			r := n.raw()
			r.send(pack(packet.Handshake, nil), pack(packet.HandshakeAck, nil))
			hello, err := packet.DecodeHandshakeResponse(r.next().Body, 0)
			must(t, err)
			if hello.Sys.Serializer != test.format.Name() {
				t.Errorf("the handshake says %q", hello.Sys.Serializer)
			}
			in, err := test.login.Append(nil, "login", codec.Request, value.Of(map[string]any{"name": "ann"}).At(0))
			must(t, err)
			r.send(message(packet.Message{Type: packet.Request, ID: 1, Route: "login", Body: in}))
			who := r.answer()
			welcome, err := codec.Parse(test.login, "login", codec.Response, who.Body)
			if name, _ := welcome.Get("name").Str(); err != nil || who.Error || name != "ann" {
				t.Fatalf("login: %q, %v", who.Body, err)
			}
			body, err := test.format.Append(nil, "echo", codec.Request, test.body)
			must(t, err)
			r.send(message(packet.Message{Type: packet.Request, ID: 2, Route: "echo", Body: body}))
			for _, kind := range []packet.MessageType{packet.Push, packet.Response} {
				m := r.answer()
				if m.Type != kind || m.Error {
					t.Fatalf("got a %s %q, want a %s", m.Type, m.Body, kind)
				}
				route, as := "echo", codec.Response
				if kind == packet.Push {
					route, as = m.Route, codec.Push
				}
				if got, err := codec.Parse(test.format, route, as, m.Body); err != nil || got.String() != test.body.String() {
					t.Errorf("the %s is %v, %v, want %v", kind, got, err, test.body)
				}
			}
			if test.bad == nil {
				return
			}
			r.send(message(packet.Message{Type: packet.Request, ID: 3, Route: "echo", Body: test.bad}))
			m := r.answer()
			if want := []byte("bad_request"); !m.Error || !bytes.Contains(m.Body, want) {
				t.Errorf("a bad body is answered by %q", m.Body)
			}
		})
	}
}
