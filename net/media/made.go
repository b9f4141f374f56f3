package media

import (
	"fmt"
	"slices"
	"time"
)

// Made is sound in another codec than the publisher's, which a converter writes beside it: a track of its own, for the viewers that can't play what is published. One at a time of each
// codec.
type Made struct {
	s      *Stream
	track  *Track
	params *Params
}

// ConvertedFrom chooses the sound that may be made anew: the first that the publisher sends.
func ConvertedFrom(t *Track) bool {
	return t.Kind == Audio && t.Group == 0 && t.Layer == 0 && t.Made == 0
}

// Need is what viewers can't play now, and the codec that they could: ok is false when there is nothing to do.
func (s *Stream) Need() (from *Params, to Codec, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from = s.published(); from == nil || s.closed != nil {
		return nil, 0, false
	}
	for _, v := range s.viewers {
		if !v.cfg.plays(from.Codec) {
			return from, v.cfg.Sound[0], true
		}
	}
	return from, 0, false
}

// published are the parameters of the sound that may be made anew, or nil. Called with s.mu.
func (s *Stream) published() *Params {
	for _, t := range s.Tracks() {
		if ConvertedFrom(t) {
			return s.states[t.ID].params
		}
	}
	return nil
}

// Make begins to make sound in a codec: viewers that need it are told these parameters, and get what Write brings, instead of what they can't play, until Close.
func (s *Stream) Make(params *Params) (*Made, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return nil, s.closed
	}
	if params.Codec.Kind() != Audio {
		return nil, fmt.Errorf("%w: %s is no sound", ErrFrame, params.Codec)
	}
	if s.making.Load()&bitOf(params.Codec) != 0 {
		return nil, fmt.Errorf("%w: %s is being made", ErrBusy, params.Codec)
	}
	t, err := s.trackOf(TrackSpec{Kind: Audio}, params.Codec)
	if err != nil {
		return nil, err
	}
	s.states[t.ID].params = params
	s.making.Or(bitOf(params.Codec))
	return &Made{s, t, params}, nil
}

// Write puts a frame into the ring, at a time on the stream's own timeline, which is that of the frames it was made of. It waits for nobody. What is older than the frame before, or
// than the stream, is given that one's time. It returns the reason when the stream is closed.
func (m *Made) Write(at time.Duration, data []byte) error {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return s.closed
	}
	if len(data) == 0 {
		return fmt.Errorf("%w: %s that was made: no data", ErrFrame, m.params.Codec)
	}
	st := &s.states[m.track.ID]
	at = max(at, st.last)
	st.begun, st.last = true, at
	s.put(&Frame{Track: m.track, Params: m.params, DTS: at, PTS: at, Key: true, Data: data, Arrived: time.Since(s.made)})
	return nil
}

// Close ends it: viewers get sound as it comes. Another one may follow.
func (m *Made) Close() {
	m.s.making.And(^bitOf(m.params.Codec))
}

func bitOf(c Codec) uint32 { return 1 << c }

// convert has the converter look, if there is one. Not called with s.mu.
func (s *Stream) convert() {
	if s.cfg.Convert != nil {
		s.cfg.Convert(s)
	}
}

// plays tells whether a viewer's output plays a codec of sound.
func (c *ViewerConfig) plays(codec Codec) bool {
	return len(c.Sound) == 0 || slices.Contains(c.Sound, codec)
}

// helped tells whether somebody makes what the viewer gets instead of what it can't play.
func (v *Viewer) helped() bool {
	return len(v.cfg.Sound) > 0 && v.s.making.Load()&bitOf(v.cfg.Sound[0]) != 0
}

// hears tells whether a viewer gets a frame of sound: as it was published, or what was made of it.
func (v *Viewer) hears(f *Frame) bool {
	if len(v.cfg.Sound) == 0 {
		return true
	}
	if f.Track.Made != 0 {
		return v.foreign
	}
	v.foreign = !v.cfg.plays(f.Params.Codec)
	return !v.foreign || !v.helped()
}

// plays tells whether a track that the viewer wants is one that it gets now.
func (v *Viewer) plays(t *Track) bool {
	if t.Kind != Audio || len(v.cfg.Sound) == 0 {
		return true
	}
	v.s.mu.Lock()
	from := v.s.published()
	v.s.mu.Unlock()
	instead := from != nil && !v.cfg.plays(from.Codec) && v.helped()
	return instead == (t.Made != 0)
}
