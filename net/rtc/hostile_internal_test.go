package rtc

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/rtc/terms"
)

// everybody is admitted.
type everybody struct{ nobody }

func (everybody) Joined(Session)             {}
func (everybody) Left(Session, string)       {}
func (everybody) Speaking(string, []Speaker) {}
func (everybody) Message(Session, []byte)    {}

// inside is a publisher that has got through, and has the keys.
type inside struct {
	testing.TB
	s      *session
	theirs *crypt
	plain  []byte
}

func newInside(t testing.TB) *inside {
	t.Helper()
	return enter(t, listening(t))
}

func listening(t testing.TB) *Server {
	t.Helper()
	srv, err := Listen(t.Context(), Config{Rules: everybody{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

func enter(t testing.TB, srv *Server) *inside {
	t.Helper()
	room, err := srv.enter("stage")
	if err != nil {
		t.Fatal(err)
	}
	s := srv.open(room, Publish, Permit{Who: "ann"}, &terms.Offer{Lines: []terms.Line{
		{Kind: terms.Audio, Mid: "0", MidExt: 1, Level: 2, Codecs: []terms.Codec{{PT: 111, Mime: mimeOpus, Clock: opusClock, Channels: 2}}},
		{Kind: terms.Video, Mid: "1", MidExt: 1, RidExt: 3, RepairedExt: 4, Congestion: 5, NACK: true, Rids: []string{"high", "low"}, Codecs: []terms.Codec{{PT: 96, Mime: mimeVP8, Clock: videoClock}}},
	}})
	if !srv.remember(s) {
		t.Fatal("the server is closed")
	}
	if _, err := room.enter(s); err != nil {
		t.Fatal(err)
	}
	s.keyed(keysOf(t, false))
	s.connected()
	return &inside{t, s, keysOf(t, true), make([]byte, datagramRoom)}
}

func (in *inside) send(b []byte) {
	in.s.server.turn(func(out *outbox) { in.s.receive(b, time.Now(), in.plain, out) })
}

func (in *inside) sendRTP(h *rtp.Header, payload []byte) {
	in.Helper()
	sealed, err := in.theirs.sealRTP(make([]byte, datagramRoom), h, payload)
	if err != nil {
		in.Fatal(err)
	}
	in.send(sealed)
}

// sound is a packet's header, on a line of this name.
func sound(ssrc uint32, number uint16, mid string) *rtp.Header {
	h := &rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: number, SSRC: ssrc}
	if mid != "" {
		_ = h.SetExtension(1, []byte(mid))
	}
	return h
}

// A publisher who uses one number after the other goes on with the newest of those that it may have, and no more are kept.
func TestAPublisherHasSoManySources(t *testing.T) {
	in := newInside(t)
	for n := range uint32(10 * maxSources) {
		in.sendRTP(sound(1000+n, 1, "0"), []byte("sound"))
	}
	is := &in.s.intakes
	if n := len(is.seen); n != maxSources {
		t.Errorf("%d numbers are kept, expected %d", n, maxSources)
	}
	all := is.all()
	if len(all) != 1 || all[0].ssrc != 1000+maxSources-1 {
		t.Errorf("%d tracks go on, expected the last one", len(all))
	}
	in.s.tasks.Wait() // those before are taken out
	in.s.room.mu.Lock()
	defer in.s.room.mu.Unlock()
	if p := in.s.room.find("ann"); p == nil || len(p.sources) != 1 {
		t.Error("the room has other tracks")
	}
}

func TestWhatIsOfNoLineBeginsNoTrack(t *testing.T) {
	in := newInside(t)
	number := uint16(0)
	picture := func(ssrc uint32, mid, rid string) *rtp.Header {
		number++
		h := &rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: number, SSRC: ssrc}
		_ = h.SetExtension(1, []byte(mid))
		if rid != "" {
			_ = h.SetExtension(3, []byte(rid))
		}
		return h
	}
	in.sendRTP(sound(1, 1, "1"), nil) // a line of pictures
	in.sendRTP(&rtp.Header{Version: 2, PayloadType: 97, SSRC: 2}, nil)
	in.sendRTP(picture(3, "1", ""), nil)
	in.sendRTP(picture(4, "1", "other"), nil)
	if all := in.s.intakes.all(); len(all) != 0 {
		t.Errorf("%d tracks have begun", len(all))
	}
	in.sendRTP(sound(5, 1, ""), nil) // of the only line with this codec
	in.sendRTP(sound(1, 2, "0"), nil)
	in.sendRTP(picture(3, "1", "low"), nil)
	in.sendRTP(picture(4, "1", "high"), nil)
	layers := map[uint32]int{}
	for _, i := range in.s.intakes.all() {
		layers[i.ssrc] = i.src.layer
	}
	if len(layers) != 3 || layers[3] != 1 || layers[4] != 0 {
		t.Errorf("the tracks are %v, expected 1 of sound, and layers 1 and 0 of 3 and 4", layers)
	}
}

// A packet that comes once more, or is not the client's, is not taken.
func TestReplayedAndForgedPacketsAreDropped(t *testing.T) {
	in := newInside(t)
	sealed, err := in.theirs.sealRTP(make([]byte, datagramRoom), sound(1, 1, "0"), []byte("sound"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := in.theirs.sealRTCP([]rtcp.Packet{&rtcp.SenderReport{SSRC: 1, NTPTime: 1 << 32, RTPTime: 5}})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{sealed, report} {
		forged := append([]byte(nil), b...)
		forged[len(forged)-1] ^= 1
		in.send(forged)
		in.send(b)
		in.send(b)
	}
	if n := counted(t, in.s.server, "skua_webrtc_packets_received_total"); n != 1 {
		t.Errorf("%v packets are received, expected 1", n)
	}
	if n := counted(t, in.s.server, "skua_webrtc_invalid_packets_total"); n != 4 {
		t.Errorf("%v packets are invalid, expected 4", n)
	}
}

// FuzzClient is a client that has come in and sends what it likes, under its keys too.
func FuzzClient(f *testing.F) {
	f.Add(byte(0), []byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(byte(1), []byte{0x90, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x10, '0', 0, 0, 1, 2, 3})
	f.Add(byte(1), []byte{0x90, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xbe, 0xde, 0, 2, 0x10, '1', 0x33, 'h', 'i', 'g', 'h', 0, 0x10, 0, 1})
	for _, p := range []rtcp.Packet{
		&rtcp.SenderReport{SSRC: 1}, &rtcp.TransportLayerNack{MediaSSRC: 1, Nacks: []rtcp.NackPair{{PacketID: 1, LostPackets: 0xffff}}}, &rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 1}}},
	} {
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(2), b)
	}
	f.Add(byte(3), []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1})
	srv := listening(f)
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		in := enter(t, srv)
		defer in.s.close(ReasonLeft)
		if len(b) > 1400 {
			b = b[:1400]
		}
		switch kind % 4 {
		case 0:
			in.s.server.check(overUDP(in.s.server.sockets.all[0], in.s.server.UDP()), b, time.Now())
			in.send(b)
		case 1:
			var h rtp.Header
			if n, err := h.Unmarshal(b); err == nil {
				if sealed, err := in.theirs.sealRTP(make([]byte, datagramRoom), &h, b[n:]); err == nil {
					in.send(sealed)
				}
			}
		case 2:
			if len(b) >= 8 {
				b[0], b[1] = 0x80|b[0]&0x1f, 192+b[1]%32
				binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
				in.theirs.out.Lock()
				sealed, err := in.theirs.seal.EncryptRTCP(nil, b, nil)
				in.theirs.out.Unlock()
				if err == nil {
					in.send(sealed)
				}
			}
		case 3:
			in.send(b)
		}
	})
}
