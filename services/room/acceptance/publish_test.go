package acceptance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	pion "github.com/pion/webrtc/v4"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp/rtmptest"
)

// source sends what it is given to a room, until it is ended.
type source struct {
	send func(coded) error
	end  func()
}

// fourCC is how Enhanced RTMP calls a codec.
func fourCC(c media.Codec) string {
	return map[media.Codec]string{media.H265: "hvc1", media.AV1: "av01", media.VP8: "vp08", media.VP9: "vp09", media.Opus: "Opus"}[c]
}

// publishRTMP does so as encoders do: H.264 and AAC as Adobe has them, all others as Enhanced RTMP does ("Enhanced RTMP (v2)", Veovera).
func publishRTMP(ctx context.Context, n *node, room string, r *reel) (*source, error) {
	c, err := rtmptest.Dial(ctx, n.Addr["rtmp"])
	if err != nil {
		return nil, err
	}
	if err := c.Publish(room); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
	about := amf.Array{{Key: "videocodecid", Value: 7.0}, {Key: "audiocodecid", Value: 10.0}}
	err = c.Send(flv.TypeScript, 0, amf.Append(nil, "@setDataFrame", "onMetaData", about))
	if r.video == media.H264 {
		err = errors.Join(err, c.Send(flv.TypeVideo, 0, append([]byte{0x17, 0, 0, 0, 0}, r.videoConfig...)))
	} else if len(r.videoConfig) > 0 {
		err = errors.Join(err, c.Send(flv.TypeVideo, 0, append([]byte("\x90"+fourCC(r.video)), r.videoConfig...)))
	}
	if r.audio == media.AAC {
		err = errors.Join(err, c.Send(flv.TypeAudio, 0, append([]byte{0xaf, 0}, r.audioConfig...)))
	} else {
		err = errors.Join(err, c.Send(flv.TypeAudio, 0, append([]byte("\x90"+fourCC(r.audio)), r.audioConfig...)))
	}
	send := func(f coded) error {
		var head string // of the body
		kind := byte(flv.TypeVideo)
		switch frame := map[bool]byte{true: 0x10, false: 0x20}[f.key]; {
		case f.sound && r.audio == media.AAC:
			kind, head = flv.TypeAudio, "\xaf\x01"
		case f.sound:
			kind, head = flv.TypeAudio, "\x91"+fourCC(r.audio)
		case r.video == media.H264:
			head = string([]byte{frame | 7, 1, 0, 0, 0})
		case r.video == media.H265 && f.key:
			head = string([]byte{0x80 | frame | 1}) + fourCC(r.video) + "\x00\x00\x00"
		case r.video == media.H265: // that it is shown when it is decoded may be left out
			head = string([]byte{0x80 | frame | 3}) + fourCC(r.video)
		default:
			head = string([]byte{0x80 | frame | 1}) + fourCC(r.video)
		}
		return c.Send(kind, uint32(f.at.Milliseconds()), append([]byte(head), f.data...))
	}
	return &source{send, func() { _ = c.Close() }}, err
}

// publishRTSP is gortsplib, whose packets go through the connection.
func publishRTSP(_ context.Context, n *node, room string, r *reel) (*source, error) {
	video, pack, err := videoFormat(r)
	if err != nil {
		return nil, err
	}
	audio, packSound, err := audioFormat(r)
	if err != nil {
		return nil, err
	}
	told := &description.Session{Medias: []*description.Media{
		{Type: description.MediaTypeVideo, Formats: []format.Format{video}}, {Type: description.MediaTypeAudio, Formats: []format.Format{audio}},
	}}
	protocol := gortsplib.ProtocolTCP
	c := &gortsplib.Client{Protocol: &protocol}
	if err := c.StartRecording("rtsp://"+n.Addr["rtsp"]+"/live/"+room, told); err != nil {
		return nil, err
	}
	begun := time.Now()
	send := func(f coded) error {
		of, packets := told.Medias[0], pack
		if f.sound {
			of, packets = told.Medias[1], packSound
		}
		all, err := packets(f.data)
		if err != nil {
			return err
		}
		for _, p := range all {
			p.Timestamp += uint32(media.Ticks(f.at, int64(of.Formats[0].ClockRate())))
			if err := c.WritePacketRTPWithNTP(of, p, begun.Add(f.at)); err != nil {
				return err
			}
		}
		return nil
	}
	return &source{send, c.Close}, nil
}

type packetizer func(data []byte) ([]*rtp.Packet, error)

func videoFormat(r *reel) (format.Format, packetizer, error) {
	sets, _, err := media.ParameterSets(r.video, r.videoConfig)
	units := func(encode func([][]byte) ([]*rtp.Packet, error)) packetizer {
		return func(data []byte) ([]*rtp.Packet, error) {
			var all [][]byte
			for u := range media.NALUs(data) {
				all = append(all, u)
			}
			return encode(all)
		}
	}
	switch r.video {
	case media.H264:
		if err != nil || len(sets) != 2 {
			return nil, nil, fmt.Errorf("%d parameter sets: %w", len(sets), err)
		}
		f := &format.H264{PayloadTyp: 96, PacketizationMode: 1, SPS: sets[0], PPS: sets[1]}
		e, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, err
		}
		return f, units(e.Encode), nil
	case media.H265:
		if err != nil || len(sets) < 3 {
			return nil, nil, fmt.Errorf("%d parameter sets: %w", len(sets), err)
		}
		f := &format.H265{PayloadTyp: 96, VPS: sets[0], SPS: sets[1], PPS: sets[2]}
		e, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, err
		}
		return f, units(e.Encode), nil
	case media.AV1:
		f := &format.AV1{PayloadTyp: 96}
		e, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, err
		}
		return f, func(data []byte) ([]*rtp.Packet, error) {
			all, err := media.OBUs(data)
			if err != nil {
				return nil, err
			}
			return e.Encode(all)
		}, nil
	case media.VP8:
		f := &format.VP8{PayloadTyp: 96}
		e, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, err
		}
		return f, e.Encode, nil
	default:
		f := &format.VP9{PayloadTyp: 96}
		e, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, err
		}
		return f, e.Encode, nil
	}
}

func audioFormat(r *reel) (format.Format, packetizer, error) {
	if r.audio == media.Opus {
		f := &format.Opus{PayloadTyp: 97, ChannelCount: int(r.audioConfig[9])}
		e, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, err
		}
		return f, func(data []byte) ([]*rtp.Packet, error) {
			p, err := e.Encode(data)
			return []*rtp.Packet{p}, err
		}, nil
	}
	about := new(mpeg4audio.AudioSpecificConfig)
	if err := about.Unmarshal(r.audioConfig); err != nil {
		return nil, nil, err
	}
	f := &format.MPEG4Audio{PayloadTyp: 97, Config: about, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
	e, err := f.CreateEncoder()
	if err != nil {
		return nil, nil, err
	}
	return f, func(data []byte) ([]*rtp.Packet, error) { return e.Encode([][]byte{data}) }, nil
}

// publishWHIP is pion. Its tracks are sent from the first packet on, which comes when there are viewers.
func publishWHIP(ctx context.Context, n *node, room string, r *reel) (*source, error) {
	p, err := newPeer()
	if err != nil {
		return nil, err
	}
	mime := map[media.Codec]string{media.H264: pion.MimeTypeH264, media.H265: pion.MimeTypeH265, media.AV1: pion.MimeTypeAV1, media.VP8: pion.MimeTypeVP8, media.VP9: pion.MimeTypeVP9}[r.video]
	video, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: mime, ClockRate: 90000}, "video", "camera")
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	audio, err := pion.NewTrackLocalStaticRTP(pion.RTPCodecCapability{MimeType: pion.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "audio", "camera")
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	var ssrcs []uint32
	for _, track := range []pion.TrackLocal{video, audio} {
		way, err := p.pc.AddTransceiverFromTrack(track, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		ssrcs = append(ssrcs, uint32(way.Sender().GetParameters().Encodings[0].SSRC))
	}
	if _, err := p.connect(ctx, "http://"+n.Addr["http"]+"/whip/"+room); err != nil {
		return nil, errors.Join(err, p.close())
	}
	var pack rtp.Payloader
	var number [2]uint16
	const origin = 123_456 // of RTP's clocks, which begin anywhere
	switch r.video {
	case media.H264:
		pack = new(codecs.H264Payloader)
	case media.H265:
		pack = new(codecs.H265Payloader)
	case media.AV1:
		pack = new(codecs.AV1Payloader)
	case media.VP8:
		pack = &codecs.VP8Payloader{EnablePictureID: true}
	default:
		pack = new(codecs.VP9Payloader)
	}
	reported := false
	send := func(f coded) error {
		if !reported { // as encoders do: both tracks have one clock
			reported = true
			begun := media.ToNTP(time.Now().Add(-f.at))
			var reports []rtcp.Packet
			for _, ssrc := range ssrcs {
				reports = append(reports, &rtcp.SenderReport{SSRC: ssrc, NTPTime: begun, RTPTime: origin})
			}
			if err := p.pc.WriteRTCP(reports); err != nil {
				return err
			}
		}
		if f.sound {
			number[1]++
			return audio.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: number[1], Timestamp: origin + uint32(media.Ticks(f.at, 48000))}, Payload: f.data})
		}
		payloads := pack.Payload(1180, r.annexB(f))
		for i, payload := range payloads {
			number[0]++
			h := rtp.Header{Version: 2, SequenceNumber: number[0], Timestamp: origin + uint32(media.Ticks(f.at, 90000)), Marker: i == len(payloads)-1}
			if err := video.WriteRTP(&rtp.Packet{Header: h, Payload: payload}); err != nil {
				return err
			}
		}
		return nil
	}
	return &source{send, func() { _ = p.close() }}, nil
}

// annexB is a picture as encoders give it: of H.264 and H.265 with start codes, and with parameter sets at key frames.
func (r *reel) annexB(f coded) []byte {
	if r.video != media.H264 && r.video != media.H265 {
		return f.data
	}
	var b []byte
	unit := func(u []byte) { b = append(append(b, 0, 0, 0, 1), u...) }
	if sets, _, err := media.ParameterSets(r.video, r.videoConfig); err == nil && f.key {
		for _, set := range sets {
			unit(set)
		}
	}
	for u := range media.NALUs(f.data) {
		unit(u)
	}
	return b
}

// publishOwn is a client of the game.
func publishOwn(ctx context.Context, n *node, room string, r *reel) (*source, error) {
	c, err := client.Dial(ctx, "ws://"+n.Addr["http"]+"/ws", client.Options{HandshakeTimeout: patience})
	if err != nil {
		return nil, err
	}
	p, err := c.Publish(ctx, room, client.PublishOptions{Tracks: []client.Track{{Codec: r.video.String(), Config: r.videoConfig}, {Codec: r.audio.String(), Config: r.audioConfig}}})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	send := func(f coded) error {
		track := 0
		if f.sound {
			track = 1
		}
		return p.Write(track, client.Frame{DTS: f.at, PTS: f.at, Key: f.key, Data: f.data})
	}
	return &source{send, func() { p.Close(); _ = c.Close() }}, nil
}
