package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// lengthSize is how many bytes stand before each NAL unit in frames.
const lengthSize = 4

// NALUs are the units of a frame of H264 or H265. It ends at the first that is cut off.
func NALUs(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(data) >= lengthSize {
			n := int(binary.BigEndian.Uint32(data))
			if n > len(data)-lengthSize {
				return
			}
			if n > 0 && !yield(data[lengthSize:lengthSize+n]) {
				return
			}
			data = data[lengthSize+n:]
		}
	}
}

// JoinNALUs makes a frame's data of its units.
func JoinNALUs(units ...[]byte) []byte {
	size := 0
	for _, u := range units {
		size += lengthSize + len(u)
	}
	data := make([]byte, 0, size)
	for _, u := range units {
		data = binary.BigEndian.AppendUint32(data, uint32(len(u)))
		data = append(data, u...)
	}
	return data
}

// Lengthen gives NAL units whose lengths have size bytes (1 to 4) in the form of frames. It returns an error when a unit is cut off.
func Lengthen(data []byte, size int) ([]byte, error) {
	var units [][]byte
	for rest := data; len(rest) > 0; {
		if len(rest) < size {
			return nil, fmt.Errorf("%w: %d bytes behind the last NAL unit", ErrFrame, len(rest))
		}
		n := 0
		for _, b := range rest[:size] {
			n = n<<8 | int(b)
		}
		if n > len(rest)-size {
			return nil, fmt.Errorf("%w: a NAL unit of %d bytes, of which there are %d", ErrFrame, n, len(rest)-size)
		}
		if n > 0 {
			units = append(units, rest[size:size+n])
		}
		rest = rest[size+n:]
	}
	if size == lengthSize {
		return data, nil
	}
	return JoinNALUs(units...), nil
}

// errConfig is what is wrong with a record of parameters; it comes wrapped with the codec.
var errConfig = errors.New("the record of parameter sets is cut off")

// cursor reads a record.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || len(c.b) < n {
		c.bad = true
		return nil
	}
	got := c.b[:n]
	c.b = c.b[n:]
	return got
}

func (c *cursor) byte() int {
	if got := c.take(1); got != nil {
		return int(got[0])
	}
	return 0
}

func (c *cursor) unit() []byte {
	if size := c.take(2); size != nil {
		return c.take(int(binary.BigEndian.Uint16(size)))
	}
	return nil
}

// ParameterSets are the NAL units in Config of H264 (SPS, then PPS) or H265 (VPS, SPS and PPS, as the record has them), and how many bytes the lengths in its
// frames have that a publisher sends.
func ParameterSets(codec Codec, config []byte) (sets [][]byte, lengths int, err error) {
	c := cursor{b: config}
	switch codec {
	case H264: // ISO/IEC 14496-15 section 5.3.3.1
		head := c.take(5)
		if c.bad || head[0] != 1 {
			return nil, 0, fmt.Errorf("media: avcC: %w", errConfig)
		}
		lengths = int(head[4]&3) + 1
		for _, mask := range []int{0x1f, 0xff} {
			for range c.byte() & mask {
				sets = append(sets, c.unit())
			}
		}
	case H265: // section 8.3.3.1
		head := c.take(22)
		if c.bad {
			return nil, 0, fmt.Errorf("media: hvcC: %w", errConfig)
		}
		lengths = int(head[21]&3) + 1
		for range c.byte() {
			c.byte() // what type its units have, which they tell themselves
			count := c.take(2)
			if c.bad {
				break
			}
			for range binary.BigEndian.Uint16(count) {
				if sets = append(sets, c.unit()); c.bad {
					break
				}
			}
		}
	default:
		return nil, 0, fmt.Errorf("media: %s has no parameter sets", codec)
	}
	if c.bad {
		return nil, 0, fmt.Errorf("media: %s: %w", codec, errConfig)
	}
	return sets, lengths, nil
}

// AVCConfig is the avcC record of parameter sets.
func AVCConfig(sps, pps []byte) ([]byte, error) {
	if len(sps) < 4 || len(sps) > 0xffff || len(pps) == 0 || len(pps) > 0xffff {
		return nil, fmt.Errorf("media: h264: SPS of %d and PPS of %d bytes, expected 4 to 65535 and 1 to 65535", len(sps), len(pps))
	}
	b := make([]byte, 0, 11+len(sps)+len(pps))
	b = append(b, 1, sps[1], sps[2], sps[3], 0xfc|lengthSize-1, 0xe0|1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(sps)))
	b = append(b, sps...)
	b = append(b, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(pps)))
	return append(b, pps...), nil
}
