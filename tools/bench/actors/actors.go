// Package actors measures the actor runtime.
package actors

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/skua-go/skua/actor"

	"github.com/skua-go/skua/tools/bench/measure"
)

// message has the size of the bare baselines' message; it is on the heap already, as theirs is.
type message struct{ n, from int }

// with runs f with a system of its own.
func with(ctx context.Context, f func(sys *actor.System) (float64, error)) (float64, error) {
	sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
	v, err := f(sys)
	return v, errors.Join(err, sys.Shutdown(context.WithoutCancel(ctx)))
}

func spawn(sys *actor.System, f actor.Func) (actor.Ref, error) {
	return sys.Spawn(actor.Spec{New: func() actor.Actor { return f }})
}

// Send is ns for a message from one goroutine to one actor, all messages handled.
func Send(ctx context.Context) (float64, error) {
	return with(ctx, func(sys *actor.System) (float64, error) { return measure.PerOp(ctx, sends(sys)) })
}

// SendAllocs is heap objects for such a message.
func SendAllocs(ctx context.Context) (float64, error) {
	return with(ctx, func(sys *actor.System) (float64, error) { return measure.AllocsPerOp(sends(sys)) })
}

func sends(sys *actor.System) func(n int) error {
	return func(n int) error {
		left, done := n, make(chan struct{})
		ref, err := spawn(sys, func(c *actor.Context, msg any) {
			left -= msg.(*message).n
			if left == 0 {
				close(done)
			}
		})
		if err != nil {
			return err
		}
		m := &message{n: 1}
		for range n {
			sys.Send(ref, m)
		}
		<-done
		sys.Stop(ref, nil)
		return nil
	}
}

// PingPong is ns for a message there and back between two actors, with many pairs at once: the time divided by all round trips.
func PingPong(pairs int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return with(ctx, func(sys *actor.System) (float64, error) {
			pong, err := spawn(sys, func(c *actor.Context, msg any) { c.Send(c.From(), msg) })
			if err != nil {
				return 0, err
			}
			return measure.PerOp(ctx, func(n int) error {
				each := (n + pairs - 1) / pairs
				return rally(sys, pairs, func(int) (actor.Func, error) {
					pong := pong
					if pairs > 1 {
						var err error
						if pong, err = spawn(sys, func(c *actor.Context, msg any) { c.Send(c.From(), msg) }); err != nil {
							return nil, err
						}
					}
					left := each
					return func(c *actor.Context, msg any) {
						if msg == start {
							c.Send(pong, &message{n: 1})
							return
						}
						if left -= msg.(*message).n; left == 0 {
							finished(msg, c)
							return
						}
						c.Send(pong, msg)
					}, nil
				})
			})
		})
	}
}

var start = new(struct{ int })

// rally starts players and waits until each has called its finish.
func rally(sys *actor.System, players int, player func(i int) (actor.Func, error)) error {
	var all sync.WaitGroup
	refs := make([]actor.Ref, players)
	for i := range players {
		f, err := player(i)
		if err != nil {
			return err
		}
		all.Add(1)
		if refs[i], err = sys.Spawn(actor.Spec{New: func() actor.Actor { return &rallier{f, all.Done} }}); err != nil {
			return err
		}
	}
	for _, ref := range refs {
		sys.Send(ref, start)
	}
	all.Wait()
	for _, ref := range refs {
		sys.Stop(ref, nil)
	}
	return nil
}

type rallier struct {
	f    actor.Func
	done func()
}

func (r *rallier) Receive(c *actor.Context, msg any) {
	if msg == over {
		r.done()
		return
	}
	r.f(c, msg)
}

var over = new(struct{ string })

func finished(_ any, c *actor.Context) { c.Send(c.Self(), over) }
