package rtmp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Why a peer is not understood, or not listened to any longer. They come wrapped with what and how much.
var (
	// ErrProtocol: what came is not RTMP.
	ErrProtocol = errors.New("rtmp: protocol error")
	// ErrLimit: what came is more than is taken.
	ErrLimit = errors.New("rtmp: more than allowed")
)

// The types of messages (Adobe's Real Time Messaging Protocol 1.0, sections 5.4 and 7.1).
const (
	msgChunkSize   = 1
	msgAbort       = 2
	msgAck         = 3
	msgControl     = 4
	msgWindow      = 5
	msgBandwidth   = 6
	msgAudio       = 8
	msgVideo       = 9
	msgData3       = 15 // AMF3
	msgCommand3    = 17
	msgData        = 18
	msgCommand     = 20
	msgAggregate   = 22
	chunkSize      = 128 // of both sides, until they say otherwise
	maxChunkSize   = 1<<24 - 1
	extendedStamp  = 1<<24 - 1
	maxStreams     = 32       // chunk streams of a peer; real ones use up to 8
	maxControl     = 64 << 10 // bytes of a message that is neither picture nor sound
	smallestBuffer = 4 << 10
	viewerBuffer   = 256
)

// message is one that has come in full.
type message struct {
	kind   byte
	stream uint32
	stamp  uint32 // ms
	body   []byte
}

// chunkStream is what is known of one of a peer's chunk streams: headers leave out what is as before.
type chunkStream struct {
	begun    bool
	kind     byte
	stream   uint32
	stamp    uint32
	field    uint32 // the timestamp, or its change, as it came last
	extended bool
	size     int
	body     []byte
	inside   bool // a message is half read
}

// chunkReader puts messages together. Whatever a peer announces, memory is taken for what has come: as much again at most, and never more than the bounds.
type chunkReader struct {
	r       *bufio.Reader
	size    int // of the peer's chunks
	streams map[uint32]*chunkStream
	half    int // bytes announced by messages that are half read
	// maxMedia bounds pictures and sound; 0: they are bounded as all else, for who has not been let in.
	maxMedia int
	read     uint64 // bytes
}

func newChunkReader(r *bufio.Reader) *chunkReader {
	return &chunkReader{r: r, size: chunkSize, streams: map[uint32]*chunkStream{}}
}

// shrink is for a peer that says little from here on. What it has said already stays.
func (c *chunkReader) shrink(conn io.Reader) {
	said, _ := c.r.Peek(c.r.Buffered()) // there is that much
	c.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(said)), conn), viewerBuffer)
}

// next reads until a message is whole.
func (c *chunkReader) next() (message, error) {
	for {
		m, whole, err := c.chunk()
		if err != nil || whole {
			return m, err
		}
	}
}

func (c *chunkReader) byte() (byte, error) {
	c.read++
	return c.r.ReadByte()
}

func (c *chunkReader) full(b []byte) error {
	c.read += uint64(len(b))
	_, err := io.ReadFull(c.r, b)
	return err
}

// id reads which chunk stream it is, and the form of the header.
func (c *chunkReader) id() (format byte, id uint32, err error) {
	first, err := c.byte()
	if err != nil {
		return 0, 0, err
	}
	format, id = first>>6, uint32(first&0x3f)
	if id > 1 {
		return format, id, nil
	}
	more := make([]byte, id+1)
	if err := c.full(more); err != nil {
		return 0, 0, err
	}
	if id == 0 {
		return format, 64 + uint32(more[0]), nil
	}
	return format, 64 + uint32(more[0]) + uint32(more[1])<<8, nil
}

func (c *chunkReader) chunk() (m message, whole bool, err error) {
	format, id, err := c.id()
	if err != nil {
		return m, false, err
	}
	cs := c.streams[id]
	if cs == nil {
		if len(c.streams) >= maxStreams {
			return m, false, fmt.Errorf("%w: more than %d chunk streams", ErrLimit, maxStreams)
		}
		cs = &chunkStream{}
		c.streams[id] = cs
	}
	if err := c.header(cs, format, id); err != nil {
		return m, false, err
	}
	n := min(cs.size-len(cs.body), c.size)
	if err := c.append(cs, n); err != nil {
		return m, false, err
	}
	if len(cs.body) < cs.size {
		return m, false, nil
	}
	m = message{kind: cs.kind, stream: cs.stream, stamp: cs.stamp, body: cs.body}
	c.half -= cs.size
	cs.body, cs.inside = nil, false
	return m, true, nil
}

// header reads what a chunk says of its message.
func (c *chunkReader) header(cs *chunkStream, format byte, id uint32) error {
	if format != 0 && !cs.begun {
		return fmt.Errorf("%w: chunk stream %d begins with a header that leaves things out", ErrProtocol, id)
	}
	if cs.inside && format != 3 {
		return fmt.Errorf("%w: a new message on chunk stream %d after %d of %d bytes of the one before", ErrProtocol, id, len(cs.body), cs.size)
	}
	var h [11]byte
	fields := h[:[]int{11, 7, 3, 0}[format]]
	if err := c.full(fields); err != nil {
		return err
	}
	if format < 3 {
		cs.field = uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2])
		cs.extended = cs.field == extendedStamp
	}
	if format < 2 {
		cs.size, cs.kind = int(h[3])<<16|int(h[4])<<8|int(h[5]), h[6]
	}
	if format == 0 {
		cs.stream = binary.LittleEndian.Uint32(h[7:])
	}
	if err := c.stamp(cs, format); err != nil {
		return err
	}
	if cs.inside {
		return nil
	}
	if format == 0 {
		cs.stamp = cs.field
	} else {
		cs.stamp += cs.field
	}
	cs.begun, cs.inside = true, true
	return c.admit(cs)
}

// stamp reads a timestamp that has no place in the header. Behind the first chunk of a message some peers repeat it and some do not.
func (c *chunkReader) stamp(cs *chunkStream, format byte) error {
	if !cs.extended {
		return nil
	}
	if format == 3 {
		again, err := c.r.Peek(4)
		if err != nil {
			return err
		}
		if binary.BigEndian.Uint32(again) != cs.field {
			return nil
		}
	}
	var b [4]byte
	if err := c.full(b[:]); err != nil {
		return err
	}
	cs.field = binary.BigEndian.Uint32(b[:])
	return nil
}

// admit checks a message by its header, before anything of it is kept.
func (c *chunkReader) admit(cs *chunkStream) error {
	most := maxControl
	if cs.kind == msgAudio || cs.kind == msgVideo || cs.kind == msgAggregate {
		most = max(most, c.maxMedia)
	}
	if cs.size > most {
		return fmt.Errorf("%w: a message of type %d with %d bytes, at most %d", ErrLimit, cs.kind, cs.size, most)
	}
	if c.half += cs.size; c.half > 2*max(most, c.maxMedia) {
		return fmt.Errorf("%w: messages of %d bytes are half sent", ErrLimit, c.half)
	}
	return nil
}

// append reads n bytes more of a message. Its room grows as it comes, from what a first chunk has.
func (c *chunkReader) append(cs *chunkStream, n int) error {
	for n > 0 {
		if len(cs.body) == cap(cs.body) {
			room := max(2*cap(cs.body), smallestBuffer, min(n, 16*smallestBuffer))
			if len(cs.body) >= 16*smallestBuffer {
				room = cs.size // it has shown that it means it
			}
			grown := make([]byte, len(cs.body), min(room, cs.size))
			copy(grown, cs.body)
			cs.body = grown
		}
		at := len(cs.body)
		now := min(n, cap(cs.body)-at)
		cs.body = cs.body[:at+now]
		if err := c.full(cs.body[at:]); err != nil {
			return err
		}
		n -= now
	}
	return nil
}

// protocol heeds what a message says of the chunks themselves; others are nothing to it.
func (c *chunkReader) protocol(m message) error {
	switch m.kind {
	case msgChunkSize:
		if len(m.body) < 4 {
			return fmt.Errorf("%w: a chunk size of %d bytes, expected 4", ErrProtocol, len(m.body))
		}
		size := binary.BigEndian.Uint32(m.body)
		if size == 0 || size > 1<<31-1 {
			return fmt.Errorf("%w: chunks of %d bytes, expected 1 to %d", ErrProtocol, size, 1<<31-1)
		}
		c.size = int(min(size, maxChunkSize)) // no message is longer
	case msgAbort:
		if len(m.body) < 4 {
			return fmt.Errorf("%w: an abort of %d bytes, expected 4", ErrProtocol, len(m.body))
		}
		if cs := c.streams[binary.BigEndian.Uint32(m.body)]; cs != nil && cs.inside {
			c.half -= cs.size
			cs.body, cs.inside = nil, false
		}
	}
	return nil
}

// appendMessage writes a message behind b in chunks of size; body writes what is in it.
func appendMessage(b []byte, id byte, m message, size int) []byte {
	stamp := min(m.stamp, extendedStamp)
	n := len(m.body)
	b = append(b, id, byte(stamp>>16), byte(stamp>>8), byte(stamp), byte(n>>16), byte(n>>8), byte(n), m.kind)
	b = binary.LittleEndian.AppendUint32(b, m.stream)
	for first, rest := true, m.body; first || len(rest) > 0; first = false {
		if !first {
			b = append(b, 0xc0|id)
		}
		if stamp == extendedStamp {
			b = binary.BigEndian.AppendUint32(b, m.stamp)
		}
		k := min(len(rest), size)
		b, rest = append(b, rest[:k]...), rest[k:]
	}
	return b
}
