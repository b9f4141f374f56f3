package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/skua-go/skua/net/media"
)

// The types of messages.
const (
	msgBegin byte = iota + 1 // 1: it goes on behind Request.After
	msgTrack                 // what a track is, or has become: its number (1), kind, group, layer, codec (1 each), width, height, sample rate (4 each), channels (1), the codec's record
	msgReady                 // all tracks there are have been told
	msgFrame                 // track (1), 1: key (1), Seq (8), DTS, PTS in nanoseconds (8 each), data
	msgBeat                  // nothing
	msgEnd                   // why, as text
)

const (
	headSize  = 5
	trackSize = 5 + 3*4 + 1
	frameSize = 2 + 3*8
)

// writer writes what a viewer gets for the other side. It is one goroutine's.
type writer struct {
	out   media.Batch
	told  [media.MaxTracks]*media.Params
	heads []byte // of a batch's frames; its memory is used again
}

// start tells how the stream goes on, and all tracks that are known.
func (w *writer) start(v *media.Viewer) error {
	resumed := byte(0)
	if v.Resumed() {
		resumed = 1
	}
	b := appendHead(nil, msgBegin, 1)
	return w.out.Write(append(w.out.Begin(), append(b, resumed)))
}

// describe tells what there is to know before frames.
func (w *writer) describe(v *media.Viewer) []byte {
	var b []byte
	for _, d := range v.Described() {
		w.told[d.ID] = d.Params
		b = appendTrack(b, d.Track, d.Params)
	}
	return appendHead(b, msgReady, 0)
}

// frames writes some, with what has changed before them.
func (w *writer) frames(bufs net.Buffers, frames []*media.Frame) error {
	if need := len(frames) * (headSize + frameSize); cap(w.heads) < need {
		w.heads = make([]byte, 0, need)
	}
	w.heads = w.heads[:0]
	for _, f := range frames {
		if w.told[f.Track.ID] != f.Params {
			w.told[f.Track.ID] = f.Params
			bufs = append(bufs, appendTrack(nil, f.Track, f.Params))
		}
		at := len(w.heads)
		w.heads = appendHead(w.heads, msgFrame, frameSize+len(f.Data))
		key := byte(0)
		if f.Key {
			key = 1
		}
		w.heads = append(w.heads, f.Track.ID, key)
		for _, n := range []uint64{f.Seq, uint64(f.DTS), uint64(f.PTS)} {
			w.heads = binary.BigEndian.AppendUint64(w.heads, n)
		}
		bufs = append(bufs, w.heads[at:], f.Data)
	}
	return w.out.Write(bufs)
}

func (w *writer) beat() error {
	return w.out.Write(append(w.out.Begin(), appendHead(nil, msgBeat, 0)))
}

func (w *writer) end(reason error) error {
	text := reason.Error()
	text = text[:min(len(text), maxReason)]
	return w.out.Write(append(w.out.Begin(), append(appendHead(nil, msgEnd, len(text)), text...)))
}

func appendHead(b []byte, kind byte, size int) []byte {
	return binary.BigEndian.AppendUint32(append(b, kind), uint32(size))
}

func appendTrack(b []byte, t *media.Track, p *media.Params) []byte {
	b = appendHead(b, msgTrack, trackSize+len(p.Config))
	b = append(b, t.ID, byte(t.Kind), t.Group, t.Layer, byte(p.Codec))
	for _, n := range []int{p.Width, p.Height, p.SampleRate} {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return append(append(b, byte(p.Channels)), p.Config...)
}

// reader reads what a writer has written.
type reader struct {
	conn     net.Conn
	r        *bufio.Reader
	max      int // bytes of a frame
	deadline time.Time
}

// next reads a message, or says that nothing came for too long.
func (r *reader) next() (kind byte, body []byte, err error) {
	if now := time.Now(); r.deadline.Sub(now) < silence*3/4 { // a timer that is set anew each time costs as much as the read
		r.deadline = now.Add(silence)
		if err := r.conn.SetReadDeadline(r.deadline); err != nil {
			return 0, nil, err
		}
	}
	var head [headSize]byte
	if _, err = io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, quiet(err)
	}
	size := int(binary.BigEndian.Uint32(head[1:]))
	if size > r.max+frameSize {
		return 0, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFormat, size, r.max+frameSize)
	}
	body = make([]byte, size)
	if _, err = io.ReadFull(r.r, body); err != nil {
		return 0, nil, quiet(err)
	}
	return head[0], body, nil
}

func quiet(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: for %v", ErrSilent, silence)
	}
	return err
}

// described is a track as it was told.
type described struct {
	id     uint8
	spec   media.TrackSpec
	params *media.Params
}

func readTrack(b []byte) (d described, err error) {
	if len(b) < trackSize {
		return d, fmt.Errorf("%w: a track of %d bytes", ErrFormat, len(b))
	}
	number := func(at int) int { return int(binary.BigEndian.Uint32(b[at:])) }
	d.id, d.spec = b[0], media.TrackSpec{Kind: media.Kind(b[1]), Group: b[2], Layer: b[3]}
	d.params = &media.Params{Codec: media.Codec(b[4]), Width: number(5), Height: number(9), SampleRate: number(13), Channels: int(b[17]), Config: b[trackSize:]}
	if d.id >= media.MaxTracks || d.params.Codec.Kind() != d.spec.Kind || d.spec.Kind == 0 {
		return d, fmt.Errorf("%w: track %d of kind %d with codec %d", ErrFormat, d.id, d.spec.Kind, b[4])
	}
	return d, nil
}

// carried is a frame as it was sent.
type carried struct {
	track  uint8
	seq    uint64
	sample media.Sample
}

func readFrame(b []byte) (f carried, err error) {
	if len(b) <= frameSize || b[0] >= media.MaxTracks {
		return f, fmt.Errorf("%w: a frame of %d bytes", ErrFormat, len(b))
	}
	number := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
	f.track, f.seq = b[0], number(2)
	f.sample = media.Sample{Key: b[1] == 1, DTS: time.Duration(number(10)), PTS: time.Duration(number(18)), Data: b[frameSize:]}
	return f, nil
}
