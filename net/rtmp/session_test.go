package rtmp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp"
)

// aac is a packet of sound as a message, behind its parameters if it is the first.
func aac(stamp uint32, data string) []byte {
	body := append([]byte{0xaf, 1}, data...)
	b := header(4, 8, 1, len(body))
	b[1], b[2], b[3] = byte(stamp>>16), byte(stamp>>8), byte(stamp)
	return append(b, body...)
}

// publisher is a peer that publishes sound.
func (h *hall) publisher(query string) *peer {
	h.Helper()
	p := h.dial()
	p.say(command(0, "connect", 1, amf.Object{{Key: "app", Value: "live"}, {Key: "tcUrl", Value: "rtmp://x/live?from=app"}, {Key: "flashVer", Value: "test"}}))
	p.say(command(1, "publish", 2, nil, "test"+query, "live"))
	if code, why := p.status(); code != "NetStream.Publish.Start" {
		h.Fatal(code, why)
	}
	// Sound is all there will be, so that viewers are not held.
	p.say(message(4, 18, 1, amf.Append(nil, "@setDataFrame", "onMetaData", amf.Array{{Key: "audiocodecid", Value: 10}})))
	p.say(message(4, 8, 1, []byte{0xaf, 0, 0x12, 0x10}))
	return p
}

func TestWhatIsPublishedIsPlayed(t *testing.T) {
	h := open(t, rtmp.Config{})
	p := h.publisher("?token=a%20b")
	h.mu.Lock()
	if r := h.asked[0]; r.App != "live" || r.Stream != "test" || r.Query.Get("token") != "a b" || r.Query.Get("from") != "app" || r.Agent != "test" {
		t.Errorf("asked for %+v", r)
	}
	h.mu.Unlock()
	v := h.dial()
	v.hello()
	v.say(command(0, "createStream", 2, nil))
	v.say(command(1, "play", 3, nil, "test"))
	if code, _ := v.status(); code != "NetStream.Play.Reset" {
		t.Error(code)
	}
	h.until("the viewer is in", func() bool { return h.stream.Viewers() == 1 })
	long := strings.Repeat("long ", 30_000) // over one of the server's chunks
	p.say(message(2, 1, 0, binary.BigEndian.AppendUint32(nil, 1<<20)))
	for i, data := range []string{"a", "b", long, "c"} {
		p.say(aac(uint32(i*700), data))
	}
	var got []string
	for len(got) < 6 {
		kind, body, err := v.read()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case kind == 18:
			values, err := amf.Decode(body)
			if err != nil || values[0] != "onMetaData" || values[1].(amf.Object).Get("audiosamplerate") != 44100.0 {
				t.Errorf("metadata %v, %v", values, err)
			}
			got = append(got, "M")
		case kind == 8 && body[1] == 0:
			got = append(got, "C")
		case kind == 8:
			got = append(got, string(body[2:]))
		}
	}
	if strings.Join(got, "|") != "M|C|a|b|"+long+"|c" {
		t.Errorf("played %.80v", got)
	}
}

func TestWhoIsNotLetInIsToldWhy(t *testing.T) {
	h := open(t, rtmp.Config{})
	for verb, want := range map[string]string{"publish": "NetStream.Publish.Denied", "play": "NetStream.Play.Failed"} {
		p := h.dial()
		p.hello()
		p.say(command(1, verb, 2, nil, "closed"))
		code, why := p.status()
		for code == "NetStream.Play.Reset" {
			code, why = p.status()
		}
		if code != want || why != errClosed.Error() {
			t.Errorf("%s: %s, %s", verb, code, why)
		}
		p.ended()
	}
}

func TestAPublisherThatIsPutOutIsToldWhy(t *testing.T) {
	h := open(t, rtmp.Config{})
	p := h.publisher("")
	q := h.dial()
	q.hello()
	q.say(command(1, "publish", 2, nil, "test"))
	if code, why := q.status(); code != "NetStream.Publish.Denied" || !strings.Contains(why, media.ErrBusy.Error()) {
		t.Errorf("a second one gets %s, %s", code, why)
	}
	h.stream.Close(errors.New("the show is over"))
	if code, why := p.status(); code != "NetStream.Unpublish.Failed" || why != "the show is over" {
		t.Errorf("the first one gets %s, %s", code, why)
	}
	p.ended()
}

func TestAPublisherMayGoAndComeBackOnOneConnection(t *testing.T) {
	h := open(t, rtmp.Config{})
	p := h.publisher("")
	for range 3 {
		p.say(command(1, "FCUnpublish", 0, nil, "test"))
		h.until("it is gone", func() bool { return !h.stream.Live() })
		p.say(command(1, "publish", 5, nil, "test"))
		if code, _ := p.status(); code != "NetStream.Publish.Start" {
			t.Fatal(code)
		}
	}
}

func TestAggregatesAndTimestampsThatAreExtended(t *testing.T) {
	h := open(t, rtmp.Config{})
	v, err := h.stream.Join(media.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close(nil)
	p := h.publisher("")
	part := func(stamp uint32, data string) []byte {
		body := append([]byte{0xaf, 1}, data...)
		b := []byte{8, 0, 0, byte(len(body)), byte(stamp >> 16), byte(stamp >> 8), byte(stamp), byte(stamp >> 24), 0, 0, 0}
		return binary.BigEndian.AppendUint32(append(b, body...), uint32(11+len(body)))
	}
	// A message at 2^32-100 ms, in two chunks, of which the second repeats its time, and one 200 ms later.
	body := append([]byte{0xaf, 1}, bytes.Repeat([]byte("x"), 150)...)
	first := header(4, 8, 1, len(body))
	first[1], first[2], first[3] = 0xff, 0xff, 0xff
	stamp := binary.BigEndian.AppendUint32(nil, 1<<32-100)
	b := append(slices.Concat(first, stamp), body[:128]...)
	b = append(append(b, 0xc4), stamp...)
	b = append(b, body[128:]...)
	p.say(append(b, aac(100, "a")...))
	both := message(4, 22, 1, append(part(500, "b"), part(540, "c")...))
	both[3] = 140
	p.say(both)
	frames := make([]*media.Frame, 8)
	var got []*media.Frame
	h.until("all have come", func() bool {
		n, err := v.Take(frames)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, frames[:n]...)
		return len(got) == 4
	})
	if len(got) != 4 || string(got[1].Data)+string(got[2].Data)+string(got[3].Data) != "abc" || len(got[0].Data) != 150 {
		t.Fatalf("got %d frames", len(got))
	}
	for i, want := range map[int]time.Duration{1: 200 * time.Millisecond, 2: 40 * time.Millisecond, 3: 40 * time.Millisecond} {
		if step := got[i].DTS - got[i-1].DTS; step != want {
			t.Errorf("frame %d comes %v after the one before, want %v", i, step, want)
		}
	}
}
