package mongodb

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
)

// user is a service that has loaded the module.
type user struct {
	node   *Clients
	h      *lua.Host
	ref    actor.Ref
	ctx    context.Context //nolint:containedctx // the lifetime of its calls, which outlive the functions that begin them
	cancel context.CancelCauseFunc

	watched bool // the keeper has been told of it; of the actor

	mu      sync.Mutex
	last    int64 // the newest number
	handles map[int64]*handle
	cursors map[int64]*cursor
	gone    bool
}

// handle is a client of a script.
type handle struct {
	link *link
	lane *lane
}

func newUser(n *Clients, h *lua.Host) *user {
	u := &user{node: n, h: h, ref: h.Context().Self(), handles: map[int64]*handle{}, cursors: map[int64]*cursor{}}
	u.ctx, u.cancel = context.WithCancelCause(n.ctx)
	return u
}

// watch makes sure that what the service opens is closed when it ends. It is called before there is anything.
func (u *user) watch(s vm.State, what string) {
	if u.watched {
		return
	}
	u.node.things.Watch(u.h, s, what, u.end)
	u.watched = true
}

// end gives up the calls of a service that has ended, closes its cursors, and its clients when what they have sent is written.
func (u *user) end() {
	u.mu.Lock()
	u.gone = true
	handles := u.handles
	for _, c := range u.cursors {
		u.node.discard(c)
	}
	u.handles, u.cursors = nil, nil
	u.mu.Unlock()
	u.cancel(ErrClosed)
	for _, h := range handles {
		u.node.finish(h)
	}
}

// finish gives a handle back when its lane is empty.
func (n *Clients) finish(h *handle) {
	if !n.task(func() {
		_ = h.lane.drained(n.ctx) // an error is that the node stops; what is lost by that is told at once
		h.lane.end()
		n.release(h.link)
	}) {
		h.lane.end()
		n.release(h.link)
	}
}

// add keeps a handle under a number of its own.
func (u *user) add(h *handle) (int64, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone {
		return 0, ErrClosed
	}
	u.last++
	u.handles[u.last] = h
	return u.last, nil
}

// handle is the client whose number is argument 1.
func (u *user) handle(s vm.State, what string) *handle {
	id, ok := s.Int(1)
	if !ok {
		s.Errorf("%s: the number of a client is expected, got %s", what, s.Type(1))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.handles[id]
}

// answer pushes the results of a call and returns how many there are.
type answer func(s vm.State) int

// text is a string as an answer.
func text(v string) answer {
	return func(s vm.State) int {
		s.PushString(v)
		return 1
	}
}

// failed pushes nil and why.
func failed(s vm.State, err error) int {
	s.PushNil()
	s.PushString(err.Error())
	return 2
}

// call has the running coroutine wait for work, which runs in a goroutine of its own: the node's pool for blocking work has few threads, and a database that is
// away must not take them from the others. It keeps the link, if there is one, until work is done. An error is nil and a text to the script.
func (u *user) call(s vm.State, what string, timeout time.Duration, l *link, work func(ctx context.Context) (answer, error)) int {
	var result answer
	var failure error
	w := u.h.Wait(s, what, func(s vm.State) int {
		if failure != nil {
			return failed(s, failure)
		}
		return result(s)
	})
	until := time.Now().Add(timeout)
	if deadline, ok := u.h.Context().Deadline(); ok && u.h.Context().IsRequest() && deadline.Before(until) {
		until = deadline
	}
	refused := u.node.begin(l, func() {
		ctx, cancel := context.WithDeadline(u.ctx, until)
		defer cancel()
		if result, failure = work(ctx); failure != nil {
			u.node.cfg.Metrics.failed.Inc()
		}
	}, w.Wake)
	if refused != nil {
		failure = refused
		w.Wake()
	}
	return s.Yield(0)
}

// with is call for work that uses a client, behind what this has sent.
func (u *user) with(s vm.State, what string, h *handle, timeout time.Duration, work func(ctx context.Context) (answer, error)) int {
	if h == nil {
		return failed(s, ErrClosed)
	}
	sent := h.lane.last()
	return u.call(s, what, timeout, h.link, func(ctx context.Context) (answer, error) {
		if err := sent.wait(ctx); err != nil {
			return nil, fmt.Errorf("mongo: %s: what was sent before has not been written: %w", what, context.Cause(ctx))
		}
		return work(ctx)
	})
}
