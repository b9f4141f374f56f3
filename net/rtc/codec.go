package rtc

import (
	"strings"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"
)

const (
	videoClock = 90_000
	opusClock  = 48_000
)

// videoCodecs are those that browsers have, as they name them. H.264 comes in the profiles that they offer, with packetization mode 1 only: all of them have it.
// There is no RTX: what is asked for again is sent again as it was, which needs no second stream.
func videoCodecs() []pion.RTPCodecParameters {
	codec := func(pt pion.PayloadType, mime, fmtp string) pion.RTPCodecParameters {
		return pion.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: pion.RTPCodecCapability{MimeType: mime, ClockRate: videoClock, SDPFmtpLine: fmtp}}
	}
	h264 := func(pt pion.PayloadType, profile string) pion.RTPCodecParameters {
		return codec(pt, pion.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="+profile)
	}
	return []pion.RTPCodecParameters{
		h264(102, "42e01f"), h264(104, "42001f"), h264(106, "4d001f"), h264(108, "64001f"),
		codec(96, pion.MimeTypeVP8, ""),
		codec(98, pion.MimeTypeVP9, "profile-id=0"), codec(100, pion.MimeTypeVP9, "profile-id=2"),
		codec(45, pion.MimeTypeAV1, ""),
		codec(116, pion.MimeTypeH265, ""),
	}
}

// newMedia makes what is offered to the sessions of one direction.
func newMedia(d Direction) (*pion.MediaEngine, error) {
	m := new(pion.MediaEngine)
	feedback := []pion.RTCPFeedback{{Type: pion.TypeRTCPFBCCM, Parameter: "fir"}, {Type: pion.TypeRTCPFBNACK}, {Type: pion.TypeRTCPFBNACK, Parameter: "pli"}}
	if d == Publish {
		feedback = append(feedback, pion.RTCPFeedback{Type: pion.TypeRTCPFBTransportCC}) // of pictures, which can become fewer: sound has no numbers for it
	}
	opus := pion.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: pion.RTPCodecCapability{
		MimeType: pion.MimeTypeOpus, ClockRate: opusClock, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	}}
	if err := m.RegisterCodec(opus, pion.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	for _, c := range videoCodecs() {
		c.RTCPFeedback = feedback
		if err := m.RegisterCodec(c, pion.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	if d == Play {
		return m, nil // viewers are told by the data channel who speaks
	}
	return m, registerExtensions(m)
}

// registerExtensions asks publishers for what the room uses of their packets: how loud they are, which layer they are of, and when they have come.
func registerExtensions(m *pion.MediaEngine) error {
	for _, e := range []struct {
		uri   string
		kinds []pion.RTPCodecType
	}{
		{sdp.AudioLevelURI, []pion.RTPCodecType{pion.RTPCodecTypeAudio}},
		{sdp.SDESMidURI, []pion.RTPCodecType{pion.RTPCodecTypeAudio, pion.RTPCodecTypeVideo}},
		{sdp.SDESRTPStreamIDURI, []pion.RTPCodecType{pion.RTPCodecTypeVideo}},
		{sdp.SDESRepairRTPStreamIDURI, []pion.RTPCodecType{pion.RTPCodecTypeVideo}},
		{sdp.TransportCCURI, []pion.RTPCodecType{pion.RTPCodecTypeVideo}},
	} {
		for _, kind := range e.kinds {
			if err := m.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: e.uri}, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// newInterceptors makes what works on packets of one direction. For publishers: asking for lost packets, reports, and what their bandwidth estimation needs. For
// viewers nothing: the library's would keep each packet once a viewer, 2 MB of them.
func newInterceptors(d Direction) (*interceptor.Registry, error) {
	r := new(interceptor.Registry)
	if d == Play {
		return r, nil
	}
	lost, err := nack.NewGeneratorInterceptor(nack.GeneratorSize(512), nack.GeneratorMaxNacksPerPacket(10))
	if err != nil {
		return nil, err
	}
	reports, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, err
	}
	congestion, err := twcc.NewSenderInterceptor()
	if err != nil {
		return nil, err
	}
	r.Add(lost)
	r.Add(ofPictures{reports})
	r.Add(congestion)
	return r, nil
}

// ofPictures leaves sound out, most of whose packets the library does not see: sendReceptions tells of it.
type ofPictures struct{ interceptor.Factory }

// NewInterceptor makes the one of a connection.
func (f ofPictures) NewInterceptor(id string) (interceptor.Interceptor, error) {
	i, err := f.Factory.NewInterceptor(id)
	return picturesOnly{i}, err
}

type picturesOnly struct{ interceptor.Interceptor }

// BindRemoteStream is called for each track of a publisher.
func (p picturesOnly) BindRemoteStream(info *interceptor.StreamInfo, from interceptor.RTPReader) interceptor.RTPReader {
	if strings.EqualFold(info.MimeType, pion.MimeTypeOpus) {
		return from
	}
	return p.Interceptor.BindRemoteStream(info, from)
}

// payloadType finds under which number a viewer knows a codec. ok is false when it has not got it.
func payloadType(offered []pion.RTPCodecParameters, c pion.RTPCodecCapability) (pt uint8, ok bool) {
	best := -1
	for i := range offered {
		if !strings.EqualFold(offered[i].MimeType, c.MimeType) {
			continue
		}
		score := 0
		switch {
		case strings.EqualFold(c.MimeType, pion.MimeTypeVP9):
			if vp9Profile(offered[i].SDPFmtpLine) != vp9Profile(c.SDPFmtpLine) {
				continue // another depth of colour: its decoder would make nothing of it
			}
		case strings.EqualFold(c.MimeType, pion.MimeTypeH264) && h264Profile(offered[i].SDPFmtpLine) == h264Profile(c.SDPFmtpLine):
			score = 1 // decoders take other profiles, too, and see from the stream which one it is
		}
		if score > best {
			best, pt, ok = score, uint8(offered[i].PayloadType), true
		}
	}
	return pt, ok
}

func vp9Profile(fmtp string) string {
	if p := parameter(fmtp, "profile-id"); p != "" {
		return p
	}
	return "0"
}

// h264Profile is the profile without constraints and level.
func h264Profile(fmtp string) string {
	id := parameter(fmtp, "profile-level-id")
	return strings.ToLower(id[:min(2, len(id))])
}

// parameter finds a value in a line such as a=1;b=2.
func parameter(fmtp, name string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}
