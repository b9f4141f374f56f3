package rtc

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"
)

// track is called by the library, in a goroutine of its own, for each track of a publisher that begins to send, and for each layer of it.
func (s *session) track(remote *pion.TrackRemote, receiver *pion.RTPReceiver) {
	layer := max(0, slices.IndexFunc(receiver.Tracks(), func(t *pion.TrackRemote) bool { return t.RID() == remote.RID() })) // they stand as in the offer
	clock := uint32(videoClock)
	if remote.Kind() == pion.RTPCodecTypeAudio {
		clock = opusClock
	}
	src := newSource(s.server, remote.Kind(), s.Who, remote.ID(), layer, clock, s.room.clock(s))
	if remote.Kind() == pion.RTPCodecTypeVideo {
		src.keys = &keyAsker{every: s.server.cfg.KeyInterval, send: func() {
			s.server.metrics.keysAsked.Inc()
			_ = s.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}}) // who needs it asks again
		}}
	}
	in := &intake{server: s.server, src: src, remote: remote, agreed: receiver.GetParameters().Codecs, level: levelID(receiver), came: reception{rate: float64(clock)}}
	if src.kind == pion.RTPCodecTypeAudio {
		s.listen(in)
	}
	if !s.server.spawn(func() { s.readReports(in, receiver) }) {
		return
	}
	if !s.room.add(s, src) {
		return
	}
	err := s.readPackets(in)
	s.room.remove(s, src)
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, net.ErrClosed) {
		s.server.log.Debug("a track ended", "room", s.Room, "who", s.Who, "error", err)
	}
}

// levelID is the number under which this publisher's packets have their loudness; 0: they have none.
func levelID(receiver *pion.RTPReceiver) uint8 {
	for _, e := range receiver.GetParameters().HeaderExtensions {
		if e.URI == sdp.AudioLevelURI {
			return uint8(e.ID)
		}
	}
	return 0
}

// intake makes a track's packets those of its source, whichever way they come.
type intake struct {
	server *Server
	src    *source
	remote *pion.TrackRemote
	agreed []pion.RTPCodecParameters // of the track's kind; nothing else is passed on
	level  uint8
	came   reception

	mu      sync.Mutex // packets come through the library and past it
	numbers extender
	header  rtp.Header
	codings map[uint8]*codec // by payload type: packets of one have one codec, also where those of another come between them
}

// take passes a packet on. What the room has already is left out: some come both ways.
func (in *intake) take(b []byte, now time.Time, out *outbox) {
	in.mu.Lock()
	defer in.mu.Unlock()
	payload, ok := split(&in.header, b)
	if !ok {
		in.server.metrics.invalid.Inc()
		return
	}
	h := &in.header
	number := in.numbers.extend(h.SequenceNumber) // also of what is left out: the keys change with their turns
	coding := in.codings[h.PayloadType]
	if coding == nil {
		i := slices.IndexFunc(in.agreed, func(c pion.RTPCodecParameters) bool { return uint8(c.PayloadType) == h.PayloadType })
		if i < 0 {
			in.server.metrics.unagreed.Inc()
			return
		}
		coding = newCodec(in.agreed[i].RTPCodecCapability)
		if in.codings == nil {
			in.codings = map[uint8]*codec{}
		}
		in.codings[h.PayloadType] = coding
	}
	if in.src.get(number) != nil {
		return
	}
	if number+in.src.size() <= in.src.newest.Load() { // nobody knows any more whether there was one of this number: viewers must not get two
		return
	}
	in.server.metrics.received.Inc()
	in.server.metrics.receivedBytes.Add(float64(len(b)))
	if in.src.kind == pion.RTPCodecTypeAudio {
		in.came.packet(number, h.Timestamp, now)
	}
	if in.level != 0 {
		if ext := h.GetExtension(in.level); len(ext) > 0 {
			in.src.sound.heard(ext[0] & 0x7f)
		}
	}
	in.src.write(&packet{
		seq: number, ts: h.Timestamp, marker: h.Marker, codec: coding, key: len(payload) > 0 && coding.key(payload), payload: append([]byte(nil), payload...),
	}, now, out)
}

// newest is the number of the newest packet.
func (in *intake) newest() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.numbers.last
}

// readPackets passes on what comes through the library until the track ends. Sound comes past it as soon as its first packets have come.
func (s *session) readPackets(in *intake) error {
	defer s.path.release(in)
	buf := make([]byte, 1500)
	for {
		n, _, err := in.remote.Read(buf)
		if errors.Is(err, pion.ErrCodecNotFound) { // of one packet: the library looks for its payload type, too
			s.server.metrics.unagreed.Inc()
			continue
		}
		if err != nil {
			return err
		}
		s.server.turn(func(out *outbox) { in.take(buf[:n], time.Now(), out) })
		if in.src.kind == pion.RTPCodecTypeAudio {
			s.path.claim(uint32(in.remote.SSRC()), in.newest(), in)
		}
	}
}

// split reads a packet's header and returns what is behind it, without padding. A packet of padding only is passed on, empty, so that no number is missing.
func split(h *rtp.Header, b []byte) (payload []byte, ok bool) {
	*h = rtp.Header{Extensions: h.Extensions[:0]}
	n, err := h.Unmarshal(b)
	if err != nil {
		return nil, false
	}
	end := len(b)
	if h.Padding {
		if end == n || int(b[end-1]) > end-n {
			return nil, false
		}
		end -= int(b[end-1])
	}
	return b[n:end], true
}

// readReports heeds what the publisher says of its clock until the track ends.
func (s *session) readReports(in *intake, receiver *pion.RTPReceiver) {
	remote, buf := in.remote, make([]byte, 1500)
	for {
		var n int
		var err error
		if rid := remote.RID(); rid != "" {
			n, _, err = receiver.ReadSimulcast(buf, rid)
		} else {
			n, _, err = receiver.Read(buf)
		}
		if err != nil {
			return
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			s.server.metrics.invalid.Inc()
			continue
		}
		for _, p := range packets {
			if r, ok := p.(*rtcp.SenderReport); ok && r.SSRC == uint32(remote.SSRC()) {
				now := time.Now()
				in.src.time.report(r.NTPTime, r.RTPTime, now)
				in.came.sender(r.NTPTime, now)
			}
		}
	}
}
