package rtc

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// reception is what a publisher is told about a track: how much of it has come, and how evenly (RFC 3550, section 6.4 and appendix A).
type reception struct {
	mu       sync.Mutex
	rate     float64 // ticks a second
	begun    bool
	first    uint64 // number of the first packet
	last     uint64 // the highest
	received uint64
	expected uint64 // when it was told last
	had      uint64 // received, then
	jitter   float64
	transit  float64
	epoch    time.Time
	report   uint32 // of the publisher, the middle of its time
	reported time.Time
}

// packet notes one that has come, for the first time.
func (r *reception) packet(number uint64, ts uint32, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun {
		r.begun, r.first, r.last, r.epoch = true, number, number, now
	}
	r.received++
	if number < r.last { // late ones say nothing of how even the others are
		r.first = min(r.first, number)
		return
	}
	transit := now.Sub(r.epoch).Seconds()*r.rate - float64(ts)
	if number > r.last {
		d := transit - r.transit
		if half := float64(1 << 31); d > half || d < -half { // the timestamps have wrapped
			d = 0
		}
		r.jitter += (max(d, -d) - r.jitter) / 16
	}
	r.transit, r.last = transit, number
}

// sender notes a report of the publisher.
func (r *reception) sender(ntp uint64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report, r.reported = uint32(ntp>>16), now
}

// tell is what the publisher is told; ok is false before the first packet.
func (r *reception) tell(ssrc uint32, now time.Time) (rtcp.ReceptionReport, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.begun {
		return rtcp.ReceptionReport{}, false
	}
	expected := r.last - r.first + 1
	t := rtcp.ReceptionReport{SSRC: ssrc, LastSequenceNumber: uint32(r.last - 1<<16), Jitter: uint32(r.jitter)}
	if lost := expected - min(r.received, expected); lost < 1<<23 {
		t.TotalLost = uint32(lost)
	} else {
		t.TotalLost = 1<<23 - 1
	}
	due, got := expected-r.expected, r.received-r.had
	if due > got {
		t.FractionLost = uint8(min((due-got)<<8/due, 255))
	}
	r.expected, r.had = expected, r.received
	if !r.reported.IsZero() {
		t.LastSenderReport, t.Delay = r.report, uint32(now.Sub(r.reported).Seconds()*65536)
	}
	return t, true
}

// sendReceptions tells the publisher of its tracks.
func (s *session) sendReceptions(now time.Time) {
	var reports []rtcp.ReceptionReport
	for _, in := range s.intakes.all() {
		if r, ok := in.came.tell(in.ssrc, now); ok {
			reports = append(reports, r)
		}
	}
	for ; len(reports) > 0; reports = reports[min(len(reports), 31):] { // RFC 3550 has room for so many
		s.report(&rtcp.ReceiverReport{SSRC: s.server.reporter, Reports: reports[:min(len(reports), 31)]})
	}
}
