package hls

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/skua-go/skua/net/fmp4"
	"github.com/skua-go/skua/net/media"
)

// Bounds of what is kept of a stream.
const (
	partTarget    = 200 * time.Millisecond
	segmentTarget = time.Second // a segment ends at the next key frame after it
	segmentMost   = 12 * time.Second
	segmentBytes  = 32 << 20
	listed        = 7 // segments in a playlist
	kept          = 3 // and before it, for who has read an older one
)

// part is a piece of a segment.
type part struct {
	data     []byte
	duration time.Duration
	key      bool
}

// segment begins with a key frame.
type segment struct {
	number   uint64
	head     *head
	fresh    bool // it has another head than the one before
	began    time.Time
	parts    []part
	duration time.Duration
	size     int
}

// head is the beginning of the segments that have the same parameters.
type head struct {
	id            int
	data          []byte
	codecs        []string
	width, height int
}

// packager makes the segments of one stream, for all who watch it. It is a viewer of the stream, and runs while there is any session.
type packager struct {
	epoch  string // part of all names: caches must not take those of another packager for these
	viewer *media.Viewer

	mu       sync.Mutex
	segments []*segment
	open     *segment // nil before the first key frame
	first    uint64   // number of the oldest segment in the playlist
	gaps     uint64   // segments that have begun with another head and are no longer in the playlist
	longest  time.Duration
	part     time.Duration
	changed  chan struct{} // closed with each part
	ended    error
	left     error // what is not in the segments, and why

	// of its goroutine
	mux    *fmp4.Muxer
	head   *head
	last   time.Duration // DTS of the newest frame by which segments are measured
	origin time.Duration
	clock  time.Time // when the first segment was begun
	begun  bool
	moved  bool
	never  [media.MaxTracks]*media.Params
}

func newPackager(v *media.Viewer) *packager {
	return &packager{epoch: rand.Text()[:8], viewer: v, changed: make(chan struct{}), part: partTarget, longest: segmentTarget}
}

// run makes segments until the stream ends, or nobody watches.
func (p *packager) run() {
	err := p.frames()
	p.viewer.Close(err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mux != nil {
		if frag, err := p.mux.End(); err == nil {
			p.append(frag)
		}
		p.finish()
	}
	p.ended = err
	p.tell()
}

func (p *packager) frames() error {
	var frames [64]*media.Frame
	for {
		n, err := p.viewer.Next(frames[:])
		if err != nil {
			return err
		}
		for _, f := range frames[:n] {
			if err := p.put(f); err != nil {
				return err
			}
		}
		clear(frames[:n])
	}
}

// put takes a frame: into the part that is open, into a new one, or into a new segment.
func (p *packager) put(f *media.Frame) error {
	if p.never[f.Track.ID] == f.Params {
		return nil
	}
	lead := p.mux == nil || f.Track.Kind == media.Video || !p.mux.Video()
	if lead && f.Key && (p.mux == nil || p.moved || !p.mux.Fits(f)) {
		if p.mux == nil && f.Track.Kind == media.Audio && p.awaited() {
			return nil
		}
		if err := p.renew(f); err != nil {
			return err
		}
		if !p.mux.Fits(f) {
			p.never[f.Track.ID] = f.Params
			return nil
		}
	}
	if p.mux == nil || !p.mux.Fits(f) {
		p.moved = p.mux != nil
		return nil
	}
	return p.add(f, lead)
}

// awaited tells whether pictures are announced.
func (p *packager) awaited() bool {
	for _, t := range p.viewer.Described() {
		if t.Kind == media.Video && p.never[t.ID] != t.Params {
			return true
		}
	}
	return false
}

func (p *packager) add(f *media.Frame, lead bool) error {
	waits, _, size := p.mux.Waiting()
	p.mu.Lock()
	defer p.mu.Unlock()
	if lead && waits > 0 && waits+f.DTS-p.last > partTarget || size > segmentBytes/4 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	cuts := lead && f.Key && p.length(f) >= segmentTarget || lead && p.length(f) >= segmentMost || p.open.size > segmentBytes
	p.mux.Add(f)
	if lead {
		p.last = f.DTS
	}
	if !cuts {
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.finish()
	p.begin(false)
	return nil
}

// length is how long the open segment is when a frame ends it.
func (p *packager) length(f *media.Frame) time.Duration {
	waits, _, _ := p.mux.Waiting()
	return p.open.duration + waits + f.DTS - p.last
}

// renew begins a segment with a new head, whose first frame is f.
func (p *packager) renew(f *media.Frame) error {
	described := p.viewer.Described()
	tracks := make([]fmp4.Track, 0, len(described))
	for _, t := range described {
		one := fmp4.Track{Track: t.Track, Params: t.Params}
		if t.Track == f.Track {
			one.Params, one.First = f.Params, f.Data
		}
		tracks = append(tracks, one)
	}
	mux, left := fmp4.New(tracks)
	if mux == nil {
		return left
	}
	data, err := mux.Init()
	if err != nil {
		return err
	}
	if !p.begun {
		p.begun, p.origin, p.clock = true, f.DTS-leadIn, time.Now()
	}
	mux.Origin(p.origin)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = left
	id := 0
	if p.mux != nil {
		frag, err := p.mux.End()
		if err != nil {
			return err
		}
		p.append(frag)
		p.finish()
		id = p.head.id + 1
	}
	p.mux, p.moved, p.last = mux, false, f.DTS
	p.head = &head{id: id, data: data, codecs: mux.Codecs()}
	p.head.width, p.head.height = mux.Size()
	p.begin(id > 0)
	return nil
}

// leadIn is how far before the first picture the time of segments begins: sound may come that is a little earlier.
const leadIn = 10 * time.Second

// begin opens a segment. Called with p.mu, as the others below.
func (p *packager) begin(fresh bool) {
	number := uint64(0)
	if n := len(p.segments); n > 0 {
		number = p.segments[n-1].number + 1
	}
	p.open = &segment{number: number, head: p.head, fresh: fresh, began: p.clock.Add(p.last - p.origin - leadIn)}
}

func (p *packager) flush() error {
	frag, err := p.mux.Fragment()
	if err != nil {
		return err
	}
	p.append(frag)
	return nil
}

func (p *packager) append(frag fmp4.Fragment) {
	if frag.Data == nil {
		return
	}
	p.open.parts = append(p.open.parts, part{frag.Data, frag.Duration, frag.Key})
	p.open.duration += frag.Duration
	p.open.size += len(frag.Data)
	p.part = max(p.part, frag.Duration)
	p.tell()
}

// finish puts the open segment into the playlist and lets go of the oldest.
func (p *packager) finish() {
	if len(p.open.parts) == 0 {
		return
	}
	p.longest = max(p.longest, p.open.duration)
	p.segments = append(p.segments, p.open)
	if over := len(p.segments) - listed; over > 0 && p.segments[over-1].number >= p.first {
		for _, s := range p.segments[:over] {
			if s.number >= p.first && s.fresh {
				p.gaps++
			}
		}
		p.first = p.segments[over].number
	}
	if over := len(p.segments) - listed - kept; over > 0 {
		p.segments = append([]*segment(nil), p.segments[over:]...)
	}
	p.open = &segment{number: p.open.number + 1, head: p.head}
	p.tell()
}

func (p *packager) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// find gives a segment by its number, with the open one.
func (p *packager) find(number uint64) *segment {
	for _, s := range p.segments {
		if s.number == number {
			return s
		}
	}
	if p.open != nil && p.open.number == number {
		return p.open
	}
	return nil
}
