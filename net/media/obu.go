package media

import (
	"bytes"
	"fmt"
)

// Types of OBUs (AV1 section 6.2.2) that are looked at.
const (
	obuSequence  = 1
	obuDelimiter = 2
	obuTileList  = 8
)

// Bits of an OBU's first byte.
const (
	obuForbidden = 0x80
	obuExtended  = 0x04
	obuSized     = 0x02
)

func obuType(unit []byte) byte { return unit[0] >> 3 & 0xf }

// OBUs are the units of a frame of AV1, without their sizes, as RTP carries them. The last may have none. It returns an ErrFrame that tells where the data is none.
func OBUs(data []byte) (units [][]byte, err error) {
	err = eachOBU(data, func(head, payload []byte, _ bool) {
		unit := append(make([]byte, 0, len(head)+len(payload)), head...)
		unit[0] &^= obuSized
		units = append(units, append(unit, payload...))
	})
	return units, err
}

// JoinOBUs makes a frame's data of units, with or without sizes. What begins a temporal unit is left out. It returns an ErrFrame for what is none.
func JoinOBUs(units ...[]byte) ([]byte, error) {
	var data []byte
	for _, u := range units {
		err := eachOBU(u, func(head, payload []byte, _ bool) {
			switch obuType(head) {
			case obuDelimiter, obuTileList: // what holds several pictures at once, which no player takes
				return
			}
			data = append(data, head[0]|obuSized)
			data = append(data, head[1:]...)
			data = appendLEB128(data, len(payload))
			data = append(data, payload...)
		})
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// TemporalUnit gives the OBUs of a publisher in the form of frames: the same bytes, mostly.
func TemporalUnit(data []byte) ([]byte, error) {
	as := true // they are
	err := eachOBU(data, func(head, _ []byte, sized bool) {
		as = as && sized && obuType(head) != obuDelimiter && obuType(head) != obuTileList
	})
	if err != nil || as {
		return data, err
	}
	return JoinOBUs(data)
}

// eachOBU gives the header of each unit (one byte, or two with an extension) and what is behind it.
func eachOBU(data []byte, each func(head, payload []byte, sized bool)) error {
	for at := 0; at < len(data); {
		b := data[at:]
		head := 1
		if b[0]&obuForbidden != 0 {
			return fmt.Errorf("%w: the OBU at byte %d begins with %#x, expected less than 0x80", ErrFrame, at, b[0])
		}
		if b[0]&obuExtended != 0 {
			head = 2
		}
		size, skip, sized := len(b)-head, head, b[0]&obuSized != 0
		if sized && head <= len(b) {
			var n int
			if size, n = leb128(b[head:]); n == 0 {
				return fmt.Errorf("%w: the size of the OBU at byte %d is none", ErrFrame, at)
			}
			skip += n
		}
		if size < 0 || size > len(b)-skip {
			return fmt.Errorf("%w: an OBU of %d bytes at byte %d, of which there are %d", ErrFrame, size, at, max(len(b)-skip, 0))
		}
		each(b[:head], b[skip:skip+size], sized)
		at += skip + size
	}
	return nil
}

// leb128 reads a number (AV1 section 4.10.5) and how many bytes it has; 0: it is none, or one of more than 32 bits.
func leb128(b []byte) (v, n int) {
	for i := range min(len(b), 5) {
		v |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return v, i + 1
		}
	}
	return 0, 0
}

func appendLEB128(b []byte, v int) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// Sequence is the sequence header among units of AV1, without its size; nil if there is none.
func Sequence(units [][]byte) []byte {
	for _, u := range units {
		if len(u) > 0 && obuType(u) == obuSequence {
			return u
		}
	}
	return nil
}

// WithSequence are the units of a frame, behind the sequence header of its parameters where decoding may begin: not all publishers have it in the frames as well.
func (f *Frame) WithSequence() ([][]byte, error) {
	units, err := OBUs(f.Data)
	if err != nil || !f.Key || Sequence(units) != nil {
		return units, err
	}
	told, err := OBUs(f.Params.Config[min(len(f.Params.Config), av1Head):])
	if s := Sequence(told); err == nil && s != nil {
		units = append([][]byte{s}, units...)
	}
	return units, nil
}

// sameSequence tells whether parameters have this sequence header.
func (p *Params) sameSequence(header []byte) bool {
	told, err := OBUs(p.Config[min(len(p.Config), av1Head):])
	return err == nil && bytes.Equal(Sequence(told), header)
}
