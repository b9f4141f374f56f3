package actor

import (
	"sync"
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

// Starter is an Actor that prepares itself before its first message. An error of the first Start ends the actor, and Spawn from outside returns it; an
// error of a Start after a restart is one more failure, after which supervision tries again.
type Starter interface {
	Start(c *Context) error
}

// Stopper is an Actor that has something to do before it ends. It may still Ask and Go; the actor ends when all of that, and whatever it
// was waiting for before, has come back, or when its StopTimeout is over. It gets no new messages meanwhile. Stop is not called for an actor that has failed
// too often, is killed, or is stopped in the pause after a failure: there is no state to be trusted.
type Stopper interface {
	Stop(c *Context, reason error)
}

// Inheritor is an Actor that takes over from the one that failed: Inherit is called on what New made, before Start, with its predecessor and what that
// failed with. Whatever is to survive, it copies; it must not keep what the failure may have left half done. It can't use the Context of the predecessor.
type Inheritor interface {
	Inherit(from Actor, failure error)
}

// Spec tells how to make an actor.
type Spec struct {
	// Name registers the actor on its node; empty for one that is known by its Ref only.
	Name string
	// Kind says what kind of actor it is, for those who look at a node: one of few short texts, such as the name of its script. See Info.
	Kind string
	// New makes the actor, and makes it anew when it is restarted.
	New func() Actor
	// Mailbox bounds what may wait for the actor. The zero Mailbox has no bound and warns.
	Mailbox Mailbox
	// Serial has the actor finish one message before it takes the next: until all that its handler has asked for and given to Go has come back, each Hold is
	// released, and the request is answered, others wait. Timers and answers are handled meanwhile. A request that waits for itself in this way, through
	// others or because two such actors ask each other, fails with ErrCycle. Without
	// it an actor takes other messages while it waits, also those that were sent on its own behalf.
	Serial bool
	// Supervision tells what happens after a panic.
	Supervision Supervision
	// AllForOne restarts all children of this actor when one of them restarts, because they can't be right without each other.
	AllForOne bool
	// StopTimeout bounds the graceful end. Default 10 s.
	StopTimeout time.Duration
	// Turn, if it is set, is held while the actor runs: actors that share what one of them at a time may use, such as a script engine's VM, share a lock
	// behind it. It is taken for a batch of messages, by the worker that runs the actor, so those who hold it must not wait for each other.
	Turn sync.Locker
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
	// Escalate makes the parent of an actor that ends with ErrExhausted fail too, as if it had panicked itself. Else the actor ends alone.
	Escalate bool
}

// options are what few actors set, shared by those that set the same.
type options struct {
	supervision Supervision
	stopTimeout time.Duration
	allForOne   bool
	turn        sync.Locker
	kind        string
	times       *times // of the kind
}

// options returns those of the Spec with their defaults; was is shared if they are the same.
func (s *Spec) options(was *options, times *times) *options {
	o := options{supervision: s.Supervision, stopTimeout: s.StopTimeout, allForOne: s.AllForOne, turn: s.Turn, kind: s.Kind, times: times}
	if o.supervision.Limit == 0 {
		o.supervision.Limit = 5
	}
	if o.supervision.Within <= 0 {
		o.supervision.Within = 30 * time.Second
	}
	if o.supervision.Backoff <= 0 {
		o.supervision.Backoff = 10 * time.Millisecond
	}
	if o.stopTimeout <= 0 {
		o.stopTimeout = 10 * time.Second
	}
	if was != nil && *was == o {
		return was
	}
	return &o
}
