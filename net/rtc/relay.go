package rtc

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc/terms"
)

// relay shows a stream to the viewers of a room: it makes packets of its frames.
type relay struct {
	server *Server
	room   *room
	from   *media.Viewer
	clock  *senderClock
	shown  *publisher
	lines  [3]*relayLine // by Kind: viewers have one of each, whichever of the stream's tracks that is
	first  *relayLine    // its frames tell what time it is
	heard  time.Time
}

// relayLine is a track of the stream.
type relayLine struct {
	params *media.Params // of the last frame
	codec  *codec        // nil: WebRTC can't carry it
	pack   rtp.Payloader
	sets   [][]byte // parameter sets, before each key frame
	src    *source
	seq    uint64
	latest time.Duration // the largest PTS of pictures
	warned bool
}

// relayMTU is the most that a packet carries, as browsers have it: with all headers and encryption it fits into each network.
const relayMTU = 1180

// Carries tells whether WebRTC can carry a codec.
func Carries(c media.Codec) bool {
	_, _, ok := outgoing(&media.Params{Codec: c})
	return ok
}

// Relay shows what a viewer of a stream gets to the viewers of a room by WebRTC, as if a publisher of that name sent it, until the viewer or the server ends. It returns at once.
// The viewer is the server's from then on, unless there is an error.
func (srv *Server) Relay(room, who string, from *media.Viewer) error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return ErrClosed
	}
	at, err := srv.hold(room)
	if err != nil {
		return err
	}
	clock := new(senderClock)
	r := &relay{server: srv, room: at, from: from, clock: clock, shown: &publisher{who: who, clock: clock}}
	srv.relays[r] = struct{}{}
	srv.wait.Go(r.serve)
	return nil
}

func (r *relay) serve() {
	r.room.mu.Lock()
	r.room.publishers = append(r.room.publishers, r.shown)
	r.room.mu.Unlock()
	frames := make([]*media.Frame, 16)
	for {
		n, err := r.from.Next(frames)
		if err != nil {
			break
		}
		for i, f := range frames[:n] {
			r.write(f)
			frames[i] = nil // nothing holds a frame longer than it must
		}
	}
	r.end()
}

func (r *relay) end() {
	r.room.mu.Lock()
	r.room.publishers = slices.DeleteFunc(r.room.publishers, func(p *publisher) bool { return p == r.shown })
	sources := r.shown.sources
	r.shown.sources = nil
	r.room.assign()
	r.room.mu.Unlock()
	for _, src := range sources {
		src.close()
	}
	r.server.mu.Lock()
	delete(r.server.relays, r)
	r.server.release(r.room)
	r.server.mu.Unlock()
}

// write sends a frame.
func (r *relay) write(f *media.Frame) {
	l := r.lines[f.Track.Kind]
	if l == nil {
		l = &relayLine{seq: 1 << 16}
		r.lines[f.Track.Kind] = l
	}
	if l.params != f.Params {
		r.describe(l, f)
	}
	if l.codec == nil || f.Track.Kind == media.Video && !r.inOrder(l, f) {
		return
	}
	now := time.Now()
	ts := uint32(media.Ticks(f.PTS, int64(l.codec.Clock)))
	r.tellTime(l, f, ts)
	payloads := l.pack.Payload(relayMTU, l.data(f))
	r.server.turn(func(out *outbox) {
		for i, payload := range payloads {
			l.seq++
			l.src.write(&packet{
				seq: l.seq, ts: ts, marker: f.Track.Kind == media.Video && i == len(payloads)-1, key: f.Track.Kind == media.Audio || f.Key && i == 0, codec: l.codec, payload: payload,
			}, now, out)
		}
	})
}

// tellTime keeps sound and pictures in step: both are on the stream's timeline, which is the clock of a sender.
func (r *relay) tellTime(l *relayLine, f *media.Frame, ts uint32) {
	theirs, when := r.server.began.Add(f.PTS), r.from.When(f)
	if r.first == nil {
		r.first = l
	}
	if l == r.first && when.Sub(r.heard) >= time.Second {
		r.heard = when
		r.clock.heard(theirs, when)
	}
	l.src.time.set(theirs, ts)
}

// describe takes in what the frames are from now on.
func (r *relay) describe(l *relayLine, f *media.Frame) {
	l.params, l.codec = f.Params, nil
	capability, pack, ok := outgoing(f.Params)
	if !ok {
		r.server.log.Warn("viewers by WebRTC do not get a track: its codec can't go there", "room", r.room.name, "kind", f.Track.Kind.String(), "codec", f.Params.Codec.String())
		return
	}
	l.codec, l.pack, l.sets = newCodec(capability), pack, nil
	if f.Params.Codec == media.H264 || f.Params.Codec == media.H265 {
		l.sets, _, _ = media.ParameterSets(f.Params.Codec, f.Params.Config) // which was read before
	}
	if l.src != nil {
		return
	}
	kind := Video
	if f.Track.Kind == media.Audio {
		kind = Audio
	}
	l.src = newSource(r.server, kind, r.shown.who, "relay", 0, capability.Clock, r.clock)
	r.room.mu.Lock()
	r.room.addTo(r.shown, l.src)
	r.room.mu.Unlock()
}

// inOrder tells whether a picture is sent. WebRTC shows pictures as they are decoded, so B-frames come too late; those that no other needs are left out.
func (r *relay) inOrder(l *relayLine, f *media.Frame) bool {
	if f.Key || f.PTS > l.latest {
		l.latest = f.PTS
		return true
	}
	if !l.warned {
		l.warned = true
		r.server.log.Warn("B-frames can't go to WebRTC: its viewers do not get those that no other picture needs, and see the others at the wrong moment; publish without them",
			"room", r.room.name, "codec", f.Params.Codec.String())
	}
	if f.Params.Codec == media.H264 && !referenced(f.Data) {
		r.server.metrics.disordered.Inc()
		return false
	}
	return true
}

// idrSlice is the type of the last NAL unit of H.264 that is part of a picture, the slices of key frames.
const idrSlice = 5

// referenced tells whether other pictures need one of H264: nal_ref_idc, ITU-T H.264 section 7.4.1.
func referenced(data []byte) bool {
	for u := range media.NALUs(data) {
		if t := u[0] & 0x1f; t >= 1 && t <= idrSlice && u[0]&0x60 != 0 {
			return true
		}
	}
	return false
}

// data is a frame as its packets are made of.
func (l *relayLine) data(f *media.Frame) []byte {
	switch f.Params.Codec {
	case media.H264, media.H265:
	case media.AV1:
		return temporalUnit(f)
	default:
		return f.Data
	}
	b := make([]byte, 0, len(f.Data)+64)
	unit := func(u []byte) { b = append(append(b, 0, 0, 0, 1), u...) }
	if f.Key {
		for _, set := range l.sets {
			unit(set)
		}
	}
	for u := range media.NALUs(f.Data) {
		unit(u)
	}
	return b
}

// temporalUnit is a frame of AV1 with its sequence header in it, nothing if it is none.
func temporalUnit(f *media.Frame) []byte {
	units, err := f.WithSequence()
	if err != nil {
		return nil
	}
	data, err := media.JoinOBUs(units...)
	if err != nil {
		return nil
	}
	return data
}

// outgoing is how WebRTC names a codec, and what makes its packets; ok is false if it can't carry it.
func outgoing(p *media.Params) (c terms.Codec, pack rtp.Payloader, ok bool) {
	c.Clock = videoClock
	switch p.Codec {
	case media.H264:
		c.Mime, pack = mimeH264, new(codecs.H264Payloader)
		if len(p.Config) >= 4 {
			c.Fmtp = "packetization-mode=1;profile-level-id=" + hex.EncodeToString(p.Config[1:4])
		}
	case media.H265:
		c.Mime, pack = mimeH265, new(codecs.H265Payloader)
	case media.VP8:
		c.Mime, pack = mimeVP8, &codecs.VP8Payloader{EnablePictureID: true}
	case media.VP9:
		c.Mime, pack = mimeVP9, new(codecs.VP9Payloader)
	case media.AV1:
		c.Mime, pack = mimeAV1, new(codecs.AV1Payloader)
	case media.Opus:
		c.Mime, c.Clock, c.Channels, pack = mimeOpus, opusClock, 2, new(codecs.OpusPayloader)
	default:
		return c, nil, false
	}
	return c, pack, true
}
