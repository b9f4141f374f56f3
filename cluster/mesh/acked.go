package mesh

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// window is how many acknowledged messages of one node are remembered, so that one that is sent again is known.
const window = 1 << 16

// acks are acknowledged messages: those to another node that have no receipt yet, and what became of those that have come from there.
type acks struct {
	p *peer

	mu      sync.Mutex
	last    uint64
	gone    error // why nothing is sent any more
	waiting map[uint64]*unreceipted

	// What has come. Only whoever takes a batch uses these.
	done map[uint64]error
	ring []uint64
	next int
}

// unreceipted is an acknowledged message on its way.
type unreceipted struct {
	frame []byte
	own   uint64 // the incarnation of this node that sends it, or a former one
	done  func(error)
	timer *time.Timer
}

// send sends a message that is in its mailbox when done is called with nil. What goes wrong before it is on its way is an error at once.
func (a *acks) send(to, from actor.Ref, msg any, span actor.Span, timeout time.Duration, done func(error)) error {
	p := a.p
	body, err := p.appendAcked(nil, to, from, msg, span)
	if err == nil && len(body) > p.m.cfg.MaxMessage {
		err = p.m.tooLarge(len(body))
	}
	if err != nil {
		return p.m.unsendable(to, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.gone != nil:
		return a.gone
	case len(a.waiting) >= window/2: // more could not be told apart when they come again
		p.m.metrics.overloaded.Inc()
		return &actor.Error{Code: actor.Overloaded, Actor: to.String(), Text: "too many acknowledged messages are on their way"}
	}
	a.last++
	number := a.last
	u := &unreceipted{frame: append(appendNumber(make([]byte, 0, len(body)+12), frameAcked, number), body...), own: p.m.own.Load(), done: done}
	if a.waiting == nil {
		a.waiting = map[uint64]*unreceipted{}
	}
	a.waiting[number] = u
	u.timer = time.AfterFunc(timeout, func() {
		a.finish(number, &actor.Error{Code: actor.Deadline, Actor: to.String(), Text: "no receipt: it may have arrived"})
	})
	p.out.add(u.frame) // while the node is out of reach it is not sent, but when that is over
	return nil
}

// finish ends the wait for a receipt.
func (a *acks) finish(number uint64, err error) bool {
	a.mu.Lock()
	u := a.waiting[number]
	delete(a.waiting, number)
	a.mu.Unlock()
	if u == nil {
		return false
	}
	u.timer.Stop()
	u.done(err)
	return true
}

// begin begins the link anew, with what has no receipt, in order. What a former incarnation of this node has sent fails instead: the other node would not know it again.
func (a *acks) begin(again bool) {
	var former []uint64
	a.mu.Lock()
	a.p.out.begin(again)
	former = a.resend()
	a.mu.Unlock()
	for _, number := range former {
		a.finish(number, a.p.unreachable("this node has a new incarnation, and had no receipt: it may have arrived"))
	}
}

// again sends once more what has no receipt: receipts were lost with the other node's link. What has arrived is known there.
func (a *acks) again() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resend()
}

// resend adds what has no receipt to the link, and returns what is of a former incarnation of this node. The lock is held.
func (a *acks) resend() (former []uint64) {
	own := a.p.m.own.Load()
	for _, number := range a.numbers() {
		if u := a.waiting[number]; u.own == own {
			a.p.out.add(u.frame)
		} else {
			former = append(former, number)
		}
	}
	return former
}

// numbers are those that wait, in order. The lock is held.
func (a *acks) numbers() []uint64 { return slices.Sorted(maps.Keys(a.waiting)) }

// fail ends all waits: the node does not come back.
func (a *acks) fail(err error) {
	a.mu.Lock()
	a.gone = err
	numbers := a.numbers()
	a.mu.Unlock()
	for _, number := range numbers {
		a.finish(number, err)
	}
}

// came delivers a message that has come, unless it has come before, and gives its receipt.
func (a *acks) came(number uint64, deliver func() error) {
	err, before := a.done[number]
	if !before {
		err = deliver()
		a.remember(number, err)
	}
	receipt := appendNumber(nil, frameReceipt, number)
	a.p.out.add(a.p.appendReason(receipt, err))
}

// forget forgets what has come: the sender counts anew what it sends to another incarnation of this node. Whoever takes a batch calls it.
func (a *acks) forget() { a.done, a.ring, a.next = nil, nil, 0 }

func (a *acks) remember(number uint64, err error) {
	if a.done == nil {
		a.done = map[uint64]error{}
	}
	if len(a.ring) < window {
		a.ring = append(a.ring, number)
	} else {
		delete(a.done, a.ring[a.next])
		a.ring[a.next] = number
		a.next = (a.next + 1) % window
	}
	a.done[number] = err
}

// SendAcked sends a message and returns when it is in the mailbox of the actor, which may be of this node: once, also if the node was out of reach for a while. Its errors
// are those of a request: ErrNoActor, ErrStopped, ErrOverloaded, ErrUnreachable if the node has gone for good, or this one has a new incarnation, or ErrDeadline: after the last two it may have arrived or not. It waits until ctx ends, or for the
// System's CallTimeout if that has no deadline. Messages that one goroutine sends arrive in order.
func (m *Mesh) SendAcked(ctx context.Context, to actor.Ref, msg any) error {
	timeout := m.sys.CallTimeout()
	if at, ok := ctx.Deadline(); ok {
		timeout = time.Until(at)
	}
	done := make(chan error, 1)
	if err := m.sendAcked(to, actor.Ref{}, msg, nil, timeout, func(err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return <-done // it is as late
		}
		return &actor.Error{Code: actor.Canceled, Actor: to.String(), Text: "no receipt yet: it may have arrived"}
	}
}

// Acked is SendAcked for an actor: then runs in it.
func (m *Mesh) Acked(c *actor.Context, to actor.Ref, msg any, then func(error)) {
	var err error
	resume := c.Resume(func() { then(err) })
	release := c.Hold()
	finish := func(e error) {
		err = e
		resume()
		release()
	}
	if e := m.sendAcked(to, c.Self(), msg, c.Span(), m.sys.CallTimeout(), finish); e != nil {
		finish(e)
	}
}

func (m *Mesh) sendAcked(to, from actor.Ref, msg any, span actor.Span, timeout time.Duration, done func(error)) error {
	if to.IsRemote() {
		p, err := m.peerOf(to)
		if err != nil {
			return err
		}
		return p.acks.send(to, from, msg, span, timeout, done)
	}
	if code := m.sys.Deliver(to.ID(), from, msg, span); code != 0 || to.IsZero() {
		return &actor.Error{Code: max(code, actor.NoActor), Actor: to.String()}
	}
	done(nil)
	return nil
}
