package actor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// work is something that runs off its actor for it.
type work struct {
	in         frame
	cancel     context.CancelFunc
	next, prev *work // of the actor's works, which its worker owns
}

// giveAway runs f in the pool and then in the actor.
func (p *process) giveAway(in *frame, f func(context.Context) (any, error), then func(any, error)) {
	ctx, w := p.lifetime(), &work{in: *in}
	if r := in.req; r != nil {
		ctx, w.cancel = context.WithDeadline(ctx, p.sys.wheel.start.Add(tickTime(r.when)))
		w.next = p.rare.works
		if w.next != nil {
			w.next.prev = w
		}
		p.rare.works = w
		p.follow(r)
	}
	ctx = p.sys.carry(ctx, in.span)
	p.holds++
	life, name := p.life, p.name()
	back := func(v any, err error) {
		p.post(envelope{kind: kindResume, msg: &resume{life: life, in: w.in, held: true, work: w, run: func() { then(v, err) }}}, nil)
	}
	ok := p.sys.pool.submit(func() {
		if ctx.Err() != nil {
			back(nil, lateWork(ctx, name))
			return
		}
		protect(ctx, name, f, back)
	})
	if !ok {
		back(nil, &Error{Code: Overloaded, Actor: name, Text: "too much blocking work is waiting"})
	}
}

// worked forgets work that has come back.
func (p *process) worked(w *work) {
	if w.cancel == nil {
		return
	}
	w.cancel()
	if w.prev != nil {
		w.prev.next = w.next
	} else if p.rare.works == w {
		p.rare.works = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.next, w.prev, w.cancel = nil, nil, nil
}

// lateWork is why work was not begun.
func lateWork(ctx context.Context, name string) error {
	code := Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = Deadline
	}
	return &Error{Code: code, Actor: name, Text: "before the work began"}
}

// protect calls f and gives back what it returned, or how it failed.
func protect(ctx context.Context, name string, f func(context.Context) (any, error), back func(any, error)) {
	var v any
	var err error
	returned := false
	defer func() {
		if !returned {
			r := recover()
			if r == nil {
				r = errGoexit
			}
			v, err = nil, &Error{Code: Failed, Actor: name, Text: fmt.Sprint(r), Stack: string(debug.Stack())}
		}
		back(v, err)
	}()
	v, err = f(ctx)
	returned = true
}
