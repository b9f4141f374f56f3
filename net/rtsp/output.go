package rtsp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"

	"github.com/skua-go/skua/net/media"
)

const (
	batch       = 32       // frames that are asked for at a time
	chunk       = 64 << 10 // bytes that go out in one system call, and some more
	largeBuffer = 1 << 20  // is not kept for others
	reportEvery = 5 * time.Second
	// What goes over UDP in a burst, as the frames do that a viewer begins with: receivers' sockets take some 200 KiB before they are read.
	burst     = 32 << 10
	burstRest = 5 * time.Millisecond
)

// errPaused: the viewer has asked for a pause.
var errPaused = errors.New("rtsp: paused")

// outlet is where an output's packets go: to a viewer of ours, or to a server that a room is forwarded to.
type outlet struct {
	conn    net.Conn
	lock    *sync.Mutex // around the connection's writes
	timeout time.Duration
	name    string     // by which a receiver knows that tracks belong together
	buffers *sync.Pool // of *[]byte
	udp     *UDP       // or nil
}

// output writes frames to one peer.
type output struct {
	outlet
	viewer *media.Viewer
	tracks []*outTrack                // by the description
	byID   [media.MaxTracks]*outTrack // those that the viewer has asked for
	frames [batch]*media.Frame
	held   *media.Frame // what was read to describe the stream
	out    media.Batch
	base   time.Time // the wall clock at 0 of the stream's
	begun  bool
	strict bool // a track that was not described ends it, else the track is left out
	cut    bool // a write has failed, perhaps within a packet
	sent   int  // bytes over UDP since it has rested
	rest   *time.Timer
}

// outTrack is one track for one viewer.
type outTrack struct {
	media.Described
	rate     int64
	route    *route
	ssrc     uint32
	next     uint16
	packets  uint32
	bytes    uint32
	begun    bool          // its first packet has gone out
	reported time.Duration // by the stream's time
}

func newOutput(to outlet, v *media.Viewer, d *described, first *media.Frame) *output {
	o := &output{outlet: to, viewer: v, held: first}
	for _, t := range d.tracks {
		rate, err := rateOf(t.Params)
		if err != nil {
			rate = videoRate // it was described, so it is known
		}
		o.tracks = append(o.tracks, &outTrack{Described: t, rate: rate, ssrc: random(), next: uint16(random())})
	}
	return o
}

// begin tells which tracks are wanted. Their numbers go on after a pause.
func (o *output) begin(over []*route) {
	clear(o.byID[:])
	for i, r := range over {
		if o.tracks[i].route, o.tracks[i].begun = r, false; r != nil {
			o.byID[o.tracks[i].ID] = o.tracks[i]
		}
	}
	o.out = media.Batch{Conn: o.conn, Timeout: o.timeout}
	o.begun = false
}

// deliver writes a viewer's frames until it ends, or stop is closed.
func (o *output) deliver(stop <-chan struct{}) error {
	for {
		n, err := o.take()
		if err != nil {
			return err
		}
		if n > 0 {
			if err := o.write(o.frames[:n], stop); err != nil {
				return err
			}
			continue
		}
		select {
		case <-o.viewer.Wake():
		case <-stop:
			return errPaused
		}
	}
}

func (o *output) take() (int, error) {
	if o.held == nil {
		return o.viewer.Take(o.frames[:])
	}
	o.frames[0], o.held = o.held, nil
	return 1, nil
}

// write sends frames, behind reports where they are due. Between frames it may be stopped.
func (o *output) write(frames []*media.Frame, stop <-chan struct{}) error {
	defer clear(frames) // nothing holds a frame longer than it must
	kept, ok := o.buffers.Get().(*[]byte)
	if !ok {
		kept = new([]byte)
	}
	b := (*kept)[:0]
	defer func() {
		if cap(b) <= largeBuffer {
			*kept = b
			o.buffers.Put(kept)
		}
	}()
	for _, f := range frames {
		t := o.byID[f.Track.ID]
		if t == nil {
			if o.strict {
				return errors.Join(fmt.Errorf("%w: a track of %s has begun that was not announced", ErrChanged, f.Params.Codec), o.flush(b))
			}
			continue
		}
		if f.Params != t.Params {
			if err := t.changed(f.Params); err != nil {
				return errors.Join(err, o.flush(b)) // what came before is right
			}
		}
		b = o.reports(b, f)
		at := len(b)
		b = append(b, packed(f)...)
		count := own(b[at:], t.route.channel, t.ssrc, t.next)
		t.next += uint16(count)
		t.packets += uint32(count)
		t.bytes += uint32(len(b) - at - count*(inConn+rtpHeader))
		if t.route.udp {
			if err := o.datagrams(b[at:], t.route.rtp, stop); err != nil {
				return err
			}
			b = b[:at]
		}
		if len(b) >= chunk {
			if err := o.flush(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	return o.flush(b)
}

// changed takes other parameters if the viewer gets them with the frames, as it does sets of H264 and H265, and sequence headers.
func (t *outTrack) changed(p *media.Params) error {
	if p.Codec != t.Params.Codec || p.Codec == media.AAC && !slices.Equal(p.Config, t.Params.Config) || p.Codec == media.Opus && p.Channels != t.Params.Channels {
		return fmt.Errorf("%w: %s was %s", ErrChanged, t.Kind, t.Params.Codec)
	}
	t.Params = p
	return nil
}

func (o *output) flush(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	o.lock.Lock()
	defer o.lock.Unlock()
	err := o.out.Write(append(o.out.Begin(), b))
	o.cut = err != nil
	return err
}

// datagrams sends packets over UDP. What the network does not take is lost, as it may be on the way.
func (o *output) datagrams(b []byte, to netip.AddrPort, stop <-chan struct{}) error {
	for len(b) > inConn {
		n := inConn + int(binary.BigEndian.Uint16(b[2:]))
		_, _ = o.udp.rtp.WriteToUDPAddrPort(b[inConn:n], to)
		b = b[n:]
		if o.sent += n; o.sent < burst {
			continue
		}
		o.sent = 0
		if o.rest == nil {
			o.rest = time.NewTimer(burstRest)
		} else {
			o.rest.Reset(burstRest)
		}
		select {
		case <-o.rest.C:
		case <-stop:
			return errPaused
		}
	}
	return nil
}

// reports appends sender reports (RFC 3550 section 6.4.1) that are due before a frame, or sends them: of all tracks at the beginning, so that what is shown together is known
// before the first packet; of each before its own first packet, with that one's time, since GStreamer takes no report of a time before it; and of each now and then.
func (o *output) reports(b []byte, f *media.Frame) []byte {
	of := o.byID[f.Track.ID]
	if !o.begun {
		o.begun = true
		o.base = o.viewer.When(f).Add(-f.DTS)
		for _, t := range o.byID {
			if t != nil && t != of {
				b = o.report(b, t, f.DTS)
			}
		}
	}
	switch {
	case !of.begun:
		of.begun = true
		return o.report(b, of, f.PTS)
	case f.DTS-of.reported >= reportEvery:
		return o.report(b, of, f.DTS)
	default:
		return b
	}
}

// report appends a sender report of a track, and what is to stand behind it, or sends it where the track goes over UDP.
func (o *output) report(b []byte, t *outTrack, at time.Duration, behind ...rtcp.Packet) []byte {
	t.reported = at
	raw, err := rtcp.Marshal(append([]rtcp.Packet{
		&rtcp.SenderReport{SSRC: t.ssrc, NTPTime: media.ToNTP(o.base.Add(at)), RTPTime: uint32(media.Ticks(at, t.rate)), PacketCount: t.packets, OctetCount: t.bytes},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
			Source: t.ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: o.name}}, // one name: these tracks belong together
		}}},
	}, behind...))
	if err != nil {
		return b
	}
	if t.route.udp {
		_, _ = o.udp.rtcp.WriteToUDPAddrPort(raw, t.route.control)
		return b
	}
	b = append(b, magic, t.route.channel+1, byte(len(raw)>>8), byte(len(raw)))
	return append(b, raw...)
}

// bye ends all tracks with a reason (RFC 3550 section 6.6), and tells whether any had begun. Called when nobody delivers, with lock.
func (o *output) bye(reason string) bool {
	if !o.begun {
		return false
	}
	var b []byte
	for _, t := range o.byID {
		if t != nil {
			b = o.report(b, t, t.reported, &rtcp.Goodbye{Sources: []uint32{t.ssrc}, Reason: reason})
		}
	}
	_, _ = o.conn.Write(b) // it may be gone
	return true
}
