package packet_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/packet"
)

// sample is a package of a client or a server in the field.
type sample struct {
	name, hex string
	message   packet.Message
}

// samples are what pomelo-protocol 0.1.6 (npm, JavaScript) and Pitaya v3.0.0-beta.6 (conn/message and conn/codec, Go) write. The dictionary is {"room.say": 7}.
func samples() []sample {
	ann, coins := []byte(`{"name":"ann"}`), bytes.Repeat([]byte("coins "), 50)
	return []sample{
		{
			"pomelo: request",
			"0400002d00011c636f6e6e6563746f722e656e74727948616e646c65722e656e7465727b226e616d65223a22616e6e227d",
			packet.Message{Type: packet.Request, ID: 1, Route: "connector.entryHandler.enter", Body: ann},
		},
		{
			"pomelo: id of 2 bytes",
			"0400001500ac0203612e627b226e616d65223a22616e6e227d",
			packet.Message{Type: packet.Request, ID: 300, Route: "a.b", Body: ann},
		},
		{
			"pomelo: id of 3 bytes and a code",
			"0400001401f0a20400077b226e616d65223a22616e6e227d",
			packet.Message{Type: packet.Request, ID: 70000, Route: "room.say", Body: ann},
		},
		{"pomelo: notify", "040000180208636861742e7361797b226e616d65223a22616e6e227d", packet.Message{Type: packet.Notify, Route: "chat.say", Body: ann}},
		{
			"pomelo: UTF-8",
			"04000016000506e8818ae5a4a97b2274223a22c3a9e8818a227d",
			packet.Message{Type: packet.Request, ID: 5, Route: "聊天", Body: []byte(`{"t":"é聊"}`)},
		},
		{"pomelo: no route, no body", "04000003000300", packet.Message{Type: packet.Request, ID: 3}},
		{"pomelo: response", "040000110480017b226e616d65223a22616e6e227d", packet.Message{Type: packet.Response, ID: 128, Body: ann}},
		{"pomelo: push", "0400001606066f6e436861747b226e616d65223a22616e6e227d", packet.Message{Type: packet.Push, Route: "onChat", Body: ann}},
		{
			"pitaya: request",
			"04000025000114636f6e6e6563746f722e706c617965722e6275797b226e616d65223a22616e6e227d",
			packet.Message{Type: packet.Request, ID: 1, Route: "connector.player.buy", Body: ann},
		},
		{"pitaya: code", "040000110300077b226e616d65223a22616e6e227d", packet.Message{Type: packet.Notify, Route: "room.say", Body: ann}},
		{
			"pitaya: error",
			"0400001f24057b22636f6465223a225049542d343034222c226d7367223a226e6f227d",
			packet.Message{Type: packet.Response, ID: 5, Error: true, Body: []byte(`{"code":"PIT-404","msg":"no"}`)},
		},
		{"pitaya: push with a code", "040000110700077b226e616d65223a22616e6e227d", packet.Message{Type: packet.Push, Route: "room.say", Body: ann}},
		{
			"pitaya: compressed request",
			"0400002210ac0208636861742e736179789c4acecfcc2b561825892101010000ffffd1b56fb9",
			packet.Message{Type: packet.Request, ID: 300, Route: "chat.say", Body: coins, Gzip: true},
		},
		{
			"pitaya: compressed push",
			"0400001e16066f6e43686174789c4acecfcc2b561825892101010000ffffd1b56fb9",
			packet.Message{Type: packet.Push, Route: "onChat", Body: coins, Gzip: true},
		},
	}
}

func TestClientsInTheFieldAreUnderstoodAndUnderstand(t *testing.T) {
	codec := codecOf(t, packet.CodecPomelo, packet.CodecConfig{Routes: routes(t, map[string]uint16{"room.say": 7}), GzipFrom: 1})
	for _, s := range samples() {
		frame := unhex(t, s.hex)
		p, err := codec.Decode(frame)
		if err != nil || p.Type != packet.Data {
			t.Errorf("%s: %v, %v", s.name, p.Type, err)
			continue
		}
		m, err := codec.Message(p.Body)
		if err != nil || !same(m, s.message) || m.Gzip != s.message.Gzip {
			t.Errorf("%s: %+v, %v, expected %+v", s.name, m, err, s.message)
		}
		got, err := codec.Append(nil, s.message)
		if n := bytes.Index(frame, []byte("x\x9c")); s.message.Gzip && n > 0 && len(got) > n { // compressors may find other bytes, but it has to be zlib
			got, frame = got[packet.HeaderSize:n+2], frame[packet.HeaderSize:n+2]
		}
		if err != nil || !bytes.Equal(got, frame) {
			t.Errorf("%s: % x, %v, expected % x", s.name, got, err, frame)
		}
	}
}

func TestHandshakesInTheFieldArePackages(t *testing.T) {
	for _, text := range []string{
		"010000447b22737973223a7b2274797065223a226a732d776562736f636b6574222c2276657273696f6e223a22302e302e31222c22727361223a7b7d7d2c2275736572223a7b7d7d",
		"010000787b22737973223a7b22706c6174666f726d223a226d6163222c226c696256657273696f6e223a22302e332e352d72656c65617365222c22636c69656e744275696c644e756d626572" +
			"223a223230222c22636c69656e7456657273696f6e223a22322e31227d2c2275736572223a7b22616765223a33307d7d",
	} {
		p, err := packet.Decode(unhex(t, text))
		if err != nil || p.Type != packet.Handshake {
			t.Fatal(p.Type, err)
		}
		r, err := packet.DecodeHandshakeRequest(p.Body)
		if err != nil || r.Sys.Resume != nil || r.Sys.Inflates() != strings.Contains(string(p.Body), "libVersion") {
			t.Errorf("%s: %+v, %v", p.Body, r, err)
		}
	}
	for text, want := range map[string]packet.Type{"02000000": packet.HandshakeAck, "03000000": packet.Heartbeat} {
		if p, err := packet.Decode(unhex(t, text)); err != nil || p.Type != want {
			t.Errorf("%s: %v, %v", text, p.Type, err)
		}
	}
}
