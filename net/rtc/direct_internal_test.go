package rtc

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	pion "github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/metrictest"
)

// library encrypts as the library does: it knows of the packets that it is given, and of no others.
type library struct {
	seal *srtp.Context
	to   *net.UDPConn
	at   net.Addr
	t    *testing.T
	had  int
	mute int // so many are taken and go nowhere, as before it has its keys
}

func (l *library) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	if l.mute > 0 {
		l.mute--
		return 0, nil
	}
	l.had++
	plain, err := (&rtp.Packet{Header: *h, Payload: payload}).Marshal()
	if err != nil {
		return 0, err
	}
	sealed, err := l.seal.EncryptRTP(nil, plain, nil)
	if err != nil {
		return 0, err
	}
	return l.to.WriteTo(sealed, l.at)
}

func (l *library) Write([]byte) (int, error) { l.t.Error("a packet in one piece"); return 0, nil }

func listenLoopback(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// direct is a viewer's slot with a short way, and the client at its end.
type direct struct {
	*testing.T
	srv     *Server
	slot    *slot
	through *library
	short   *lane
	client  *net.UDPConn
	opened  *srtp.Context
	buf     []byte
}

func newDirect(t *testing.T) *direct {
	t.Helper()
	log, _ := logtest.New(t)
	srv, err := Listen(t.Context(), Config{Rules: nobody{}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	client := listenLoopback(t)
	t.Cleanup(func() { _ = client.Close() })
	viewer := &session{server: srv}
	agreed := &srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
	agreed.Keys.LocalMasterKey, agreed.Keys.LocalMasterSalt = bytes.Repeat([]byte{7}, 16), bytes.Repeat([]byte{9}, 12)
	agreed.Keys.RemoteMasterKey, agreed.Keys.RemoteMasterSalt = bytes.Repeat([]byte{8}, 16), bytes.Repeat([]byte{10}, 12)
	viewer.path.keys.agreed.Store(agreed)
	opened, err := srtp.CreateContext(agreed.Keys.LocalMasterKey, agreed.Keys.LocalMasterSalt, agreed.Profile, srtp.SRTPReplayProtection(64))
	if err != nil {
		t.Fatal(err)
	}
	through := &library{seal: viewer.path.keys.seal(), to: srv.sockets.all[0].UDPConn, at: client.LocalAddr(), t: t}
	return &direct{
		T: t, srv: srv, through: through, client: client, opened: opened, buf: make([]byte, 1500),
		slot:  &slot{viewer: viewer, kind: pion.RTPCodecTypeAudio, out: through, ssrc: 5},
		short: &lane{socket: srv.sockets.all[0], to: client.LocalAddr().(*net.UDPAddr)},
	}
}

// write sends a packet, which the client has to get.
func (d *direct) write(number uint64) {
	d.Helper()
	d.srv.turn(func(out *outbox) { d.slot.write(&packet{seq: number, payload: []byte("sound")}, out) })
	d.gets(number)
}

// gets reads what comes next at the client.
func (d *direct) gets(number uint64) {
	d.Helper()
	if err := d.client.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		d.Fatal(err)
	}
	n, err := d.client.Read(d.buf)
	if err != nil {
		d.Fatal(err)
	}
	plain, err := d.opened.DecryptRTP(nil, d.buf[:n], nil)
	if err != nil {
		d.Fatalf("packet %d: %v", number, err)
	}
	if !bytes.HasSuffix(plain, []byte("sound")) {
		d.Fatalf("packet %d is %q", number, plain)
	}
}

// A viewer decrypts all packets, whichever way they come, also behind the place where their numbers begin anew, from which on the keys are others.
func TestPacketsChangeTheirWayAtAnyTime(t *testing.T) {
	d := newDirect(t)
	const first = 60_000
	write := func(from, to uint64) {
		for number := from; number < to; number++ {
			d.write(number)
		}
	}
	d.slot.viewer.path.lane.Store(d.short)
	write(first, first+10_000)
	if most := 10_000/shown + 2; d.through.had > most {
		t.Errorf("%d packets went through the library, expected %d at most", d.through.had, most)
	}
	d.slot.viewer.path.lane.Store(nil)
	write(first+10_000, first+80_000)
	d.slot.viewer.path.lane.Store(d.short)
	write(first+80_000, first+80_100)
	if d.slot.packets != 80_100 {
		t.Errorf("%d packets are counted, expected 80100", d.slot.packets)
	}
}

// nobody admits nobody.
type nobody struct{ Rules }

func TestPublishersAreToldWhatHasComeOfTheirSound(t *testing.T) {
	begun := time.Unix(1000, 0)
	r := reception{rate: opusClock}
	if _, ok := r.tell(1, begun); ok {
		t.Error("there is a report before the first packet")
	}
	number := func(n int) uint64 { return 1<<16 + uint64(65_500+n) }
	for n := range 100 {
		if n%4 == 3 {
			continue // it is lost
		}
		r.packet(number(n), uint32(1<<32-48_000+n*960), begun.Add(time.Duration(n)*20*time.Millisecond))
	}
	r.sender(0x1234_5678_9abc_def0, begun.Add(time.Second))
	got, ok := r.tell(1, begun.Add(3*time.Second))
	if !ok || got.TotalLost != 24 || got.FractionLost != 24*256/99 {
		t.Errorf("lost are %d and %d/256, expected 24 and %d/256", got.TotalLost, got.FractionLost, 24*256/99)
	}
	if want := uint32(65_500 + 98); got.LastSequenceNumber != want {
		t.Errorf("the highest number is %d, expected %d", got.LastSequenceNumber, want)
	}
	if got.Jitter > 1 {
		t.Errorf("jitter of %d for packets that come evenly", got.Jitter)
	}
	if got.LastSenderReport != 0x5678_9abc || got.Delay != 2*65536 {
		t.Errorf("the publisher's report is %#x, %d ago, expected 0x56789abc, %d ago", got.LastSenderReport, got.Delay, 2*65536)
	}
	r.packet(number(3), 0, begun.Add(3*time.Second)) // it was only late
	if got, _ := r.tell(1, begun.Add(4*time.Second)); got.TotalLost != 23 || got.FractionLost != 0 {
		t.Errorf("lost are %d and %d/256 then, expected 23 and none", got.TotalLost, got.FractionLost)
	}
}

func TestOnlyRTPGoesTheShortWay(t *testing.T) {
	for name, c := range map[string]struct {
		head []byte
		want bool
	}{
		"RTP": {[]byte{0x90, 111}, true}, "RTP with its marker": {[]byte{0x80, 0x80 | 96}, true},
		"RTCP": {[]byte{0x80, 200}, false}, "STUN": {[]byte{0, 1}, false}, "DTLS": {[]byte{22, 254}, false},
	} {
		if got := isRTP(append(c.head, make([]byte, 20)...)); got != c.want {
			t.Errorf("%s: %v, expected %v", name, got, c.want)
		}
	}
	if isRTP([]byte{0x80, 111, 0}) {
		t.Error("3 bytes are RTP")
	}
}

// A publisher may send what it likes under its keys: what is none of the codecs that were agreed upon for the track does not get to viewers, whichever way it comes, and is counted.
func TestPacketsOfAnotherPayloadTypeAreLeftOut(t *testing.T) {
	d := newDirect(t)
	src, opus := d.speaking()
	in := &intake{server: d.srv, src: src, agreed: []pion.RTPCodecParameters{{PayloadType: 111, RTPCodecCapability: opus.RTPCodecCapability}}}
	take := func(number int, pt uint8, text string) {
		t.Helper()
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: pt, SequenceNumber: uint16(number), SSRC: 1}, Payload: []byte(text)}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		d.srv.turn(func(out *outbox) { in.take(b, time.Now(), out) })
	}
	take(1, 96, "a picture") // also as the first
	for number := 2; number < 10; number += 2 {
		take(number, 111, "sound")
		take(number+1, 96, "a picture")
	}
	for number := uint64(2); number < 10; number += 2 {
		d.gets(number) // each is sound
	}
	if d.slot.packets != 4 {
		t.Errorf("%d packets are sent, expected 4", d.slot.packets)
	}
	counted := prometheus.NewRegistry()
	counted.MustRegister(d.srv.metrics)
	if n := metrictest.Value(t, counted, "skua_webrtc_packets_unagreed_total"); n != 5 {
		t.Errorf("%v packets are counted, expected 5", n)
	}
}
