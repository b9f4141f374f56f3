package media

import (
	"encoding/binary"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// HEVCConfig is the hvcC record of parameter sets (ISO/IEC 14496-15 section 8.3.3.1).
func HEVCConfig(vps, sps, pps []byte) ([]byte, error) {
	const profile = 12 // bytes of profile, tier and level, behind the unit's header and a byte of its own
	var about h265.SPS
	if err := about.Unmarshal(sps); err != nil {
		return nil, fmt.Errorf("media: h265: SPS: %w", err)
	}
	plain := h264.EmulationPreventionRemove(sps[:min(len(sps), 3+2*profile)])
	if len(plain) < 3+profile || len(vps) < 2 || len(pps) < 2 || max(len(vps), len(sps), len(pps)) > 0xffff {
		return nil, fmt.Errorf("media: h265: VPS of %d, SPS of %d and PPS of %d bytes", len(vps), len(sps), len(pps))
	}
	b := append([]byte{1}, plain[3:3+profile]...)
	nested := byte(0)
	if about.TemporalIDNestingFlag {
		nested = 1
	}
	b = append(b,
		0xf0, 0, // no smallest slice
		0xfc, // nothing about parallel decoding
		0xfc|byte(about.ChromaFormatIdc&3), 0xf8|byte(about.BitDepthLumaMinus8&7), 0xf8|byte(about.BitDepthChromaMinus8&7),
		0, 0, // no rate of pictures
		(about.MaxSubLayersMinus1+1)&7<<3|nested<<2|lengthSize-1,
		3)
	for _, set := range [][]byte{vps, sps, pps} {
		b = append(b, 0x80|set[0]>>1&0x3f, 0, 1)
		b = binary.BigEndian.AppendUint16(b, uint16(len(set)))
		b = append(b, set...)
	}
	return b, nil
}

// AV1Params are those that the sequence header of AV1 tells, which may have a size or not. Their Config is the av1C record ("AV1 Codec ISO Media File Format Binding" section 2.3).
func AV1Params(sequence []byte) (*Params, error) {
	var about av1.SequenceHeader
	if err := about.Unmarshal(sequence); err != nil {
		return nil, fmt.Errorf("media: av1: sequence header: %w", err)
	}
	if len(about.SeqLevelIdx) == 0 || len(about.SeqTier) == 0 {
		return nil, fmt.Errorf("media: av1: the sequence header tells no level")
	}
	units, err := JoinOBUs(sequence)
	if err != nil {
		return nil, fmt.Errorf("media: av1: sequence header: %w", err)
	}
	c, colours := &about.ColorConfig, byte(0)
	for bit, on := range map[int]bool{7: about.SeqTier[0], 6: c.HighBitDepth, 5: c.TwelveBit, 4: c.MonoChrome, 3: c.SubsamplingX, 2: c.SubsamplingY} {
		if on {
			colours |= 1 << bit
		}
	}
	colours |= byte(c.ChromaSamplePosition) & 3
	p, _, err := NewParams(AV1, append([]byte{0x81, about.SeqProfile<<5 | about.SeqLevelIdx[0]&0x1f, colours, 0}, units...))
	return p, err
}
