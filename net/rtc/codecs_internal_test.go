package rtc

import (
	"net"
	"testing"
	"time"
	"unicode"

	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/rtc/terms"
)

// film is a publisher of pictures, a packet and a letter each: a to m are VP8, n to z H.264, capitals are key frames.
type film struct {
	*direct
	src   *source
	in    *intake
	known map[string]terms.Codec
	n     uint16
	at    time.Time
}

const (
	theVP8  = "vp8"
	theH264 = "h264"
)

func newFilm(t *testing.T) *film {
	t.Helper()
	f := &film{direct: newDirect(t), known: map[string]terms.Codec{}, at: time.Now()}
	f.src = newSource(f.srv, Video, "ann", "", 0, videoClock, new(senderClock))
	t.Cleanup(f.src.close)
	f.known[theVP8] = terms.Codec{PT: 96, Mime: mimeVP8, Clock: videoClock}
	f.known[theH264] = terms.Codec{PT: 102, Mime: mimeH264, Clock: videoClock, Fmtp: "packetization-mode=1;profile-level-id=42e01f"}
	f.in = &intake{server: f.srv, src: f.src, agreed: []terms.Codec{f.known[theVP8], f.known[theH264]}}
	return f
}

// packet comes to the node under a number.
func (f *film) packet(n uint16, letter rune) {
	f.Helper()
	codec, payload := theVP8, []byte{0x10, 1, byte(letter)}
	if unicode.ToLower(letter) > 'm' {
		codec, payload = theH264, []byte{0x41, byte(letter)}
	}
	if unicode.IsUpper(letter) {
		if payload[0] = 0x65; codec == theVP8 {
			payload[0], payload[1] = 0x10, 0
		}
	}
	b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, Marker: true, PayloadType: f.known[codec].PT, SequenceNumber: n, Timestamp: uint32(n) * 3600, SSRC: 1}, Payload: payload}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.srv.turn(func(out *outbox) { f.in.take(b, f.at.Add(time.Duration(n)*40*time.Millisecond), out) })
}

// shows sends pictures one behind the other; an underscore is lost on the way.
func (f *film) shows(pictures string) {
	f.Helper()
	for _, letter := range pictures {
		if f.n++; letter != '_' {
			f.packet(f.n, letter)
		}
	}
}

// seat is a viewer that has some codecs.
type seat struct {
	slot   *slot
	client *net.UDPConn
	theirs *crypt
	got    []rtp.Packet
}

// joins has a viewer come now.
func (f *film) joins(codecs ...string) *seat {
	f.Helper()
	s := &seat{client: listenLoopback(f.T), theirs: keysOf(f.T, true)}
	f.Cleanup(func() { _ = s.client.Close() })
	viewer := &session{server: f.srv}
	viewer.keys.Store(keysOf(f.T, false))
	viewer.lane.Store(overUDP(f.srv.sockets.all[0], s.client.LocalAddr().(*net.UDPAddr).AddrPort()))
	s.slot = &slot{viewer: viewer, kind: Video, ssrc: 6}
	for i, name := range codecs {
		c := f.known[name]
		c.PT = uint8(40 + i) // viewers have numbers of their own
		s.slot.offered = append(s.slot.offered, c)
	}
	s.slot.feed(f.src, f.at.Add(time.Duration(f.n)*40*time.Millisecond))
	f.Cleanup(func() { f.src.detach(s.slot) })
	return s
}

// reads takes all that it was sent.
func (s *seat) reads(t *testing.T) {
	t.Helper()
	if err := s.client.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, datagramRoom); len(s.got) < int(s.slot.packets); {
		n, err := s.client.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := s.theirs.openRTP(make([]byte, datagramRoom), b[:n])
		if err != nil {
			t.Fatal(err)
		}
		var p rtp.Packet
		if err := p.Unmarshal(plain); err != nil {
			t.Fatal(err)
		}
		s.got = append(s.got, p)
	}
}

// saw are the pictures that a viewer was sent. Their numbers follow each other, but for so many that were lost on the way to the node.
func (s *seat) saw(t *testing.T, lost int) string {
	t.Helper()
	s.reads(t)
	var all []byte
	for i, p := range s.got {
		if i > 0 && p.SequenceNumber != s.got[i-1].SequenceNumber+1 {
			if lost--; lost < 0 {
				t.Errorf("%c has number %d behind %d: the viewer takes what it could not be sent for lost", p.Payload[len(p.Payload)-1], p.SequenceNumber, s.got[i-1].SequenceNumber)
			}
		}
		if i > 0 && int32(p.Timestamp-s.got[i-1].Timestamp) <= 0 {
			t.Errorf("timestamp %d comes behind %d", p.Timestamp, s.got[i-1].Timestamp)
		}
		all = append(all, p.Payload[len(p.Payload)-1])
	}
	return string(all)
}

// A publisher changes its codec on the way, and back. Each viewer gets what it has the codec of, from a key frame on, whenever it comes.
func TestWhoComesWhenTheCodecHasChangedGetsWhatItKnows(t *testing.T) {
	type want struct{ vp8, h264, both string }
	check := func(when string, of map[string]*seat, w want) {
		t.Helper()
		for name, pictures := range map[string]string{theVP8: w.vp8, theH264: w.h264, "both": w.both} {
			lost := 0
			if name == "both" { // it was sent what was before and behind
				lost = 1
			}
			if got := of[name].saw(t, lost); got != pictures {
				t.Errorf("who came %s and has %s saw %q, expected %q", when, name, got, pictures)
			}
		}
	}
	f := newFilm(t)
	join := func() map[string]*seat {
		return map[string]*seat{theVP8: f.joins(theVP8), theH264: f.joins(theH264), "both": f.joins(theVP8, theH264)}
	}
	early := join()
	f.shows("Aab")
	between := join() // begins at a key frame of the old codec
	f.shows("Nno")
	after := join() // at one of the new
	f.shows("pq")
	f.shows("Bc")
	f.shows("_or") // its key frame is lost
	lost := join()
	f.shows("sRs")
	check("at the beginning", early, want{"AabBc", "NnopqRs", "AabNnopqBcorsRs"})
	check("before the change", between, want{"AabBc", "NnopqRs", "AabNnopqBcorsRs"})
	check("behind it", after, want{"Bc", "NnopqRs", "NnopqBcorsRs"})
	check("behind a key frame that was lost", lost, want{"Bc", "Rs", "BcorsRs"})
}

// A packet of the old codec that was asked for again comes between those of the new one, which are of the same codec before and behind it.
func TestALatePacketOfTheOldCodecDoesNotDivideTheNewOne(t *testing.T) {
	f := newFilm(t)
	s := f.joins(theVP8, theH264)
	f.shows("A_Nn")
	f.packet(2, 'a')
	f.shows("o")
	if a, b := f.src.get(1<<16|3), f.src.get(1<<16|5); a.codec != b.codec {
		t.Error("packets of one payload type are of two codecs: what is put together of them falls apart, and the first are not sent again")
	}
	before := s.slot.packets
	f.srv.turn(func(out *outbox) { s.slot.lost([]uint16{3 + s.slot.addSeq}, time.Now(), out) })
	if n := s.slot.packets - before; n != 1 {
		t.Errorf("%d packets are sent again, expected 1", n)
	}
}
