package rtmp_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/net/rtmp"
)

// nested is a command of 8 MB of objects in objects: what ends the process of servers that read it with a recursive decoder.
func nested() []byte { return bytes.Repeat([]byte{3, 0, 1, 'a'}, 2<<20) }

func TestHostilePeersAreClosedWithAReason(t *testing.T) {
	streams := func(n int) []byte {
		var b []byte
		for i := range n { // a message of 1000 bytes begins on each
			b = append(b, 1, byte(i), byte(i>>8))
			b = append(b, header(0, 20, 0, 1000)[1:]...)
			b = append(b, make([]byte, 128)...)
		}
		return b
	}
	setSize := func(size uint32) []byte { return message(2, 1, 0, binary.BigEndian.AppendUint32(nil, size)) }
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"8 MB of nested AMF":                  {append(header(3, 20, 0, len(nested())), nested()...), "a message of type 20 with 8388608 bytes, at most 65536"},
		"nested AMF below the size":           {message(3, 20, 0, nested()[:60_000]), "nested deeper"},
		"a chunk size of 0":                   {setSize(0), "chunks of 0 bytes"},
		"a chunk size of 2^31":                {setSize(1 << 31), "chunks of 2147483648 bytes"},
		"a chunk of a message never begun":    {[]byte{0xc5, 1, 2, 3}, "chunk stream 5 begins with a header that leaves things out"},
		"1,000 chunk streams":                 {streams(1000), "more than 32 chunk streams"},
		"a header in the middle":              {append(append(header(3, 20, 0, 1000), make([]byte, 128)...), header(3, 20, 0, 10)...), "a new message on chunk stream 3 after 128 of 1000 bytes"},
		"a picture before anything":           {header(6, 9, 1, 1<<20), "a message of type 9 with 1048576 bytes, at most 65536"},
		"a command before connect":            {command(0, "publish", 1, nil, "test"), `command \"publish\" before connect`},
		"connect twice":                       {append(command(0, "connect", 1, map[string]any{}), 0), "names no app"},
		"AMF that is none":                    {message(3, 20, 0, []byte{0x77}), "a value of type 0x77"},
		"an abort that is cut off":            {message(2, 2, 0, []byte{1}), "an abort of 1 bytes"},
		"many messages half sent, each small": {halves(), "messages of"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, rtmp.Config{})
			p := h.dial()
			go p.say(c.bytes)
			p.ended()
			h.until("the log tells why: "+c.want, func() bool { return strings.Contains(h.log.String(), c.want) })
			// The server is as before.
			q := h.dial()
			q.hello()
			q.say(command(1, "publish", 2, nil, "test"))
			if code, _ := q.status(); code != "NetStream.Publish.Start" {
				t.Errorf("another peer gets %s", code)
			}
		})
	}
}

// halves begins messages of the largest size on several chunk streams.
func halves() []byte {
	var b []byte
	for id := byte(3); id < 20; id++ {
		b = append(b, header(id, 20, 0, 60_000)...)
		b = append(b, make([]byte, 128)...)
	}
	return b
}

func TestAnnouncedSizesTakeNoMemory(t *testing.T) {
	h := open(t, rtmp.Config{MaxMessage: 8 << 20})
	p := h.dial()
	p.hello()
	p.say(command(1, "publish", 2, nil, "test"))
	if code, _ := p.status(); code != "NetStream.Publish.Start" {
		t.Fatal(code)
	}
	p.say(message(2, 1, 0, []byte{0x7f, 0xff, 0xff, 0xff})) // chunks of 2^31-1
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p.say(append(header(6, 9, 1, 8<<20), make([]byte, 1000)...)) // 1 KB of 8 MB
	h.until("it has come", func() bool { now, _, _ := h.server.Conns(); return now == 1 })
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d bytes are taken for what was announced", grown)
	}
}

func TestPeersThatDoNotComeToThePointAreClosed(t *testing.T) {
	for name, say := range map[string]func(h *hall) *peer{
		"no handshake": func(h *hall) *peer { return h.connect() },
		"half a handshake": func(h *hall) *peer {
			p := h.connect()
			p.say(append([]byte{3}, make([]byte, 700)...))
			return p
		},
		"nothing behind the handshake": func(h *hall) *peer { return h.dial() },
		"connected and idle": func(h *hall) *peer {
			p := h.dial()
			p.hello()
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, rtmp.Config{SetupTimeout: 3 * time.Second}) // in which a peer has come as far as it wants, also on a busy machine
			say(h).ended()
			h.until("the log tells", func() bool { return strings.Contains(h.log.String(), "timed out") })
		})
	}
	t.Run("another protocol", func(t *testing.T) {
		h := open(t, rtmp.Config{})
		p := h.connect()
		p.say([]byte("GET / HTTP/1.1\r\n\r\n"))
		p.ended()
		h.until("the log tells", func() bool { return strings.Contains(h.log.String(), "version 71 in the handshake, expected 3") })
	})
}

func TestASilentPublisherIsEnded(t *testing.T) {
	h := open(t, rtmp.Config{IdleTimeout: 100 * time.Millisecond})
	p := h.dial()
	p.hello()
	p.say(command(1, "publish", 2, nil, "test"))
	if code, _ := p.status(); code != "NetStream.Publish.Start" {
		t.Fatal(code)
	}
	p.ended()
	h.until("its place is free", func() bool { return !h.stream.Live() })
}

// FuzzSession: whatever comes behind a handshake, the server stays, and lets the next one in.
func FuzzSession(f *testing.F) {
	f.Add(command(0, "connect", 1, nil))
	f.Add(append(command(0, "connect", 1, nil), command(1, "publish", 2, nil, "x")...))
	f.Add(halves())
	f.Add([]byte{0xc5, 1})
	f.Add(append(header(3, 22, 1, 40), make([]byte, 40)...))
	h := open(f, rtmp.Config{MaxMessage: 1 << 20, SetupTimeout: patience, IdleTimeout: patience})
	f.Fuzz(func(t *testing.T, b []byte) {
		h.TB = t
		p := h.dial()
		if rand.IntN(2) == 0 {
			p.hello()
			p.say(command(1, "publish", 2, nil, "test"))
		}
		p.say(b)
		_ = p.conn.Close()
		h.dial().conn.Close()
	})
}
