package packet_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/packet"
)

func codecOf(t testing.TB, name string, cfg packet.CodecConfig) packet.Codec {
	t.Helper()
	c, err := packet.NewCodec(name, cfg)
	if err != nil || c.Name() != name || c.Bare() != (name != packet.CodecPomelo) {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

func codecs() []string {
	return []string{packet.CodecPomelo, packet.CodecSkynet, packet.CodecLine, packet.CodecRaw}
}

func TestUnknownCodecsAreNamed(t *testing.T) {
	if _, err := packet.NewCodec("telnet", packet.CodecConfig{}); !errors.Is(err, packet.ErrCodec) || !strings.Contains(err.Error(), "pomelo, skynet, line, raw") {
		t.Error(err)
	}
}

// The bytes of skynet are what netpack.pack makes of these texts.
func TestBareFramesAreTheseBytesBothWays(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ codec, body, frame string }{
		{packet.CodecSkynet, "hi", "\x00\x02hi"},
		{packet.CodecSkynet, "", "\x00\x00"},
		{packet.CodecSkynet, long, "\x01\x2c" + long},
		{packet.CodecLine, "hi", "hi\n"},
		{packet.CodecLine, "", "\n"},
		{packet.CodecLine, "a\rb", "a\rb\n"},
		{packet.CodecRaw, "hi\n", "hi\n"},
	} {
		codec := codecOf(t, c.codec, packet.CodecConfig{})
		for _, m := range []packet.Message{{Type: packet.Response, ID: 7, Body: []byte(c.body)}, {Type: packet.Push, Route: "r", Body: []byte(c.body)}} {
			if got, err := codec.Append([]byte("x"), m); err != nil || string(got) != "x"+c.frame {
				t.Errorf("%s of %.9q: %q, %v", c.codec, c.body, got, err)
			}
		}
		n, frame, err := codec.Split()([]byte(c.frame))
		if err != nil || n != len(c.frame) {
			t.Errorf("%s: Split of %.9q: %d, %v", c.codec, c.frame, n, err)
		}
		p, err := codec.Decode(frame)
		if err != nil || p.Type != packet.Data {
			t.Errorf("%s: %v, %v", c.codec, p.Type, err)
		}
		m, err := codec.Message(p.Body)
		if err != nil || m.Type != packet.Request || m.ID != 0 || m.Route != packet.DataRoute || string(m.Body) != c.body {
			t.Errorf("%s of %.9q: %+v, %v", c.codec, c.frame, m, err)
		}
	}
}

func TestALineMayEndWithACarriageReturn(t *testing.T) {
	codec := codecOf(t, packet.CodecLine, packet.CodecConfig{MaxBody: 4})
	split := codec.Split()
	for text, want := range map[string]string{"four\r\nnext\n": "four", "\r\n": "", "a\r\r\n": "a", "four\n": "four"} {
		n, frame, err := split([]byte(text))
		if err != nil || n != len(frame) || n == 0 {
			t.Errorf("%q: %d, %q, %v", text, n, frame, err)
			continue
		}
		if p, err := codec.Decode(frame); err != nil || string(p.Body) != want {
			t.Errorf("%q: %q, %v", text, p.Body, err)
		}
	}
	for _, text := range []string{"", "f", "four", "four\r"} {
		if n, frame, err := split([]byte(text)); n != 0 || frame != nil || err != nil {
			t.Errorf("unfinished %q: %d, %q, %v", text, n, frame, err)
		}
	}
	for _, text := range []string{"five5", "five5\n", "five5\r\n", "four\rx", "four\r\r"} {
		if n, frame, err := split([]byte(text)); n != 0 || frame != nil || !errors.Is(err, packet.ErrTooLong) {
			t.Errorf("%q: %d, %q, %v", text, n, frame, err)
		}
	}
}

func TestFramesOverTheBoundAreRefusedAtOnce(t *testing.T) {
	for name, data := range map[string]string{
		packet.CodecPomelo: "\x04\x00\x00\x65", packet.CodecSkynet: "\x00\x65", packet.CodecLine: strings.Repeat("x", 101),
	} {
		codec := codecOf(t, name, packet.CodecConfig{MaxBody: 100})
		if n, frame, err := codec.Split()([]byte(data)); n != 0 || frame != nil || !errors.Is(err, packet.ErrTooLong) {
			t.Errorf("%s: %d, %q, %v", name, n, frame, err)
		}
	}
	codec := codecOf(t, packet.CodecRaw, packet.CodecConfig{MaxBody: 100})
	if n, frame, err := codec.Split()(make([]byte, 101)); n != 100 || len(frame) != 100 || err != nil {
		t.Errorf("raw: %d, %d bytes, %v", n, len(frame), err)
	}
}

func TestNoFrameIsLongerThanMaxFrame(t *testing.T) {
	for _, name := range codecs() {
		for _, maxBody := range []int{0, 1, 100, 1 << 30} {
			codec := codecOf(t, name, packet.CodecConfig{MaxBody: maxBody})
			body := make([]byte, min(codec.MaxFrame(), 1<<17))
			for i := range body {
				body[i] = 'x'
			}
			for len(body) > 0 {
				frame, err := codec.Append(nil, packet.Message{Type: packet.Response, Body: body})
				if err == nil {
					if name == packet.CodecLine {
						frame = append(frame[:len(frame)-1], "\r\n"...)
					}
					n, cut, err := codec.Split()(frame)
					if err == nil && n > codec.MaxFrame() {
						t.Errorf("%s, %d: a frame of %d bytes, MaxFrame is %d", name, maxBody, n, codec.MaxFrame())
					}
					if cut != nil {
						break
					}
				}
				body = body[:len(body)-1]
			}
		}
	}
}

func TestBareCodecsRefuseWhatTheyCannotCarry(t *testing.T) {
	for _, c := range []struct {
		codec string
		body  string
		err   error
	}{
		{packet.CodecSkynet, strings.Repeat("x", 1<<16), packet.ErrTooLong},
		{packet.CodecLine, "two\nlines", packet.ErrLine},
		{packet.CodecLine, "line\r", packet.ErrLine},
	} {
		got, err := codecOf(t, c.codec, packet.CodecConfig{}).Append([]byte("x"), packet.Message{Type: packet.Push, Body: []byte(c.body)})
		if !errors.Is(err, c.err) || string(got) != "x" {
			t.Errorf("%s of %.9q: %.9q, %v, expected %v", c.codec, c.body, got, err, c.err)
		}
	}
	for _, c := range []struct {
		codec, frame string
		err          error
	}{
		{packet.CodecSkynet, "\x00", packet.ErrTruncated},
		{packet.CodecSkynet, "\x00\x02x", packet.ErrTruncated},
		{packet.CodecSkynet, "\x00\x01xx", packet.ErrTrailing},
		{packet.CodecLine, "x", packet.ErrTruncated},
		{packet.CodecLine, "x\ny\n", packet.ErrTrailing},
	} {
		if p, err := codecOf(t, c.codec, packet.CodecConfig{}).Decode([]byte(c.frame)); !errors.Is(err, c.err) {
			t.Errorf("%s: %q: %+v, %v, expected %v", c.codec, c.frame, p, err, c.err)
		}
	}
}

func TestBareCodecsSayNothingOfErrorsAndKicks(t *testing.T) {
	for _, name := range codecs() {
		codec := codecOf(t, name, packet.CodecConfig{})
		out, err := codec.Append(nil, packet.Message{Type: packet.Response, Error: true, Body: []byte("{}")})
		if err != nil || (len(out) == 0) != codec.Bare() {
			t.Errorf("%s: an error is %q, %v", name, out, err)
		}
		if out := codec.AppendKick(nil, packet.Reason{Code: "x"}); (len(out) == 0) != codec.Bare() {
			t.Errorf("%s: a kick is %q", name, out)
		}
	}
}

func TestPomeloIsThePackagesOfThisPackage(t *testing.T) {
	dict := routes(t, map[string]uint16{"arena.move": 7})
	codec := codecOf(t, packet.CodecPomelo, packet.CodecConfig{MaxBody: 1000, Routes: dict, GzipFrom: 100})
	for _, w := range wire {
		want := unhex(t, w.hex)
		if got, err := codec.Append(nil, w.message); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: % x, %v", w.name, got, err)
		}
		p, err := codec.Decode(want)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := codec.Message(p.Body); err != nil || !same(m, w.message) {
			t.Errorf("%s: %+v, %v", w.name, m, err)
		}
	}
	bomb := append([]byte{0x14, 1}, gzipped(t, make([]byte, 1001))...)
	if _, err := codec.Message(bomb); !errors.Is(err, packet.ErrInflated) {
		t.Errorf("more than MaxBody inflated: %v", err)
	}
}

func TestOnlyLongBodiesAreCompressed(t *testing.T) {
	for _, from := range []int{0, 100} {
		codec := codecOf(t, packet.CodecPomelo, packet.CodecConfig{GzipFrom: from})
		for _, n := range []int{99, 100} {
			for _, asked := range []bool{false, true} {
				out, err := codec.Append(nil, packet.Message{Type: packet.Push, Route: "r", Body: bytes.Repeat([]byte("a"), n), Gzip: asked})
				if err != nil {
					t.Fatal(err)
				}
				m, err := codec.Message(out[packet.HeaderSize:])
				if err != nil || len(m.Body) != n || m.Gzip != (asked && from > 0 && n >= from) {
					t.Errorf("from %d: %d bytes, asked %v: gzip %v, %d bytes, %v", from, n, asked, m.Gzip, len(m.Body), err)
				}
			}
		}
	}
}

func TestABodyThatNobodyWouldInflateIsTooLong(t *testing.T) {
	codec := codecOf(t, packet.CodecPomelo, packet.CodecConfig{GzipFrom: 100})
	if _, err := codec.Append(nil, packet.Message{Type: packet.Push, Route: "r", Body: make([]byte, packet.MaxBody+1), Gzip: true}); !errors.Is(err, packet.ErrTooLong) {
		t.Errorf("%v", err)
	}
}

func TestLearnedRoutesCostNoAllocation(t *testing.T) {
	codec := codecOf(t, packet.CodecPomelo, packet.CodecConfig{})
	body, err := packet.AppendMessage(nil, packet.Message{Type: packet.Request, ID: 1, Route: "shop.buy"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	decode := func() {
		if m, err := codec.Message(body); err != nil || m.Route != "shop.buy" {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	if n := testing.AllocsPerRun(100, decode); n != 1 {
		t.Errorf("a route that nobody has learned: %v allocations, expected its string", n)
	}
	codec.Learn("shop.buy")
	if n := testing.AllocsPerRun(100, decode); n != 0 {
		t.Errorf("a learned route: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { codec.Learn("shop.buy") }); n != 0 {
		t.Errorf("learning it again: %v allocations", n)
	}
}

func TestTheTableOfRoutesIsBounded(t *testing.T) {
	codec := codecOf(t, packet.CodecPomelo, packet.CodecConfig{})
	const many = 6_000
	for i := range many {
		codec.Learn(fmt.Sprintf("route.%d", i))
	}
	codec.Learn("")
	codec.Learn(strings.Repeat("r", 256))
	learned := 0
	for i := range many {
		route := fmt.Sprintf("route.%d", i)
		body, err := packet.AppendMessage(nil, packet.Message{Type: packet.Notify, Route: route}, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := codec.Message(body)
		if err != nil || m.Route != route {
			t.Fatalf("%s became %+v, %v", route, m, err)
		}
		if testing.AllocsPerRun(1, func() { _, _ = codec.Message(body) }) == 0 {
			learned++
		}
	}
	if learned < 500 || learned > 1024 {
		t.Errorf("%d of %d routes were learned, expected up to 1,024", learned, many)
	}
}

func TestCodecsCostNoAllocationAFrame(t *testing.T) {
	dict := routes(t, map[string]uint16{"arena.move": 7})
	body := bytes.Repeat([]byte("x"), 64)
	for _, name := range codecs() {
		codec := codecOf(t, name, packet.CodecConfig{Routes: dict})
		frame, err := codec.Append(nil, packet.Message{Type: packet.Request, ID: 9, Route: "arena.move", Body: body})
		if err != nil {
			t.Fatal(err)
		}
		split, out := codec.Split(), make([]byte, 0, 256)
		if n := testing.AllocsPerRun(100, func() {
			_, cut, err := split(frame)
			if err != nil {
				t.Fatal(err)
			}
			p, err := codec.Decode(cut)
			if err != nil {
				t.Fatal(err)
			}
			m, err := codec.Message(p.Body)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := codec.Append(out, packet.Message{Type: packet.Response, ID: m.ID, Body: m.Body}); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	out := make([]byte, 0, 16)
	if n := testing.AllocsPerRun(100, func() {
		frame := packet.AppendAck(out, 1<<40)
		if _, err := packet.DecodeAck(frame[packet.HeaderSize:]); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("ack: %v allocations", n)
	}
}

func FuzzSkynet(f *testing.F) { fuzzBare(f, packet.CodecSkynet, "\x00\x02hi\x00\x00", "\xff\xff") }

func FuzzLine(f *testing.F) { fuzzBare(f, packet.CodecLine, "a\r\nb\n\n", "\r\r\n", "unfinished") }

func FuzzRaw(f *testing.F) { fuzzBare(f, packet.CodecRaw, "anything", "") }

// fuzzBare cuts a stream: whatever comes out has to go in again as the same bytes, but for carriage returns.
func fuzzBare(f *testing.F, name string, seeds ...string) {
	const bound = 1 << 10
	codec := codecOf(f, name, packet.CodecConfig{MaxBody: bound})
	split := codec.Split()
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for {
			n, frame, err := split(data)
			if err != nil || frame == nil {
				if n != 0 || err == nil && len(data) >= codec.MaxFrame() {
					t.Fatalf("%d bytes wait after %d were consumed, %v", len(data), n, err)
				}
				return
			}
			if n != len(frame) || n > codec.MaxFrame() || !bytes.Equal(frame, data[:n]) {
				t.Fatalf("consumed %d bytes for a frame of %d", n, len(frame))
			}
			p, err := codec.Decode(frame)
			if err != nil || p.Type != packet.Data || len(p.Body) > bound {
				t.Fatalf("% x: %v, %d bytes, %v", frame, p.Type, len(p.Body), err)
			}
			m, err := codec.Message(p.Body)
			if err != nil {
				t.Fatal(err)
			}
			again, err := codec.Append(nil, m)
			want := frame
			if name == packet.CodecLine {
				want = slices.Concat(bytes.TrimRight(bytes.TrimSuffix(frame, []byte("\n")), "\r"), []byte("\n"))
			}
			if err != nil || !bytes.Equal(again, want) {
				t.Fatalf("% x became % x, %v", frame, again, err)
			}
			data = data[n:]
		}
	})
}

func BenchmarkAPomeloRequestAndItsAnswerThroughTheCodec(b *testing.B) {
	codec := codecOf(b, packet.CodecPomelo, packet.CodecConfig{})
	codec.Learn("echo")
	body := bytes.Repeat([]byte("x"), 64)
	frame, err := codec.Append(nil, packet.Message{Type: packet.Request, ID: 9, Route: "echo", Body: body})
	if err != nil {
		b.Fatal(err)
	}
	split, out := codec.Split(), make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		_, cut, _ := split(frame)
		p, _ := codec.Decode(cut)
		m, _ := codec.Message(p.Body)
		if _, err := codec.Append(out, packet.Message{Type: packet.Response, ID: m.ID, Body: m.Body}); err != nil {
			b.Fatal(err)
		}
	}
}
