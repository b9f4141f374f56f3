package media

import (
	"fmt"
	"time"
)

// Publisher writes a stream. Its methods may be called from several goroutines, one a track, say.
type Publisher struct {
	s     *Stream
	ended func(error)
	begun time.Duration

	// with s.mu
	line   timeline
	times  [MaxTracks]trackTime
	keyed  uint32 // video that has begun, by Track.ID
	reason error
	atEnd  []func(error)
	muted  [3]bool // by Kind
	atMute func(Kind, bool)
}

// Track gives the stream's track for what the publisher sends, made if there is none, as it is for a publisher that comes back. It returns ErrFull beyond MaxTracks.
func (p *Publisher) Track(spec TrackSpec) (*Track, error) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.reason != nil {
		return nil, p.reason
	}
	return p.s.track(spec)
}

// Describe tells the parameters of a track before its first frame, so that who comes between hears of it.
func (p *Publisher) Describe(t *Track, params *Params) {
	if p.describe(t, params) && t.Kind == Audio {
		p.s.convert()
	}
}

// describe tells whether it is still the publisher's to say.
func (p *Publisher) describe(t *Track, params *Params) bool {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.reason == nil {
		p.s.states[t.ID].params = params
	}
	return p.reason == nil
}

// Params gives those that were told of a track last, by this publisher or one before it; nil: none.
func (p *Publisher) Params(t *Track) *Params { return p.s.Params(t) }

// Complete says that all tracks have been asked for and have their parameters: viewers that were held begin.
func (p *Publisher) Complete() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.reason == nil {
		p.s.settle()
	}
}

// Write puts a sample into the ring and wakes the viewers that wait. It waits for nobody. Samples of a track come in the order of decoding; those before its first key frame are left
// out. It returns an ErrFrame for what no
// output could do anything with, and, when the publisher is no longer one, the reason.
func (p *Publisher) Write(t *Track, sample Sample) error {
	switch {
	case len(sample.Data) == 0:
		return fmt.Errorf("%w: %s track %d: no data", ErrFrame, t.Kind, t.ID)
	case sample.Params == nil:
		return fmt.Errorf("%w: %s track %d: no parameters", ErrFrame, t.Kind, t.ID)
	case sample.Params.Codec.Kind() != t.Kind:
		return fmt.Errorf("%w: %s on track %d, which is %s", ErrFrame, sample.Params.Codec, t.ID, t.Kind)
	}
	other, err := p.write(t, sample)
	if other {
		p.s.convert()
	}
	return err
}

// write tells whether sound comes in another codec than until now.
func (p *Publisher) write(t *Track, sample Sample) (other bool, err error) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.reason != nil {
		return false, p.reason
	}
	if p.muted[t.Kind] {
		return false, nil
	}
	if bit := uint32(1) << t.ID; t.Kind == Video && p.keyed&bit == 0 {
		if !sample.Key {
			s.counts.Early++
			return false, nil
		}
		p.keyed |= bit
	}
	now := time.Since(s.made)
	fresh := s.counts.Frames == 0
	jumps, clock := p.line.jumps, &p.times[t.ID]
	shift := p.line.place(clock, sample.DTS, s.newest, now-s.newestAt, fresh)
	s.counts.Jumps += p.line.jumps - jumps
	f := &Frame{
		Track: t, Params: sample.Params, DTS: sample.DTS + shift, PTS: sample.PTS + shift,
		Key: sample.Key || t.Kind == Audio, Data: sample.Data, Arrived: now,
	}
	st := &s.states[t.ID]
	if st.begun && f.DTS < st.last {
		f.DTS = st.last
		f.PTS = max(f.PTS, f.DTS)
		s.counts.Held++
	}
	st.begun, st.last, clock.last = true, f.DTS, f.DTS
	if f.DTS > s.newest || fresh {
		s.newest = f.DTS
	}
	s.newestAt = now
	if !s.settled.Load() && now-p.begun >= s.cfg.Settle {
		s.settle()
	}
	other = t.Kind == Audio && st.params != sample.Params && (st.params == nil || st.params.Codec != sample.Params.Codec)
	s.put(f)
	return other, nil
}

// Close ends the publisher; the stream and its viewers stay.
func (p *Publisher) Close() {
	p.stop(ErrClosed)
}

// End is Close by somebody else, who gives a reason: the publisher's own side is told it.
func (p *Publisher) End(reason error) {
	p.end(reason)
}

func (p *Publisher) end(reason error) {
	if p.stop(reason) && p.ended != nil {
		p.ended(reason)
	}
}

// stop tells whether it was the publisher until now.
func (p *Publisher) stop(reason error) bool {
	p.s.mu.Lock()
	if p.reason != nil {
		p.s.mu.Unlock()
		return false
	}
	p.reason = reason
	if p.s.publisher == p {
		p.s.publisher = nil
		p.s.tellState()
	}
	told := p.atEnd
	p.s.mu.Unlock()
	for _, f := range told {
		f(reason)
	}
	return true
}

// AtEnd has f called with the reason when the publisher ends, by whomever, on a goroutine that must not be kept; at once if it has ended.
func (p *Publisher) AtEnd(f func(reason error)) {
	p.s.mu.Lock()
	reason := p.reason
	if reason == nil {
		p.atEnd = append(p.atEnd, f)
	}
	p.s.mu.Unlock()
	if reason != nil {
		f(reason)
	}
}

// Mute leaves out what the publisher writes of one kind, until it is taken back. Pictures go on at a key frame then.
func (p *Publisher) Mute(kind Kind, on bool) {
	if tell := p.mute(kind, on); tell != nil {
		tell(kind, on)
	}
}

// mute gives whom to tell of a change.
func (p *Publisher) mute(kind Kind, on bool) (tell func(Kind, bool)) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if int(kind) >= len(p.muted) || p.muted[kind] == on {
		return nil
	}
	p.muted[kind] = on
	if kind == Video {
		p.keyed = 0
	}
	if p.s.publisher == p {
		p.s.tellState()
	}
	return p.atMute
}

// Watched tells whether the stream has viewers: what is written while it has none, only those who come later see.
func (p *Publisher) Watched() bool { return p.s.Viewers() > 0 }

// Err is why it ended, or nil.
func (p *Publisher) Err() error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return p.reason
}
