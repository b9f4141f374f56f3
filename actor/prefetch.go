package actor

import "github.com/skua-go/skua/internal/prefetch"

// Prefetch asks the processor to load what it takes to deliver a message to the actor with that number (Ref.ID), for callers that are about to send to many and know
// them all before. Depth 0 loads the runtime's part of the actor, depth 1 what that leads to, which is worth while when depth 0 has been called for all of them.
// It is a hint, without effect for an actor that there is not. It may be called from any goroutine, and waits for nothing.
func (s *System) Prefetch(id uint64, depth int) {
	p := s.table.tenant(id)
	switch {
	case p == nil:
	case depth == 0:
		prefetch.One(p)
	default:
		prefetch.Bytes(p.body.Load(), int(p.bodyLines.Load()))
		if p.mu.TryLock() {
			prefetch.First(p.queue, smallBlock)
			p.mu.Unlock()
		}
	}
}

// noteBody notes where the actor is, for Prefetch.
func (p *process) noteBody() {
	at, lines := prefetch.Of(p.actor).Range()
	p.body.Store(at)
	p.bodyLines.Store(uint32(lines))
}
