package rtc

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
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

// A client that reports under one number after the other is heard under so many, and no more are kept.
func TestAClientReportsUnderSoManyNumbers(t *testing.T) {
	ours, theirs := keysOf(t, false), keysOf(t, true)
	report := func(from uint32) error {
		t.Helper()
		sealed, err := theirs.sealRTCP([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: from}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = ours.openRTCP(make([]byte, datagramRoom), sealed)
		return err
	}
	forged := append([]byte{0x80, 201, 0, 1, 0, 0, 0, 1}, make([]byte, 30)...)
	if _, err := ours.openRTCP(make([]byte, datagramRoom), forged); err == nil || len(ours.from) != 0 {
		t.Errorf("a forged report: %v; %d numbers are kept", err, len(ours.from))
	}
	for n := range uint32(10 * maxReporters) {
		if err := report(1000 + n); (err == nil) != (n < maxReporters) {
			t.Fatalf("report under the number %d: %v", n, err)
		}
	}
	if err := report(1000); err != nil {
		t.Errorf("one that is known: %v", err)
	}
}

// The library keeps each message of a handshake: it gets none without keys when that is over, not many under keys, and not more before than one has.
func TestTheLibraryGetsSoMuchOfAHandshake(t *testing.T) {
	record := func(kind, epoch byte, size int) []byte {
		b := make([]byte, recordHead+size)
		b[0], b[4] = kind, epoch
		binary.BigEndian.PutUint16(b[11:], uint16(size))
		return b
	}
	count := func(c *secure, b []byte) (n int) {
		for range 1000 {
			n += len(c.heed(b))
		}
		return n / len(b)
	}
	begins, over := &secure{}, &secure{away: []byte{1}}
	if n := count(begins, record(handshakeRecord, 0, 1000)); n != maxHandshake/1013 {
		t.Errorf("%d records of a handshake are taken, expected %d", n, maxHandshake/1013)
	}
	if n := count(&secure{}, record(alertRecord, 0, 2)); n != 0 {
		t.Errorf("%d alerts without keys are taken in a handshake", n)
	}
	if n := count(over, record(handshakeRecord, 0, 1000)); n != 0 {
		t.Errorf("%d records without keys are taken behind the handshake", n)
	}
	if n := count(over, record(handshakeRecord, 1, 30)); n != maxAgain {
		t.Errorf("%d records of a handshake are taken behind it, expected %d", n, maxAgain)
	}
	if n := count(over, record(alertRecord, 1, 30)); n != 1000 {
		t.Errorf("%d of 1000 alerts under keys are taken", n)
	}
	if got := over.heed(slices.Concat(record(alertRecord, 0, 2), record(alertRecord, 1, 9), record(alertRecord, 0, 2), []byte("cut off"))); !bytes.Equal(got, record(alertRecord, 1, 9)) {
		t.Errorf("of several records %x is taken", got)
	}
}

// strict ends each session while it is told of it.
type strict struct {
	everybody
	srv   *Server
	heard []string
}

func (r *strict) Joined(s Session) {
	if err := r.srv.End(s.ID, "not today"); err != nil {
		r.heard = append(r.heard, err.Error())
	}
	r.heard = append(r.heard, "joined")
}

func (r *strict) Left(_ Session, reason string) { r.heard = append(r.heard, reason) }

func TestASessionThatEndsWhileItIsLetInLeavesBehindThat(t *testing.T) {
	srv := listening(t)
	r := &strict{srv: srv}
	srv.cfg.Rules = r
	enter(t, srv)
	if !slices.Equal(r.heard, []string{"joined", "not today"}) {
		t.Errorf("the rules heard %q", r.heard)
	}
}

// Strangers of one network leave room for those of others: an IPv4 address is one, and 64 bits of an IPv6 address.
func TestOneNetworkDoesNotKeepOthersOut(t *testing.T) {
	s := &strangers{by: map[netip.Prefix]int{}}
	count := func(addr string, most int) (n int) {
		for s.enter(networkOf(netip.MustParseAddr(addr)), most) {
			n++
		}
		return n
	}
	for _, c := range []struct {
		addr string
		want int
	}{{"192.0.2.1", maxStrangers}, {"192.0.2.2", maxStrangers}, {"2001:db8::1", maxStrangers}, {"2001:db8::ffff", 0}, {"2001:db8:0:1::1", maxStrangers}, {"192.0.2.3", 22}} {
		if n := count(c.addr, 4*maxStrangers+22); n != c.want {
			t.Errorf("%d strangers of %s come in, expected %d", n, c.addr, c.want)
		}
	}
	s.leave(networkOf(netip.MustParseAddr("192.0.2.1")))
	if n := count("192.0.2.9", 4*maxStrangers+22); n != 1 {
		t.Errorf("%d come in when one has left", n)
	}
}
