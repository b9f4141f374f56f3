package kcp

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/reedsolomon"
)

// Forward error correction as of kcp-go (fec.go): Reed-Solomon over groups of datagrams. Before KCP's segments come
//
//	0        4      6      8
//	| number | type | size | segments ...
//
// The number counts all datagrams; number / (data + parity) is the group. Parity datagrams have, behind the type, the code over the others' bytes from size on.
// size includes itself.
const (
	fecData   = 0xf1
	fecParity = 0xf2

	fecHeader = 8
	fecSize   = 6 // where what is protected begins

	fecGroups   = 3       // that are kept behind the newest
	fecMaxPause = 500     // milliseconds between two datagrams, beyond which a group gets no parity
	fecFar      = 1 << 16 // groups; a number that is further off begins anew
)

// fec is what all sessions of a listener share.
type fec struct {
	data, parity int
	codec        reedsolomon.Encoder
	wrap         uint32 // numbers are below
}

// newFEC returns nil when there is none.
func newFEC(data, parity int) (*fec, error) {
	if data == 0 {
		return nil, nil //nolint:nilnil // no FEC is not an error
	}
	codec, err := reedsolomon.New(data, parity)
	if err != nil {
		return nil, fmt.Errorf("kcp: FEC of %d + %d shards: %w", data, parity, err)
	}
	size := uint32(data + parity)
	return &fec{data: data, parity: parity, codec: codec, wrap: 0xffffffff / size * size}, nil
}

func (f *fec) size() int { return f.data + f.parity }

// fecEncoder makes parity for one session's datagrams. It holds memory only while a group is not complete.
type fecEncoder struct {
	group []*packet // copies of those that are sent
	next  uint32
	last  uint32 // when a datagram was sent last
	most  int    // bytes of the longest
}

// encode numbers p, whose FEC header is at head, and returns the parity datagrams that follow it, if it completes a group.
func (e *fecEncoder) encode(f *fec, mem *memory, p *packet, head int, now uint32) (parity []*packet) {
	d := p.bytes[head:]
	binary.LittleEndian.PutUint16(d[fecSize:], uint16(len(d)-fecSize))
	e.number(f, d, fecData)
	q := mem.packet(0)
	q.bytes = append(q.bytes, d[fecSize:]...)
	e.group = append(e.group, q)
	e.most = max(e.most, len(q.bytes))
	dense := since(now, e.last) < fecMaxPause
	e.last = now
	if len(e.group) < f.data {
		return nil
	}
	if dense {
		parity = e.parity(f, mem, head)
	}
	if parity == nil {
		e.next = (e.next + uint32(f.parity)) % f.wrap
	}
	e.release(mem)
	return parity
}

func (e *fecEncoder) number(f *fec, d []byte, kind uint16) {
	binary.LittleEndian.PutUint32(d, e.next)
	binary.LittleEndian.PutUint16(d[4:], kind)
	e.next = (e.next + 1) % f.wrap
}

func (e *fecEncoder) parity(f *fec, mem *memory, head int) []*packet {
	shards := make([][]byte, f.size())
	for i, q := range e.group {
		n := len(q.bytes)
		shards[i] = q.store[:e.most]
		clear(shards[i][n:])
	}
	made := make([]*packet, f.parity)
	for i := range made {
		made[i] = mem.packet(head + fecSize + e.most)
		shards[f.data+i] = made[i].bytes[head+fecSize:]
	}
	if f.codec.Encode(shards) != nil { // only for shards of unequal lengths
		for _, p := range made {
			mem.done(p)
		}
		return nil
	}
	for _, p := range made {
		e.number(f, p.bytes[head:], fecParity)
	}
	return made
}

func (e *fecEncoder) release(mem *memory) {
	for _, q := range e.group {
		mem.done(q)
	}
	e.group, e.most = nil, 0
}

// stale gives up the memory of a group that gets no parity any more: its numbers are skipped.
func (e *fecEncoder) stale(f *fec, mem *memory, now uint32) {
	if len(e.group) == 0 || since(now, e.last) < fecMaxPause {
		return
	}
	e.next = (e.next + uint32(f.size()-len(e.group))) % f.wrap
	e.release(mem)
}

// fecDecoder makes the datagrams of one session that were lost.
type fecDecoder struct {
	groups []fecGroup
	newest uint32
	last   uint32 // when a datagram came last
}

type fecGroup struct {
	id   uint32
	have []*packet // by place; nil when the group is done
	n    int
	done bool
}

// decode takes a datagram from its FEC header on, and calls found for the segments of each that it can make of those that it has.
func (dec *fecDecoder) decode(f *fec, mem *memory, d []byte, now uint32, found func(segments []byte)) {
	dec.last = now
	number, kind := binary.LittleEndian.Uint32(d), d[4]
	if number >= f.wrap || len(d)-fecSize > packetRoom {
		return
	}
	id, place := number/uint32(f.size()), int(number%uint32(f.size()))
	if (place < f.data) != (kind == fecData) {
		return // the peer's shards are other ones than ours
	}
	g := dec.group(f, mem, id)
	if g == nil || g.done || g.have[place] != nil {
		return
	}
	q := mem.packet(0)
	q.bytes = append(q.bytes, d[fecSize:]...)
	g.have[place] = q
	g.n++
	if g.n < f.data {
		return
	}
	g.recover(f, mem, found)
	g.release(mem)
	g.done = true
}

// group returns that with the number id, nil if it is too old.
func (dec *fecDecoder) group(f *fec, mem *memory, id uint32) *fecGroup {
	ahead := since(id, dec.newest)
	switch {
	case ahead > fecFar || ahead < -fecFar:
		dec.release(mem)
		dec.newest = id
	case ahead > 0:
		dec.newest = id
	case ahead < -fecGroups:
		return nil
	}
	kept := dec.groups[:0]
	var found *fecGroup
	for i := range dec.groups {
		g := &dec.groups[i]
		if since(dec.newest, g.id) > fecGroups {
			g.release(mem)
			continue
		}
		kept = append(kept, *g)
	}
	clear(dec.groups[len(kept):])
	dec.groups = kept
	for i := range dec.groups {
		if dec.groups[i].id == id {
			found = &dec.groups[i]
		}
	}
	if found == nil {
		dec.groups = append(dec.groups, fecGroup{id: id, have: make([]*packet, f.size())})
		found = &dec.groups[len(dec.groups)-1]
	}
	return found
}

func (g *fecGroup) recover(f *fec, mem *memory, found func(segments []byte)) {
	most, lost := 0, 0
	for i, q := range g.have {
		if q != nil {
			most = max(most, len(q.bytes))
		} else if i < f.data {
			lost++
		}
	}
	if lost == 0 {
		return
	}
	shards := make([][]byte, f.size())
	made := make([]*packet, 0, lost)
	for i, q := range g.have {
		switch {
		case q != nil:
			n := len(q.bytes)
			shards[i] = q.store[:most]
			clear(shards[i][n:])
		case i < f.data:
			p := mem.packet(0)
			made = append(made, p)
			shards[i] = p.store[:0]
		}
	}
	if f.codec.ReconstructData(shards) == nil {
		for i, q := range g.have[:f.data] {
			if d := shards[i]; q == nil && len(d) >= 2 {
				if size := int(binary.LittleEndian.Uint16(d)); size >= 2 && size <= len(d) {
					found(d[2:size])
				}
			}
		}
	}
	for _, p := range made {
		mem.done(p)
	}
}

func (g *fecGroup) release(mem *memory) {
	for _, q := range g.have {
		if q != nil {
			mem.done(q)
		}
	}
	g.have = nil
}

// stale gives up what waits for datagrams that will not come any more.
func (dec *fecDecoder) stale(mem *memory, now uint32) {
	if len(dec.groups) > 0 && since(now, dec.last) >= 2*fecMaxPause {
		dec.release(mem)
	}
}

func (dec *fecDecoder) release(mem *memory) {
	for i := range dec.groups {
		dec.groups[i].release(mem)
	}
	dec.groups = nil
}
