package media

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config bounds a Stream. The zero value works.
type Config struct {
	// RingFrames is how many frames are kept at most, a power of two: GOP cache and the backlog of slow viewers. Default 2048, some 25 s of 30 pictures and 47 packets of sound a
	// second, for 16 KiB of pointers.
	RingFrames int
	// RingBytes is how many bytes these may have. Default 16 MiB. Each form in which frames were asked for comes on top of it with as much.
	RingBytes int
	// Keep is how long frames are kept that come before the newest key frame, for viewers that lag. Default 5 s.
	Keep time.Duration
	// MaxGOP is how long frames are kept at all. Default 30 s. Who comes when the newest key frame is older waits for the next.
	MaxGOP time.Duration
	// MaxViewers is how many there may be. Default 10,000.
	MaxViewers int
	// Settle is how long the first viewers are held until all tracks have begun, for containers whose beginning tells what will come. Default 700 ms. A publisher that knows
	// its tracks ends it by Complete.
	Settle time.Duration
	// Convert is called when there may be sound that viewers can't play: a viewer with a Sound of its own has come, or a publisher has told other parameters. It looks at Need, and
	// must not be kept. nil: nothing is transcoded.
	Convert func(s *Stream)
}

func (c Config) withDefaults() Config {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	wait := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&c.RingFrames, 2048)
	set(&c.RingBytes, 16<<20)
	set(&c.MaxViewers, 10_000)
	wait(&c.Keep, 5*time.Second)
	wait(&c.MaxGOP, 30*time.Second)
	wait(&c.Settle, 700*time.Millisecond)
	size := 1
	for size < c.RingFrames {
		size <<= 1
	}
	c.RingFrames = size
	return c
}

// Stream hands the frames of one publisher to viewers. It outlives its publishers: one that comes back goes on where the one before ended, and the viewers stay. All of its
// methods may be called by anybody; none waits for a viewer.
type Stream struct {
	cfg  Config
	made time.Time
	ring []atomic.Pointer[Frame]
	head atomic.Uint64 // the Seq of the next frame

	settled atomic.Bool
	state   atomic.Uint32            // a State
	tracks  atomic.Pointer[[]*Track] // copied to be changed
	making  atomic.Uint32            // codecs that sound is being made in, a bit each

	mu        sync.Mutex
	states    []trackState // by Track.ID
	publisher *Publisher
	viewers   []*Viewer
	tail      uint64 // the Seq of the oldest frame that is kept
	bytes     int    // of the frames that are kept
	newest    time.Duration
	newestAt  time.Duration // when it was written
	closed    error
	counts    Counts
	number    uint32
}

// trackState is what the stream knows of a track.
type trackState struct {
	begun   bool
	last    time.Duration // DTS
	lastKey uint64        // Seq of the newest key frame of video, 0: none
	params  *Params
}

// Counts are what a stream has seen, all publishers together.
type Counts struct {
	Frames, Keys, Bytes uint64
	// Jumps of publishers' clocks that were taken out, and Held frames whose DTS went back a little.
	Jumps, Held uint64
	// Early pictures came before their publisher's first key frame, and were left out.
	Early uint64
	// Publishers that there have been.
	Publishers uint64
}

// New makes a stream without publisher and viewers.
func New(cfg Config) *Stream {
	cfg = cfg.withDefaults()
	s := &Stream{cfg: cfg, made: time.Now(), ring: make([]atomic.Pointer[Frame], cfg.RingFrames), tail: 1}
	s.head.Store(1)
	s.tracks.Store(new([]*Track))
	return s
}

// Tracks are those that there have been so far, by their ID. Nobody changes the slice.
func (s *Stream) Tracks() []*Track { return *s.tracks.Load() }

// Params are those of a track's newest frame, or nil.
func (s *Stream) Params(t *Track) *Params {
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(t.ID) >= len(s.states) {
		return nil
	}
	return s.states[t.ID].params
}

// Counts are the stream's so far.
func (s *Stream) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Kept is how many frames and bytes of them the ring has now.
func (s *Stream) Kept() (frames, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.head.Load() - s.tail), s.bytes
}

// Live tells whether there is a publisher.
func (s *Stream) Live() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.publisher != nil
}

// Viewers is how many there are.
func (s *Stream) Viewers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.viewers)
}

// Close ends the publisher and, once they have what the ring has, the viewers, with this reason; nil is ErrClosed. The first reason counts.
func (s *Stream) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	s.mu.Lock()
	if s.closed != nil {
		s.mu.Unlock()
		return
	}
	s.closed = reason
	p := s.publisher
	s.settled.Store(true)
	for _, v := range s.viewers {
		v.ended.Store(&reason)
		v.rouse()
	}
	s.mu.Unlock()
	if p != nil {
		p.end(reason)
	}
}

// Err is why it was closed, or nil.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Join adds a viewer, which begins at the newest key frame that the ring has, or waits for one. There need not be a publisher. It returns ErrFull, or the reason of Close.
func (s *Stream) Join(opt ViewerConfig) (*Viewer, error) {
	v, err := s.join(opt)
	if err == nil && len(opt.Sound) > 0 {
		s.convert()
	}
	return v, err
}

func (s *Stream) join(opt ViewerConfig) (*Viewer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return nil, s.closed
	}
	if len(s.viewers) >= s.cfg.MaxViewers {
		return nil, fmt.Errorf("%w: %d viewers", ErrFull, len(s.viewers))
	}
	v := newViewer(s, opt)
	v.next = s.start(v)
	v.index = len(s.viewers)
	s.viewers = append(s.viewers, v)
	return v, nil
}

// start is where a viewer begins: at the newest key frame of its picture, the earliest if it has several; else now.
func (s *Stream) start(v *Viewer) uint64 {
	head := s.head.Load()
	v.joined = time.Since(s.made)
	if next := v.cfg.After + 1; next > 1 && next >= s.tail && next <= head {
		v.resumed, v.synced = true, ^uint32(0)
		return next
	}
	if v.cfg.Live || s.publisher == nil {
		return head
	}
	first := head
	for i, t := range s.Tracks() {
		if key := s.states[i].lastKey; t.Kind == Video && v.wants(t) && key >= s.tail {
			first = min(first, key)
		}
	}
	return first
}

// leave takes a viewer out, and tells whether it was in.
func (s *Stream) leave(v *Viewer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.index < 0 {
		return false
	}
	last := len(s.viewers) - 1
	s.viewers[v.index] = s.viewers[last]
	s.viewers[v.index].index = v.index
	s.viewers[last] = nil
	s.viewers = s.viewers[:last]
	v.index = -1
	return true
}

// Publish makes the one who writes. It returns ErrBusy while there is another one, or the reason of Close. ended is called once, on a goroutine that must not be kept, when
// somebody else than the publisher itself ends it; nil calls nobody.
func (s *Stream) Publish(ended func(reason error)) (*Publisher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return nil, s.closed
	}
	if s.publisher != nil {
		return nil, ErrBusy
	}
	s.counts.Publishers++
	for i := range s.states {
		s.states[i].lastKey = 0 // nobody begins with what the one before has sent
	}
	s.publisher = &Publisher{s: s, ended: ended, begun: time.Since(s.made)}
	s.tellState()
	return s.publisher, nil
}

// track is the one of a specification, made if there is none. Called with s.mu.
func (s *Stream) track(spec TrackSpec) (*Track, error) {
	return s.trackOf(spec, 0)
}

// trackOf is that, or one that is made. Called with s.mu.
func (s *Stream) trackOf(spec TrackSpec, made Codec) (*Track, error) {
	tracks := s.Tracks()
	for _, t := range tracks {
		if t.Kind == spec.Kind && t.Group == spec.Group && t.Layer == spec.Layer && t.Made == made {
			return t, nil
		}
	}
	if spec.Kind != Video && spec.Kind != Audio {
		return nil, fmt.Errorf("%w: a track of kind %d, expected video or audio", ErrFrame, spec.Kind)
	}
	if len(tracks) >= MaxTracks {
		return nil, fmt.Errorf("%w: %d tracks", ErrFull, len(tracks))
	}
	t := &Track{ID: uint8(len(tracks)), Kind: spec.Kind, Group: spec.Group, Layer: spec.Layer, Made: made}
	all := append(slices.Clone(tracks), t)
	s.states = append(s.states, trackState{})
	s.tracks.Store(&all)
	return t, nil
}

// put writes a frame into the ring and tells those who wait. Called with s.mu.
func (s *Stream) put(f *Frame) {
	f.Seq = s.head.Load()
	slot := &s.ring[f.Seq&uint64(len(s.ring)-1)]
	if f.Seq-s.tail >= uint64(len(s.ring)) {
		s.drop()
	}
	s.bytes += len(f.Data)
	st := &s.states[f.Track.ID]
	st.params = f.Params
	if f.Key && f.Track.Kind == Video {
		st.lastKey = f.Seq
		s.counts.Keys++
	}
	slot.Store(f)
	s.head.Store(f.Seq + 1)
	s.trim(f)
	if f.Track.Made == 0 {
		s.counts.Frames++
		s.counts.Bytes += uint64(len(f.Data))
	}
	if !s.settled.Load() {
		return
	}
	for _, v := range s.viewers {
		v.rouse()
	}
}

// trim lets go of what nobody has to be given any more. The newest frame stays.
func (s *Stream) trim(newest *Frame) {
	gop := newest.Seq // where the pictures begin that newcomers get
	for i, t := range s.Tracks() {
		if key := s.states[i].lastKey; t.Kind == Video && key >= s.tail {
			gop = min(gop, key)
		}
	}
	for s.tail < newest.Seq {
		f := s.ring[s.tail&uint64(len(s.ring)-1)].Load()
		age := newest.Arrived - f.Arrived
		if s.bytes <= s.cfg.RingBytes && age <= s.cfg.MaxGOP && (s.tail >= gop || age <= s.cfg.Keep) {
			return
		}
		s.drop()
	}
}

// drop lets go of the oldest frame.
func (s *Stream) drop() {
	if f := s.ring[s.tail&uint64(len(s.ring)-1)].Swap(nil); f != nil {
		s.bytes -= len(f.Data)
	}
	s.tail++
}

// settle lets the viewers begin. Called with s.mu.
func (s *Stream) settle() {
	if !s.settled.Swap(true) {
		for _, v := range s.viewers {
			v.rouse()
		}
	}
}
