package rtsp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpav1"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg1audio"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpsimpleaudio"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp8"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/media"
)

const (
	// maxPayload is how much of a frame is in a packet: with all headers, less than what links take (1,500 bytes), also those through tunnels.
	maxPayload = 1380
	inConn     = 4 // bytes before a packet in the connection
	rtpHeader  = 12
)

var errCodec = errors.New("a codec that RTP does not carry here, expected h264, h265, av1, vp8, vp9, aac, opus or mp3")

// packed is a frame as packets that all viewers share, as they stand in the connection: behind each other, with a magic byte, a channel and a size before each. What is a
// viewer's own is 0: the channel, the SSRC, and the sequence number, which counts from 0 in each frame.
func packed(f *media.Frame) []byte { return f.As(media.RTSP, pack) }

func pack(f *media.Frame) []byte {
	packets, err := packetize(f)
	if err != nil {
		return nil // what can't be said in RTP is left out
	}
	rate, err := rateOf(f.Params)
	if err != nil {
		return nil
	}
	size := 0
	for _, p := range packets {
		size += inConn + rtpHeader + len(p.Payload)
	}
	b := make([]byte, 0, size)
	for _, p := range packets {
		p.Timestamp += uint32(media.Ticks(f.PTS, rate))
		n := rtpHeader + len(p.Payload)
		b = append(b, magic, 0, byte(n>>8), byte(n))
		var head [rtpHeader]byte
		if _, err := p.Header.MarshalTo(head[:]); err != nil {
			return nil
		}
		b = append(b, head[:]...)
		b = append(b, p.Payload...)
	}
	return b
}

// packetize makes packets of a frame, in the format that RTP has for its codec.
func packetize(f *media.Frame) ([]*rtp.Packet, error) {
	if len(f.Data) == 0 {
		return nil, fmt.Errorf("%w: empty", media.ErrFrame)
	}
	switch f.Params.Codec {
	case media.H264:
		e := &rtph264.Encoder{PayloadType: videoType, SSRC: new(uint32), InitialSequenceNumber: new(uint16), PayloadMaxSize: maxPayload, PacketizationMode: 1}
		return units(f, e)
	case media.H265:
		e := &rtph265.Encoder{PayloadType: videoType, SSRC: new(uint32), InitialSequenceNumber: new(uint16), PayloadMaxSize: maxPayload}
		return units(f, e)
	case media.AV1:
		return temporalUnit(f)
	case media.VP8:
		e := &rtpvp8.Encoder{PayloadType: videoType, SSRC: new(uint32), InitialSequenceNumber: new(uint16), PayloadMaxSize: maxPayload}
		return made(e.Init(), e.Encode, f.Data)
	case media.VP9:
		return descriptors(f), nil
	case media.AAC:
		e := &rtpmpeg4audio.Encoder{PayloadType: audioType, SSRC: new(uint32), InitialSequenceNumber: new(uint16), PayloadMaxSize: maxPayload, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
		return made(e.Init(), e.Encode, [][]byte{f.Data})
	case media.Opus:
		e := &rtpsimpleaudio.Encoder{PayloadType: audioType, SSRC: new(uint32), InitialSequenceNumber: new(uint16), PayloadMaxSize: max(maxPayload, len(f.Data))}
		p, err := made(e.Init(), e.Encode, f.Data)
		return []*rtp.Packet{p}, err
	case media.MP3:
		e := &rtpmpeg1audio.Encoder{SSRC: new(uint32), InitialSequenceNumber: new(uint16), PayloadMaxSize: maxPayload}
		return made(e.Init(), e.Encode, [][]byte{f.Data})
	default:
		return nil, errCodec
	}
}

func made[In, Out any](err error, encode func(In) (Out, error), data In) (out Out, _ error) {
	if err != nil {
		return out, err
	}
	return encode(data)
}

// unitEncoder is that of H264 or H265.
type unitEncoder interface {
	Init() error
	Encode(units [][]byte) ([]*rtp.Packet, error)
}

// units are the packets of NAL units, behind the parameter sets if decoding may begin here: who comes later has not had them otherwise when they have changed.
func units(f *media.Frame, e unitEncoder) ([]*rtp.Packet, error) {
	var all [][]byte
	if f.Key {
		if err := eachSet(f.Params, func(set []byte) { all = append(all, set) }); err != nil {
			return nil, err
		}
	}
	sets := len(all)
	for u := range media.NALUs(f.Data) {
		if len(u) > 1 {
			all = append(all, u)
		}
	}
	if len(all) == sets {
		return nil, fmt.Errorf("%w: no NAL unit", media.ErrFrame)
	}
	return made(e.Init(), e.Encode, all)
}

// temporalUnit are the packets of AV1, with the sequence header if decoding may begin here.
func temporalUnit(f *media.Frame) ([]*rtp.Packet, error) {
	units, err := f.WithSequence()
	if err != nil {
		return nil, err
	}
	e := &rtpav1.Encoder{PayloadType: videoType, SSRC: new(uint32), InitialSequenceNumber: new(uint16), PayloadMaxSize: maxPayload}
	return made(e.Init(), e.Encode, units)
}

// descriptors are the packets of VP9 (RFC 9628), each behind the shortest descriptor. gortsplib's encoder numbers pictures, and begins anew with each frame here.
func descriptors(f *media.Frame) []*rtp.Packet {
	const predicted, begins, ends = 0x40, 0x08, 0x04
	var all []*rtp.Packet
	for rest := f.Data; len(rest) > 0; {
		n := min(len(rest), maxPayload-1)
		descriptor := byte(0)
		if !f.Key {
			descriptor |= predicted
		}
		if len(all) == 0 {
			descriptor |= begins
		}
		if n == len(rest) {
			descriptor |= ends
		}
		all = append(all, &rtp.Packet{
			Header:  rtp.Header{Version: 2, PayloadType: videoType, SequenceNumber: uint16(len(all)), Marker: n == len(rest)},
			Payload: append([]byte{descriptor}, rest[:n]...),
		})
		rest = rest[n:]
	}
	return all
}

// own writes into packets what is a viewer's own, and gives how many there are.
func own(packets []byte, channel byte, ssrc uint32, first uint16) (count int) {
	for len(packets) > inConn+rtpHeader {
		packets[1] = channel
		head := packets[inConn:]
		binary.BigEndian.PutUint16(head[2:], first+binary.BigEndian.Uint16(head[2:]))
		binary.BigEndian.PutUint32(head[8:], ssrc)
		packets = packets[inConn+int(binary.BigEndian.Uint16(packets[2:])):]
		count++
	}
	return count
}
