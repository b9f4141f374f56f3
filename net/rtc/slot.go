package rtc

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	pion "github.com/pion/webrtc/v4"

	"github.com/skua-go/skua/net/media"
)

// slot is a line of media of a viewer, and the track that the library sends on it. Its source changes; what the viewer sees of it is one stream.
type slot struct {
	viewer *session
	kind   pion.RTPCodecType
	number int // among those of its kind

	mu      sync.Mutex
	out     pion.TrackLocalWriter // nil before and after the connection
	ssrc    uint32
	offered []pion.RTPCodecParameters

	source  *source
	next    uint64 // number of the packet of the source that comes next
	begun   bool   // the viewer has had a packet of this source that it could begin with
	first   uint64 // that packet
	addSeq  uint16 // to numbers of the source
	addTS   uint32
	codec   *codec // of the last packet, and its number here
	pt      uint8
	known   bool // the viewer has that codec
	header  rtp.Header
	sentAny bool
	lastSeq uint16
	lastTS  uint32
	lastAt  time.Time
	asked   time.Time // for a key frame
	again   budget

	packets, octets uint32 // sent, for reports

	sent  extender      // of the numbers that the viewer sees
	shown uint64        // the highest that the library has had
	seal  *srtp.Context // for the short way
}

// burst is how many packets a slot that is behind is sent before others get their turn.
const burst = 32

// Bind is called by the library when the connection's terms are settled.
func (s *slot) Bind(c pion.TrackLocalContext) (pion.RTPCodecParameters, error) {
	offered := c.CodecParameters()
	if len(offered) == 0 {
		return pion.RTPCodecParameters{}, pion.ErrUnsupportedCodec
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out, s.ssrc, s.offered = c.WriteStream(), uint32(c.SSRC()), offered
	return offered[0], nil
}

// Unbind ends what Bind began.
func (s *slot) Unbind(pion.TrackLocalContext) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = nil
	return nil
}

// ID, RID, StreamID and Kind are what the viewer's page sees. Slots of one number are one stream, which it plays in step.
func (s *slot) ID() string              { return s.kind.String() + "-" + itoa(s.number) }
func (s *slot) RID() string             { return "" }                       // no layers towards viewers
func (s *slot) StreamID() string        { return "slot-" + itoa(s.number) } // see ID
func (s *slot) Kind() pion.RTPCodecType { return s.kind }                   // see ID

// feed puts the slot on a source, or on none.
func (s *slot) feed(src *source, now time.Time) {
	s.mu.Lock()
	old := s.source
	if old == src {
		s.mu.Unlock()
		return
	}
	s.source, s.begun, s.codec = src, false, nil
	ready := true
	if src != nil {
		s.next, ready = src.begin(now)
	}
	s.mu.Unlock()
	if old != nil {
		old.detach(s)
	}
	if src == nil {
		return
	}
	src.attach(s)
	if !ready {
		src.askKey()
		return
	}
	src.server.turn(func(out *outbox) { s.pump(src, now, out) }) // what is there already: the next packet may be long in coming
}

// current is the source, or nil.
func (s *slot) current() *source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source
}

// pump sends what has come since the last time. more tells that there is still more.
func (s *slot) pump(src *source, now time.Time, out *outbox) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source != src || s.out == nil {
		return false
	}
	newest := src.newest.Load()
	if newest == 0 {
		return false
	}
	if s.next == 0 {
		s.next = src.oldest.Load()
	}
	if newest >= s.next+src.size() { // nobody kept it: begin anew
		s.viewer.server.metrics.skipped.Inc()
		s.begun = false
		s.next, _ = src.begin(now)
	}
	for range burst {
		if s.next > newest {
			return false
		}
		if p := src.get(s.next); p != nil {
			s.send(src, p, now, out)
		}
		s.next++
	}
	return s.next <= newest
}

// late sends a packet that came behind later ones, since the publisher was asked for it again.
func (s *slot) late(src *source, p *packet, out *outbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source == src && s.out != nil && s.begun && s.speaks(p) && p.seq >= s.first && p.seq < s.next {
		s.write(p, out)
	}
}

// speaks tells whether a packet is of the codec that the viewer is sent now. Others are not sent later on: the number of one that the viewer could not be sent is that of
// another packet since, and with another payload type one would not be what it was. SRTP's ciphers must never see one number with two contents.
func (s *slot) speaks(p *packet) bool { return s.known && p.codec == s.codec }

// send passes a packet on if the viewer can make something of it.
func (s *slot) send(src *source, p *packet, now time.Time, out *outbox) {
	if p.codec != s.codec {
		s.codec = p.codec
		s.pt, s.known = payloadType(s.offered, p.codec.RTPCodecCapability)
		if !s.known {
			s.viewer.server.metrics.unsupported.Inc()
			s.begun = false // what it knows again is not to follow upon a gap that it takes for lost, and not without a key frame
		}
	}
	if !s.known {
		return
	}
	if !s.begun {
		if !p.key {
			if now.Sub(s.asked) > time.Second {
				s.asked = now
				src.askKey()
			}
			return
		}
		s.begin(p, now)
	}
	s.lastAt = now
	s.lastSeq, s.lastTS = uint16(p.seq)+s.addSeq, p.ts+s.addTS
	s.write(p, out)
}

// begin lets the source's first packet follow upon what the viewer had before: the next number, and a timestamp later by as much as time has passed.
func (s *slot) begin(p *packet, now time.Time) {
	s.begun, s.first = true, p.seq
	seq, ts := uint16(rand.Uint32N(1<<15)), rand.Uint32() // far from a turn of the numbers: who misses the first packets must not miss it
	if s.sentAny {
		seq = s.lastSeq + 1
		ts = s.lastTS + uint32(max(1, ticks(now.Sub(s.lastAt), int64(p.codec.ClockRate))))
	}
	s.sentAny = true
	s.addSeq, s.addTS = seq-uint16(p.seq), ts-p.ts
}

// write sends a packet on the session's short way, if it has one. The library encrypts the first, and each that is shown numbers behind the last that it had, so
// that it can go on with the others when the way ends: were it a turn behind, it would encrypt other packets as the way has encrypted before.
func (s *slot) write(p *packet, out *outbox) {
	s.header = rtp.Header{
		Version: 2, Marker: p.marker, PayloadType: s.pt, SequenceNumber: uint16(p.seq) + s.addSeq, Timestamp: p.ts + s.addTS, SSRC: s.ssrc,
	}
	number := s.sent.extend(s.header.SequenceNumber)
	to := s.viewer.path.lane.Load()
	switch {
	case to == nil:
		s.seal = nil // it does not count along with the library
	case s.seal == nil:
		if s.seal = s.viewer.path.keys.seal(); s.seal != nil {
			s.seal.SetROC(s.ssrc, turns(number))
		}
	}
	if s.seal == nil || s.packets == 0 || number >= s.shown+shown {
		s.writeThrough(p, number, out)
		return
	}
	if err := out.add(to, s.seal, &s.header, p.payload); err != nil {
		s.viewer.server.metrics.failed.Inc()
		return
	}
	s.packets++
	s.octets += uint32(len(p.payload))
}

// shown is how many numbers are between packets that the library gets.
const shown = 1 << 12

// writeThrough sends a packet through the library.
func (s *slot) writeThrough(p *packet, number uint64, out *outbox) {
	out.flush() // what is older goes first
	n, err := s.out.WriteRTP(&s.header, p.payload)
	m := s.viewer.server.metrics
	if err != nil {
		m.failed.Inc() // it is about to end
		return
	}
	if n == 0 { // it has no keys yet
		if s.packets == 0 {
			s.sent = extender{} // it counts from the first that it encrypts
		}
		return
	}
	s.shown = max(s.shown, number)
	m.sent.Inc()
	m.sentBytes.Add(float64(n))
	s.packets++
	s.octets += uint32(len(p.payload))
}

// lost sends packets again that the viewer misses, by its own numbers.
func (s *slot) lost(seqs []uint16, now time.Time, out *outbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source == nil || s.out == nil || !s.begun {
		return
	}
	newest := s.next - 1
	for _, seq := range seqs {
		back := uint64(uint16(newest) + s.addSeq - seq) // how far behind the newest that it was sent
		if back > newest-s.first || !s.again.take(now) {
			continue // of another source, or not sent yet
		}
		if p := s.source.get(newest - back); p != nil && s.speaks(p) {
			s.viewer.server.metrics.again.Inc()
			s.write(p, out)
		}
	}
}

// report is what the viewer needs to play sound and picture in step: which timestamp belongs to now.
func (s *slot) report(now time.Time) *rtcp.SenderReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source == nil || !s.begun || s.packets == 0 {
		return nil
	}
	ts, ok := s.source.time.when(now)
	if !ok {
		return nil
	}
	return &rtcp.SenderReport{SSRC: s.ssrc, NTPTime: media.ToNTP(now), RTPTime: ts + s.addTS, PacketCount: s.packets, OctetCount: s.octets}
}

// budget bounds what is sent again to one line: at most so many packets at once, and a second.
type budget struct {
	left float64
	at   time.Time
}

const (
	againAtOnce = 200
	againASec   = 400
)

func (b *budget) take(now time.Time) bool {
	if b.at.IsZero() {
		b.left = againAtOnce
	} else {
		b.left = min(againAtOnce, b.left+now.Sub(b.at).Seconds()*againASec)
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
