package actor

import (
	"sync"
	"sync/atomic"
)

// envelope is a message with what the runtime needs to know about it.
type envelope struct {
	msg  any
	from Ref
	req  *request // a request to answer, or for kindAnswer the one that was answered
	kind kind
}

type kind uint8

const (
	kindMessage    kind = iota // for Receive
	kindAnswer                 // a request of ours came back
	kindResume                 // a timer or a call from outside; msg is a *Timer or a *resume
	kindTerminated             // for Receive, if the actor still watches
	kindDrain                  // stop when this is reached
)

// ordinary messages are refused by an actor that is about to end; others are part of its end.
func (k kind) ordinary() bool { return k == kindMessage || k >= kindTerminated }

// mailbox is an unbounded queue of many writers and one reader, emptied a batch at a time: the reader takes all there is with one lock.
// Messages of the system go ahead of the others and are never refused.
type mailbox struct {
	mu        sync.Mutex
	queue     []envelope
	system    []systemMsg
	scheduled bool // a worker has, or is about to have, the process
	paused    bool // a failed actor that waits for its restart; only system messages move
	state     state
	warnAt    int
	urgent    atomic.Bool // system is not empty
}

type state uint8

const (
	alive    state = iota
	stopping       // no new messages; answers to what the actor asked still come in
	dead
)

const firstWarning = 1024

const (
	smallQueue = 4    // envelopes: what an actor that has had messages keeps
	largeQueue = 1024 // lent to those that have more, while they have
)

// largeQueues lends queues to busy actors, so that idle ones hold little and busy ones need not grow theirs step by step each time.
var largeQueues = sync.Pool{New: func() any { return new([largeQueue]envelope) }} //nolint:gochecknoglobals // a cache, which nobody can tell from none

// grown is a longer queue with the same messages.
func grown(q []envelope) []envelope {
	switch {
	case cap(q) == 0:
		return make([]envelope, 0, smallQueue)
	case cap(q) < largeQueue:
		large := largeQueues.Get().(*[largeQueue]envelope) //nolint:forcetypeassert // what the pool makes
		n := copy(large[:], q)
		clear(q)
		return large[:n]
	default:
		longer := make([]envelope, len(q), 2*cap(q))
		copy(longer, q)
		return longer
	}
}

// restingQueue gives back the queues of an actor that has no messages, and returns the one that it keeps, if any is small.
func restingQueue(queues ...[]envelope) []envelope {
	var keep []envelope
	for _, q := range queues {
		switch cap(q) {
		case smallQueue:
			keep = q[:0]
		case largeQueue:
			largeQueues.Put((*[largeQueue]envelope)(q[:largeQueue]))
		}
	}
	return keep
}
