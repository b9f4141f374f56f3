package live_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/live"
	"github.com/skua-go/skua/services/room"
)

// raw is a connection that speaks the protocol without a client.
type raw struct {
	*rig
	conn net.Conn
	read []byte
}

// shaken connects; with a gate where nobody logs in the client is in then.
func (r *rig) shaken() *raw {
	r.Helper()
	return r.shakenOver(new(net.Dialer).DialContext)
}

func (r *rig) shakenOver(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *raw {
	r.Helper()
	conn, err := dial(r.ctx(), "tcp", r.addrs["tcp"].String())
	r.must(err)
	r.Cleanup(func() { _ = conn.Close() })
	r.must(conn.SetDeadline(time.Now().Add(patience)))
	w := &raw{rig: r, conn: conn}
	hello, err := packet.AppendHandshake(nil, packet.HandshakeRequest{})
	r.must(err)
	hello, err = packet.AppendPacket(hello, packet.HandshakeAck, nil)
	r.must(err)
	w.send(hello)
	w.until(packet.Handshake)
	return w
}

// leaves reads what there is until the end of what has this id, and tells how many bytes of frames came before it.
func (w *raw) leaves(id uint32) (frames int) {
	w.Helper()
	for {
		var pieces packet.MediaPieces
		body := w.until(packet.Media)
		if _, isFrame := packet.MediaChannel(body); isFrame {
			frames += len(body)
		} else if m, _, err := pieces.Decode(body); err != nil || m.Op == packet.MediaEnded && m.ID == id {
			w.must(err)
			return frames
		}
	}
}

func (w *raw) send(p []byte) {
	w.Helper()
	_, err := w.conn.Write(p)
	w.must(err)
}

func (w *raw) tell(m packet.MediaControl) {
	w.Helper()
	p, err := packet.AppendMediaControl(nil, &m)
	w.must(err)
	w.send(p)
}

// until reads up to a package of a type, and gives its body.
func (w *raw) until(typ packet.Type) []byte {
	w.Helper()
	split := packet.Split(0)
	buf := make([]byte, 64<<10)
	for {
		n, frame, err := split(w.read)
		w.must(err)
		if frame != nil {
			p, err := packet.Decode(frame)
			w.must(err)
			w.read = w.read[n:]
			if p.Type == typ {
				return p.Body
			}
			continue
		}
		m, err := w.conn.Read(buf)
		if errors.Is(err, io.EOF) {
			w.Fatalf("the connection has ended before a %s package", typ)
		}
		w.must(err)
		w.read = append(w.read, buf[:m]...)
	}
}

// told reads up to what the server tells of an operation.
func (w *raw) told(op string) *packet.MediaControl {
	w.Helper()
	for {
		var pieces packet.MediaPieces
		body := w.until(packet.Media)
		if m, _, err := pieces.Decode(body); err == nil && m != nil && m.Op == op {
			return m
		}
	}
}

func frame(channel uint32, track uint8, data string) []byte {
	return packet.AppendMediaFrame(nil, &packet.MediaFrame{Channel: channel, Track: track, Key: true, Data: []byte(data)}, 0)
}

func publishes(id uint32, tracks ...packet.MediaTrack) packet.MediaControl {
	return packet.MediaControl{Op: packet.MediaPublish, ID: id, Room: "arena", Tracks: tracks}
}

func TestWhoDoesNotSpeakTheProtocolIsKicked(t *testing.T) {
	r := start(t, options{gate: gate.Config{Login: gate.LoginNone}})
	for name, send := range map[string]func(w *raw){
		"no operation":                   func(w *raw) { w.tell(packet.MediaControl{Op: "dance", ID: 1}) },
		"an operation of servers":        func(w *raw) { w.tell(packet.MediaControl{Op: packet.MediaOpened, ID: 1}) },
		"an id of 0":                     func(w *raw) { w.tell(packet.MediaControl{Op: packet.MediaWatch, Room: "arena"}) },
		"a frame of what was not opened": func(w *raw) { w.send(frame(1, 0, "x")) },
		"a track of what was not opened": func(w *raw) { w.tell(packet.MediaControl{Op: packet.MediaTell, ID: 9}) },
		"an id that was used":            func(w *raw) { w.tell(publishes(5)); w.tell(publishes(5)) },
		"rubbish":                        func(w *raw) { w.send([]byte{7, 0, 0, 2, 0, '['}) },
		"nothing":                        func(w *raw) { w.send([]byte{7, 0, 0, 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := r.shaken()
			send(w)
			if reason := packet.DecodeReason(w.until(packet.Kick)); reason.Code != "bad_packet" || !strings.Contains(reason.Msg, "bad media package") {
				t.Errorf("%+v", reason)
			}
		})
	}
}

func TestAGateWithoutRoomsTakesNoMedia(t *testing.T) {
	r := start(t, options{gate: gate.Config{Login: gate.LoginNone}})
	conn, err := net.Dial("tcp", r.addrs["tcp"].String())
	r.must(err)
	t.Cleanup(func() { _ = conn.Close() })
	w := &raw{rig: r, conn: conn}
	w.send(frame(1, 0, "before the handshake"))
	if reason := packet.DecodeReason(w.until(packet.Kick)); reason.Code != "bad_packet" {
		t.Errorf("%+v", reason)
	}
}

func TestAStrangerOpensNothing(t *testing.T) {
	r := start(t, options{})
	w := r.shaken()
	w.tell(publishes(1, packet.MediaTrack{Codec: "vp8"}))
	if m := w.told(packet.MediaEnded); m.Code != "not_logged_in" {
		t.Errorf("%+v", m)
	}
}

func TestWhatAPublisherDoesWrongEndsItsRoomAndNotItsConnection(t *testing.T) {
	r := start(t, options{gate: gate.Config{Login: gate.LoginNone}, live: live.Config{FrameRate: 20}}) // of which a busy machine sends more, too
	vp8 := packet.MediaTrack{Codec: "vp8"}
	many := make([]packet.MediaTrack, 9)
	for i := range many {
		many[i] = packet.MediaTrack{Codec: "vp8", Layer: uint8(i)}
	}
	w := r.shaken()
	id := uint32(0)
	for _, c := range []struct {
		name, code string
		tracks     []packet.MediaTrack
		then       func()
	}{
		{"no tracks", "bad_request", nil, nil},
		{"too many tracks", "bad_request", many, nil},
		{"an unknown codec", "bad_request", []packet.MediaTrack{{Codec: "mjpeg"}}, nil},
		{"two that are one", "bad_request", []packet.MediaTrack{vp8, vp8}, nil},
		{"a record that is none", "bad_request", []packet.MediaTrack{{Codec: "aac", Config: []byte{1}}}, nil},
		{"a track that was not announced", "bad_request", []packet.MediaTrack{vp8}, func() { w.send(frame(id, 1, "x")) }},
		{"a codec of another kind", "bad_request", []packet.MediaTrack{vp8}, func() {
			w.tell(packet.MediaControl{Op: packet.MediaTell, ID: id, Tracks: []packet.MediaTrack{{Codec: "opus"}}})
		}},
		{"frames faster than anybody looks", "too_fast", []packet.MediaTrack{vp8}, func() {
			for range 2100 {
				w.send(frame(id, 0, "x"))
			}
		}},
	} {
		id++
		w.tell(publishes(id, c.tracks...))
		if c.then != nil {
			w.told(packet.MediaOpened)
			c.then()
		}
		m := w.told(packet.MediaEnded)
		if m.Code != c.code || m.ID != id || m.Msg == "" {
			t.Errorf("%s: %+v, expected %s", c.name, m, c.code)
		}
		w.send(frame(id, 0, "it was on its way")) // is not looked at
	}
	w.send(packet.AppendHeartbeat(nil))
	w.until(packet.Heartbeat)
}

// strict rooms let nobody in, and count who has asked.
type strict struct{ asked atomic.Int64 }

func (s *strict) Publish(context.Context, room.Entry, func(error)) (*media.Publisher, error) {
	s.asked.Add(1)
	return nil, room.ErrDenied
}

func (s *strict) Join(context.Context, room.Entry, media.ViewerConfig) (*media.Viewer, error) {
	s.asked.Add(1)
	return nil, room.ErrDenied
}

func TestWhoOpensRoomAfterRoomIsRefusedWithoutAskingTheRules(t *testing.T) {
	const many = 300
	rooms := &strict{}
	r := start(t, options{gate: gate.Config{Login: gate.LoginNone}, live: live.Config{Rooms: rooms, OpenRate: 1}})
	w := r.shaken()
	id := uint32(0)
	ask := func() string {
		id++
		m := packet.MediaControl{Op: packet.MediaWatch, ID: id, Room: "arena"}
		if id%2 == 0 {
			m = publishes(id, packet.MediaTrack{Codec: "vp8"})
		}
		w.tell(m)
		told := w.told(packet.MediaEnded)
		if told.ID != id {
			t.Fatalf("%+v, expected the end of %d", told, id)
		}
		return told.Code
	}
	got := map[string]int64{}
	for range many {
		got[ask()]++
	}
	if n := rooms.asked.Load(); n < 8 || n != got["denied"] || got["denied"]+got["too_fast"] != many || got["too_fast"] == 0 {
		t.Errorf("the rules were asked %d times, the client was told %v", n, got)
	}
	r.until("it may go on in time", func() bool { return ask() == "denied" })
}

func TestAPublisherThatDescribesItsTracksWithoutEndIsEnded(t *testing.T) {
	r := start(t, options{gate: gate.Config{Login: gate.LoginNone}, live: live.Config{DescribeRate: 1}})
	w := r.shaken()
	w.tell(publishes(1, packet.MediaTrack{Codec: "vp8"}))
	w.told(packet.MediaOpened)
	for n := range 300 {
		w.tell(packet.MediaControl{Op: packet.MediaTell, ID: 1, Tracks: []packet.MediaTrack{{Codec: "vp8", Width: 16 + n, Height: 16}}})
	}
	if m := w.told(packet.MediaEnded); m.Code != "too_fast" || m.ID != 1 {
		t.Errorf("%+v", m)
	}
	w.send(packet.AppendHeartbeat(nil))
	w.until(packet.Heartbeat)
}

func TestWhoLeavesInTheMiddleOfAFrameTakesNoOthersPlace(t *testing.T) {
	r := start(t, options{gate: gate.Config{Login: gate.LoginNone}, live: live.Config{OpenRate: 1000}})
	w := r.shaken()
	half, _ := packet.NextPackage(packet.AppendMediaFrame(nil, &packet.MediaFrame{Key: true, Data: make([]byte, 200)}, 100))
	for id := uint32(1); id <= 40; id++ {
		w.tell(publishes(id, packet.MediaTrack{Codec: "vp8"}))
		w.told(packet.MediaOpened)
		binary.BigEndian.PutUint32(half[packet.HeaderSize+1:], id)
		w.send(half)
		w.tell(packet.MediaControl{Op: packet.MediaClose, ID: id})
		if m := w.told(packet.MediaEnded); m.Code != "closed" || m.ID != id {
			t.Fatalf("%+v", m)
		}
	}
}

func TestAViewerThatLeavesDuringAWriteGetsNoMoreThanWasOnItsWay(t *testing.T) {
	const size, count = 200_000, 24
	r := start(t, options{gate: gate.Config{Login: gate.LoginNone}})
	publisher := r.shaken()
	publisher.tell(publishes(1, packet.MediaTrack{Codec: "vp8"}))
	publisher.told(packet.MediaOpened)
	for n := range count {
		publisher.send(packet.AppendMediaFrame(nil, &packet.MediaFrame{Channel: 1, Key: n == 0, DTS: int64(n), Data: make([]byte, size)}, 0))
	}
	publisher.send(packet.AppendHeartbeat(nil))
	publisher.until(packet.Heartbeat) // all was taken
	viewer := r.shakenOver(dialNarrow(1 << 30))
	viewer.tell(packet.MediaControl{Op: packet.MediaWatch, ID: 1, Room: "arena"})
	viewer.told(packet.MediaOpened)
	for began := false; !began; {
		_, began = packet.MediaChannel(viewer.until(packet.Media))
	}
	viewer.tell(packet.MediaControl{Op: packet.MediaClose, ID: 1})
	r.until("the room knows that it has gone", func() bool { return len(r.info("arena").Members) == 1 })
	got := viewer.leaves(1)
	t.Logf("%d bytes of frames came, of %d", got, size*count)
	if got == 0 || got > size*count*3/4 {
		t.Error("expected what was on its way, and no more")
	}
}

func TestFramesThatNoDecoderCouldReadEndAPublisher(t *testing.T) {
	r := start(t, options{gate: gate.Config{Login: gate.LoginNone}})
	w := r.shaken()
	avcC := []byte{1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 0, 1, 0, 0}
	w.tell(publishes(1, packet.MediaTrack{Codec: "h264", Config: avcC}))
	w.told(packet.MediaOpened)
	for range 100 {
		w.send(frame(1, 0, "\x00\x00\xff\xffa unit that is cut off"))
	}
	if m := w.told(packet.MediaEnded); m.Code != "bad_frame" {
		t.Errorf("%+v", m)
	}
}

func TestAConnectionHasAFewRooms(t *testing.T) {
	r := start(t, options{})
	c := r.enter("tcp", "ann", client.Options{})
	for i := range 8 {
		r.publish(c, "arena"+string(rune('a'+i)), client.PublishOptions{})
	}
	if _, err := c.Publish(r.ctx(), "one-more", client.PublishOptions{Tracks: tracks()}); codeOf(err) != "full" {
		t.Error(err)
	}
	_ = c.Close()
	r.until("its rooms are free", func() bool { return !r.info("arenaa").Live && !r.info("arenah").Live })
}
