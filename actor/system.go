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
	// StuckAfter is how long an actor may be in one handler before it is logged, with its stack. Default 5 s; negative: for ever.
	StuckAfter time.Duration
	// Explain, if it is set, says more of an actor that is stuck in a handler, for the log: where its script is, say. It is called once each time, by a goroutine of its own, and must
	// return soon, whatever the actor does.
	Explain func(of Ref) string
	// Tracer makes spans of what actors handle. Default nil: no tracing, at no cost.
	Tracer Tracer
	// Scheduler runs the actors instead of the system's own workers: for tests that decide who handles its next message, see package actortest.
	Scheduler Scheduler
	// Clock is the time of timers and deadlines, for those who move it. Default nil: the machine's.
	Clock *Clock
	// Log gets failures and warnings. Default slog.Default().
	Log *slog.Logger
}

func (cfg *Config) defaults() {
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
	if cfg.StuckAfter == 0 {
		cfg.StuckAfter = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
}

// System is the actors of one node. Make it with New and end it with Shutdown.
type System struct {
	cfg    Config
	log    *slog.Logger
	node   *Node
	others atomic.Pointer[Nodes] // nil for a System that has not joined others
	table  table
	disp   dispatcher
	wheel  *wheel
	pool   pool
	topics topics
	waits  waits
	ctx    context.Context //nolint:containedctx // the lifetime of all work that actors give away
	end    context.CancelFunc

	quiet   chan struct{} // closed when all actors have ended: nobody needs the time any more
	driver  sync.WaitGroup
	dead    deadLetters
	fails   atomic.Int64
	restart atomic.Int64
	aside   sync.Map // of Refs in quarantine, to Quarantined
	asks    [2]times // of requests that were answered, and that failed

	mu     sync.RWMutex
	names  map[string]*process
	last   *process          // of the list of those without a parent, in the order they were spawned
	opts   *options          // of the actor spawned last
	times  map[string]*times // of handlers, by kind
	closed bool
}

// New makes a System that is ready to use.
func New(cfg Config) *System {
	cfg.defaults()
	s := &System{cfg: cfg, log: cfg.Log, wheel: newWheel(cfg.Clock), names: map[string]*process{}, times: map[string]*times{}, quiet: make(chan struct{})}
	s.node = &Node{name: cfg.Node, local: s}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.pool = pool{limit: cfg.Blocking, queueLimit: cfg.BlockingQueue}
	s.dead.log = cfg.Log
	s.disp.init(s)
	s.driver.Go(func() { s.wheel.drive(s.quiet) })
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

// Send gives a message to an actor. It never blocks; what cannot be delivered is a dead letter.
func (s *System) Send(to Ref, msg any) { s.send(to, Ref{}, msg, nil, nil) }

func (s *System) send(to, from Ref, msg any, span Span, w *worker) {
	p := s.process(to)
	if p == nil {
		s.sendAway(to, from, msg, span)
		return
	}
	if code := p.post(newEnvelope(msg, from, span), w); code != 0 {
		s.dead.add(s, to, from, msg, code)
	}
}

// Publish sends one message to all subscribers of a topic, which share it, and returns how many there are.
func (s *System) Publish(topic string, msg any) int {
	return s.topics.publish(topic, Ref{}, msg, nil, nil)
}

// Ask sends a request from outside of all actors and waits for the answer, until ctx ends; the default deadline is for a ctx without one.
func (s *System) Ask(ctx context.Context, to Ref, msg any) (any, error) {
	done := make(chan struct{})
	var v any
	var err error
	timeout := s.cfg.CallTimeout
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d)
	}
	r := &outside{request: request{
		sys: s, to: to, when: s.tickAfter(timeout), since: s.begins(), callee: s.process(to), in: frame{span: s.spanIn(ctx)}, inline: true,
		then: func(answer any, failure error) { v, err = answer, failure; close(done) },
	}}
	r.due = r
	if r.callee != nil || to.IsRemote() {
		s.wheel.add(&r.timerNode, r.request.when)
		defer s.wheel.cancel(&r.timerNode)
	}
	s.ask(&r.request, Ref{}, msg, nil)
	s.await(ctx, done, s.ctx.Done())
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		r.abandon(expired)
	case ctx.Err() != nil:
		r.abandon(givenUp)
	case s.ctx.Err() != nil: // the system has been shut down, or its time for that is over
		r.complete(givenUp, nil, &Error{Code: Stopped, Actor: s.nameOf(to), Text: ErrShutdown.Error()}, nil)
	}
	<-done
	return v, err
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

// longest is what the wheel can hold with room to spare; who waits longer waits for ever.
const longest = 100 * 365 * 24 * time.Hour

// tickAfter is the tick at which d has passed in full.
func (s *System) tickAfter(d time.Duration) int64 {
	return tickAt(s.wheel.passed() + min(d, longest))
}

// Stop asks an actor to end: at once, without the messages that wait. It is given its StopTimeout for its end.
func (s *System) Stop(to Ref, reason error) {
	if p := s.process(to); p != nil {
		p.tell(systemMsg{op: opStop, err: reason})
	} else if remote := to.away(); remote != nil {
		remote.Order(to, Ref{}, Order{Verb: VerbStop, Reason: reason})
	}
}

// Kill ends an actor after the message that it handles, and its children with it: without their Stop, and without what they wait for.
func (s *System) Kill(to Ref, reason error) {
	if p := s.process(to); p != nil {
		p.tell(systemMsg{op: opKill, err: reason})
	} else if remote := to.away(); remote != nil {
		remote.Order(to, Ref{}, Order{Verb: VerbKill, Reason: reason})
	}
}

// Drain asks an actor to end after the messages that it has been sent so far, or when within has passed; 0 sets no limit.
func (s *System) Drain(to Ref, within time.Duration) { s.drain(to, Ref{}, within, nil) }

// Retire is Drain with a reason, see Context.Retire.
func (s *System) Retire(to Ref, within time.Duration, reason error) {
	s.drain(to, Ref{}, within, reason)
}

func (s *System) drain(to, from Ref, within time.Duration, reason error) {
	p := s.process(to)
	if p == nil {
		if remote := to.away(); remote != nil {
			remote.Order(to, from, Order{Verb: VerbDrain, Reason: reason, Within: within})
		}
		return
	}
	if within > 0 {
		l := &drainLimit{sys: s, of: to, reason: reason}
		l.due = l
		s.wheel.add(&l.timerNode, s.tickAfter(within))
	}
	p.post(envelope{kind: kindDrain, msg: reason, from: from}, nil)
}

// drainLimit stops an actor whose queue was too long. It does not keep alive what has ended before.
type drainLimit struct {
	timerNode
	sys    *System
	of     Ref
	reason error
}

func (l *drainLimit) expire() { l.sys.Stop(l.of, l.reason) }

// Ended is closed when the actor has ended; at once if there is no such actor. Actors use [Context.Watch].
func (s *System) Ended(of Ref) <-chan struct{} {
	if p := s.process(of); p != nil {
		return p.whenEnded()
	}
	if of.IsRemote() {
		return s.endAway(of)
	}
	gone := make(chan struct{})
	close(gone)
	return gone
}

// ShutdownError tells who did not end in time.
type ShutdownError struct {
	Waiting string // the actor that the system was waiting for; empty if all have ended and only work given to Go goes on
	Alive   []Info // those who live, at most 1,000
	Err     error  // the context's
}

func (e *ShutdownError) Error() string {
	if e.Waiting == "" {
		return fmt.Sprintf("actor: shutdown: work given to Go does not end: %v", e.Err)
	}
	const some = 16
	names := make([]string, 0, some)
	for _, i := range e.Alive[:min(some, len(e.Alive))] {
		name := i.Name
		if name == "" {
			name = i.Ref.String()
		}
		names = append(names, name)
	}
	more := ""
	if n := len(e.Alive) - some; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("actor: shutdown: %s did not end: %v; alive: %s%s", e.Waiting, e.Err, strings.Join(names, ", "), more)
}

// Unwrap is the context's error.
func (e *ShutdownError) Unwrap() error { return e.Err }

// Shutdown stops the actors that Spawn has started, the newest first, each with all its children before the next one, and waits for the work given to
// Context.Go. When ctx ends first, those that are left are told to stop all at once, and a *ShutdownError names whom it was waiting for and who is left; they go on
// to end within their StopTimeouts, and Shutdown may be called again to wait for that.
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
		s.await(ctx, ended, nil)
		select {
		case <-ended:
		default:
			late = p
		}
	}
	s.end()
	if late != nil {
		e := &ShutdownError{Waiting: late.name(), Err: ctx.Err()}
		for i := range s.Actors() {
			if e.Alive = append(e.Alive, i); len(e.Alive) == 1000 {
				break
			}
		}
		return e
	}
	s.mu.Lock()
	select {
	case <-s.quiet:
	default:
		close(s.quiet)
	}
	s.mu.Unlock()
	s.driver.Wait()
	if err := s.pool.wait(ctx); err != nil {
		return &ShutdownError{Err: err}
	}
	s.disp.close()
	return nil
}

// Stats are counters of a System since it was made, and how many actors live and how much work is done off them now.
type Stats struct {
	Actors      int64
	DeadLetters int64
	Failures    int64 // of handlers, and of actors whose children escalated
	Restarts    int64
	Working     int64 // pieces of work given to Context.Go that run or wait to run
}

// Stats counts.
func (s *System) Stats() Stats {
	return Stats{
		Actors: s.table.alive.Load(), DeadLetters: s.dead.count.Load(),
		Failures: s.fails.Load(), Restarts: s.restart.Load(), Working: s.pool.working(),
	}
}
