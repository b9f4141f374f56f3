package packet_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/packet"
)

// TestTheExamplesInTheProtocolDocAreTrue decodes each ```hex block of docs/protocol.md and compares it with what the block's first line says of it.
func TestTheExamplesInTheProtocolDocAreTrue(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	dict := routes(t, map[string]uint16{"arena.move": 1, "arena.chat": 2}) // as the doc's handshake has it
	kinds := []string{"handshake {\"sys", "handshake {\"code", "handshake ack", "heartbeat", "data request", "data response", "data error", "data notify", "data push", "kick", "media {", "media frame", "media more"}
	shown := make(map[string]bool)
	for i, block := range strings.Split(string(doc), "```hex ")[1:] {
		block, _, ended := strings.Cut(block, "\n```")
		says, lines, _ := strings.Cut(block, "\n")
		if !ended || lines == "" {
			t.Fatalf("example %d (%s) is no block", i+1, says)
		}
		var digits strings.Builder
		for line := range strings.Lines(lines) {
			bytes, _, _ := strings.Cut(line, "#")
			digits.WriteString(strings.TrimSpace(bytes))
		}
		got, err := describe(unhex(t, digits.String()), dict)
		if err != nil || got != says {
			t.Errorf("example %d says\n%s\nits bytes are\n%s, %v", i+1, says, got, err)
		}
		for _, kind := range kinds {
			shown[kind] = shown[kind] || strings.HasPrefix(says, kind)
		}
	}
	for _, kind := range kinds {
		if !shown[kind] {
			t.Errorf("the doc has no example of %q", kind)
		}
	}
}

// TestTheExamplesOfBareCodecsAreTrue does so with the blocks of gates that have no packages.
func TestTheExamplesOfBareCodecsAreTrue(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(doc), "```hex-")[1:]
	if len(blocks) < 2 {
		t.Fatalf("the doc has %d examples", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "\n```")
		says, lines, _ := strings.Cut(block, "\n")
		name, body, _ := strings.Cut(says, " ")
		var digits strings.Builder
		for line := range strings.Lines(lines) {
			bytes, _, _ := strings.Cut(line, "#")
			digits.WriteString(strings.TrimSpace(bytes))
		}
		codec, err := packet.NewCodec(name, packet.CodecConfig{})
		if err != nil {
			t.Fatal(err)
		}
		frame := unhex(t, digits.String())
		if n, cut, err := codec.Split()(frame); err != nil || n != len(frame) || len(cut) != n {
			t.Errorf("%s: %d of %d bytes are a frame, %v", says, n, len(frame), err)
		}
		if p, err := codec.Decode(frame); err != nil || string(p.Body) != body {
			t.Errorf("%s: the body is %q, %v", says, p.Body, err)
		}
	}
}

func describe(frame []byte, dict *packet.Routes) (string, error) {
	p, err := packet.Decode(frame)
	if err == nil && p.Type == packet.Ack {
		n, err := packet.DecodeAck(p.Body)
		return fmt.Sprintf("%s %d", p.Type, n), err
	}
	if err == nil && p.Type == packet.Media {
		return describeMedia(p.Body)
	}
	if err != nil || p.Type != packet.Data {
		return strings.TrimSpace(fmt.Sprintf("%s %s", p.Type, p.Body)), err
	}
	m, err := packet.DecodeMessage(p.Body, dict, 0)
	what := []string{"data"}
	if m.Error {
		what = append(what, "error")
	}
	what = append(what, m.Type.String())
	if m.Type == packet.Request || m.Type == packet.Response {
		what = append(what, fmt.Sprint(m.ID))
	}
	if m.Type != packet.Response {
		what = append(what, m.Route)
	}
	return strings.Join(append(what, string(m.Body)), " "), err
}

func describeMedia(body []byte) (string, error) {
	at := func(from, to int) uint64 {
		n := uint64(0)
		for _, b := range body[from:to] {
			n = n<<8 | uint64(b)
		}
		return n
	}
	switch body[0] {
	case 0:
		var pieces packet.MediaPieces
		_, _, err := pieces.Decode(body)
		return "media " + string(body[1:]), err
	case 5:
		return fmt.Sprintf("media frame of channel %d, track %d, key, at %d µs, shown %d µs later, %d bytes: %s", at(1, 5), at(5, 6), at(10, 18), at(18, 22), at(6, 10), body[22:]), nil
	}
	return fmt.Sprintf("media more of channel %d, track %d: %s", at(1, 5), at(5, 6), body[6:]), nil
}
