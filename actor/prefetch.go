package actor

import (
	"unsafe"

	"github.com/skua-go/skua/internal/prefetch"
)

// Prefetch asks the processor to load what it takes to deliver a message to the actor with that number (Ref.ID), for callers that are about to send to many and know
// them all before. Depth 0 loads the runtime's part of the actor, depth 1 what that leads to, which is worth while when depth 0 has been called for all of them.
// It is a hint, without effect for an actor that there is not. It may be called from any goroutine, and waits for nothing.
func (s *System) Prefetch(id uint64, depth int) {
	p := s.table.tenant(id)
	switch {
	case p == nil:
	case depth == 0:
		prefetch.Load(unsafe.Pointer(p), prefetch.Lines(unsafe.Sizeof(*p)))
	default:
		if lines := p.bodyLines.Load(); lines > 0 {
			prefetch.Load(unsafe.Pointer(p.body.Load()), int(lines))
		}
		if p.mu.TryLock() {
			if cap(p.queue) > 0 {
				prefetch.Load(unsafe.Pointer(unsafe.SliceData(p.queue)), prefetch.Lines(smallBlock*unsafe.Sizeof(envelope{})))
			}
			p.mu.Unlock()
		}
	}
}

// noteBody notes where the actor is, for Prefetch.
func (p *process) noteBody() {
	at, lines := prefetch.Of(p.actor).Range()
	p.body.Store((*byte)(at))
	p.bodyLines.Store(uint32(lines))
}
