package actor

import (
	"sync"
	"sync/atomic"
)

// table finds a process by id without a lock: the id names a slot and the generation of its tenant.
type table struct {
	chunks atomic.Pointer[[]*chunk]

	mu    sync.Mutex
	free  []uint32 // ended tenants' slots, used again in the order they were given back so that generations last long
	head  int
	next  uint32
	alive atomic.Int64
}

type chunk struct {
	procs [chunkSize]atomic.Pointer[process]
	gens  [chunkSize]uint32 // guarded by table.mu
}

// minFree keeps a slot empty for a while after its tenant ended.
const minFree = 1024

func (t *table) get(id uint64) *process {
	p := t.tenant(id)
	if p == nil || p.self.id != id {
		return nil
	}
	return p
}

// tenant is who has the slot that id names, be it that of an earlier one.
func (t *table) tenant(id uint64) *process {
	slot := slotOf(id)
	chunks := t.chunks.Load()
	if chunks == nil || int(slot>>chunkBits) >= len(*chunks) {
		return nil
	}
	return (*chunks)[slot>>chunkBits].procs[slot&(chunkSize-1)].Load()
}

// add gives p a slot and returns its id, or false when 16 million actors are alive.
func (t *table) add(p *process, node *Node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	slot, ok := t.slot()
	if !ok {
		return false
	}
	c := (*t.chunks.Load())[slot>>chunkBits]
	i := slot & (chunkSize - 1)
	c.gens[i] = (c.gens[i] + 1) & (1<<genBits - 1)
	if c.gens[i] == 0 {
		c.gens[i] = 1
	}
	p.self = Ref{node: node, id: uint64(c.gens[i])<<slotBits | uint64(slot)}
	c.procs[i].Store(p)
	t.alive.Add(1)
	return true
}

func (t *table) slot() (uint32, bool) {
	if n := len(t.free) - t.head; n > minFree || (n > 0 && t.next == 1<<slotBits) {
		slot := t.free[t.head]
		t.head++
		if t.head > len(t.free)/2 && t.head > 4096 {
			t.free = append([]uint32(nil), t.free[t.head:]...)
			t.head = 0
		}
		return slot, true
	}
	if t.next == 1<<slotBits {
		return 0, false
	}
	slot := t.next
	t.next++
	var chunks []*chunk
	if old := t.chunks.Load(); old != nil {
		chunks = *old
	}
	if int(slot>>chunkBits) == len(chunks) {
		grown := make([]*chunk, len(chunks), len(chunks)+1)
		copy(grown, chunks)
		grown = append(grown, &chunk{})
		t.chunks.Store(&grown)
	}
	return slot, true
}

func (t *table) remove(p *process) {
	slot := slotOf(p.self.id)
	t.mu.Lock()
	defer t.mu.Unlock()
	(*t.chunks.Load())[slot>>chunkBits].procs[slot&(chunkSize-1)].Store(nil)
	t.free = append(t.free, slot)
	t.alive.Add(-1)
}

// all calls f with each live process until it returns false.
func (t *table) all(f func(*process) bool) {
	chunks := t.chunks.Load()
	if chunks == nil {
		return
	}
	for _, c := range *chunks {
		for i := range c.procs {
			if p := c.procs[i].Load(); p != nil && !f(p) {
				return
			}
		}
	}
}
