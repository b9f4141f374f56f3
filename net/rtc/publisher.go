package rtc

import (
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"
)

// track is called by the library, in a goroutine of its own, for each track of a publisher that begins to send, and for each layer of it.
func (s *session) track(remote *pion.TrackRemote, receiver *pion.RTPReceiver) {
	layer := max(0, slices.IndexFunc(receiver.Tracks(), func(t *pion.TrackRemote) bool { return t.RID() == remote.RID() })) // they stand as in the offer
	src := newSource(remote.Kind(), s.Who, remote.ID(), layer, remote.Codec().ClockRate, s.room.clock(s))
	if remote.Kind() == pion.RTPCodecTypeVideo {
		src.keys = &keyAsker{every: s.server.cfg.KeyInterval, send: func() {
			s.server.metrics.keysAsked.Inc()
			_ = s.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}}) // who needs it asks again
		}}
	}
	if !s.server.spawn(func() { s.readReports(src, remote, receiver) }) {
		return
	}
	if !s.room.add(s, src) {
		return
	}
	err := s.readPackets(src, remote, levelID(receiver))
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

// readPackets passes packets on until the track ends.
func (s *session) readPackets(src *source, remote *pion.TrackRemote, level uint8) error {
	var (
		numbers extender
		header  rtp.Header
		coding  *codec
		pt      uint8
		buf     = make([]byte, 1500)
	)
	for {
		n, _, err := remote.Read(buf)
		if err != nil {
			return err
		}
		s.server.metrics.received.Inc()
		s.server.metrics.receivedBytes.Add(float64(n))
		payload, ok := split(&header, buf[:n])
		if !ok {
			s.server.metrics.invalid.Inc()
			continue
		}
		if coding == nil || pt != header.PayloadType {
			coding, pt = newCodec(remote.Codec().RTPCodecCapability), header.PayloadType
		}
		if level != 0 {
			if ext := header.GetExtension(level); len(ext) > 0 {
				src.sound.heard(ext[0] & 0x7f)
			}
		}
		src.write(&packet{
			seq: numbers.extend(header.SequenceNumber), ts: header.Timestamp, marker: header.Marker, codec: coding,
			key: len(payload) > 0 && coding.key(payload), payload: append([]byte(nil), payload...),
		}, time.Now())
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
func (s *session) readReports(src *source, remote *pion.TrackRemote, receiver *pion.RTPReceiver) {
	buf := make([]byte, 1500)
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
				src.time.report(r.NTPTime, r.RTPTime, time.Now())
			}
		}
	}
}
