package rtsp

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/rtcpunmarshaler"
	"github.com/bluenviron/gortsplib/v5/pkg/sdpunmarshaler"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"

	"github.com/skua-go/skua/net/media"
)

const (
	maxTracks = 8   // of a publisher
	maxBad    = 100 // packets that are not understood, without a frame among them, before it is clear that none will be
	// packetCost is what is counted for a packet besides what it carries, so that empty ones are bounded, too.
	packetCost = 64
	aacSamples = 1024 // of an access unit
	// waitReport is how long the first packets over UDP wait for the report that was sent before them, on another port.
	waitReport = 100 * time.Millisecond
)

// ingest makes a publisher's samples of packets.
type ingest struct {
	tracks   []*inTrack
	whole    string // the URL of all tracks together, if the description has one
	pulled   bool   // from a server, which ends its streams by saying goodbye
	maxFrame int
	unagreed func() // counts a packet of another payload type; or nil
	log      *slog.Logger

	mu       sync.Mutex // packets over UDP come on other goroutines
	to       *media.Publisher
	clock    clock
	open     bool // RECORD has come
	complete bool
	bad      int // in a row
	warned   bool
}

// inTrack is one track of it.
type inTrack struct {
	in      *ingest
	name    string // as SETUP asks for it
	format  format.Format
	codec   media.Codec
	rate    int64
	step    int64 // ticks of an access unit of AAC
	wanted  bool  // SETUP has come
	gone    bool  // it has said goodbye
	order   reorder
	unpack  unpacker
	clock   trackClock
	begun   bool
	ssrc    uint32
	first   time.Time     // when its first packet came
	early   []*rtp.Packet // that wait for a report, so that all is placed by it from the beginning
	stamp   uint32        // of the frame that is not complete
	pending int           // bytes that are kept of it
	lost    bool          // pictures are, up to the next key frame

	track    *media.Track
	params   *media.Params
	sets     media.Sets
	decoding decodeOrder
}

// readSDP takes the description of a publisher (RFC 8866). Tracks of codecs that rooms don't have are left out.
func readSDP(body []byte, maxFrame int, log *slog.Logger) (*ingest, error) {
	raw, err := sdpunmarshaler.Unmarshal(body)
	if err != nil {
		return nil, fmt.Errorf("%w: SDP: %w", ErrProtocol, err)
	}
	if n := len(raw.MediaDescriptions); n > maxTracks {
		return nil, fmt.Errorf("%w: SDP: %d tracks, at most %d", ErrLimit, n, maxTracks)
	}
	var told description.Session
	if err := told.Unmarshal2(raw); err != nil {
		return nil, fmt.Errorf("%w: SDP: %w", ErrProtocol, err)
	}
	in := &ingest{maxFrame: maxFrame, log: log}
	in.whole, _ = raw.Attribute("control")
	for i, m := range told.Medias {
		t, err := in.read(m, raw.MediaDescriptions[i])
		if err != nil {
			return nil, err
		}
		if t == nil {
			log.Warn("a publisher's track is left out: its codec is none that rooms have", "track", m.Control, "codec", m.Formats[0].RTPMap())
			continue
		}
		in.tracks = append(in.tracks, t)
	}
	if len(in.tracks) == 0 {
		return nil, fmt.Errorf("%w: SDP: no track of H.264, H.265, AV1, VP8, VP9, AAC, Opus or MP3", ErrProtocol)
	}
	return in, nil
}

// read is one track, by the first format that is known; nil if none is.
func (in *ingest) read(m *description.Media, raw *sdp.MediaDescription) (*inTrack, error) {
	for _, f := range m.Formats {
		codec, ok := codecOf(f)
		if !ok {
			continue
		}
		t := &inTrack{in: in, name: m.Control, format: f, codec: codec, rate: int64(f.ClockRate())}
		if err := t.describe(f); err != nil {
			return nil, err
		}
		if codec == media.AAC {
			if told := clockRate(raw, f.PayloadType()); told > 0 {
				t.step = t.step * told / t.rate
				t.rate = told
			}
		}
		t.unplace()
		var err error
		t.unpack, err = newUnpacker(f)
		return t, err
	}
	return nil, nil //nolint:nilnil // nothing is what there is
}

// unplace has its times begin anew.
func (t *inTrack) unplace() {
	t.clock = trackClock{clock: &t.in.clock, sound: t.codec.Kind() == media.Audio, ticks: media.Unwrap{Rate: t.rate}}
}

// clockRate is the rate that SDP tells of a payload type, 0 if it does not.
func clockRate(m *sdp.MediaDescription, pt uint8) int64 {
	for _, a := range m.Attributes {
		number, rest, _ := strings.Cut(a.Value, " ")
		if parts := strings.Split(rest, "/"); a.Key == "rtpmap" && number == strconv.Itoa(int(pt)) && len(parts) > 1 {
			rate, err := strconv.ParseUint(parts[1], 10, 20)
			if err != nil {
				return 0
			}
			return int64(rate)
		}
	}
	return 0
}

// describe takes the parameters that SDP tells. Those of pictures may come with the frames.
func (t *inTrack) describe(f format.Format) (err error) {
	switch f := f.(type) {
	case *format.H264:
		t.sets = media.Sets{Codec: media.H264, SPS: f.SPS, PPS: f.PPS}
		t.params, _ = t.sets.Params()
	case *format.H265:
		t.sets = media.Sets{Codec: media.H265, VPS: f.VPS, SPS: f.SPS, PPS: f.PPS}
		t.params, _ = t.sets.Params()
	case *format.MPEG4Audio:
		err = t.aac(f.Config)
	case *format.MPEG4AudioLATM:
		err = t.aac(f.StreamMuxConfig.Programs[0].Layers[0].AudioSpecificConfig)
	case *format.Opus:
		t.params, _, err = media.NewParams(media.Opus, media.OpusConfig(max(f.ChannelCount, 1)))
	case *format.MPEG1Audio, *format.VP8:
		t.params, _, err = media.NewParams(t.codec, nil)
	}
	if err != nil {
		return fmt.Errorf("%w: SDP: %w", ErrProtocol, err)
	}
	return nil
}

func (t *inTrack) aac(c *mpeg4audio.AudioSpecificConfig) (err error) {
	if t.rate, err = audioRate(c); err != nil {
		return err
	}
	t.step = aacSamples * t.rate / int64(max(c.SampleRate, 1))
	config, err := c.Marshal()
	if err != nil {
		return err
	}
	t.params, _, err = media.NewParams(media.AAC, config)
	return err
}

// start makes the stream's tracks.
func (in *ingest) start(to *media.Publisher) error {
	in.to, in.clock.begun = to, time.Now()
	count := map[media.Kind]uint8{}
	for _, t := range in.tracks {
		kind := t.codec.Kind()
		track, err := to.Track(media.TrackSpec{Kind: kind, Group: count[kind]})
		if err != nil {
			return err
		}
		count[kind]++
		t.track = track
		if t.params != nil {
			to.Describe(track, t.params)
		}
	}
	return nil
}

// expect opens the tracks that SETUP has asked for.
func (in *ingest) expect(over []*route) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i, r := range over {
		if in.tracks[i].wanted = r != nil; r != nil {
			in.tracks[i].order.wait = r.udp
		}
	}
	in.open = true
	in.known()
}

// pause leaves out what comes until expect.
func (in *ingest) pause() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.open = false
}

// known tells the stream when the parameters of all tracks are.
func (in *ingest) known() {
	if in.complete {
		return
	}
	for _, t := range in.tracks {
		if t.wanted && t.params == nil {
			return
		}
	}
	in.complete = true
	in.to.Complete()
}

// packet takes one of RTP, which is the ingest's from then on. An error is why the publisher has ended, or has to.
func (in *ingest) packet(track int, raw []byte, now time.Time) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	t := in.tracks[track]
	if !in.open || !t.wanted {
		return nil
	}
	p := new(rtp.Packet)
	if err := p.Unmarshal(raw); err != nil {
		return in.spoiled(fmt.Errorf("RTP: %w", err))
	}
	if p.PayloadType != t.format.PayloadType() { // nothing is wrong with it: tracks may have formats that rooms lack besides the one that is taken
		if in.unagreed != nil {
			in.unagreed()
		}
		return nil
	}
	if !t.begun || p.SSRC != t.ssrc { // another source: nothing of it goes on
		if t.begun { // else there may have been a report before its first packet
			t.unplace()
		}
		t.begun, t.ssrc, t.gone = true, p.SSRC, false
		t.order, t.decoding, t.first = reorder{wait: t.order.wait}, decodeOrder{}, now
		t.gap()
	}
	if t.order.wait && !t.clock.exact && now.Sub(t.first) < waitReport && len(t.early) < window {
		t.early = append(t.early, p)
		return nil
	}
	if err := t.begin(now); err != nil {
		return err
	}
	return t.put(p, now)
}

// begin reads what has waited for a report.
func (t *inTrack) begin(now time.Time) error {
	early := t.early
	t.early = nil
	for _, p := range early {
		if err := t.put(p, now); err != nil {
			return err
		}
	}
	return nil
}

func (t *inTrack) put(p *rtp.Packet, now time.Time) error {
	return t.order.put(p, now, func(p *rtp.Packet, lost bool) error { return t.take(p, lost, now) })
}

// control takes one of RTCP. What is not understood is left alone.
func (in *ingest) control(track int, raw []byte, now time.Time) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	all, err := rtcpunmarshaler.Unmarshal(raw)
	if err != nil || !in.open {
		return nil // reports are a help, no need
	}
	t := in.tracks[track]
	for _, p := range all {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			if p.NTPTime != 0 && (!t.begun || p.SSRC == t.ssrc) {
				t.clock.report(p.NTPTime, p.RTPTime, now)
			}
		case *rtcp.Goodbye:
			if t.gone = t.gone || slices.Contains(p.Sources, t.ssrc); in.pulled && in.left() {
				return fmt.Errorf("%w: it says goodbye: %s", ErrServer, phrase(p.Reason))
			}
		}
	}
	return t.begin(now)
}

// left tells whether all tracks have said goodbye.
func (in *ingest) left() bool {
	return !slices.ContainsFunc(in.tracks, func(t *inTrack) bool { return t.wanted && !t.gone })
}

// spoiled counts what is not understood.
func (in *ingest) spoiled(err error) error {
	in.bad++
	if !in.warned {
		in.warned = true
		in.log.Warn("a publisher's packet is left out", "error", err)
	}
	if in.bad >= maxBad {
		return fmt.Errorf("%w: %d packets, the last: %w", ErrProtocol, in.bad, err)
	}
	return nil
}

// gap leaves out what can't be complete any more.
func (t *inTrack) gap() {
	t.unpack, _ = newUnpacker(t.format) // it could be made before
	t.pending, t.lost = 0, t.codec.Kind() == media.Video
}

// take puts a packet to the others of its frame.
func (t *inTrack) take(p *rtp.Packet, lost bool, now time.Time) error {
	if lost {
		t.gap()
	}
	if len(p.Payload) == 0 {
		return nil
	}
	if t.pending == 0 {
		t.stamp = p.Timestamp
	}
	t.pending += len(p.Payload) + packetCost
	units, err := t.unpack(p)
	switch {
	case err == nil:
		stamp := t.stamp
		if t.pending = 0; stamp != p.Timestamp { // the frame before had no mark at its end, and this packet is of the next
			t.stamp, t.pending = p.Timestamp, len(p.Payload)+packetCost
		}
		err = t.frame(units, t.clock.at(stamp, now))
	case unfinished(err):
		if t.pending <= t.in.maxFrame {
			return nil
		}
		err = fmt.Errorf("%w: a frame of more than %d bytes", errFrame, t.in.maxFrame)
	case t.lost && t.codec.Kind() == media.Video:
		t.gap() // the rest of what was lost
		return nil
	default:
		err = fmt.Errorf("%w: %w", errFrame, err)
	}
	if errors.Is(err, errFrame) || errors.Is(err, media.ErrFrame) {
		t.gap()
		return t.in.spoiled(fmt.Errorf("%s: %w", t.codec, err))
	}
	return err
}
