// Package fmp4 writes a stream's frames as fragmented MP4 (ISO/IEC 14496-12 section 8.8), which recordings and HLS have in common: a beginning that tells the tracks, and
// fragments that are each whole, so that what is cut off costs the last one.
//
// H.264, H.265, AV1, VP9, AAC, Opus and MP3 fit. VP8 does not: no player takes it in MP4.
package fmp4

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	mp4 "github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/skua-go/skua/net/media"
)

// ErrCodec tells that a track can't be in MP4, or that its parameters are not enough for it. It comes wrapped with why.
var ErrCodec = errors.New("fmp4: not in MP4")

// Muxer makes one file, or one run of segments: its tracks and their parameters are the same from its beginning to its end. It is one goroutine's.
type Muxer struct {
	tracks []*track
	byID   [media.MaxTracks]*track
	lead   *track // by whose frames fragments are measured: the picture, if there is one
	origin time.Duration
	begun  bool
	count  uint32
	size   int
	buf    seekablebuffer.Buffer
}

type track struct {
	kind   media.Kind
	params *media.Params
	rate   int64
	sets   []byte         // parameter sets that the beginning has no place for, put before key frames
	queue  []*media.Frame // the last one's duration is not known
	codec  codecs.Codec
}

// Track is what a file has to know of one of its tracks.
type Track struct {
	*media.Track
	Params *media.Params
	// First is a key frame, of VP9 and of AV1 whose parameters have no sequence header. The others need none.
	First []byte
}

// Fragment is a part of a file: a moof and its mdat.
type Fragment struct {
	Data []byte
	// Duration is that of the pictures, or of the sound where there are none.
	Duration time.Duration
	// Key: it begins with a key frame. True of sound alone.
	Key    bool
	Frames int
}

// New makes a muxer of tracks. It returns it with those that can be written, and an ErrCodec that says which can't and why; no muxer if there is none.
func New(tracks []Track) (*Muxer, error) {
	m := &Muxer{}
	var failed error
	for _, one := range tracks {
		codec, rate, sets, err := describe(one.Params, one.First)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%w: %s: %w", ErrCodec, one.Params.Codec, err))
			continue
		}
		t := &track{kind: one.Kind, params: one.Params, rate: rate, sets: sets, codec: codec}
		m.tracks = append(m.tracks, t)
		m.byID[one.ID] = t
		if m.lead == nil || t.kind == media.Video && m.lead.kind != media.Video {
			m.lead = t
		}
	}
	if m.lead == nil {
		return nil, cmp.Or(failed, fmt.Errorf("%w: no tracks", ErrCodec))
	}
	return m, failed
}

// Origin has the file's time begin there, on the stream's timeline. Without it the earliest frame of the first fragment is at 0.
func (m *Muxer) Origin(at time.Duration) { m.origin, m.begun = at, true }

// Init is the beginning of the file: ftyp and moov.
func (m *Muxer) Init() ([]byte, error) {
	var head mp4.Init
	for i, t := range m.tracks {
		head.Tracks = append(head.Tracks, &mp4.InitTrack{ID: i + 1, TimeScale: uint32(t.rate), Codec: t.codec})
	}
	var buf seekablebuffer.Buffer
	if err := head.Marshal(&buf); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCodec, err)
	}
	return buf.Bytes(), nil
}

// Fits tells whether a frame's track is one of the file's, with the same parameters.
func (m *Muxer) Fits(f *media.Frame) bool {
	t := m.byID[f.Track.ID]
	if t == nil {
		return false
	}
	if t.params != f.Params {
		// A publisher that comes back, or tells its parameters again, has a new pointer to the same.
		if t.params.Codec != f.Params.Codec || !bytes.Equal(t.params.Config, f.Params.Config) || len(t.params.Config) == 0 {
			return false
		}
		t.params = f.Params
	}
	return true
}

// Video tells whether it has pictures, at whose key frames it may be cut.
func (m *Muxer) Video() bool { return m.lead.kind == media.Video }

// Add takes a frame that Fits.
func (m *Muxer) Add(f *media.Frame) {
	t := m.byID[f.Track.ID]
	t.queue = append(t.queue, f)
	m.size += len(f.Data)
}

// Waiting is how much the next Fragment would have: the time of its pictures (of its sound, where there are none), that of its longest track, and its bytes.
func (m *Muxer) Waiting() (lead, longest time.Duration, size int) {
	for _, t := range m.tracks {
		if len(t.queue) > 0 {
			longest = max(longest, t.queue[len(t.queue)-1].DTS-t.queue[0].DTS)
		}
	}
	if q := m.lead.queue; len(q) > 0 {
		lead = q[len(q)-1].DTS - q[0].DTS
	}
	return lead, longest, m.size
}

// Fragment gives what was added, but for the last frame of each track: how long that lasts is known with the next. Its Data is nil if there is nothing.
func (m *Muxer) Fragment() (Fragment, error) { return m.fragment(1) }

// End gives all that is left. The last frame of each track is shown for as long as the one before it.
func (m *Muxer) End() (Fragment, error) { return m.fragment(0) }

func (m *Muxer) fragment(keep int) (Fragment, error) {
	m.begin()
	frag := Fragment{Key: true}
	part := mp4.Part{SequenceNumber: m.count}
	for i, t := range m.tracks {
		n := len(t.queue) - keep
		if n <= 0 {
			continue
		}
		one := &mp4.PartTrack{ID: i + 1, BaseTime: uint64(m.ticks(t, t.queue[0].DTS)), Samples: t.samples(m, n)}
		part.Tracks = append(part.Tracks, one)
		frag.Frames += n
		if t == m.lead {
			frag.Key = t.queue[0].Key
			for _, s := range one.Samples {
				frag.Duration += media.FromTicks(int64(s.Duration), t.rate)
			}
		}
		for _, f := range t.queue[:n] {
			m.size -= len(f.Data)
		}
		t.queue = slices.Delete(t.queue, 0, n)
	}
	if frag.Frames == 0 {
		return Fragment{}, nil
	}
	m.count++
	m.buf = seekablebuffer.Buffer{}
	if err := part.Marshal(&m.buf); err != nil {
		return Fragment{}, fmt.Errorf("fmp4: %w", err)
	}
	frag.Data = m.buf.Bytes()
	return frag, nil
}

// begin sets the file's time when its first frames are there.
func (m *Muxer) begin() {
	if m.begun {
		return
	}
	for _, t := range m.tracks {
		if len(t.queue) > 0 && (!m.begun || t.queue[0].DTS < m.origin) {
			m.begun, m.origin = true, t.queue[0].DTS
		}
	}
}

// ticks is a decoding time in the file. MP4 has none below 0.
func (m *Muxer) ticks(t *track, at time.Duration) int64 {
	return max(media.Ticks(at-m.origin, t.rate), 0)
}

// samples are a track's first n frames.
func (t *track) samples(m *Muxer, n int) []*mp4.Sample {
	samples := make([]*mp4.Sample, n)
	for i, f := range t.queue[:n] {
		at := m.ticks(t, f.DTS)
		s := &mp4.Sample{PTSOffset: int32(media.Ticks(f.PTS-m.origin, t.rate) - at), IsNonSyncSample: !f.Key, Payload: f.Data}
		if f.Key && len(t.sets) > 0 {
			s.Payload = slices.Concat(t.sets, f.Data)
		}
		switch {
		case i+1 < len(t.queue):
			s.Duration = uint32(m.ticks(t, t.queue[i+1].DTS) - at)
		case i > 0:
			s.Duration = samples[i-1].Duration
		}
		samples[i] = s
	}
	return samples
}
