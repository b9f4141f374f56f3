package rtc

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/rtc/terms"
)

// intakes are the tracks of a publisher that have begun, by the numbers (SSRC) under which their packets come.
type intakes struct {
	pictures atomic.Bool // there are some: they need more of RTCP than sound
	mu       sync.Mutex
	seen     map[uint32]*intake // nil: nothing is made of it, or not yet
	congestion
}

// maxSources is how many numbers a publisher may use: each that decrypts is remembered.
const maxSources = 64

// may tells whether a packet is decrypted.
func (is *intakes) may(b []byte) bool {
	is.mu.Lock()
	defer is.mu.Unlock()
	_, known := is.seen[binary.BigEndian.Uint32(b[8:12])]
	return known || len(is.seen) < maxSources
}

// of is the track of a number, or nil.
func (is *intakes) of(ssrc uint32) *intake {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.seen[ssrc]
}

// all are the tracks there are.
func (is *intakes) all() []*intake {
	is.mu.Lock()
	defer is.mu.Unlock()
	all := make([]*intake, 0, len(is.seen))
	for _, in := range is.seen {
		if in != nil {
			all = append(all, in)
		}
	}
	return all
}

// end ends all tracks of a session that has ended.
func (is *intakes) end(s *session) {
	for _, in := range is.all() {
		s.room.remove(s, in.src)
	}
}

// intake is the track of a packet, which begins with the first that can be told whose it is; nil if nothing is made of it.
func (s *session) intake(b []byte) *intake {
	is := &s.intakes
	ssrc := binary.BigEndian.Uint32(b[8:12])
	is.mu.Lock()
	defer is.mu.Unlock()
	if in := is.seen[ssrc]; in != nil {
		return in
	}
	if is.seen == nil {
		is.seen = map[uint32]*intake{}
	}
	if _, known := is.seen[ssrc]; !known {
		if len(is.seen) >= maxSources {
			return nil
		}
		is.seen[ssrc] = nil
	}
	var h rtp.Header
	if _, err := h.Unmarshal(b); err != nil {
		s.server.metrics.invalid.Inc()
		return nil
	}
	l, layer := s.find(&h)
	if l == nil {
		s.server.metrics.unagreed.Inc()
		return nil
	}
	in := s.begin(l, layer, ssrc)
	if in == nil {
		return nil
	}
	for other, old := range is.seen {
		if old != nil && old.line == l && old.src.layer == layer { // the track goes on under another number
			is.seen[other] = nil
			s.spawn(func() { s.room.remove(s, old.src) })
		}
	}
	is.seen[ssrc] = in
	if in.src.kind == Video {
		is.pictures.Store(true)
	}
	return in
}

// find tells of which line of the offer a packet is, and of which of its layers: by what it says itself (RFC 9143 and 8852), else by what the offer has said, else by its codec, if that is
// of one line alone. nil: it can't be told, or the line is not of this codec.
func (s *session) find(h *rtp.Header) (l *terms.Line, layer int) {
	lines := s.offer.Lines
	with := func(ok func(*terms.Line) bool) *terms.Line {
		var found *terms.Line
		for i := range lines {
			if l := &lines[i]; !l.Rejected && l.Kind != terms.Data && ok(l) {
				if found != nil {
					return nil
				}
				found = l
			}
		}
		return found
	}
	speaks := func(l *terms.Line) bool {
		return slices.ContainsFunc(l.Codecs, func(c terms.Codec) bool { return c.PT == h.PayloadType })
	}
	l = with(func(l *terms.Line) bool {
		return l.MidExt != 0 && l.Mid != "" && string(h.GetExtension(l.MidExt)) == l.Mid
	})
	if l == nil {
		l = with(func(l *terms.Line) bool { return slices.Contains(l.SSRCs, h.SSRC) })
	}
	if l == nil {
		l = with(speaks)
	}
	if l == nil || !speaks(l) { // a packet that repairs others is of a codec that was not agreed
		return nil, 0
	}
	if len(l.Rids) == 0 {
		return l, 0
	}
	if l.RidExt != 0 {
		layer = slices.Index(l.Rids, string(h.GetExtension(l.RidExt)))
	}
	if l.RidExt == 0 || layer < 0 {
		return nil, 0 // a later packet says so
	}
	return l, layer
}

// begin begins a track, or a layer of it. nil: the session is not the publisher any more.
func (s *session) begin(l *terms.Line, layer int, ssrc uint32) *intake {
	kind, clock := kindOf(l.Kind), uint32(videoClock)
	if kind == Audio {
		clock = opusClock
	}
	src := newSource(s.server, kind, s.Who, l.Mid, layer, clock, s.room.clock(s))
	if kind == Video {
		src.keys = &keyAsker{every: s.server.cfg.KeyInterval, send: func() {
			s.server.metrics.keysAsked.Inc()
			s.report(&rtcp.PictureLossIndication{SenderSSRC: s.server.reporter, MediaSSRC: ssrc}) // who needs it asks again
		}}
	}
	in := &intake{server: s.server, src: src, line: l, ssrc: ssrc, agreed: l.Codecs, level: l.Level, came: reception{rate: float64(clock)}}
	if kind == Video && l.NACK {
		in.missing = new(missing)
	}
	if kind == Video && l.Congestion != 0 {
		in.arrivals, in.arrival = &s.intakes.congestion, l.Congestion
	}
	if !s.room.add(s, src) {
		src.close()
		return nil
	}
	return in
}

// intake makes a track's packets those of its source.
type intake struct {
	server *Server
	src    *source
	line   *terms.Line
	ssrc   uint32
	agreed []terms.Codec // of the track's line; nothing else is passed on
	level  uint8         // number of the extension that tells how loud a packet is; 0: none
	came   reception

	missing  *missing    // nil: what is lost is not asked for again
	arrivals *congestion // nil: its packets have no numbers for it
	arrival  uint8       // number of the extension with these

	mu      sync.Mutex
	numbers extender
	header  rtp.Header
	codings map[uint8]*codec // by payload type: packets of one have one codec, also where those of another come between them
}

// take passes a packet on. What the room has already is left out.
func (in *intake) take(b []byte, now time.Time, out *outbox) {
	in.mu.Lock()
	defer in.mu.Unlock()
	payload, ok := split(&in.header, b)
	if !ok {
		in.server.metrics.invalid.Inc()
		return
	}
	h := &in.header
	if in.arrivals != nil {
		in.arrivals.arrived(in.server.reporter, h.SSRC, h.GetExtension(in.arrival), now)
	}
	number := in.numbers.extend(h.SequenceNumber)
	if in.missing != nil {
		in.missing.came(number)
	}
	coding := in.codings[h.PayloadType]
	if coding == nil {
		i := slices.IndexFunc(in.agreed, func(c terms.Codec) bool { return c.PT == h.PayloadType })
		if i < 0 {
			in.server.metrics.unagreed.Inc()
			return
		}
		coding = newCodec(in.agreed[i])
		if in.codings == nil {
			in.codings = map[uint8]*codec{}
		}
		in.codings[h.PayloadType] = coding
	}
	if in.src.get(number) != nil {
		return
	}
	if number+in.src.size() <= in.src.newest.Load() { // nobody knows any more whether there was one of this number: viewers must not get two
		return
	}
	in.server.metrics.received.Inc()
	in.server.metrics.receivedBytes.Add(float64(len(b)))
	in.came.packet(number, h.Timestamp, now)
	if in.level != 0 {
		if ext := h.GetExtension(in.level); len(ext) > 0 {
			in.src.sound.heard(ext[0] & 0x7f)
		}
	}
	in.src.write(&packet{
		seq: number, ts: h.Timestamp, marker: h.Marker, codec: coding, key: len(payload) > 0 && coding.key(payload), payload: append([]byte(nil), payload...),
	}, now, out)
}

// split reads a packet's header and returns what is behind it, without padding. A packet of padding only is passed on, empty, so that no number is missing.
func split(h *rtp.Header, b []byte) (payload []byte, ok bool) {
	*h = rtp.Header{Extensions: h.Extensions[:0]}
	n, err := h.Unmarshal(b)
	if err != nil {
		return nil, false
	}
	end := len(b)
	if h.Padding {
		if end == n || int(b[end-1]) > end-n {
			return nil, false
		}
		end -= int(b[end-1])
	}
	return b[n:end], true
}
