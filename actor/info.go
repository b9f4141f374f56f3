package actor

import (
	"fmt"
	"iter"
	"slices"
	"time"
)

// Info is what one actor does.
type Info struct {
	Ref    Ref
	Name   string // empty for one without a name
	Kind   string // Spec.Kind
	Parent Ref    // nobody for one that was spawned from outside
	// Waiting is how many messages wait, and MostWaiting how many did at once since the actor was spawned. An unbounded mailbox is emptied a batch at
	// a time; what is left of the batch in hand counts as waiting as a whole.
	Waiting, MostWaiting int
	// Processed is how many messages have been handled, continuations and timers among them; it grows at the end of each batch.
	Processed uint64
	// Dropped is how many a bounded mailbox has dropped by its policy.
	Dropped uint64
	// Busy is the time that handlers have taken, ended batches only.
	Busy time.Duration
	// Quarantined ones handle nothing until they are let go, see System.Quarantine.
	Quarantined bool
	// Restarting actors wait for the end of their pause after a failure, Stopping ones for the end of what they have begun.
	Restarting, Stopping bool
}

// Inspect tells what an actor of this node does; false if there is no such actor.
func (s *System) Inspect(of Ref) (Info, bool) {
	p := s.process(of)
	if p == nil {
		return Info{}, false
	}
	return p.info(), true
}

// Stuck tells for how long, at least, an actor of this node has been in one handler, and the Go stack it has there; false if it is in none, or has not been for
// two looks of the monitor, which are a fifth of Config.StuckAfter apart. Any goroutine may call it. A stack stops all goroutines for a moment.
func (s *System) Stuck(of Ref) (since time.Time, stack string, ok bool) {
	p := s.process(of)
	if p == nil {
		return time.Time{}, "", false
	}
	m := &s.disp.monitor
	m.mu.Lock()
	var in *worker
	for w, suspect := range m.suspects {
		if suspect.p == p && w.current.Load() == p && p.hasNotSeen(opBeat) {
			in, since = w, suspect.at
		}
	}
	m.mu.Unlock()
	if in == nil {
		return time.Time{}, "", false
	}
	return since, stackOf(in), true
}

// StuckActors are the actors of this node that are in one handler for longer than Config.StuckAfter, and since when at least. It is cheap while there are none.
func (s *System) StuckActors() map[Ref]time.Time {
	m := &s.disp.monitor
	m.mu.Lock()
	defer m.mu.Unlock()
	var stuck map[Ref]time.Time
	for w, suspect := range m.suspects {
		if suspect.told && w.current.Load() == suspect.p && suspect.p.hasNotSeen(opBeat) {
			if stuck == nil {
				stuck = map[Ref]time.Time{}
			}
			stuck[suspect.p.self] = suspect.at
		}
	}
	return stuck
}

// Waiting is how many messages wait for the actor, the one that it handles left out. Unlike Info.Waiting it is exact: for actors that shed load.
func (c *Context) Waiting() int {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limits != nil {
		return p.limits.count
	}
	return p.length() + len(p.worker.batch) - p.worker.pos
}

// Actors are all actors of this node, each as it is at the moment when it is reached.
func (s *System) Actors() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		s.table.all(func(p *process) bool { return yield(p.info()) })
	}
}

func (p *process) info() Info {
	i := Info{Ref: p.self, Name: p.named, Kind: p.opts.kind}
	if p.parent != nil {
		i.Parent = p.parent.self
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i.Waiting = p.length() + int(p.taken)
	if l := p.limits; l != nil {
		i.Waiting, i.Dropped = l.count, l.dropped
	}
	i.MostWaiting, i.Processed, i.Busy = int(p.most), p.processed, time.Duration(p.busy)
	i.Restarting, i.Stopping, i.Quarantined = p.paused, p.state != alive, p.held
	return i
}

// Typed is a message that tells its type itself, for warnings, dead letters and traces; others are called by their Go type.
type Typed interface{ MessageType() string }

func typeName(msg any) (name string) {
	t, ok := msg.(Typed)
	if !ok {
		return fmt.Sprintf("%T", msg)
	}
	defer func() {
		if recover() != nil { // of a nil pointer, say: whoever asks for a name may be in the middle of anything
			name = fmt.Sprintf("%T", msg)
		}
	}()
	return t.MessageType()
}

// warnOfLength says that many messages wait, and which are the most frequent. It looks at the newest ones, because the mailbox stands still meanwhile.
func (p *process) warnOfLength() {
	const samples = largeBlock
	p.mu.Lock()
	waiting := p.length()
	last := p.queue[max(0, len(p.queue)-samples):]
	if b := p.blocks; b != nil && len(last) < samples && len(b.list) > 0 {
		last = append(slices.Clone(b.list[len(b.list)-1]), last...)
	}
	seen := make([]any, 0, len(last))
	for i := range last {
		if e := &last[i]; e.kind.bounded() {
			seen = append(seen, e.content())
		}
	}
	p.mu.Unlock()
	byType := map[string]int{}
	var most string
	for _, msg := range seen {
		name := typeName(msg)
		byType[name]++
		if byType[name] > byType[most] {
			most = name
		}
	}
	p.sys.log.Warn("mailbox is long", "actor", p.name(), "messages", waiting, "most", most, "percent", 100*byType[most]/max(1, len(seen)))
}

// calmDown makes warnings begin anew at the first length after a quiet time. An actor that goes up and down there would else warn all the time.
// The mailbox's lock is held.
func (p *process) calmDown(w *worker, waited int) {
	const quiet = 10 // seconds
	switch now := uint32(w.clock / int64(time.Second)); {
	case p.warnAt == firstWarning:
	case waited >= firstWarning:
		p.warned = 0
	case p.warned == 0:
		p.warned = now + quiet
	case now >= p.warned:
		p.warnAt, p.warned = firstWarning, 0
	}
}
