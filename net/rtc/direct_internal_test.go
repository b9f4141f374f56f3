package rtc

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/net/rtc/terms"
)

func listenLoopback(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// direct is a viewer's slot, and the client at its end.
type direct struct {
	*testing.T
	srv    *Server
	slot   *slot
	client *net.UDPConn
	theirs *crypt // what the client has of the keys
	buf    []byte
}

// keysOf are those of a handshake, for the node or for its client.
func keysOf(t testing.TB, client bool) *crypt {
	t.Helper()
	agreed := &srtp.Config{Profile: srtp.ProtectionProfileAeadAes128Gcm}
	k := &agreed.Keys
	k.LocalMasterKey, k.LocalMasterSalt = bytes.Repeat([]byte{7}, 16), bytes.Repeat([]byte{9}, 12)
	k.RemoteMasterKey, k.RemoteMasterSalt = bytes.Repeat([]byte{8}, 16), bytes.Repeat([]byte{10}, 12)
	if client {
		k.LocalMasterKey, k.RemoteMasterKey = k.RemoteMasterKey, k.LocalMasterKey
		k.LocalMasterSalt, k.RemoteMasterSalt = k.RemoteMasterSalt, k.LocalMasterSalt
	}
	c, err := cryptOf(agreed)
	if err != nil {
		t.Fatal(err)
	}
	return c
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
	viewer.keys.Store(keysOf(t, false))
	viewer.lane.Store(overUDP(srv.sockets.all[0], client.LocalAddr().(*net.UDPAddr).AddrPort()))
	return &direct{T: t, srv: srv, client: client, theirs: keysOf(t, true), buf: make([]byte, 1500), slot: &slot{viewer: viewer, kind: Audio, ssrc: 5}}
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
	plain, err := d.theirs.openRTP(make([]byte, 1500), d.buf[:n])
	if err != nil {
		d.Fatalf("packet %d: %v", number, err)
	}
	if !bytes.HasSuffix(plain, []byte("sound")) {
		d.Fatalf("packet %d is %q", number, plain)
	}
}

// A viewer decrypts all packets, also behind the place where their numbers begin anew, from which on the keys are others.
func TestNumbersOfAViewerBeginAnew(t *testing.T) {
	d := newDirect(t)
	const first, packets = 60_000, 80_100
	for number := uint64(first); number < first+packets; number++ {
		d.write(number)
	}
	if d.slot.packets != packets {
		t.Errorf("%d packets are counted, expected %d", d.slot.packets, packets)
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

func TestWhatComesIsToldApart(t *testing.T) {
	kinds := map[string]func([]byte) bool{"RTP": isRTP, "RTCP": isRTCP, "STUN": isSTUN, "DTLS": isDTLS}
	for _, c := range []struct {
		head []byte
		want string
	}{
		{[]byte{0x90, 111}, "RTP"}, {[]byte{0x80, 0x80 | 96}, "RTP"}, {[]byte{0x80, 200}, "RTCP"}, {[]byte{0, 1}, "STUN"}, {[]byte{22, 254}, "DTLS"}, {[]byte{64, 0}, ""}, {[]byte{0xff, 0xff}, ""},
	} {
		for name, is := range kinds {
			if got := is(append(c.head, make([]byte, 20)...)); got != (name == c.want) {
				t.Errorf("%x is %s: %v, expected %q", c.head, name, got, c.want)
			}
		}
	}
	for name, is := range kinds {
		if is(nil) || name != "DTLS" && (is([]byte{0x80, 111, 0}) || is([]byte{0x80, 200, 0}) || is([]byte{0, 1, 0})) {
			t.Errorf("nothing, or 3 bytes, are %s", name)
		}
	}
}

// A publisher may send what it likes under its keys: what is none of the codecs that were agreed upon for the track does not get to viewers, and is counted.
func TestPacketsOfAnotherPayloadTypeAreLeftOut(t *testing.T) {
	d := newDirect(t)
	src, opus := d.speaking()
	in := &intake{server: d.srv, src: src, agreed: []terms.Codec{opus.Codec}}
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
	if n := counted(t, d.srv, "skua_webrtc_packets_unagreed_total"); n != 5 {
		t.Errorf("%v packets are counted, expected 5", n)
	}
}

// counted is the value of a counter.
func counted(t *testing.T, srv *Server, name string) float64 {
	t.Helper()
	all := prometheus.NewRegistry()
	all.MustRegister(srv.metrics)
	return metrictest.Value(t, all, name)
}
