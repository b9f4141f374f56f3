package rtsp

import (
	"time"

	"github.com/pion/rtp"
)

const (
	window   = 64 // packets that may be waited in; a power of two
	waitLost = 200 * time.Millisecond
)

// reorder puts the packets of one track into their order, and tells which are lost.
type reorder struct {
	wait  bool // packets may come late: over UDP
	begun bool
	next  uint16
	held  [window]*rtp.Packet // by number
	count int
	since time.Time // when the first of them came
	stale int       // packets in a row that came too late: then it is a new sequence
}

// put gives what may be read now to each, with whether packets before it are lost.
func (r *reorder) put(p *rtp.Packet, now time.Time, each func(p *rtp.Packet, lost bool) error) error {
	if !r.begun {
		r.begun, r.next = true, p.SequenceNumber
	}
	ahead := int(int16(p.SequenceNumber - r.next))
	if ahead < 0 {
		if r.stale++; r.stale < window {
			return nil // late, or twice
		}
		r.clear()
		return r.give(p, true, each)
	}
	r.stale = 0
	if ahead == 0 {
		if err := r.give(p, false, each); err != nil {
			return err
		}
		return r.flush(false, each)
	}
	if !r.wait || ahead >= window {
		if err := r.flush(true, each); err != nil {
			return err
		}
		return r.give(p, p.SequenceNumber != r.next, each)
	}
	if slot := &r.held[p.SequenceNumber%window]; *slot == nil {
		if *slot = p; r.count == 0 {
			r.since = now
		}
		r.count++
	}
	if now.Sub(r.since) < waitLost {
		return nil
	}
	return r.flush(true, each)
}

func (r *reorder) give(p *rtp.Packet, lost bool, each func(p *rtp.Packet, lost bool) error) error {
	r.next = p.SequenceNumber + 1
	return each(p, lost)
}

// flush gives what is held, up to the next gap, or all of it.
func (r *reorder) flush(all bool, each func(p *rtp.Packet, lost bool) error) error {
	lost := false
	for i := 0; r.count > 0 && i < window; i++ {
		slot := &r.held[r.next%window]
		p := *slot
		if p == nil {
			if !all {
				return nil
			}
			r.next++
			lost = true
			continue
		}
		*slot = nil
		r.count--
		if err := r.give(p, lost, each); err != nil {
			return err
		}
		lost = false
	}
	return nil
}

func (r *reorder) clear() {
	r.held, r.count = [window]*rtp.Packet{}, 0
}
