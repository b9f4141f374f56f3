package actor

// Wheel is the timing wheel without its clock, for tests that compare it with a sorted list.
type Wheel struct {
	w     wheel
	fired []int
}

// WheelTimer is a timer of a Wheel.
type WheelTimer struct {
	node  timerNode
	wheel *Wheel
	id    int
}

func (t *WheelTimer) expire() { t.wheel.fired = append(t.wheel.fired, t.id) }

func NewWheel() *Wheel { return &Wheel{w: *newWheel(nil)} }

func (w *Wheel) Timer(id int) *WheelTimer {
	t := &WheelTimer{wheel: w, id: id}
	t.node.due = t
	return t
}

func (w *Wheel) Add(t *WheelTimer, when int64)  { w.w.add(&t.node, when) }
func (w *Wheel) Cancel(t *WheelTimer) bool      { return w.w.cancel(&t.node) }
func (w *Wheel) When(t *WheelTimer) int64       { return t.node.when }
func (w *Wheel) Now() int64                     { return w.w.now }
func (w *Wheel) Next() (at int64, pending bool) { return w.w.next, w.w.next != never }

// Advance moves the time on and returns who fired, in order.
func (w *Wheel) Advance(to int64) []int {
	w.fired = nil
	for _, n := range w.w.expired(to, nil) {
		n.due.expire()
	}
	return w.fired
}

// LongestWait is the longest time that a timer can be set to.
const LongestWait = longest

// Tick is the wheel's resolution.
const Tick = tick

// FirstWarning is the length of a mailbox that is warned of first.
const FirstWarning = firstWarning

// MinFree is how many slots rest before one is used again.
const MinFree = minFree

// Slot is the place of the actor in the table.
func Slot(r Ref) uint32 { return slotOf(r.id) }

// Watchers is how many actors are to hear of the end of an actor.
func Watchers(s *System, r Ref) int {
	p := s.process(r)
	p.openMu.Lock()
	defer p.openMu.Unlock()
	return len(p.watchers)
}

// Box is the mailbox of an actor that is never run.
type Box struct{ p *process }

func NewBox(s *System, m Mailbox) Box {
	p := &process{sys: s}
	p.limits = newLimits(&Spec{Mailbox: m})
	p.self = Ref{node: s.node, id: 1<<53 - 1}
	p.scheduled = true
	return Box{p}
}

func (b Box) Send(msg any) { b.p.post(envelope{msg: msg}, nil) }
func (b Box) Len() int     { return b.p.limits.count }

func (b Box) Take() (any, bool) {
	b.p.mu.Lock()
	defer b.p.mu.Unlock()
	e, ok := b.p.pop(false)
	return e.msg, ok
}

// OpenRequests is how many requests an actor has left for later.
func OpenRequests(s *System, r Ref) (n int) {
	p := s.process(r)
	p.openMu.Lock()
	defer p.openMu.Unlock()
	for o := p.open; o != nil; o = o.nextOpen {
		n++
	}
	return n
}

// Topics is how many topics have subscribers.
func Topics(s *System) int {
	s.topics.mu.RLock()
	defer s.topics.mu.RUnlock()
	return len(s.topics.byName)
}

// Cap is how many places the mailbox takes.
func (b Box) Cap() int { return cap(b.p.queue) }

// Pending is how many requests and pieces of work an actor has begun on behalf of the request in hand, and in all.
func (c *Context) Pending() (kids, asked, works int) {
	if r := c.in().req; r != nil {
		for k := r.kids; k != nil; k = k.nextKid {
			kids++
		}
	}
	for r := c.p.asked; r != nil; r = r.nextAsked {
		asked++
	}
	if c.p.rare != nil {
		for w := c.p.rare.works; w != nil; w = w.next {
			works++
		}
	}
	return kids, asked, works
}

// Resting tells whether no worker has the actor, nor is about to.
func Resting(s *System, r Ref) bool {
	p := s.process(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.scheduled
}
