package rtc

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	pion "github.com/pion/webrtc/v4"
	"golang.org/x/net/ipv4"
)

// Most of the packets are lost before they come here, and none of the library's turns is among the others: it would begin its numbers anew, with the keys of the first ones.
func TestLibraryCountsAlongWhateverIsLost(t *testing.T) {
	d := newDirect(t)
	d.slot.viewer.path.lane.Store(d.short)
	const packets = 5000
	for n := range uint64(packets) {
		d.write(16*n + 1)
	}
	d.slot.viewer.path.lane.Store(nil)
	d.write(16*packets + 1)
}

func TestLibraryCountsFromTheFirstPacketThatItTakes(t *testing.T) {
	d := newDirect(t)
	d.slot.viewer.path.lane.Store(d.short)
	d.through.mute = 20
	for n := range uint64(d.through.mute) {
		d.srv.turn(func(out *outbox) { d.slot.write(&packet{seq: 65_520 + n, payload: []byte("sound")}, out) })
	}
	if d.slot.packets != 0 {
		t.Errorf("%d packets are counted that went nowhere", d.slot.packets)
	}
	for n := range uint64(100) {
		d.write(65_540 + n)
	}
	d.slot.viewer.path.lane.Store(nil)
	d.write(65_640)
}

func TestNumbersBeginFarFromTheirTurn(t *testing.T) {
	d := newDirect(t)
	for range 100 {
		sl := &slot{viewer: d.slot.viewer}
		if sl.begin(&packet{seq: 1 << 16, codec: newCodec(pion.RTPCodecCapability{ClockRate: opusClock})}, time.Now()); sl.addSeq >= 1<<15 {
			t.Fatalf("a viewer's numbers begin with %d", sl.addSeq)
		}
	}
}

// speaking puts the slot on a source of sound.
func (d *direct) speaking() (src *source, opus *codec) {
	d.Helper()
	src = newSource(d.srv, pion.RTPCodecTypeAudio, "ann", "", 0, opusClock, new(senderClock))
	d.Cleanup(src.close)
	capability := pion.RTPCodecCapability{MimeType: pion.MimeTypeOpus, ClockRate: opusClock, Channels: 2}
	d.slot.offered = []pion.RTPCodecParameters{{RTPCodecCapability: capability, PayloadType: 111}}
	d.slot.viewer.path.lane.Store(d.short)
	d.slot.source = src
	src.attach(d.slot)
	return src, newCodec(capability)
}

// What a viewer could not be sent has no number of its own: the next one is given to what comes from somebody else.
func TestWhatAViewerLacksIsNotSentLater(t *testing.T) {
	d := newDirect(t)
	src, opus := d.speaking()
	other := newCodec(pion.RTPCodecCapability{MimeType: pion.MimeTypeG722, ClockRate: 8000})
	write := func(seq uint64, c *codec) {
		d.srv.turn(func(out *outbox) {
			src.write(&packet{seq: seq, codec: c, key: true, payload: []byte("sound")}, time.Now(), out)
		})
	}
	const first = 1 << 16
	write(first, opus)
	write(first+1, opus)
	write(first+3, other)
	write(first+2, other) // it comes late
	ask := func(seq uint64) {
		d.srv.turn(func(out *outbox) { d.slot.lost([]uint16{uint16(seq) + d.slot.addSeq}, time.Now(), out) })
	}
	ask(first + 2)
	ask(first + 3)
	if d.slot.packets != 2 {
		t.Errorf("%d packets are sent, expected the first 2", d.slot.packets)
	}
	ask(first + 1) // its payload type is that of another codec by now
	if d.slot.packets != 2 {
		t.Error("a packet is sent again as one of another codec")
	}
	write(first+4, opus)
	ask(first + 4)
	if d.slot.packets != 4 {
		t.Errorf("%d packets are sent, expected one more, twice", d.slot.packets)
	}
}

// A publisher that has two ways to the node may send two packets of one number. Viewers are sent the first.
func TestPacketsOfOneNumberAreTakenOnce(t *testing.T) {
	d := newDirect(t)
	src, opus := d.speaking()
	in := &intake{server: d.srv, src: src, codings: map[uint8]*codec{111: opus}}
	take := func(n int, text string) {
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: uint16(n), SSRC: 1}, Payload: []byte(text)}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		d.srv.turn(func(out *outbox) { in.take(b, time.Now(), out) })
	}
	const packets = audioCache + 10
	for n := range packets {
		take(n, "sound")
	}
	for n := range packets {
		take(n, "something else")
	}
	if d.slot.packets != packets {
		t.Errorf("%d packets are sent, expected %d", d.slot.packets, packets)
	}
	for n := range uint64(packets) {
		d.gets(n)
	}
}

// A publisher goes by TCP for an hour and comes back: meanwhile its numbers have begun anew, and with them its keys.
func TestTrackComesBackAfterTurnsOnAnotherWay(t *testing.T) {
	d := newDirect(t)
	src, opus := d.speaking()
	in := &intake{server: d.srv, src: src, codings: map[uint8]*codec{111: opus}}
	src.detach(d.slot) // nobody watches
	p, ps, sock := &d.slot.viewer.path, &d.srv.sockets.paths, d.srv.sockets.all[0]
	keys := p.keys.agreed.Load().Keys
	seal, err := srtp.CreateContext(keys.RemoteMasterKey, keys.RemoteMasterSalt, srtp.ProtectionProfileAeadAes128Gcm)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort("192.0.2.1:5000")
	n := 0
	plain := func() []byte {
		n++
		b, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: uint16(n), SSRC: 1}, Payload: []byte("sound")}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	library := func(b []byte) {
		d.srv.turn(func(out *outbox) { in.take(b, time.Now(), out) })
		p.claim(1, in.newest(), in)
	}
	short := func() bool {
		b := plain()
		sealed, err := seal.EncryptRTP(nil, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		d.srv.turn(func(out *outbox) {
			if q := ps.hear(at, sock, sealed); q != p || !q.take(sealed, time.Now(), make([]byte, datagramRoom), out) {
				library(b)
			}
		})
		return uint16(in.newest()) == uint16(n)
	}
	ps.name(p, "ours", "key")
	ps.hear(at, sock, iceCheck(t, "ours", "key"))
	ps.move(p, at)
	for range 10 {
		if !short() {
			t.Fatalf("packet %d is lost", n)
		}
	}
	if !p.claimed(in) {
		t.Fatal("the track has no short way")
	}
	ps.move(p, netip.AddrPort{})
	for range 5000 {
		n += 15 // of which others are lost
		b := plain()
		if _, err := seal.EncryptRTP(nil, b, nil); err != nil {
			t.Fatal(err)
		}
		library(b)
	}
	ps.move(p, at)
	for range 10 {
		if !short() {
			t.Fatalf("packet %d is lost", n)
		}
	}
	if !p.claimed(in) {
		t.Error("the track does not come back to its short way")
	}
}

// The library has as much as it takes; what was encrypted for viewers in the same turn is sent before it is waited for.
func TestViewersDoNotWaitForTheLibrary(t *testing.T) {
	d := newDirect(t)
	s := d.srv.newSocket(listenLoopback(t), &paths{})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.readers.Wait()
	}()
	for len(s.queue) < cap(s.queue) {
		s.queue <- datagram{room: new([datagramRoom]byte)}
	}
	d.write(1) // through the library, as it is the first
	d.short.socket = s
	d.slot.viewer.path.lane.Store(d.short)
	var wait sync.WaitGroup
	wait.Go(func() {
		d.srv.turn(func(out *outbox) {
			d.slot.write(&packet{seq: 2, payload: []byte("sound")}, out)
			m := ipv4.Message{Buffers: [][]byte{make([]byte, datagramRoom)}, N: 20, Addr: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}}
			s.take(&m, time.Now(), nil, out)
		})
	})
	d.gets(2)
	<-s.queue
	wait.Wait()
}
