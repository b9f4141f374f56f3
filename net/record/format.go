package record

import (
	"slices"
	"time"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/fmp4"
	"github.com/skua-go/skua/net/media"
)

// maxPiece is how many bytes wait for a write at most, whatever time they have.
const maxPiece = 4 << 20

// format puts frames into a file's form. It has what was not written yet.
type format interface {
	// fits tells whether a frame can be in this file.
	fits(f *media.Frame) bool
	// video tells whether the file has pictures: it may be cut at key frames only.
	video() bool
	// add takes a frame that fits, and gives what is to be written now: nothing, mostly.
	add(f *media.Frame) ([]byte, error)
	// end gives what is left.
	end() ([]byte, error)
}

// mp4File is fragmented MP4. Its tracks are those that there were when it was begun.
type mp4File struct {
	mux   *fmp4.Muxer
	flush time.Duration
	head  []byte // not yet written
}

// newMP4 begins a file with its first frame. It returns an error when none of the tracks can be in one; left says what can't.
func newMP4(tracks []media.Described, first *media.Frame, flush time.Duration) (_ format, left, err error) {
	told := make([]fmp4.Track, 0, len(tracks))
	for _, t := range tracks {
		one := fmp4.Track{Track: t.Track, Params: t.Params}
		if t.Track == first.Track {
			one.Params, one.First = first.Params, first.Data
		}
		told = append(told, one)
	}
	mux, left := fmp4.New(told)
	if mux == nil {
		return nil, nil, left
	}
	head, err := mux.Init()
	return &mp4File{mux: mux, flush: flush, head: head}, left, err
}

func (m *mp4File) fits(f *media.Frame) bool { return m.mux.Fits(f) }
func (m *mp4File) video() bool              { return m.mux.Video() }

func (m *mp4File) add(f *media.Frame) ([]byte, error) {
	m.mux.Add(f)
	if _, span, size := m.mux.Waiting(); span < m.flush && size < maxPiece {
		return nil, nil
	}
	return m.piece(m.mux.Fragment)
}

func (m *mp4File) end() ([]byte, error) { return m.piece(m.mux.End) }

func (m *mp4File) piece(next func() (fmp4.Fragment, error)) ([]byte, error) {
	frag, err := next()
	if err != nil || frag.Data == nil {
		return nil, err
	}
	piece := slices.Concat(m.head, frag.Data)
	m.head = nil
	return piece, nil
}

// flvFile is FLV, whose times are the file's own.
type flvFile struct {
	origin  time.Duration
	told    [media.MaxTracks]*media.Params
	pics    bool
	flush   time.Duration
	since   time.Duration
	waiting []byte
}

func newFLV(tracks []media.Described, first *media.Frame, flush time.Duration) format {
	o := &flvFile{origin: first.DTS, since: first.DTS, flush: flush}
	var video, audio []*media.Params
	for _, t := range tracks {
		if t.Kind == media.Video {
			video = append(video, t.Params)
		} else {
			audio = append(audio, t.Params)
		}
	}
	o.pics = len(video) > 0
	o.waiting = flv.AppendTag(flv.Header(o.pics, len(audio) > 0), flv.TypeScript, 0, func(b []byte) []byte { return append(b, flv.MetaData(append(video, audio...))...) })
	return o
}

// fits: all do, since parameters may change on the way; pictures in a file that has begun without any would not be shown by all players.
func (o *flvFile) fits(f *media.Frame) bool { return o.pics || f.Track.Kind != media.Video }
func (o *flvFile) video() bool              { return o.pics }

func (o *flvFile) add(f *media.Frame) ([]byte, error) {
	at := flv.Milliseconds(max(f.DTS-o.origin, 0))
	kind := flv.TypeOf(f.Track.Kind)
	if o.told[f.Track.ID] != f.Params {
		o.told[f.Track.ID] = f.Params
		before := o.waiting
		told := false
		o.waiting = flv.AppendTag(o.waiting, kind, at, func(b []byte) []byte {
			b, told = flv.AppendConfig(b, f.Params)
			return b
		})
		if !told {
			o.waiting = before
		}
	}
	o.waiting = flv.AppendTag(o.waiting, kind, at, func(b []byte) []byte { return flv.AppendBody(b, f) })
	if f.DTS-o.since < o.flush && len(o.waiting) < maxPiece {
		return nil, nil
	}
	o.since = f.DTS
	return o.end()
}

func (o *flvFile) end() ([]byte, error) {
	piece := o.waiting
	o.waiting = nil
	return piece, nil
}
