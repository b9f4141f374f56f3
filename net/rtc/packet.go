package rtc

import (
	"sync/atomic"
)

// packet is one RTP packet of a source, without what concerned the way to the node. Nobody changes it: all viewers share it.
type packet struct {
	seq     uint64 // extended, so that it never wraps
	ts      uint32
	marker  bool
	key     bool // a viewer can begin here
	codec   *codec
	payload []byte
}

// cache holds the newest packets of one source: for viewers that ask for them again, that are behind, or that come anew. One goroutine puts, any get.
type cache struct {
	ring []atomic.Pointer[packet]
}

// Packets that a source keeps: 2 s of video of 5 Mbps, or 0.6 s of sound, which is not asked for again.
const (
	videoCache = 1024
	audioCache = 32
)

func newCache(size int) cache { return cache{ring: make([]atomic.Pointer[packet], size)} }

func (c *cache) put(p *packet) { c.ring[p.seq%uint64(len(c.ring))].Store(p) }

// get returns the packet with this number, or nil: it is lost, too old, or not there yet.
func (c *cache) get(seq uint64) *packet {
	p := c.ring[seq%uint64(len(c.ring))].Load()
	if p == nil || p.seq != seq {
		return nil
	}
	return p
}

// size is how many numbers it spans.
func (c *cache) size() uint64 { return uint64(len(c.ring)) }

// extender makes 16-bit sequence numbers into ones that never wrap (RFC 3550, appendix A.1). It begins one turn above zero, so that late packets have numbers, too.
type extender struct {
	begun bool
	last  uint64
}

func (e *extender) extend(seq uint16) uint64 {
	if !e.begun {
		e.begun = true
		e.last = 1<<16 | uint64(seq)
		return e.last
	}
	delta := int16(seq - uint16(e.last))
	ext := uint64(int64(e.last) + int64(delta))
	if delta > 0 {
		e.last = ext
	}
	return ext
}
