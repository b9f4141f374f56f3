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

// batches lends queues to actors while they have messages, so that an idle actor holds none.
var batches = sync.Pool{New: func() any { s := make([]envelope, 0, batchCap); return &s }}

const (
	batchCap     = 8
	keepBatchCap = 256 // a queue that a burst has grown beyond this goes to the garbage collector
)

func takeBatch() []envelope { return *batches.Get().(*[]envelope) }

func giveBatch(b []envelope) {
	if cap(b) <= keepBatchCap {
		b = b[:0]
		batches.Put(&b)
	}
}
