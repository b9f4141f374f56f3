package actor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Node is one node as a System sees it: its own, or another's. There is one for each incarnation of a node, so that Refs compare.
type Node struct {
	name        string
	local       *System // nil for another node
	remote      Remote  // who reaches it; nil for the own one
	incarnation atomic.Uint64
}

// NewNode is another node for r, which reaches it and makes one Node for each incarnation only. A System's own Node is [System.Node].
func NewNode(name string, incarnation uint64, r Remote) *Node {
	n := &Node{name: name, remote: r}
	n.incarnation.Store(incarnation)
	return n
}

// Name is the node's name.
func (n *Node) Name() string { return n.name }

// Incarnation tells a node from its former self of the same name. It is 0 for a System that has not joined others.
func (n *Node) Incarnation() uint64 { return n.incarnation.Load() }

// Ref is the Ref of the actor with this id on the node.
func (n *Node) Ref(id uint64) Ref { return Ref{node: n, id: id} }

// Remote reaches the actors of another node; package cluster/mesh has one, for NATS. Its methods may be called by any goroutine, those of actors above all. They must
// not wait, except that Send and Ask may slow down those who send faster than the other node takes messages,
// by a bounded time. What is sent from one actor to another arrives in the order of the calls.
type Remote interface {
	// Send hands a message over, or tells why it can't: Unreachable, Overloaded, or Refused for one that has no form outside of its process.
	Send(to, from Ref, msg any, span Span) Code
	// Ask hands a request over, and returns the number by which GiveUp knows it; 0 if it has been answered already. The Question is answered in any case: as
	// soon as it is known that there will be no answer from the other node, by Remote.
	Ask(to, from Ref, msg any, q Question) (call uint64)
	// GiveUp says that nobody waits for an answer any more: because the deadline has passed, or because the asker does not want it.
	GiveUp(to Ref, call uint64, expired bool)
	// Watch has the watcher, an actor of this System, told of the target's end by [System.Terminated], once; a node that is dead ends its actors with Unreachable.
	Watch(watcher, target Ref)
	// Unwatch takes Watch back.
	Unwatch(watcher, target Ref)
	// Order has an actor stopped, killed or drained.
	Order(to, from Ref, o Order)
}

// Nodes has the other nodes.
type Nodes interface {
	// Node is the Node of that name and incarnation, whether it lives or not; an error for what can't be one.
	Node(name string, incarnation uint64) (*Node, error)
}

// Question is a request to an actor of another node, see Remote.
type Question struct {
	Promise
	// Timeout is what is left of its time.
	Timeout time.Duration
	// Depth is how many requests wait for it.
	Depth int
	// Span is the one in which it was asked, nil for none.
	Span Span
}

// Order is what can be done to an actor from outside, beside messages.
type Order struct {
	Verb   Verb
	Reason error         // of all; nil if there is none
	Within time.Duration // of Drain
}

// Verb tells what an Order does.
type Verb uint8

// The verbs, see the methods of System with these names.
const (
	VerbStop Verb = iota + 1
	VerbKill
	VerbDrain
)

// Join tells the System of other nodes, and as which incarnation its own one is known to them. It is called again when that has changed. Nodes whose Refs are around stay as
// they are.
func (s *System) Join(others Nodes, incarnation uint64) {
	s.others.Store(&others)
	s.node.incarnation.Store(incarnation)
}

// Address is the Ref as text that [System.ParseAddress] reads on any node: name.incarnation:hex. Nobody's is empty.
func (r Ref) Address() string {
	if r.node == nil {
		return ""
	}
	return fmt.Sprintf("%s.%d:%08x", r.node.name, r.node.Incarnation(), r.id)
}

// errAddress is wrapped by the errors of ParseAddress.
var errAddress = errors.New("actor: bad address")

// ParseAddress reads what Ref.Address has written. Whether there is such an actor, or such a node, it does not tell.
func (s *System) ParseAddress(text string) (Ref, error) {
	if text == "" {
		return Ref{}, nil
	}
	node, hex, ok := strings.Cut(text, ":")
	name, number, ok2 := strings.Cut(node, ".")
	if !ok || !ok2 {
		return Ref{}, fmt.Errorf("%w %q: expected name.incarnation:hex", errAddress, text)
	}
	incarnation, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return Ref{}, fmt.Errorf("%w %q: the incarnation is no number", errAddress, text)
	}
	id, err := strconv.ParseUint(hex, 16, 64)
	if err != nil || id > MaxID {
		return Ref{}, fmt.Errorf("%w %q: expected hexadecimal digits of at most 53 bits behind the colon", errAddress, text)
	}
	n, err := s.NodeOf(name, incarnation)
	if err != nil {
		return Ref{}, fmt.Errorf("%w %q: %w", errAddress, text, err)
	}
	return n.Ref(id), nil
}

// NodeOf is the Node of that name and incarnation: this System's own, or another's.
func (s *System) NodeOf(name string, incarnation uint64) (*Node, error) {
	if name == s.node.name && incarnation == s.node.Incarnation() {
		return s.node, nil
	}
	r := s.others.Load()
	if r == nil {
		return nil, fmt.Errorf("node %q: this system has not joined others", name)
	}
	return (*r).Node(name, incarnation)
}

// away is who reaches the actor's node; nil for actors of this process.
func (r Ref) away() Remote {
	if r.node == nil {
		return nil
	}
	return r.node.remote
}

// IsRemote tells whether the actor is one of another node.
func (r Ref) IsRemote() bool { return r.away() != nil }

// sendAway sends a message to another node, or has it be a dead letter.
func (s *System) sendAway(to, from Ref, msg any, span Span) {
	code := NoActor
	if remote := to.away(); remote != nil {
		code = remote.Send(to, from, msg, span)
	}
	if code != 0 {
		s.dead.add(s, to, from, msg, code)
	}
}

// askAway sends a request to another node.
func (s *System) askAway(remote Remote, r *request, from Ref, msg any) {
	if r.depth > maxDepth && r.waiting() > maxDepth {
		r.answer(nil, &Error{Code: Cycle, Actor: r.to.String(), Text: "too many wait for each other: " + r.chain(nil)})
		return
	}
	timeout := time.Until(r.deadline())
	if timeout <= 0 {
		r.abandon(expired)
		return
	}
	call := remote.Ask(r.to, from, msg, Question{Promise: Promise{r}, Timeout: timeout, Depth: r.waiting(), Span: r.in.span})
	if call == 0 {
		return
	}
	// Whoever gives the request up from now on sees the number; who has done so before is seen here.
	r.call.Store(call)
	if r.abandoned() {
		remote.GiveUp(r.to, call, r.state.Load() == expired)
	}
}

// Deliver is Send for what has come from another node. It tells why it can't deliver, and leaves the dead letter to its caller.
func (s *System) Deliver(to uint64, from Ref, msg any, span Span) Code {
	p := s.table.get(to)
	if p == nil {
		return NoActor
	}
	return p.post(newEnvelope(msg, from, span), nil)
}

// DeadLetter counts, logs and publishes what could not be delivered, see [DeadLetter].
func (s *System) DeadLetter(d DeadLetter) { s.dead.add(s, d.To, d.From, d.Message, d.Reason) }

// Asked is a request that has come from another node.
type Asked struct {
	// To is the actor's id on this node.
	To   uint64
	From Ref
	// Message is what is asked.
	Message any
	// Timeout is what was left of its time. Whoever has asked gives it up, so nothing happens here when it is over, but what is asked on its behalf has no more.
	Timeout time.Duration
	// Depth is how many requests wait for it, on other nodes.
	Depth int
	// Span is the one in which it was asked, nil for none.
	Span Span
	// Then gets the answer, once, from any goroutine, perhaps before Serve returns; after GiveUp it gets ErrDeadline or ErrCanceled. It must not wait.
	Then func(v any, err error)
}

// Served is a request from another node that an actor of this one has.
type Served struct{ r request }

// Serve gives an actor a request from another node.
func (s *System) Serve(a Asked) *Served {
	v := &Served{request{
		sys: s, to: s.RefOf(a.To), when: s.tickAfter(a.Timeout), since: s.begins(), in: frame{span: a.Span}, inline: true, then: a.Then,
		depth: uint8(min(max(a.Depth, 0), maxDepth)), before: uint8(min(max(a.Depth, 0), maxDepth+1)),
	}}
	s.ask(&v.r, a.From, a.Message, nil)
	return v
}

// GiveUp ends the request without an answer, and what was begun for it.
func (v *Served) GiveUp(late bool) {
	if late {
		v.r.abandon(expired)
		return
	}
	v.r.abandon(givenUp)
}

// Deadline is when the asker stops to wait.
func (v *Served) Deadline() time.Time { return v.r.deadline() }

// Done tells whether the request has been answered or given up.
func (v *Served) Done() bool { return v.r.done() }

// Terminated tells an actor of this node of the end of one of another that it watches. It is for Remote to call.
func (s *System) Terminated(watcher Ref, t Terminated) {
	if p := s.process(watcher); p != nil {
		p.post(envelope{kind: kindTerminated, msg: t}, nil)
	}
}

// endAway is Ended for actors of other nodes: by an actor that watches.
func (s *System) endAway(of Ref) <-chan struct{} {
	ended := make(chan struct{})
	p, err := s.spawn(Spec{New: func() Actor { return &endWatch{of: of, ended: ended} }}, nil)
	if err != nil { // the system shuts down: nobody is told of anything any more
		close(ended)
		return ended
	}
	s.disp.push(p)
	return ended
}

// endWatch closes a channel when an actor of another node has ended.
type endWatch struct {
	of    Ref
	ended chan struct{}
	told  bool
}

// Start begins to watch.
func (w *endWatch) Start(c *Context) error {
	c.Watch(w.of)
	return nil
}

// Receive hears of the end.
func (w *endWatch) Receive(c *Context, msg any) {
	if _, ok := msg.(Terminated); ok {
		c.Stop(c.Self(), nil)
	}
}

// Stop tells those who wait, also when this system ends first.
func (w *endWatch) Stop(*Context, error) {
	if !w.told {
		w.told = true
		close(w.ended)
	}
}

// Propagator is a Tracer whose spans go to other nodes with the messages that are sent in them.
type Propagator interface {
	Tracer
	// AppendSpan appends what ParseSpan makes a span of on another node, at most 255 bytes; nothing for a span that nobody follows.
	AppendSpan(dst []byte, s Span) []byte
	// ParseSpan is the span of another node; nil for no bytes and for such that are none.
	ParseSpan(data []byte) Span
}
