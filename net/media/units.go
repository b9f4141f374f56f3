package media

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// Sets are the newest parameter sets of a track whose pictures come as NAL units, as RTP brings them. H.264 has no VPS.
type Sets struct {
	Codec         Codec
	VPS, SPS, PPS []byte
}

// Take sorts the units of a picture: parameter sets are noted (changed: Params are others), and what streams do without is left out. key tells that decoding may begin with it.
func (s *Sets) Take(units [][]byte) (kept [][]byte, key, changed bool) {
	for _, u := range units {
		if len(u) < 2 {
			continue
		}
		set, begins, leave := s.place(u)
		key = key || begins
		switch {
		case set != nil && !bytes.Equal(*set, u):
			*set, changed = bytes.Clone(u), true
		case set == nil && !leave:
			kept = append(kept, u)
		}
	}
	return kept, key, changed
}

// All are the sets in the order in which decoders want them.
func (s *Sets) All() [][]byte {
	if s.Codec == H264 {
		return [][]byte{s.SPS, s.PPS}
	}
	return [][]byte{s.VPS, s.SPS, s.PPS}
}

// Params are an error while a set is missing, or is none.
func (s *Sets) Params() (*Params, error) {
	var config []byte
	var err error
	if s.Codec == H264 {
		config, err = AVCConfig(s.SPS, s.PPS)
	} else {
		config, err = HEVCConfig(s.VPS, s.SPS, s.PPS)
	}
	if err != nil {
		return nil, err
	}
	p, _, err := NewParams(s.Codec, config)
	return p, err
}

// place is where a parameter set is kept; nil for another unit. key tells that decoding may begin with the picture, and leave that the stream does without the unit.
func (s *Sets) place(unit []byte) (set *[]byte, key, leave bool) {
	if s.Codec == H264 {
		switch h264.NALUType(unit[0] & 0x1f) {
		case h264.NALUTypeSPS:
			set = &s.SPS
		case h264.NALUTypePPS:
			set = &s.PPS
		case h264.NALUTypeIDR:
			key = true
		case h264.NALUTypeAccessUnitDelimiter, h264.NALUTypeFillerData:
			leave = true
		}
		return set, key, leave
	}
	switch h265.NALUType(unit[0] >> 1 & 0x3f) {
	case h265.NALUType_VPS_NUT:
		set = &s.VPS
	case h265.NALUType_SPS_NUT:
		set = &s.SPS
	case h265.NALUType_PPS_NUT:
		set = &s.PPS
	case h265.NALUType_IDR_W_RADL, h265.NALUType_IDR_N_LP, h265.NALUType_CRA_NUT, h265.NALUType_BLA_W_LP, h265.NALUType_BLA_W_RADL, h265.NALUType_BLA_N_LP:
		key = true
	case h265.NALUType_AUD_NUT, h265.NALUType_FD_NUT:
		leave = true
	}
	return set, key, leave
}
