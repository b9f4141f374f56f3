package packet_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/packet"
)

func routes(t testing.TB, codes map[string]uint16) *packet.Routes {
	t.Helper()
	r, err := packet.NewRoutes(codes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes are what NetEase/pomelo-protocol and Pitaya's message_encoder.go make of these messages.
var wire = []struct {
	name, hex string
	message   packet.Message
}{
	{"request", "04 00 00 10 00 01 05 6c 6f 67 69 6e 7b 22 61 22 3a 31 7d 0a", packet.Message{Type: packet.Request, ID: 1, Route: "login", Body: []byte("{\"a\":1}\n")}},
	{"request with a code and a 2-byte id", "04 00 00 05 01 ac 02 00 07", packet.Message{Type: packet.Request, ID: 300, Route: "arena.move"}},
	{"notify", "04 00 00 06 02 01 78 68 69 21", packet.Message{Type: packet.Notify, Route: "x", Body: []byte("hi!")}},
	{"response", "04 00 00 04 04 7f 6f 6b", packet.Message{Type: packet.Response, ID: 127, Body: []byte("ok")}},
	{"error response", "04 00 00 04 24 01 7b 7d", packet.Message{Type: packet.Response, ID: 1, Error: true, Body: []byte("{}")}},
	{"push with a code", "04 00 00 04 07 00 07 31", packet.Message{Type: packet.Push, Route: "arena.move", Body: []byte("1")}},
	{"push with an empty route", "04 00 00 02 06 00", packet.Message{Type: packet.Push}},
}

func TestMessagesAreTheseBytesBothWays(t *testing.T) {
	dict := routes(t, map[string]uint16{"arena.move": 7})
	for _, w := range wire {
		want := unhex(t, w.hex)
		got, err := packet.AppendData(nil, w.message, dict)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: encoded % x, %v, expected % x", w.name, got, err, want)
		}
		p, err := packet.Decode(want)
		if err != nil || p.Type != packet.Data {
			t.Errorf("%s: decoded package %v, %v", w.name, p.Type, err)
			continue
		}
		m, err := packet.DecodeMessage(p.Body, dict, 0)
		if err != nil || !same(m, w.message) {
			t.Errorf("%s: decoded %+v, %v, expected %+v", w.name, m, err, w.message)
		}
	}
}

func same(a, b packet.Message) bool {
	return a.Type == b.Type && a.ID == b.ID && a.Route == b.Route && a.Error == b.Error && bytes.Equal(a.Body, b.Body)
}

func TestIDsOfEveryLengthSurvive(t *testing.T) {
	for shift := range 64 {
		for _, id := range []uint64{1 << shift, 1<<shift - 1, math.MaxUint64 >> shift} {
			b, err := packet.AppendMessage(nil, packet.Message{Type: packet.Response, ID: id}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if m, err := packet.DecodeMessage(b, nil, 0); err != nil || m.ID != id {
				t.Fatalf("id %d came back as %d, %v", id, m.ID, err)
			}
		}
	}
}

func TestSplitCutsAStreamByteByByte(t *testing.T) {
	var stream []byte
	var want [][]byte
	for _, w := range wire {
		want = append(want, unhex(t, w.hex))
		stream = append(stream, want[len(want)-1]...)
	}
	split := packet.Split(0)
	var buf []byte
	var got [][]byte
	for _, b := range stream {
		buf = append(buf, b)
		n, frame, err := split(buf)
		if err != nil {
			t.Fatal(err)
		}
		if frame != nil {
			got = append(got, bytes.Clone(frame))
			buf = buf[n:]
		}
	}
	if len(buf) != 0 || len(got) != len(want) {
		t.Fatalf("%d frames and %d bytes left, expected %d frames and none", len(got), len(buf), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("frame %d is % x, expected % x", i, got[i], want[i])
		}
	}
}

func TestSplitRefusesAsSoonAsTheHeaderShowsIt(t *testing.T) {
	split := packet.Split(100)
	for _, c := range []struct {
		data string
		err  error
	}{
		{"00", packet.ErrType},
		{"08", packet.ErrType},
		{"47", packet.ErrType}, // the G of GET
		{"04 00 00 65", packet.ErrTooLong},
		{"06 00 00 00", packet.ErrAck},
		{"06 00 00 09", packet.ErrAck},
		{"06 00 00 08", nil},
		{"04 ff ff ff", packet.ErrTooLong},
		{"04 ff", nil},
		{"", nil},
		{"04 00 00 64", nil},
	} {
		if n, frame, err := split(unhex(t, c.data)); !errors.Is(err, c.err) || n != 0 || frame != nil {
			t.Errorf("%q: %d, % x, %v, expected %v", c.data, n, frame, err, c.err)
		}
	}
}

func TestBadPackagesAndMessagesAreToldApart(t *testing.T) {
	for _, c := range []struct {
		data string
		err  error
	}{
		{"04 00 00", packet.ErrTruncated},
		{"04 00 00 02 00", packet.ErrTruncated},
		{"04 00 00 00 00", packet.ErrTrailing},
		{"09 00 00 00", packet.ErrType},
	} {
		if _, err := packet.Decode(unhex(t, c.data)); !errors.Is(err, c.err) {
			t.Errorf("package %q: %v, expected %v", c.data, err, c.err)
		}
	}
	for _, c := range []struct {
		data string
		err  error
	}{
		{"", packet.ErrEmpty},
		{"40", packet.ErrFlag},
		{"80", packet.ErrFlag},
		{"08 00", packet.ErrMessageType},
		{"0e 00", packet.ErrMessageType},
		{"00", packet.ErrTruncated},
		{"00 80", packet.ErrTruncated},
		{"00 01", packet.ErrTruncated},
		{"00 01 05 61", packet.ErrTruncated},
		{"01 01 00", packet.ErrTruncated},
		{"01 01 00 09", packet.ErrRouteCode},
		{"02 01 ff", packet.ErrRoute},
		{"04 ff ff ff ff ff ff ff ff ff 02", packet.ErrVarint},
		{"04 80 80 80 80 80 80 80 80 80 80 00", packet.ErrVarint},
		{"14 01", packet.ErrInflate},
		{"14 01 7b 7d", packet.ErrInflate},
		{"14 01 1f 8b 08", packet.ErrInflate},
		{"14 01 78 9c 00", packet.ErrInflate},
	} {
		if m, err := packet.DecodeMessage(unhex(t, c.data), nil, 0); !errors.Is(err, c.err) {
			t.Errorf("message %q: %+v, %v, expected %v", c.data, m, err, c.err)
		} else if errors.Is(err, io.EOF) {
			t.Errorf("message %q: %v looks like the end of the connection", c.data, err)
		}
	}
}

func TestEncodingRefusesWhatDoesNotFitAndLeavesTheBuffer(t *testing.T) {
	dst := []byte("before")
	for _, c := range []struct {
		m   packet.Message
		err error
	}{
		{packet.Message{Type: 4}, packet.ErrMessageType},
		{packet.Message{Type: packet.Push, Route: strings.Repeat("r", 256)}, packet.ErrRoute},
		{packet.Message{Type: packet.Push, Route: "\xff"}, packet.ErrRoute},
		{packet.Message{Type: packet.Push, Body: make([]byte, packet.MaxBody)}, packet.ErrTooLong},
	} {
		if out, err := packet.AppendData(dst, c.m, nil); !errors.Is(err, c.err) || string(out) != "before" {
			t.Errorf("%s of route %.10q: %.20q, %v, expected %v", c.m.Type, c.m.Route, out, err, c.err)
		}
	}
	if out, err := packet.AppendPacket(dst, 0, nil); !errors.Is(err, packet.ErrType) || string(out) != "before" {
		t.Errorf("package of type 0: %q, %v", out, err)
	}
	if out, err := packet.AppendPacket(dst, packet.Data, make([]byte, packet.MaxBody+1)); !errors.Is(err, packet.ErrTooLong) || string(out) != "before" {
		t.Errorf("oversize package: %.20q, %v", out, err)
	}
}

func TestOnlyTheRightSideSendsEachType(t *testing.T) {
	for _, c := range []struct {
		m    packet.MessageType
		side packet.Side
		ok   bool
	}{
		{packet.Request, packet.Client, true},
		{packet.Notify, packet.Client, true},
		{packet.Response, packet.Client, false},
		{packet.Push, packet.Client, false},
		{packet.Request, packet.Server, false},
		{packet.Notify, packet.Server, false},
		{packet.Response, packet.Server, true},
		{packet.Push, packet.Server, true},
	} {
		if err := c.m.SentBy(c.side); (err == nil) != c.ok || err != nil && !errors.Is(err, packet.ErrDirection) {
			t.Errorf("%s from the %s: %v", c.m, c.side, err)
		}
	}
	if err := packet.HandshakeAck.SentBy(packet.Server); !errors.Is(err, packet.ErrDirection) {
		t.Errorf("ack from the server: %v", err)
	}
	if err := packet.Kick.SentBy(packet.Client); err != nil {
		t.Errorf("kick from the client, its goodbye: %v", err)
	}
}

func gzipped(t testing.TB, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zlibbed(t testing.TB, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGzipAndZlibBodiesAreInflated(t *testing.T) {
	body := bytes.Repeat([]byte("coins "), 1000)
	for round := range 3 { // pooled inflaters are used again
		for name, compressed := range map[string][]byte{"gzip": gzipped(t, body), "zlib": zlibbed(t, body)} {
			m, err := packet.DecodeMessage(append([]byte{0x14, 1}, compressed...), nil, len(body))
			if err != nil || !bytes.Equal(m.Body, body) || !m.Gzip {
				t.Fatalf("round %d: %s: %d bytes, %v", round, name, len(m.Body), err)
			}
			if _, err = packet.DecodeMessage(append([]byte{0x14, 1}, compressed...), nil, len(body)-1); !errors.Is(err, packet.ErrInflated) {
				t.Fatalf("round %d: %s one byte over the bound: %v", round, name, err)
			}
		}
	}
}

func TestZipBombIsStoppedAtTheBound(t *testing.T) {
	bomb := append([]byte{0x14, 1}, gzipped(t, make([]byte, 16<<20))...)
	const bound = 64 << 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := packet.DecodeMessage(bomb, nil, bound)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, packet.ErrInflated) {
		t.Fatal(err)
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > 4*bound { // the result and an inflater
		t.Errorf("a bomb of %d bytes made us allocate %d bytes under a bound of %d", len(bomb), allocated, bound)
	}
	t.Logf("bomb of %d bytes (16 MiB inflated), bound %d: %d bytes allocated", len(bomb), bound, allocated)
}

func TestGzipIsUsedOnlyWhereItPays(t *testing.T) {
	for _, body := range [][]byte{nil, []byte("short"), bytes.Repeat([]byte("long "), 100)} {
		b, err := packet.AppendMessage([]byte("x"), packet.Message{Type: packet.Response, ID: 5, Body: body, Gzip: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := packet.DecodeMessage(b[1:], nil, 0)
		if err != nil || !bytes.Equal(m.Body, body) {
			t.Fatalf("%.10q came back as %.10q, %v", body, m.Body, err)
		}
		if pays := len(body) > 100; m.Gzip != pays || pays && len(b) > len(body)/2 {
			t.Errorf("%d bytes: gzip %v, %d bytes on the wire", len(body), m.Gzip, len(b))
		}
	}
}

func TestEncodingIntoAGivenBufferAllocatesNothing(t *testing.T) {
	dict := routes(t, map[string]uint16{"arena.move": 7})
	buf := make([]byte, 0, 1024)
	body := make([]byte, 200)
	for _, m := range []packet.Message{
		{Type: packet.Request, ID: 1 << 40, Route: "arena.move", Body: body},
		{Type: packet.Push, Route: "arena.chat", Body: body},
		{Type: packet.Response, ID: 77, Body: body},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := packet.AppendData(buf, m, dict); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", m.Type, n)
		}
	}
	frame, _ := packet.AppendData(nil, packet.Message{Type: packet.Request, ID: 9, Route: "arena.move", Body: body}, nil)
	if n := testing.AllocsPerRun(100, func() {
		p, err := packet.Decode(frame)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := packet.DecodeMessage(p.Body, dict, 0); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("decoding a known route: %v allocations", n)
	}
}

func TestRoutesRefuseWhatCannotBeTold(t *testing.T) {
	for name, codes := range map[string]map[string]uint16{
		"one code twice": {"a": 1, "b": 1},
		"code 0":         {"a": 0},
		"empty route":    {"": 1},
		"long route":     {strings.Repeat("a", 256): 1},
	} {
		if _, err := packet.NewRoutes(codes); !errors.Is(err, packet.ErrDictionary) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := routes(t, map[string]uint16{"a": 1})
	for name, codes := range map[string]map[string]uint16{"route twice": {"a": 2}, "code twice": {"b": 1}} {
		if _, err := r.Merge(codes); !errors.Is(err, packet.ErrDictionary) {
			t.Errorf("merge, %s: %v", name, err)
		}
	}
	m, err := r.Merge(map[string]uint16{"b": 2})
	if err != nil || m.Len() != 2 || r.Len() != 1 {
		t.Fatalf("merge made %d routes and left %d, %v", m.Len(), r.Len(), err)
	}
	m.Map()["c"] = 3
	if _, ok := m.Code("c"); ok {
		t.Error("writing to Map changed the dictionary")
	}
	var none *packet.Routes
	if _, ok := none.Code("a"); ok || none.Len() != 0 {
		t.Error("the nil dictionary has routes")
	}
}

func TestHandshakesOfOtherClientsAreUnderstood(t *testing.T) {
	for name, body := range map[string]string{
		"pomelo-jsclient-websocket": `{"sys":{"type":"js-websocket","version":"0.0.1","rsa":{}},"user":{}}`,
		"pitaya client":             `{"sys":{"platform":"mac","libVersion":"0.3.5-release","clientBuildNumber":"20","clientVersion":"2.1"},"user":{"age":30}}`,
		"numbers":                   `{"sys":{"type":"x","version":1.5,"clientBuildNumber":20}}`,
		"nothing":                   ``,
	} {
		r, err := packet.DecodeHandshakeRequest([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "numbers" && (r.Sys.Version != "1.5" || r.Sys.Build != "20") {
			t.Errorf("numbers: %+v", r.Sys)
		}
		if name == "pitaya client" && (r.Sys.LibVersion != "0.3.5-release" || string(r.User) != `{"age":30}`) {
			t.Errorf("pitaya client: %+v", r)
		}
	}
	for _, body := range []string{"x", "[]", `{"sys":1}`} {
		if _, err := packet.DecodeHandshakeRequest([]byte(body)); !errors.Is(err, packet.ErrHandshake) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestHandshakeResponsesArePlainOrCompressed(t *testing.T) {
	plain := []byte(`{"code":200,"sys":{"heartbeat":30,"dict":{"room.join":1},"serializer":"json"}}`)
	for _, body := range [][]byte{plain, gzipped(t, plain), zlibbed(t, plain)} {
		r, err := packet.DecodeHandshakeResponse(body, 0)
		if err != nil || r.Code != packet.CodeOK || r.Sys.Interval().Seconds() != 30 || r.Sys.Dict["room.join"] != 1 {
			t.Errorf("% x...: %+v, %v", body[:2], r, err)
		}
	}
	for _, s := range []packet.ServerSys{{Heartbeat: math.Inf(1)}, {Heartbeat: math.NaN()}, {Heartbeat: -1}} {
		if s.Interval() != 0 {
			t.Errorf("heartbeat %v gives %v", s.Heartbeat, s.Interval())
		}
	}
}

func TestReasonsOfOtherServersAreUnderstood(t *testing.T) {
	for body, want := range map[string]packet.Reason{
		`{"code":"replaced","msg":"logged in elsewhere"}`: {Code: "replaced", Msg: "logged in elsewhere"},
		`{"code":"PIT-404","msg":"no","metadata":{}}`:     {Code: "PIT-404", Msg: "no"},
		`{"reason":"kick"}`:                               {Msg: "kick"},
		``:                                                {},
		"plain\xff":                                       {Msg: "plain\uFFFD"},
		"\n\x07PIT-404\x12\x02no\x1a\x06\n\x01a\x12\x011": {Code: "PIT-404", Msg: "no"}, // protos.Error
		"\n\x07PIT": {Msg: "\n\x07PIT"},
	} {
		if got := packet.DecodeReason([]byte(body)); got != want {
			t.Errorf("%q: %+v, expected %+v", body, got, want)
		}
	}
	p, err := packet.Decode(packet.AppendKick(nil, packet.Reason{Code: "c", Msg: strings.Repeat("m", packet.MaxBody)}))
	if err != nil || packet.DecodeReason(p.Body).Code != "c" {
		t.Errorf("a reason that is too long: %v", err)
	}
}
