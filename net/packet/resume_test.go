package packet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/skua-go/skua/net/packet"
)

func TestAcksAreTheseBytesBothWays(t *testing.T) {
	for number, want := range map[uint64]string{
		0: "06 00 00 01 00", 1: "06 00 00 01 01", 127: "06 00 00 01 7f", 128: "06 00 00 02 80 01", 300: "06 00 00 02 ac 02",
		1<<49 - 1: "06 00 00 07 ff ff ff ff ff ff 7f", packet.MaxNumber: "06 00 00 08 ff ff ff ff ff ff ff 0f",
	} {
		got := packet.AppendAck([]byte("x"), number)
		if string(got[:1]) != "x" || !bytes.Equal(got[1:], unhex(t, want)) {
			t.Errorf("%d: % x, expected %s", number, got[1:], want)
		}
		n, frame, err := packet.Split(0)(got[1:])
		if err != nil || n != len(got)-1 {
			t.Errorf("%d: Split: %d, %v", number, n, err)
		}
		p, err := packet.Decode(frame)
		if err != nil || p.Type != packet.Ack {
			t.Fatalf("%d: %v, %v", number, p.Type, err)
		}
		if back, err := packet.DecodeAck(p.Body); err != nil || back != number {
			t.Errorf("%d came back as %d, %v", number, back, err)
		}
	}
}

func TestAcksThatAreNoNumberAreRefused(t *testing.T) {
	for _, body := range []string{
		"", "80", "ff ff", "80 00", "01 01", "ff ff ff ff ff ff ff 10", "ff ff ff ff ff ff ff 7f", "80 80 80 80 80 80 80 80 01", "00 00",
	} {
		if n, err := packet.DecodeAck(unhex(t, body)); !errors.Is(err, packet.ErrAck) {
			t.Errorf("%q: %d, %v", body, n, err)
		}
	}
}

func FuzzDecodeAck(f *testing.F) {
	for _, body := range []string{"00", "7f", "80 01", "ff ff ff ff ff ff ff 0f", "80 00"} {
		f.Add(unhex(f, body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := packet.DecodeAck(body)
		if err != nil {
			return
		}
		if again := packet.AppendAck(nil, n); n > packet.MaxNumber || !bytes.Equal(again[packet.HeaderSize:], body) {
			t.Fatalf("% x is %d, which is % x", body, n, again)
		}
	})
}

func TestClientsSayWhatTheyKnowOfResume(t *testing.T) {
	for body, want := range map[string]*packet.ResumeRequest{
		`{"sys":{}}`:              nil,
		`{"sys":{"resume":null}}`: nil,
		`{"sys":{"resume":{}}}`:   {},
		`{"sys":{"resume":{"token":"t","received":9007199254740991}}}`: {Token: "t", Received: packet.MaxNumber},
		`{"sys":{"resume":{"token":"t","more":[1]}}}`:                  {Token: "t"},
	} {
		r, err := packet.DecodeHandshakeRequest([]byte(body))
		if got := r.Sys.Resume; err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: %+v, %v, expected %+v", body, got, err, want)
			continue
		}
		out, err := packet.AppendHandshake(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := packet.DecodeHandshakeRequest(out[packet.HeaderSize:]); err != nil || (again.Sys.Resume == nil) != (want == nil) {
			t.Errorf("%s came back as %+v, %v", body, again.Sys.Resume, err)
		}
	}
	for _, body := range []string{
		`{"sys":{"resume":true}}`, `{"sys":{"resume":{"token":5}}}`, `{"sys":{"resume":{"received":1}}}`,
		`{"sys":{"resume":{"token":"t","received":9007199254740992}}}`, `{"sys":{"resume":{"token":"t","received":-1}}}`,
		`{"sys":{"resume":{"token":"t","received":1.5}}}`,
	} {
		if r, err := packet.DecodeHandshakeRequest([]byte(body)); !errors.Is(err, packet.ErrHandshake) {
			t.Errorf("%s: %+v, %v", body, r.Sys.Resume, err)
		}
	}
}

func TestServersSayHowASessionGoesOn(t *testing.T) {
	want := packet.ResumeAnswer{Token: "abc", Window: 60, Received: 17, Resumed: true, Ring: packet.Ring{Packages: 1024, Bytes: 262144}}
	frame, err := packet.AppendHandshake(nil, packet.HandshakeResponse{Code: packet.CodeOK, Sys: packet.ServerSys{Heartbeat: 10, Resume: &want}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := packet.DecodeHandshakeResponse(frame[packet.HeaderSize:], 0)
	if err != nil || r.Sys.Resume == nil || !reflect.DeepEqual(*r.Sys.Resume, want) {
		t.Errorf("%s came back as %+v, %v", frame, r.Sys.Resume, err)
	}
	for _, bad := range []packet.ResumeAnswer{
		{},
		{Token: strings.Repeat("t", packet.MaxToken+1)},
		{Token: "t", Received: packet.MaxNumber + 1},
		{Token: "t", Window: -1},
		{Token: "t", Ring: packet.Ring{Packages: -1}},
	} {
		frame, err := packet.AppendHandshake(nil, packet.HandshakeResponse{Code: packet.CodeOK, Sys: packet.ServerSys{Resume: &bad}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := packet.DecodeHandshakeResponse(frame[packet.HeaderSize:], 0); !errors.Is(err, packet.ErrHandshake) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestAWelcomeIsTheHandshakeOfEachClient(t *testing.T) {
	answer := &packet.ResumeAnswer{Token: "abc", Window: 60, Ring: packet.Ring{Packages: 1024, Bytes: 262144}, Refused: &packet.Reason{Code: packet.ResumeUnknown}}
	for _, r := range []packet.HandshakeResponse{
		{Code: packet.CodeOK},
		{Code: packet.CodeOK, Msg: `"sys":{}`, Sys: packet.ServerSys{Heartbeat: 10, Dict: map[string]uint16{`"sys":{`: 1, "b": 2}, Serializer: "json"}},
		{Code: packet.CodeOK, Sys: packet.ServerSys{Serializer: "json"}, User: json.RawMessage(`{"sys":{}}`)},
	} {
		w, err := packet.NewWelcome(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, resume := range []*packet.ResumeAnswer{nil, answer} {
			r.Sys.Resume = resume
			want, err := packet.AppendHandshake([]byte("x"), r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := w.Append([]byte("x"), resume); err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %s, %v, expected %s", got, err, want)
			}
		}
	}
	if _, err := packet.NewWelcome(packet.HandshakeResponse{User: json.RawMessage("{")}); !errors.Is(err, packet.ErrHandshake) {
		t.Errorf("a broken User: %v", err)
	}
}

func TestOnlyClientsThatInflateAreKnownTo(t *testing.T) {
	for body, want := range map[string]bool{
		`{"sys":{"type":"js-websocket","version":"0.0.1"}}`:       false,
		`{"sys":{"platform":"mac","libVersion":"0.3.5-release"}}`: true,
		`{"sys":{"type":"skua-ts","gzip":true}}`:                  true,
		`{"sys":{"type":"skua-ts","gzip":false}}`:                 false,
		`{"sys":{"type":"skua-ts","gzip":"no"}}`:                  false,
		``:                                                        false,
	} {
		r, err := packet.DecodeHandshakeRequest([]byte(body))
		if err != nil || r.Sys.Inflates() != want {
			t.Errorf("%s: %v, %v", body, r.Sys.Inflates(), err)
		}
	}
}

// Example_resume is a lost connection on the wire.
func Example_resume() {
	first, _ := packet.AppendHandshake(nil, packet.HandshakeRequest{Sys: packet.ClientSys{Type: "x", Resume: &packet.ResumeRequest{}}})
	fmt.Printf("new:     %s\n", first[packet.HeaderSize:])
	again, _ := packet.AppendHandshake(nil, packet.HandshakeRequest{Sys: packet.ClientSys{Type: "x", Resume: &packet.ResumeRequest{Token: "Zm9v", Received: 300}}})
	fmt.Printf("go on:   %s\n", again[packet.HeaderSize:])
	fmt.Printf("ack 300: % x\n", packet.AppendAck(nil, 300))
	// Output:
	// new:     {"sys":{"type":"x","resume":{}}}
	// go on:   {"sys":{"type":"x","resume":{"token":"Zm9v","received":300}}}
	// ack 300: 06 00 00 02 ac 02
}
