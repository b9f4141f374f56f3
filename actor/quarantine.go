package actor

import "time"

// maxHeld bounds the messages that are kept for an actor in quarantine. Further ones fail with ErrOverloaded, or are dead letters.
const maxHeld = 10_000

// Quarantined is an actor that handles nothing, and why.
type Quarantined struct {
	Since  time.Time
	Reason error
}

// Quarantine has an actor of this node handle nothing more from its present handler's end on, until Release: its messages are kept, up to 10,000 of them, answers and timers wait, and
// those who ask it wait until their deadlines. It can still be stopped and killed, and is then ended as any other. Any goroutine may call it, the actor's own too.
func (s *System) Quarantine(of Ref, reason error) error {
	p := s.process(of)
	if p == nil || p.sys != s {
		return &Error{Code: NoActor, Actor: of.String()}
	}
	if _, already := s.aside.LoadOrStore(of, Quarantined{time.Now(), reason}); already {
		return nil
	}
	s.log.Error("actor is put in quarantine: it handles nothing until an operator lets it go on, or ends it", "actor", p.name(), "kind", p.opts.kind, "reason", reason)
	p.tell(systemMsg{op: opHold})
	return nil
}

// Release lets an actor go on with the messages that were kept; false if it is in no quarantine.
func (s *System) Release(of Ref) bool {
	p := s.process(of)
	if _, was := s.aside.LoadAndDelete(of); !was || p == nil {
		return false
	}
	s.log.Warn("actor goes on after its quarantine", "actor", p.name())
	p.tell(systemMsg{op: opRelease})
	return true
}

// InQuarantine lists the actors in quarantine.
func (s *System) InQuarantine() map[Ref]Quarantined {
	all := map[Ref]Quarantined{}
	s.aside.Range(func(key, why any) bool {
		ref := key.(Ref) //nolint:forcetypeassert // what Quarantine has put in
		if s.process(ref) == nil {
			s.aside.Delete(key) // it has ended
			return true
		}
		all[ref] = why.(Quarantined) //nolint:forcetypeassert // what Quarantine has put in
		return true
	})
	return all
}

// hold begins or ends the quarantine, between two messages.
func (p *process) hold(on bool) {
	p.mu.Lock()
	p.held = on && p.state == alive
	p.mu.Unlock()
}

// Kept is a message that waits for an actor: from whom, and what type it is of.
type Kept struct {
	From    Ref
	Type    string
	Request bool // its sender waits for an answer
}

// Peek tells of the messages that wait for an actor of this node, the oldest first and most at most: what is in its mailbox, without what its worker has taken out already. An actor in
// quarantine has all in its mailbox. Mailboxes with limits are not told of.
func (s *System) Peek(of Ref, most int) []Kept {
	p := s.process(of)
	if p == nil || p.limits != nil {
		return nil
	}
	var kept []Kept
	p.mu.Lock()
	defer p.mu.Unlock()
	add := func(list []envelope) {
		for i := range list {
			e := &list[i]
			if len(kept) == most {
				return
			}
			if e.kind.bounded() {
				kept = append(kept, Kept{From: e.from, Type: keptType(e.content()), Request: e.req != nil})
			}
		}
	}
	if p.blocks != nil {
		for _, b := range p.blocks.list {
			add(b)
		}
	}
	add(p.queue)
	return kept
}

// keptType is the type of a message that nobody handles yet. A Lent one is not asked: its sender may use its memory again meanwhile, if it has given up.
func keptType(msg any) string {
	if _, lent := msg.(Lent); lent {
		return "request"
	}
	return typeName(msg)
}
