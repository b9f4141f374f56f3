package rtc

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtc/terms"
)

// slot is a line of media of a viewer. Its source changes; what the viewer sees of it is one stream.
type slot struct {
	viewer  *session
	kind    Kind
	number  int // among those of its kind
	ssrc    uint32
	offered []terms.Codec

	mu      sync.Mutex
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
}

// burst is how many packets a slot that is behind is sent before others get their turn.
const burst = 32

// addSlot makes the slot of a line that was agreed.
func (s *session) addSlot(l *terms.Line) {
	sl := &slot{viewer: s, kind: kindOf(l.Kind), ssrc: l.SSRC, offered: l.Codecs}
	for _, o := range s.slots {
		if o.kind == sl.kind {
			sl.number++
		}
	}
	s.slots = append(s.slots, sl)
}

// ID and stream are what the viewer's page sees. Slots of one number are one stream, which it plays in step.
func (s *slot) ID() string     { return string(s.kind) + "-" + itoa(s.number) }
func (s *slot) stream() string { return "slot-" + itoa(s.number) }

// askKey wants a key frame for the viewer. There may be no such slot.
func (s *slot) askKey() {
	if s == nil {
		return
	}
	if src := s.current(); src != nil {
		src.askKey()
	}
}

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
	if s.source != src {
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
	if s.source == src && s.begun && s.speaks(p) && p.seq >= s.first && p.seq < s.next {
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
		s.pt, s.known = payloadType(s.offered, p.codec.Codec)
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
		ts = s.lastTS + uint32(max(1, ticks(now.Sub(s.lastAt), int64(p.codec.Clock))))
	}
	s.sentAny = true
	s.addSeq, s.addTS = seq-uint16(p.seq), ts-p.ts
}

// write sends a packet.
func (s *slot) write(p *packet, out *outbox) {
	s.header = rtp.Header{
		Version: 2, Marker: p.marker, PayloadType: s.pt, SequenceNumber: uint16(p.seq) + s.addSeq, Timestamp: p.ts + s.addTS, SSRC: s.ssrc,
	}
	if err := out.add(s.viewer, &s.header, p.payload); err != nil {
		s.viewer.server.metrics.failed.Inc() // it is about to end
		return
	}
	s.packets++
	s.octets += uint32(len(p.payload))
}

// lost sends packets again that the viewer misses, by its own numbers.
func (s *slot) lost(seqs []uint16, now time.Time, out *outbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.source == nil || !s.begun {
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
