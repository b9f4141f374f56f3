package rtc

import (
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// missing are the packets of a track of pictures that have not come, of which the publisher is asked again (RFC 4585, section 6.2.1).
type missing struct {
	mu    sync.Mutex
	begun bool
	last  uint64         // the newest that has come
	asked map[uint64]int // how often, by number
}

const (
	// feedbackEvery is how often publishers of pictures are told what is missing, and how packets have come.
	feedbackEvery = 100 * time.Millisecond
	// maxMissing is how far back is asked for, and how many: the way is broken where more are lost.
	maxMissing = 512
	// maxAsked is how often one is asked for.
	maxAsked = 10
)

// came notes a packet.
func (m *missing) came(number uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.begun {
		m.begun, m.last, m.asked = true, number, map[uint64]int{}
		return
	}
	if number <= m.last {
		delete(m.asked, number)
		return
	}
	for lost := max(m.last+1, number-min(number, maxMissing)); lost < number; lost++ {
		m.asked[lost] = 0
	}
	m.last = number
}

// ask is what is asked for now; nil if there is nothing.
func (m *missing) ask(sender, ssrc uint32) *rtcp.TransportLayerNack {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.asked, func(number uint64, times int) bool { return times == maxAsked || number+maxMissing < m.last })
	if len(m.asked) == 0 {
		return nil
	}
	numbers := make([]uint16, 0, len(m.asked))
	for _, number := range slices.Sorted(maps.Keys(m.asked)) {
		m.asked[number]++
		numbers = append(numbers, uint16(number))
	}
	return &rtcp.TransportLayerNack{SenderSSRC: sender, MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(numbers)}
}

// congestion is when packets have come, of all tracks of pictures: the publisher estimates by it what its way carries (draft-holmer-rmcat-transport-wide-cc-extensions).
type congestion struct {
	mu       sync.Mutex
	recorder *twcc.Recorder // nil before the first packet
	begun    time.Time
}

// arrived notes a packet with its number among those of all tracks.
func (c *congestion) arrived(sender, ssrc uint32, extension []byte, now time.Time) {
	if len(extension) != 2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recorder == nil {
		c.recorder, c.begun = twcc.NewRecorder(sender), now
	}
	c.recorder.Record(ssrc, binary.BigEndian.Uint16(extension), now.Sub(c.begun).Microseconds())
}

// tell is what the publisher is told of those that have come since.
func (c *congestion) tell() []rtcp.Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recorder == nil {
		return nil
	}
	return c.recorder.BuildFeedbackPacket()
}

// sendFeedback tells a publisher of pictures what their encoder needs soon.
func (s *session) sendFeedback() {
	for _, in := range s.intakes.all() {
		if in.missing == nil {
			continue
		}
		if ask := in.missing.ask(s.server.reporter, in.ssrc); ask != nil {
			s.report(ask)
		}
	}
	for _, p := range s.intakes.tell() {
		s.report(p)
	}
}
