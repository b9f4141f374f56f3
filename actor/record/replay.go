package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// Options is how to replay. The zero Options works.
type Options struct {
	// Pauses lets the time pass between messages that passed when they were recorded, for tests in fake time. Without it they follow each other at once.
	Pauses bool
	// Skip leaves entries out. It is also asked about those that can't be made, which else end the replay; their Message is nil.
	Skip func(Entry) bool
}

// Answer is what a request of the recording was answered with now.
type Answer struct {
	Entry Entry
	Value any
	Err   error
}

// Push is a message to a sender of the recording: its stand-in got it.
type Push struct {
	At      time.Duration // since the replay began
	To      string        // the recorded address
	Message any
	Request bool // which the stand-in has refused: it does not know what to answer
}

// Played is what a replay has brought.
type Played struct {
	Answers []Answer // to the requests, in their order

	p *player
}

// Pushes are the messages to the senders of the recording so far, in the order in which they came. Any goroutine may call it, also later on.
func (p *Played) Pushes() []Push {
	p.p.mu.Lock()
	defer p.p.mu.Unlock()
	return slices.Clone(p.p.pushes)
}

// ErrStandIn answers requests to the senders of a recording.
var ErrStandIn = errors.New("record: a stand-in has no answers")

// Replay sends the messages of a recording to an actor, in their order, and waits for the answers to the requests among them.
//
// For each sender, and each other actor whose Ref is in a message, a stand-in is started, which stays until the system ends: messages come from it, and what is
// sent to it is kept (Played.Pushes). The recorded actor's own address is ref's. What the actor sent itself, or its children sent it, is left out, because it
// will do so again; what came behind that waits for it, but no longer than 20 ms, because the actor may have learned to do otherwise.
//
// A message that can't be made ends the replay, as does the end of ctx. What was answered before is returned in any case. It blocks, and is not for actors.
func Replay(ctx context.Context, sys *actor.System, ref actor.Ref, r io.Reader, types *Registry, opts Options) (*Played, error) {
	p := &player{sys: sys, to: ref, opts: opts, standIns: map[string]actor.Ref{}}
	played := &Played{p: p}
	rec, err := Read(r, types)
	if err != nil {
		return played, err
	}
	rec.coder.find = p.find
	p.standIns[rec.Address] = ref
	p.gate, err = sys.Spawn(actor.Spec{New: func() actor.Actor { return &gate{p: p} }}) //nolint:contextcheck // it starts at once
	if err != nil {
		return played, fmt.Errorf("record: replay: %w", err)
	}
	remove, err := sys.Tap(ref, func(in actor.Inbound) {
		if isOwn(sys, ref, in.From) {
			sys.Send(p.gate, own{})
		}
	})
	if err == nil { // else all answers will say that there is no such actor
		defer remove()
	}
	p.begun = time.Now()
	err = p.play(ctx, rec)
	if waitErr := p.wait(ctx); err == nil {
		err = waitErr
	}
	p.outside.Wait()
	sys.Stop(p.gate, nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.answers {
		played.Answers = append(played.Answers, *a)
	}
	return played, err
}

// maxStandIns is how many senders a recording may have.
const maxStandIns = 1 << 16

type player struct {
	sys      *actor.System
	to       actor.Ref
	opts     Options
	begun    time.Time
	gate     actor.Ref
	standIns map[string]actor.Ref // by the addresses that were recorded
	sent     int                  // requests from outside
	alarms   int
	own      int // messages of the actor's own that were recorded so far
	outside  sync.WaitGroup

	mu      sync.Mutex
	pushes  []Push
	answers []*Answer
}

// play sends the messages.
func (p *player) play(ctx context.Context, rec *Recording) error {
	for e, err := range rec.Entries() {
		if e.Type == "" {
			return err // of the file, and the last
		}
		if e.Own {
			p.own++
			continue
		}
		if p.opts.Skip != nil && p.opts.Skip(e) {
			continue
		}
		if err != nil {
			return err
		}
		if err := p.pause(ctx, e.At); err != nil {
			return err
		}
		if err := p.awaitOwn(ctx); err != nil {
			return err
		}
		if err := p.send(ctx, e); err != nil {
			return &LineError{Line: e.Line, Type: e.Type, Err: err}
		}
	}
	return nil
}

// find is who stands in for the actor with a recorded address.
func (p *player) find(address string) (actor.Ref, error) {
	if ref, ok := p.standIns[address]; ok {
		return ref, nil
	}
	if len(p.standIns) >= maxStandIns {
		return actor.Ref{}, fmt.Errorf("more than %d actors to stand in for", maxStandIns)
	}
	ref, err := p.sys.Spawn(actor.Spec{New: func() actor.Actor { return &standIn{p: p, address: address} }})
	if err == nil {
		p.standIns[address] = ref
	}
	return ref, err
}

// pause waits until it is time.
func (p *player) pause(ctx context.Context, at time.Duration) error {
	d := at - time.Since(p.begun)
	if !p.opts.Pauses || d <= 0 {
		return ctx.Err()
	}
	return p.waitFor(ctx, d, func(alarm int) any { return untilAlarm(alarm) })
}

// ownPatience is how long a message of the actor's own is waited for.
const ownPatience = 20 * time.Millisecond

// awaitOwn waits until the actor has had as much from itself as it had when it was recorded.
func (p *player) awaitOwn(ctx context.Context) error {
	if p.own == 0 {
		return nil
	}
	n := p.own
	p.own = 0
	return p.waitFor(ctx, ownPatience, func(alarm int) any { return untilOwn{n: n, orAlarm: alarm} })
}

// waitFor has the gate wait for something with an alarm, which goes off when d has passed: an actor's own timers would not be exact enough.
func (p *player) waitFor(ctx context.Context, d time.Duration, what func(alarm int) any) error {
	p.alarms++
	n := p.alarms
	timer := time.AfterFunc(d, func() { p.sys.Send(p.gate, alarm(n)) })
	defer timer.Stop()
	return p.tell(ctx, p.gate, what(n), d)
}

// tell asks one of the replay's own actors for something that takes at most d. All waiting is done so, and not in a goroutine of our own: where a test decides
// who runs, it is the wait for an answer that lets the others run.
func (p *player) tell(ctx context.Context, ref actor.Ref, what any, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d+time.Minute)
	defer cancel()
	_, err := p.sys.Ask(ctx, ref, what)
	return err
}

func (p *player) send(ctx context.Context, e Entry) error {
	if e.From == "" {
		return p.sendFromOutside(ctx, e)
	}
	from, err := p.find(e.From) //nolint:contextcheck // a stand-in starts at once
	if err != nil {
		return err
	}
	if !e.Request {
		return p.tell(ctx, from, do(func(c *actor.Context) { c.Send(p.to, e.Message) }), 0)
	}
	a := p.expect(e)
	return p.tell(ctx, from, do(func(c *actor.Context) {
		c.Detached(func() { c.Ask(p.to, e.Message, func(v any, err error) { p.answered(a, v, err) }) })
	}), 0)
}

// sendFromOutside sends what comes from no actor. The gate passes requests on, and so knows when one is behind those before it.
func (p *player) sendFromOutside(ctx context.Context, e Entry) error {
	if !e.Request {
		p.sys.Send(p.to, e.Message)
		return nil
	}
	a := p.expect(e)
	p.sent++
	p.outside.Go(func() {
		v, err := p.sys.Ask(ctx, p.gate, e.Message)
		p.answered(a, v, p.ofTarget(err))
	})
	return p.tell(ctx, p.gate, untilSent(p.sent), 0)
}

// ofTarget has an error name the actor, and not the gate that stands before it.
func (p *player) ofTarget(err error) error {
	var e *actor.Error
	if !errors.As(err, &e) || e.Actor != p.gate.String() {
		return err
	}
	named := *e
	named.Actor = p.to.String()
	if i, ok := p.sys.Inspect(p.to); ok && i.Name != "" {
		named.Actor = i.Name
	}
	return &named
}

// expect makes the place of an answer.
func (p *player) expect(e Entry) *Answer {
	a := &Answer{Entry: e}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = append(p.answers, a)
	return a
}

func (p *player) answered(a *Answer, v any, err error) {
	p.mu.Lock()
	a.Value, a.Err = v, err
	p.mu.Unlock()
	p.sys.Send(p.gate, done{})
}

// wait waits for the answers, each of which has a deadline.
func (p *player) wait(ctx context.Context) error {
	return p.tell(ctx, p.gate, untilAnswered(len(p.answers)), p.sys.CallTimeout())
}

// What a replay tells its own actors.
type (
	do    func(c *actor.Context)
	done  struct{} // an answer has come
	own   struct{} // the actor has a message of its own
	alarm int      // has gone off

	// Requests, which are answered when it is so far.
	untilSent     int
	untilAnswered int
	untilAlarm    int
	untilOwn      struct{ n, orAlarm int }
)

// gate passes requests from outside on, and has the replay wait for one thing after the other.
type gate struct {
	p              *player
	sent, answered int
	own            int // since they were waited for
	alarm          int // the last one
	ready          func() bool
	waiter         actor.Promise
}

func (g *gate) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case done:
		g.answered++
	case own:
		g.own++
	case alarm:
		g.alarm = int(m)
	case untilSent:
		g.await(c, func() bool { return g.sent >= int(m) })
	case untilAnswered:
		g.await(c, func() bool { return g.answered >= int(m) })
	case untilAlarm:
		g.await(c, func() bool { return g.alarm >= int(m) })
	case untilOwn:
		g.await(c, func() bool {
			ready := g.own >= m.n || g.alarm >= m.orAlarm
			if ready {
				g.own = 0
			}
			return ready
		})
	default:
		g.sent++
		c.Forward(g.p.to)
	}
	if g.ready == nil || !g.ready() {
		return
	}
	g.ready = nil
	g.waiter.Reply(nil, nil)
}

func (g *gate) await(c *actor.Context, ready func() bool) { g.ready, g.waiter = ready, c.Promise() }

// standIn is a sender of the recording.
type standIn struct {
	p       *player
	address string
}

func (s *standIn) Receive(c *actor.Context, msg any) {
	if f, ok := msg.(do); ok {
		f(c)
		c.Reply(nil, nil)
		return
	}
	s.p.mu.Lock()
	s.p.pushes = append(s.p.pushes, Push{At: time.Since(s.p.begun), To: s.address, Message: msg, Request: c.IsRequest()})
	s.p.mu.Unlock()
	c.Reply(nil, ErrStandIn)
}
