package rtc

import (
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/media"
)

// stage is where a publisher's frames go besides the room's viewers. A nil one is nowhere.
type stage struct {
	server *Server
	to     *media.Publisher
	lines  lines               // of the publisher's offer
	taken  map[media.Kind]bool // with the room's lock
	known  atomic.Int32        // tracks that the stream knows the parameters of
}

// described notes that one more track is known, and tells whether that is all of them.
func (st *stage) described() bool {
	return int(st.known.Add(1)) == min(st.lines.audio, 1)+min(st.lines.video, 1)
}

// tap begins to make frames of a source, if it is the first of its kind, in its best layer. It is called with the room's lock.
func (st *stage) tap(src *source) {
	kind := media.Video
	if src.kind == Audio {
		kind = media.Audio
	}
	if st == nil || st.taken[kind] || src.layer != 0 {
		return
	}
	track, err := st.to.Track(media.TrackSpec{Kind: kind})
	if err != nil {
		return // the stream's publisher has ended
	}
	st.taken[kind] = true
	t := &tap{src: src, stage: st, track: track, early: src.newest.Load() == 0, wake: make(chan struct{}, 1), lost: kind == media.Video, resync: kind == media.Video, torn: -1}
	if src.start(t) {
		src.askKey()
	}
}

// start has a goroutine of the source's own make frames. ok is false when the source has ended.
func (s *source) start(t *tap) (ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.tap.Swap(t).ring() // the one before sees that it is over
	s.wait.Go(t.serve)
	return true
}

// tap reads a source's packets in order, waits a little for those that were lost on the way, and writes frames.
type tap struct {
	src   *source
	stage *stage
	track *media.Track
	wake  chan struct{}
	early bool // it was there before the first packet

	next    uint64    // number of the packet that comes next; 0: none has come
	missing time.Time // since when that one is missing
	frame   []*packet // of the frame that is not complete
	size    int       // their bytes
	of      *codec    // of the last packet
	make    *assembly // nil: a codec that streams do not get
	told    *media.Params
	lost    bool      // pictures are, up to the next key frame
	resync  bool      // it begins with the first packet of one: what comes before may be the rest of a frame
	torn    int64     // timestamp of the frame that is not whole; below 0: of none
	keyed   time.Time // when the last key frame came

	clock  media.Unwrap
	offset time.Duration // from the publisher's ticks to the stream's clock
	placed bool
	exact  bool // by the publisher's report
}

const (
	// tapPatience is how long what is missing is waited for: the publisher is asked for it again some times meanwhile.
	tapPatience = 250 * time.Millisecond
	// tapFrame bounds a picture.
	tapFrame = 8 << 20
	// tapKeys is how often a key frame is wanted while somebody watches: viewers of streams begin at one.
	tapKeys = 2 * time.Second
	// tapDrift is how far the two clocks may be apart before frames are placed anew.
	tapDrift = 10 * time.Millisecond
)

func (t *tap) ring() {
	if t == nil {
		return
	}
	select {
	case t.wake <- struct{}{}:
	default: // it will look anyhow
	}
}

// serve ends with the source, or with the stream's publisher.
func (t *tap) serve() {
	defer t.src.tap.CompareAndSwap(t, nil)
	for {
		select {
		case <-t.wake:
		case <-t.src.stop:
			return
		}
		if t.src.tap.Load() != t || t.pump(time.Now()) != nil {
			return
		}
	}
}

// pump takes what has come. It fails when the stream takes nothing any more.
func (t *tap) pump(now time.Time) error {
	newest := t.src.newest.Load()
	if t.next == 0 {
		t.next = newest
		if t.early { // of a key frame in a burst all packets may have come by now
			t.next = t.src.oldest.Load()
		}
	}
	for t.next != 0 && t.next <= newest {
		if newest-t.next >= t.src.size() { // nobody kept it
			t.gap()
			t.next = newest
		}
		p := t.src.get(t.next)
		if p == nil {
			if t.missing.IsZero() {
				t.missing = now
			}
			if now.Sub(t.missing) < tapPatience && newest-t.next < t.src.size()/2 {
				return nil
			}
			t.gap()
			for t.next < newest && t.src.get(t.next) == nil {
				t.next++
			}
			continue
		}
		t.missing = time.Time{}
		t.next++
		if err := t.take(p, now); err != nil {
			return err
		}
	}
	return nil
}

// gap leaves out what can't be complete any more.
func (t *tap) gap() {
	if len(t.frame) > 0 {
		t.torn = int64(t.frame[0].ts)
	}
	clear(t.frame)
	t.frame, t.size, t.missing = t.frame[:0], 0, time.Time{}
	if t.track.Kind == media.Video {
		t.lost, t.resync = true, true
		t.src.askKey()
	}
}

// take puts a packet to the others of its frame.
func (t *tap) take(p *packet, now time.Time) error {
	if len(p.payload) == 0 {
		return nil
	}
	if len(t.frame) > 0 && (t.frame[0].ts != p.ts || p.codec != t.of) {
		if err := t.finish(now); err != nil { // whose last packet had no mark
			return err
		}
	}
	if p.codec != t.of {
		t.begin(p.codec)
	}
	if t.make == nil {
		return nil
	}
	if t.resync {
		if !p.key || int64(p.ts) == t.torn {
			t.torn = int64(p.ts)
			return nil
		}
		t.resync = false
	}
	if t.size += len(p.payload); t.size > tapFrame {
		t.gap()
		return nil
	}
	t.frame = append(t.frame, p)
	if p.marker || t.track.Kind == media.Audio {
		return t.finish(now)
	}
	return nil
}

func (t *tap) begin(c *codec) {
	t.of = c
	var ok bool
	if t.make, ok = newAssembly(c.Mime); !ok {
		t.stage.server.log.Warn("viewers by other protocols do not get a track: its codec is not made frames of", "who", t.src.who, "codec", c.Mime)
	}
	t.clock = media.Unwrap{Rate: int64(c.Clock)}
	t.placed = false
}

// finish writes a frame.
func (t *tap) finish(now time.Time) error {
	packets := t.frame
	t.frame, t.size = t.frame[:0], 0
	ts := packets[0].ts
	data, key, err := t.make.frame(packets)
	clear(packets)
	if err != nil {
		t.stage.server.metrics.invalid.Inc()
		t.gap()
		return nil //nolint:nilerr // it concerns one frame, and is counted
	}
	at := t.place(ts) // of each frame, whether or not it is written: the counter wraps
	if t.make.params != nil && t.make.params != t.told {
		t.describe()
	}
	if len(data) == 0 || t.make.params == nil || !t.wanted(key, now) {
		return nil
	}
	return t.stage.to.Write(t.track, media.Sample{DTS: at, PTS: at, Key: key, Data: data, Params: t.make.params})
}

// describe tells the stream what the track is, and that it knows all when this was the last.
func (t *tap) describe() {
	first := t.told == nil
	t.told = t.make.params
	t.stage.to.Describe(t.track, t.told)
	if first && t.stage.described() {
		t.stage.to.Complete()
	}
}

// wanted tells whether a frame is written. While nobody watches none is, so that no publisher is asked for key frames for nothing; who comes then waits for one.
func (t *tap) wanted(key bool, now time.Time) bool {
	video := t.track.Kind == media.Video
	if !t.stage.to.Watched() {
		t.lost = video
		return false
	}
	if !video {
		return true
	}
	if key {
		t.lost, t.keyed = false, now
	} else if t.lost || now.Sub(t.keyed) > tapKeys {
		t.src.askKey()
	}
	return !t.lost
}

// place is a frame's time on the clock that all tracks of the publisher have in common.
func (t *tap) place(ts uint32) time.Duration {
	at := t.clock.At(ts)
	moment, reported := t.src.time.moment(ts)
	offset := moment.Sub(t.stage.server.began) - at
	off := (offset - t.offset).Abs()
	if !t.placed || reported && (!t.exact || off > tapDrift) {
		t.offset, t.placed, t.exact = offset, true, reported
	}
	return at + t.offset
}
