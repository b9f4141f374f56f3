package actor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Actor handles one message at a time. Receive must not block; what it gets in msg it must not change.
type Actor interface {
	Receive(c *Context, msg any)
}

// Func is an Actor without state of its own.
type Func func(c *Context, msg any)

// Receive calls f.
func (f Func) Receive(c *Context, msg any) { f(c, msg) }

// Starter is an Actor that prepares itself before its first message. An error ends the actor; Spawn from outside returns it.
type Starter interface {
	Start(c *Context) error
}

// Stopper is an Actor that has something to do before it ends. It may still Ask and Go; the actor ends when all of that, and whatever it
// was waiting for before, has come back, or when its StopTimeout is over. It gets no new messages meanwhile.
type Stopper interface {
	Stop(c *Context, reason error)
}

// Spec tells how to make an actor.
type Spec struct {
	// Name registers the actor on its node; empty for one that is known by its Ref only.
	Name string
	// New makes the actor, and makes it anew when it is restarted.
	New func() Actor
	// Supervision tells what happens after a panic.
	Supervision Supervision
	// StopTimeout bounds the graceful end. Default 10 s.
	StopTimeout time.Duration
}

// Supervision restarts an actor that panicked: its request is answered with Failed, its children are stopped, and New makes its successor, which
// gets the messages that wait. The first restart comes after Backoff, each further one within Within after twice as long, up to 64 times Backoff.
type Supervision struct {
	// Limit is how many restarts within Within are allowed before the actor ends with ErrExhausted. Default 5; negative: none at all.
	Limit int
	// Within is the window of Limit. Default 30 s.
	Within time.Duration
	// Backoff is the pause before the first restart. Default 10 ms.
	Backoff time.Duration
}

func (s *Supervision) defaults() {
	if s.Limit == 0 {
		s.Limit = 5
	}
	if s.Within == 0 {
		s.Within = 30 * time.Second
	}
	if s.Backoff == 0 {
		s.Backoff = 10 * time.Millisecond
	}
}

// Config is what a System may be told. The zero value works.
type Config struct {
	// Node is the name of this node. Default "skua".
	Node string
	// CallTimeout is the deadline of an Ask that names none and inherits none. Default 5 s.
	CallTimeout time.Duration
	// Blocking is how many pieces of work given to Context.Go run at a time. Default 256.
	Blocking int
	// BlockingQueue is how many more may wait; beyond it Go fails with ErrOverloaded. Default 65,536.
	BlockingQueue int
	// Log gets failures and warnings. Default slog.Default().
	Log *slog.Logger
}

// System is the actors of one node. Make it with New and end it with Shutdown.
type System struct {
	cfg   Config
	log   *slog.Logger
	node  *Node
	table table
	disp  dispatcher
	wheel *wheel
	pool  pool
	ctx   context.Context //nolint:containedctx // the lifetime of all work that actors give away
	end   context.CancelFunc

	driver  sync.WaitGroup
	dead    deadLetters
	fails   atomic.Int64
	restart atomic.Int64

	mu     sync.RWMutex
	names  map[string]*process
	last   *process // of the list of those without a parent, in the order they were spawned
	closed bool
}

// New makes a System that is ready to use.
func New(cfg Config) *System {
	if cfg.Node == "" {
		cfg.Node = "skua"
	}
	if cfg.CallTimeout <= 0 {
		cfg.CallTimeout = 5 * time.Second
	}
	if cfg.Blocking <= 0 {
		cfg.Blocking = 256
	}
	if cfg.BlockingQueue <= 0 {
		cfg.BlockingQueue = 65536
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &System{cfg: cfg, log: cfg.Log, wheel: newWheel(), names: map[string]*process{}}
	s.node = &Node{name: cfg.Node, local: s}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.pool = pool{limit: cfg.Blocking, queueLimit: cfg.BlockingQueue}
	s.dead.log = cfg.Log
	s.disp.done = s.ctx.Done()
	s.driver.Go(func() { s.wheel.drive(s.ctx.Done()) })
	return s
}

// Node is this node.
func (s *System) Node() *Node { return s.node }

// Log is where the system logs to.
func (s *System) Log() *slog.Logger { return s.log }

// CallTimeout is the default deadline of requests.
func (s *System) CallTimeout() time.Duration { return s.cfg.CallTimeout }

// RefOf is the Ref of the actor with this id on this node, whether it lives or not.
func (s *System) RefOf(id uint64) Ref { return Ref{node: s.node, id: id} }

// Spawn starts an actor and waits for its Start, whose error it returns. It blocks: actors use [Context.Spawn].
func (s *System) Spawn(spec Spec) (Ref, error) {
	p, err := s.spawn(spec, nil)
	if err != nil {
		return Ref{}, err
	}
	if err := <-p.started; err != nil {
		<-p.whenEnded() // its name is free again
		return Ref{}, fmt.Errorf("actor: start %s: %w", p.name(), err)
	}
	return p.self, nil
}

func (s *System) spawn(spec Spec, parent *process) (*process, error) {
	if spec.New == nil {
		return nil, errors.New("actor: Spec.New is nil")
	}
	spec.Supervision.defaults()
	if spec.StopTimeout <= 0 {
		spec.StopTimeout = 10 * time.Second
	}
	p := &process{sys: s, spec: spec, parent: parent}
	p.warnAt = firstWarning
	p.ctx.p = p
	// It is found by others before it runs, so its first message is there before it is found.
	p.system, p.scheduled = []systemMsg{{op: opStart}}, true
	p.urgent.Store(true)
	if parent == nil {
		p.started = make(chan error, 1)
	}
	s.mu.Lock()
	if s.closed && parent == nil {
		s.mu.Unlock()
		return nil, ErrShutdown
	}
	if _, taken := s.names[spec.Name]; taken { // never for the empty name
		s.mu.Unlock()
		return nil, fmt.Errorf("%w: %q", ErrNameTaken, spec.Name)
	}
	if !s.table.add(p, s.node) {
		s.mu.Unlock()
		return nil, &Error{Code: Overloaded, Actor: spec.Name, Text: "16 million actors are alive"}
	}
	if spec.Name != "" {
		s.names[spec.Name] = p
	}
	if parent == nil {
		s.addRoot(p)
	}
	s.mu.Unlock()
	s.disp.run(p)
	return p, nil
}

func (s *System) addRoot(p *process) {
	p.prevRoot = s.last
	if s.last != nil {
		s.last.nextRoot = p
	}
	s.last = p
}

func (s *System) removeRoot(p *process) {
	if p.prevRoot != nil {
		p.prevRoot.nextRoot = p.nextRoot
	}
	if p.nextRoot != nil {
		p.nextRoot.prevRoot = p.prevRoot
	} else {
		s.last = p.prevRoot
	}
	p.nextRoot, p.prevRoot = nil, nil
}

// Lookup finds an actor of this node by name.
func (s *System) Lookup(name string) (Ref, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.names[name]
	if !ok {
		return Ref{}, false
	}
	return p.self, true
}

// Register gives an actor of this node a name, beside the one it may have, until it ends.
func (s *System) Register(name string, to Ref) error {
	if name == "" {
		return errors.New("actor: register: the name is empty")
	}
	p := s.process(to)
	if p == nil || p.sys != s {
		return &Error{Code: NoActor, Actor: to.String()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if holder, taken := s.names[name]; taken {
		if holder == p {
			return nil
		}
		return fmt.Errorf("%w: %q", ErrNameTaken, name)
	}
	if p.gone {
		return &Error{Code: NoActor, Actor: to.String()}
	}
	s.names[name] = p
	p.aliases = append(p.aliases, name)
	return nil
}

// Send gives a message to an actor. It never blocks; what cannot be delivered is a dead letter.
func (s *System) Send(to Ref, msg any) { s.send(to, Ref{}, msg, nil) }

func (s *System) send(to, from Ref, msg any, w *worker) {
	p := s.process(to)
	if p == nil {
		s.dead.add(s, to, from, msg, NoActor)
		return
	}
	if code := p.post(envelope{msg: msg, from: from}, w); code != 0 {
		s.dead.add(s, to, from, msg, code)
	}
}

// Ask sends a request from outside of all actors and waits for the answer, until ctx ends; the default deadline is for a ctx without one.
func (s *System) Ask(ctx context.Context, to Ref, msg any) (any, error) {
	type result struct {
		v   any
		err error
	}
	answer := make(chan result, 1)
	timeout := s.cfg.CallTimeout
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d)
	}
	r := &request{sys: s, to: to, then: func(v any, err error) { answer <- result{v, err} }}
	s.ask(r, Ref{}, msg, s.tickAfter(timeout), nil)
	select {
	case a := <-answer:
		return a.v, a.err
	case <-ctx.Done():
		err := ctx.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = &Error{Code: Deadline, Actor: s.nameOf(to)}
		}
		r.complete(expired, nil, err, nil)
	case <-s.ctx.Done(): // nothing keeps deadlines any more
		r.complete(expired, nil, &Error{Code: Stopped, Actor: s.nameOf(to), Text: ErrShutdown.Error()}, nil)
	}
	a := <-answer
	return a.v, a.err
}

// ask sends r. An answer, if only that there is nobody, comes to r in any case.
func (s *System) ask(r *request, from Ref, msg any, deadline int64, w *worker) {
	p := s.process(r.to)
	if p == nil {
		r.answer(nil, s.absent(r.to))
		return
	}
	r.callee = p
	r.due = r
	s.wheel.add(&r.timerNode, deadline)
	if code := p.post(envelope{msg: msg, from: from, req: r}, w); code != 0 {
		r.answer(nil, &Error{Code: code, Actor: s.nameOf(r.to)})
	}
}

func (s *System) absent(to Ref) error {
	code := NoActor
	if to.node != nil && to.node.local == nil {
		code = Unreachable
	}
	return &Error{Code: code, Actor: to.String()}
}

func (s *System) process(to Ref) *process {
	if to.node == nil || to.node.local == nil {
		return nil
	}
	return to.node.local.table.get(to.id)
}

// nameOf is how errors and logs call an actor.
func (s *System) nameOf(r Ref) string {
	if p := s.process(r); p != nil {
		return p.name()
	}
	return r.String()
}

func (p *process) name() string {
	if p.spec.Name != "" {
		return p.spec.Name
	}
	return p.self.String()
}

// longest is what the wheel can hold with room to spare; who waits longer waits for ever.
const longest = 100 * 365 * 24 * time.Hour

// tickAfter is the tick at which d has passed in full.
func (s *System) tickAfter(d time.Duration) int64 {
	return int64((time.Since(s.wheel.start) + min(d, longest) + tick - 1) / tick)
}

// Stop asks an actor to end: at once, without the messages that wait.
func (s *System) Stop(to Ref, reason error) {
	if p := s.process(to); p != nil {
		p.tell(systemMsg{op: opStop, err: reason})
	}
}

// Shutdown stops the actors that Spawn has started, the newest first, each with all its children before the next one, and waits for the work given to
// Context.Go. When ctx ends first, those that are left are told to stop all at once, and the error names whom it was waiting for and who is left.
func (s *System) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	var roots []*process
	for p := s.last; p != nil; p = p.prevRoot {
		roots = append(roots, p)
	}
	s.mu.Unlock()
	var late *process
	for _, p := range roots {
		ended := p.whenEnded()
		p.tell(systemMsg{op: opStop, err: ErrShutdown})
		if late != nil {
			continue
		}
		select {
		case <-ended:
		case <-ctx.Done():
			late = p
		}
	}
	s.end()
	s.driver.Wait()
	if late != nil {
		return fmt.Errorf("actor: shutdown: %s did not end: %w; alive: %s", late.name(), ctx.Err(), s.alive())
	}
	if err := s.pool.wait(ctx); err != nil {
		return fmt.Errorf("actor: shutdown: work given to Go does not end: %w", err)
	}
	s.disp.close()
	return nil
}

// alive names those who live, or some of them.
func (s *System) alive() string {
	const some = 16
	var names []string
	s.table.all(func(p *process) {
		if len(names) < some {
			names = append(names, p.name())
		}
	})
	out := strings.Join(names, ", ")
	if n := int(s.table.alive.Load()); n > some {
		out += fmt.Sprintf(" and %d more", n-some)
	}
	return out
}

// Stats are counters of a System since it was made, and how many actors live now.
type Stats struct {
	Actors      int64
	DeadLetters int64
	Failures    int64 // panics of handlers
	Restarts    int64
}

// Stats counts.
func (s *System) Stats() Stats {
	return Stats{
		Actors: s.table.alive.Load(), DeadLetters: s.dead.count.Load(),
		Failures: s.fails.Load(), Restarts: s.restart.Load(),
	}
}
