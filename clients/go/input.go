package client

import (
	"fmt"
	"io"
	"sync"

	"github.com/skua-go/skua/net/packet"
)

// input cuts what arrives into packages. It holds 512 bytes while a connection is idle, and more from the pool while more comes.
type input struct {
	split      func([]byte) (int, []byte, error)
	buf        []byte
	start, end int
	pooled     *[]byte // what buf is, when it is from the pool
	full       bool    // the last read has filled what there was
	small      [smallInput]byte
}

const (
	smallInput = 512
	largeInput = 16 << 10
)

//nolint:gochecknoglobals // a cache, which no caller can tell from none
var inputs = sync.Pool{New: func() any {
	b := make([]byte, largeInput)
	return &b
}}

func newInput(split func([]byte) (int, []byte, error)) *input {
	in := &input{split: split}
	in.buf = in.small[:]
	return in
}

// next returns the next package; its bytes are valid until the next call. heard is told how many bytes arrive.
func (in *input) next(r io.Reader, heard func(n int)) (packet.Packet, error) {
	for {
		advance, frame, err := in.split(in.buf[in.start:in.end])
		if err != nil {
			return packet.Packet{}, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		if frame != nil {
			in.start += advance
			p, err := packet.Decode(frame)
			if err != nil {
				return p, fmt.Errorf("%w: %w", ErrProtocol, err)
			}
			return p, nil
		}
		in.room()
		n, err := r.Read(in.buf[in.end:])
		in.end += n
		in.full = in.end == len(in.buf)
		if n > 0 {
			heard(n)
			continue
		}
		if err != nil {
			return packet.Packet{}, fmt.Errorf("%w: %w", ErrServerClosed, err)
		}
	}
}

// room makes place for more bytes: split bounds how many an unfinished package can need.
func (in *input) room() {
	have := in.end - in.start
	if have == 0 {
		in.start, in.end = 0, 0
		switch small := len(in.buf) == smallInput; {
		case in.full && small:
			in.grow()
		case !in.full && !small || len(in.buf) > largeInput:
			in.release()
		}
		in.full = false
		return
	}
	if in.end < len(in.buf) {
		return
	}
	if in.start > 0 {
		copy(in.buf, in.buf[in.start:in.end])
		in.start, in.end = 0, have
		return
	}
	in.grow()
}

// grow takes the pool's size, or beyond that the double.
func (in *input) grow() {
	have := in.buf[in.start:in.end]
	if len(in.buf) < largeInput {
		in.pooled = inputs.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
		in.buf = *in.pooled
		copy(in.buf, have)
	} else {
		bigger := make([]byte, 2*len(in.buf))
		copy(bigger, have)
		in.release()
		in.buf = bigger
	}
	in.start, in.end = 0, len(have)
}

// release goes back to the small buffer.
func (in *input) release() {
	if in.pooled != nil {
		inputs.Put(in.pooled)
		in.pooled = nil
	}
	in.buf = in.small[:]
}
