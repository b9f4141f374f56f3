package rtc

import (
	"strings"
)

// keyFrames returns what tells whether a packet begins a picture that needs no earlier one, for a codec; audio has only such.
func keyFrames(mime string) func(payload []byte) bool {
	switch strings.ToLower(mime) {
	case strings.ToLower(mimeH264):
		return h264Key
	case strings.ToLower(mimeH265):
		return h265Key
	case strings.ToLower(mimeVP8):
		return vp8Key
	case strings.ToLower(mimeVP9):
		return vp9Key
	case strings.ToLower(mimeAV1):
		return av1Key
	}
	return func([]byte) bool { return true }
}

// h264Key looks for a sequence parameter set or an IDR slice: RFC 6184, section 5.4.
func h264Key(b []byte) bool {
	const sps, idr, stapA, fuA = 7, 5, 24, 28
	if len(b) < 2 {
		return false
	}
	switch t := b[0] & 0x1f; t {
	case sps, idr:
		return true
	case fuA:
		return b[1]&0x80 != 0 && b[1]&0x1f == idr // its start
	case stapA:
		for b = b[1:]; len(b) > 2; {
			size := int(b[0])<<8 | int(b[1])
			if b[2]&0x1f == sps || b[2]&0x1f == idr {
				return true
			}
			b = b[min(2+size, len(b)):]
		}
	}
	return false
}

// h265Key looks for a parameter set or an IRAP slice: RFC 7798, section 4.4.
func h265Key(b []byte) bool {
	const ap, fu = 48, 49
	key := func(t byte) bool { return t >= 16 && t <= 23 || t == 32 || t == 33 }
	if len(b) < 3 {
		return false
	}
	switch t := b[0] >> 1 & 0x3f; t {
	case fu:
		return b[2]&0x80 != 0 && key(b[2]&0x3f)
	case ap:
		for b = b[2:]; len(b) > 3; {
			size := int(b[0])<<8 | int(b[1])
			if key(b[2] >> 1 & 0x3f) {
				return true
			}
			b = b[min(2+size, len(b)):]
		}
		return false
	default:
		return key(t)
	}
}

// vp8Key reads the payload descriptor and the first bit of the frame: RFC 7741, sections 4.2 and 4.3.
func vp8Key(b []byte) bool {
	if len(b) < 1 || b[0]&0x10 == 0 || b[0]&0x07 != 0 { // not the start of the first partition
		return false
	}
	at := 1
	if b[0]&0x80 != 0 {
		if len(b) < 2 {
			return false
		}
		extended := b[1]
		at++
		if extended&0x80 != 0 { // picture id of 7 or 15 bits
			if len(b) <= at {
				return false
			}
			if b[at]&0x80 != 0 {
				at++
			}
			at++
		}
		if extended&0x40 != 0 {
			at++
		}
		if extended&0x30 != 0 {
			at++
		}
	}
	return len(b) > at && b[at]&0x01 == 0
}

// vp9Key reads the payload descriptor: RFC 9628, section 4.2. A frame of a higher spatial layer is none, since it is predicted from the one below.
func vp9Key(b []byte) bool {
	const predicted, layers, begin = 0x40, 0x20, 0x08
	if len(b) < 1 || b[0]&predicted != 0 || b[0]&begin == 0 {
		return false
	}
	if b[0]&layers == 0 {
		return true
	}
	at := 1
	if b[0]&0x80 != 0 {
		if len(b) < 2 {
			return false
		}
		if b[1]&0x80 != 0 {
			at++
		}
		at++
	}
	return len(b) > at && b[at]>>1&0x07 == 0
}

// av1Key reads the bit N of the aggregation header: the first packet of a coded video sequence (AV1 RTP, section 4.4).
func av1Key(b []byte) bool { return len(b) > 0 && b[0]&0x08 != 0 }
