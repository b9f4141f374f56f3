package packet_test

import (
	"bytes"
	"testing"

	"github.com/skua-go/skua/net/packet"
)

const fuzzBound = 1 << 16

func FuzzSplit(f *testing.F) {
	for _, w := range wire {
		f.Add(unhex(f, w.hex))
	}
	f.Add([]byte{1, 0, 0, 0, 3, 0, 0, 0, 5, 0, 0, 2, '{', '}'})
	f.Add([]byte{4, 0xff, 0xff, 0xff})
	split := packet.Split(fuzzBound)
	f.Fuzz(func(t *testing.T, data []byte) {
		rest := data
		for {
			n, frame, err := split(rest)
			if err != nil || frame == nil {
				if n != 0 {
					t.Fatalf("consumed %d bytes without a frame", n)
				}
				return
			}
			if n != len(frame) || !bytes.Equal(frame, rest[:n]) {
				t.Fatalf("consumed %d bytes for a frame of %d", n, len(frame))
			}
			p, err := packet.Decode(frame)
			if err != nil {
				t.Fatalf("Split accepted % x, Decode says %v", frame, err)
			}
			again, err := packet.AppendPacket(nil, p.Type, p.Body)
			if err != nil || !bytes.Equal(again, frame) {
				t.Fatalf("% x became % x, %v", frame, again, err)
			}
			rest = rest[n:]
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, w := range wire {
		f.Add(unhex(f, w.hex))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := packet.Decode(data)
		if err != nil {
			return
		}
		if again, err := packet.AppendPacket(nil, p.Type, p.Body); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("% x became % x, %v", data, again, err)
		}
		_ = packet.DecodeReason(p.Body)
		_, _ = packet.DecodeHandshakeRequest(p.Body)
		_, _ = packet.DecodeHandshakeResponse(p.Body, fuzzBound)
	})
}

func FuzzDecodeMessage(f *testing.F) {
	for _, w := range wire {
		f.Add(unhex(f, w.hex)[packet.HeaderSize:])
	}
	f.Add(append([]byte{0x14, 1}, gzipped(f, bytes.Repeat([]byte("a"), 300))...))
	f.Add(append([]byte{0x14, 1}, zlibbed(f, bytes.Repeat([]byte("a"), 300))...))
	f.Add([]byte{4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	dict := routes(f, map[string]uint16{"arena.move": 7, "a": 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := packet.DecodeMessage(data, dict, fuzzBound)
		if err != nil {
			return
		}
		if len(m.Body) > fuzzBound && m.Gzip {
			t.Fatalf("inflated to %d bytes over the bound of %d", len(m.Body), fuzzBound)
		}
		out, err := packet.AppendMessage(nil, m, dict)
		if err != nil {
			t.Fatalf("decoded %+v, which can't be encoded: %v", m, err)
		}
		again, err := packet.DecodeMessage(out, dict, fuzzBound)
		if err != nil || !same(again, m) {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}
