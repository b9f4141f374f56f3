package rtsp

import (
	"fmt"
	"strconv"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"github.com/skua-go/skua/net/media"
)

// Payload types of what we send. Each track has one.
const (
	videoType = 96
	audioType = 97
	mp3Type   = 14 // RFC 3551 section 6
)

// trackName begins the name of a track of ours in URLs; its number follows.
const trackName = "trackID="

// trackOf names a track of ours by its place in the description.
func trackOf(i int) string { return trackName + strconv.Itoa(i) }

// videoRate is how many ticks a second has of all video.
const videoRate = 90000

// described is a stream as a viewer is told of it.
type described struct {
	sdp    []byte
	tracks []media.Described
}

// describe makes the SDP of tracks (RFC 2326 appendix C).
func describe(tracks []media.Described) (*described, error) {
	told := description.Session{Title: "live"}
	d := &described{}
	for _, t := range tracks {
		f, err := formatOf(t.Params)
		if err != nil {
			return nil, fmt.Errorf("rtsp: track %d (%s, %s): %w", t.ID, t.Kind, t.Params.Codec, err)
		}
		kind := description.MediaTypeVideo
		if t.Kind == media.Audio {
			kind = description.MediaTypeAudio
		}
		told.Medias = append(told.Medias, &description.Media{Type: kind, Control: trackOf(len(d.tracks)), Formats: []format.Format{f}})
		d.tracks = append(d.tracks, t)
	}
	if len(d.tracks) == 0 {
		return nil, errNothing
	}
	var err error
	d.sdp, err = told.Marshal()
	return d, err
}

// formatOf is how SDP tells of parameters.
func formatOf(p *media.Params) (format.Format, error) {
	switch p.Codec {
	case media.H264:
		f := &format.H264{PayloadTyp: videoType, PacketizationMode: 1}
		err := eachSet(p, func(set []byte) {
			switch h264.NALUType(set[0] & 0x1f) {
			case h264.NALUTypeSPS:
				f.SPS = set
			case h264.NALUTypePPS:
				f.PPS = set
			}
		})
		return f, err
	case media.H265:
		f := &format.H265{PayloadTyp: videoType}
		err := eachSet(p, func(set []byte) {
			switch h265.NALUType(set[0] >> 1 & 0x3f) {
			case h265.NALUType_VPS_NUT:
				f.VPS = set
			case h265.NALUType_SPS_NUT:
				f.SPS = set
			case h265.NALUType_PPS_NUT:
				f.PPS = set
			}
		})
		return f, err
	case media.AV1:
		return &format.AV1{PayloadTyp: videoType}, nil
	case media.VP8:
		return &format.VP8{PayloadTyp: videoType}, nil
	case media.VP9:
		return &format.VP9{PayloadTyp: videoType}, nil
	case media.AAC:
		c := new(mpeg4audio.AudioSpecificConfig)
		if err := c.Unmarshal(p.Config); err != nil {
			return nil, fmt.Errorf("AudioSpecificConfig: %w, expected that of AAC-LC or HE-AAC", err)
		}
		return &format.MPEG4Audio{PayloadTyp: audioType, ProfileLevelID: 1, Config: c, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}, nil
	case media.Opus:
		return &format.Opus{PayloadTyp: audioType, ChannelCount: max(p.Channels, 1)}, nil
	case media.MP3:
		return &format.MPEG1Audio{}, nil
	default:
		return nil, errCodec
	}
}

// eachSet gives the parameter sets of H264 or H265.
func eachSet(p *media.Params, each func(set []byte)) error {
	sets, _, err := media.ParameterSets(p.Codec, p.Config)
	for _, set := range sets {
		if len(set) > 1 {
			each(set)
		}
	}
	return err
}

// rateOf is how many ticks a second of RTP's timestamps have.
func rateOf(p *media.Params) (int64, error) {
	switch p.Codec {
	case media.AAC:
		var c mpeg4audio.AudioSpecificConfig
		if err := c.Unmarshal(p.Config); err != nil {
			return 0, err
		}
		return audioRate(&c)
	case media.Opus:
		return 48000, nil
	default:
		return videoRate, nil // MP3's, too
	}
}

// audioRate is what SDP says of AAC: the rate that comes out of the decoder.
func audioRate(c *mpeg4audio.AudioSpecificConfig) (int64, error) {
	rate := int64(max(c.SampleRate, c.ExtensionSampleRate))
	if rate <= 0 {
		return 0, fmt.Errorf("rtsp: aac: a sample rate of %d", rate)
	}
	return rate, nil
}
