package rtc

import (
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/rtc/terms"
)

// Most of the packets are lost before they come here: the keys change with the turns of the numbers all the same.
func TestKeysFollowTheNumbersWhateverIsLost(t *testing.T) {
	d := newDirect(t)
	for n := range uint64(5000) {
		d.write(16*n + 1)
	}
}

func TestNumbersBeginFarFromTheirTurn(t *testing.T) {
	d := newDirect(t)
	for range 100 {
		sl := &slot{viewer: d.slot.viewer}
		if sl.begin(&packet{seq: 1 << 16, codec: newCodec(terms.Codec{Clock: opusClock})}, time.Now()); sl.addSeq >= 1<<15 {
			t.Fatalf("a viewer's numbers begin with %d", sl.addSeq)
		}
	}
}

// speaking puts the slot on a source of sound.
func (d *direct) speaking() (src *source, opus *codec) {
	d.Helper()
	src = newSource(d.srv, Audio, "ann", "", 0, opusClock, new(senderClock))
	d.Cleanup(src.close)
	agreed := terms.Codec{PT: 111, Mime: mimeOpus, Clock: opusClock, Channels: 2}
	d.slot.offered = []terms.Codec{agreed}
	d.slot.source = src
	src.attach(d.slot)
	return src, newCodec(agreed)
}

// What a viewer could not be sent has no number of its own: the next one is given to what comes from somebody else.
func TestWhatAViewerLacksIsNotSentLater(t *testing.T) {
	d := newDirect(t)
	src, opus := d.speaking()
	other := newCodec(terms.Codec{Mime: "audio/G722", Clock: 8000})
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

// Two packets of one number are not a publisher's as it should be. Viewers are sent the first: what is encrypted under one number must be one.
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
