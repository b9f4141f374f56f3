package media

import (
	"fmt"
	"sync/atomic"
	"time"
)

// ViewerConfig says what a viewer wants and how long the stream is patient with it. The zero value wants the best layer of the first source, and the first sound.
type ViewerConfig struct {
	// Want chooses tracks; it is asked once for each. nil: video of group 0 in layer 0, and audio of group 0.
	Want func(t *Track) bool
	// Sound is the codecs of sound that the output's players play, best first; nil: all. What comes in another one such a viewer gets in the first of these, while there is somebody who
	// makes that (Config.Convert), else as it comes.
	Sound []Codec
	// Live begins with what is written next instead of the newest key frame: pictures still begin at a key frame, the next one then.
	Live bool
	// After continues behind the frame with this Seq, as a viewer of the same stream that had it: nothing is missing then, if the ring still has what comes next. Resumed tells whether
	// it does; else the viewer begins as any. 0 is a new viewer.
	After uint64
	// Lag is how far behind the publisher a viewer may be, by the time at which frames were written, before it skips to the newest key frame. Default 2 s. Sound is not skipped.
	Lag time.Duration
	// Patience is how long a viewer may go on that has to skip again and again before it ends with ErrSlow. Default 20 s.
	Patience time.Duration
	// Left is called once, when the viewer is closed, with the reason, on a goroutine that must not be kept. nil calls nobody.
	Left func(reason error)
}

// Viewer reads a stream. One goroutine calls Next or Take; Close, Counts and the rest may be called by all.
type Viewer struct {
	// What each frame needs stands together, in front: a publisher and 1,000 readers go through 1,000 of these a frame.
	s       *Stream
	next    uint64 // Seq that comes next
	waiting atomic.Bool
	gone    atomic.Bool // Close was called
	ended   atomic.Pointer[error]
	known   uint32 // tracks that Want was asked for, by ID
	wanted  uint32
	synced  uint32 // video that had its key frame
	foreign bool   // the sound that was published last is in none of its Sound
	takes   uint32 // since the counts were told
	read    uint64 // frames, and bytes, since then
	size    uint64
	lag     time.Duration // as told
	joined  time.Duration
	from    uint64 // pictures begin at a key frame that is not before it

	resumed  bool
	troubled bool // it has skipped
	since    time.Duration
	lastSkip time.Duration
	cfg      ViewerConfig
	wake     chan struct{}
	index    int // in s.viewers, with s.mu

	frames, bytes, skips, skipped, lost atomic.Uint64
	behind                              atomic.Int64
}

// tellEvery is how many times a viewer reads before all may know what it has had: a counter that others may look at costs as much as all else together.
const tellEvery = 32

// ViewerCounts are what a viewer has had, but for the last few frames.
type ViewerCounts struct {
	Frames, Bytes uint64
	// Skips are how often it went on to a newer key frame, Skipped the pictures that it has not had by that.
	Skips, Skipped uint64
	// Lost frames of all kinds were no longer in the ring when it came for them.
	Lost uint64
	// Behind is how much newer than the frame that it read last the newest one was.
	Behind time.Duration
}

func newViewer(s *Stream, cfg ViewerConfig) *Viewer {
	if cfg.Lag <= 0 {
		cfg.Lag = 2 * time.Second
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 20 * time.Second
	}
	if cfg.Want == nil {
		cfg.Want = func(t *Track) bool { return t.Group == 0 && t.Layer == 0 }
	}
	return &Viewer{s: s, cfg: cfg, wake: make(chan struct{}, 1)}
}

// wants asks Want once a track.
func (v *Viewer) wants(t *Track) bool {
	bit := uint32(1) << t.ID
	if v.known&bit == 0 {
		v.known |= bit
		if v.cfg.Want(t) && (t.Made == 0 || len(v.cfg.Sound) > 0 && v.cfg.Sound[0] == t.Made) {
			v.wanted |= bit
		}
	}
	return v.wanted&bit != 0
}

// Tracks are those of the stream so far that the viewer gets. Only its reader may ask.
func (v *Viewer) Tracks() []*Track {
	var mine []*Track
	for _, t := range v.s.Tracks() {
		if v.wants(t) && v.plays(t) {
			mine = append(mine, t)
		}
	}
	return mine
}

// Params are those of its tracks now, video first. Only its reader may ask.
func (v *Viewer) Params() []*Params {
	var all []*Params
	for _, kind := range []Kind{Video, Audio} {
		for _, t := range v.Tracks() {
			if p := v.s.Params(t); t.Kind == kind && p != nil {
				all = append(all, p)
			}
		}
	}
	return all
}

// Resumed tells whether it goes on where ViewerConfig.After says.
func (v *Viewer) Resumed() bool { return v.resumed }

// Stream is what it watches.
func (v *Viewer) Stream() *Stream { return v.s }

// Described is a track with its parameters.
type Described struct {
	*Track
	Params *Params
}

// Described are those of its tracks that have parameters now. Only its reader may ask.
func (v *Viewer) Described() []Described {
	var all []Described
	for _, t := range v.Tracks() {
		if p := v.s.Params(t); p != nil {
			all = append(all, Described{t, p})
		}
	}
	return all
}

// When is the moment at which a frame was written.
func (v *Viewer) When(f *Frame) time.Time { return v.s.made.Add(f.Arrived) }

// Next fills frames with what the viewer has not had, at least one, and waits for it. It returns why the viewer has ended, by Close or for being slow, at once, and
// why the stream has been closed once everything of it was read.
func (v *Viewer) Next(frames []*Frame) (int, error) {
	for {
		n, err := v.Take(frames)
		if n > 0 || err != nil {
			return n, err
		}
		v.waiting.Store(true)
		if v.more() {
			v.waiting.Store(false)
			continue
		}
		<-v.wake
		v.waiting.Store(false)
	}
}

// more tells whether Take has something to look at.
func (v *Viewer) more() bool {
	return v.ended.Load() != nil || v.s.settled.Load() && v.s.head.Load() != v.next
}

// Wake is for readers that wait for several things: after Take gave nothing it gets a value when it is worth another Take.
func (v *Viewer) Wake() <-chan struct{} {
	v.waiting.Store(true)
	if v.more() {
		v.rouse()
	}
	return v.wake
}

// Take is Next without waiting: it may give nothing.
func (v *Viewer) Take(frames []*Frame) (int, error) {
	end := v.ended.Load()
	if end != nil && v.gone.Load() { // at once, whatever is left
		v.tell()
		return 0, *end
	}
	if !v.s.settled.Load() {
		return 0, nil
	}
	n, bytes, err := v.take(frames)
	if n > 0 {
		v.read += uint64(n)
		v.size += uint64(bytes)
		if v.takes++; v.takes == tellEvery {
			v.tell()
		}
		return n, nil
	}
	if err != nil {
		v.tell()
		return 0, err
	}
	if end != nil && v.s.head.Load() == v.next {
		v.tell()
		return 0, *end
	}
	return 0, nil
}

// tell has Counts know what was read.
func (v *Viewer) tell() {
	v.frames.Add(v.read)
	v.bytes.Add(v.size)
	v.takes, v.read, v.size = 0, 0, 0
}

func (v *Viewer) take(frames []*Frame) (n, bytes int, err error) {
	head, mask := v.s.head.Load(), uint64(len(v.s.ring)-1)
	if v.next == head {
		return 0, 0, nil
	}
	newest := v.s.ring[(head-1)&mask].Load()
	if newest == nil || newest.Seq < head-1 {
		return 0, 0, nil // it is about to be told more
	}
	checked := false
	for v.next != head && n < len(frames) {
		f := v.s.ring[v.next&mask].Load()
		if f == nil || f.Seq != v.next {
			v.overrun()
			continue
		}
		if !checked {
			checked = true
			if err := v.check(f, newest); err != nil {
				return 0, 0, err
			}
		}
		v.next++
		if v.passes(f) {
			frames[n] = f
			n++
			bytes += len(f.Data)
		}
	}
	return n, bytes, nil
}

// Restart has a viewer begin anew, at the newest key frame, as who comes now does. Only its reader may ask.
func (v *Viewer) Restart() {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	v.next, v.synced, v.from, v.troubled = v.s.start(v), 0, 0, false
}

// passes tells whether the viewer gets a frame.
func (v *Viewer) passes(f *Frame) bool {
	if !v.wants(f.Track) {
		return false
	}
	if f.Track.Kind == Audio {
		return v.hears(f)
	}
	bit := uint32(1) << f.Track.ID
	if v.synced&bit != 0 {
		return true
	}
	if f.Key && f.Seq >= v.from {
		v.synced |= bit
		return true
	}
	if v.from > 0 {
		v.skipped.Add(1)
	}
	return false
}

// check has a viewer skip that is too far behind, or ends it.
func (v *Viewer) check(oldest, newest *Frame) error {
	lag := max(newest.Arrived-max(oldest.Arrived, v.joined), 0)
	if lag != v.lag {
		v.lag = lag
		v.behind.Store(int64(lag))
	}
	now := newest.Arrived
	if v.troubled && now-v.lastSkip > v.cfg.Patience/2 {
		v.troubled = false // it has kept up since
	}
	if lag <= v.cfg.Lag {
		return nil
	}
	if v.troubled && now-v.since > v.cfg.Patience {
		err := fmt.Errorf("%w: %d skips, %s behind", ErrSlow, v.skips.Load(), lag.Round(10*time.Millisecond))
		v.Close(err)
		return err
	}
	if oldest.Seq < v.from {
		return nil // it is skipping
	}
	v.skip(now)
	return nil
}

// skip goes on with sound only, and with pictures at the newest key frame, or the next one.
func (v *Viewer) skip(now time.Duration) {
	if !v.troubled {
		v.troubled, v.since = true, now
	}
	v.lastSkip = now
	v.synced = 0
	v.from = v.s.newestKey(v)
	v.skips.Add(1)
}

// overrun goes on at the oldest frame, when those that come next have left the ring.
func (v *Viewer) overrun() {
	s := v.s
	s.mu.Lock()
	tail, now := s.tail, s.newestAt
	s.mu.Unlock()
	if tail > v.next {
		v.lost.Add(tail - v.next)
		v.next = tail
		v.skip(now)
	}
}

// newestKey is the Seq of the newest key frame that a viewer has not had, or of the frame that will be next.
func (s *Stream) newestKey(v *Viewer) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best uint64
	for i, t := range s.Tracks() {
		if key := s.states[i].lastKey; t.Kind == Video && v.wants(t) && key >= v.next {
			best = max(best, key)
		}
	}
	if best == 0 {
		return s.head.Load()
	}
	return best
}

// rouse wakes a reader that waits.
func (v *Viewer) rouse() {
	if v.waiting.Load() && v.waiting.CompareAndSwap(true, false) {
		select {
		case v.wake <- struct{}{}:
		default: // it has not come for the one before
		}
	}
}

// Close ends the viewer: its reader gets the reason at once, nil being ErrClosed. The first reason counts.
func (v *Viewer) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	v.ended.CompareAndSwap(nil, &reason)
	v.gone.Store(true)
	if v.s.leave(v) && v.cfg.Left != nil {
		v.cfg.Left(*v.ended.Load())
	}
	v.waiting.Store(true)
	v.rouse()
}

// Err is why it has ended, or nil.
func (v *Viewer) Err() error {
	if end := v.ended.Load(); end != nil {
		return *end
	}
	return nil
}

// Counts are the viewer's so far.
func (v *Viewer) Counts() ViewerCounts {
	return ViewerCounts{
		Frames: v.frames.Load(), Bytes: v.bytes.Load(), Skips: v.skips.Load(), Skipped: v.skipped.Load(), Lost: v.lost.Load(),
		Behind: time.Duration(v.behind.Load()),
	}
}
