// Command protoactor measures github.com/asynkron/protoactor-go with its defaults: one figure a run, for tools/bench.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/skua-go/skua/tools/bench/measure"
)

// message is what our own benchmarks send: on the heap already, so that sending it allocates nothing for its sake.
type message struct{ n, _ int }

type start struct{}

// timeout of a request; ours has the same.
const timeout = 5 * time.Second

func main() {
	name := flag.String(measure.FigureFlag, "", "the figure to measure")
	flag.Parse()
	figures := map[string]measure.Func{
		"send": send, "pingpong": pingPong, "ask": ask, "ask-outside": askOutside, "spawn": spawn, "idle-bytes-250k": idleBytes(250_000),
	}
	if err := measure.PrintFigure(context.Background(), figures, *name, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "protoactor:", err)
		os.Exit(1)
	}
}

// newRoot makes a system with its defaults, but for the line that it would log about its start.
func newRoot() *actor.RootContext {
	quiet := func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
	return actor.NewActorSystem(actor.WithLoggerFactory(quiet)).Root
}

// send is ns for a message from one goroutine to one actor, all messages handled.
func send(ctx context.Context) (float64, error) {
	root := newRoot()
	return measure.PerOp(ctx, func(n int) error {
		left, done := n, make(chan struct{})
		pid := root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			m, ok := c.Message().(*message)
			if !ok {
				return
			}
			if left -= m.n; left == 0 {
				close(done)
			}
		}))
		m := &message{n: 1}
		for range n {
			root.Send(pid, m)
		}
		<-done
		root.Stop(pid)
		return nil
	})
}

// echo answers a message with itself.
func echo(root *actor.RootContext) *actor.PID {
	return root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if m, ok := c.Message().(*message); ok {
			c.Respond(m)
		}
	}))
}

// pingPong is ns for a message there and back between two actors.
func pingPong(ctx context.Context) (float64, error) {
	root := newRoot()
	pong := echo(root)
	return measure.PerOp(ctx, func(n int) error {
		left, done := n, make(chan struct{})
		ping := root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			switch m := c.Message().(type) {
			case start:
				c.Request(pong, &message{n: 1})
			case *message:
				if left -= m.n; left == 0 {
					close(done)
					return
				}
				c.Request(pong, m)
			}
		}))
		root.Send(ping, start{})
		<-done
		root.Stop(ping)
		return nil
	})
}

// ask is ns for a request and its answer between two actors. The asking one waits for each answer in its handler;
// with ReenterAfter, the other way to do it, it took half as long again.
func ask(ctx context.Context) (float64, error) {
	root := newRoot()
	answerer := echo(root)
	return measure.PerOp(ctx, func(n int) error {
		done := make(chan error, 1)
		asker := root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			if _, ok := c.Message().(start); !ok {
				return
			}
			m := &message{n: 1}
			for range n {
				if _, err := c.RequestFuture(answerer, m, timeout).Result(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}))
		root.Send(asker, start{})
		err := <-done
		root.Stop(asker)
		return err
	})
}

// askOutside is ns for a request of a goroutine, which waits for each answer.
func askOutside(ctx context.Context) (float64, error) {
	root := newRoot()
	answerer := echo(root)
	return measure.PerOp(ctx, func(n int) error {
		m := &message{n: 1}
		for range n {
			if _, err := root.RequestFuture(answerer, m, timeout).Result(); err != nil {
				return err
			}
		}
		return nil
	})
}

// mortal is an actor that counts its end.
type mortal struct{ ended *atomic.Int64 }

func (m *mortal) Receive(c actor.Context) {
	if _, ok := c.Message().(*actor.Stopped); ok {
		m.ended.Add(1)
	}
}

// spawn is actors a second, started and stopped by one goroutine, until all have ended; at most 1,088 at a time.
func spawn(ctx context.Context) (float64, error) {
	root := newRoot()
	ns, err := measure.PerOp(ctx, func(n int) error {
		var ended atomic.Int64
		props := actor.PropsFromProducer(func() actor.Actor { return &mortal{ended: &ended} })
		for i := range int64(n) {
			root.Stop(root.Spawn(props))
			if i%64 == 0 {
				for i-ended.Load() > 1024 {
					runtime.Gosched()
				}
			}
		}
		for ended.Load() < int64(n) {
			runtime.Gosched()
		}
		return nil
	})
	return float64(time.Second) / ns, err
}

// small is an actor with a little state.
type small struct{ n int }

func (s *small) Receive(c actor.Context) {
	if t, ok := c.Message().(*touch); ok {
		s.n++
		t.left.Add(-1)
	}
}

// touch is sent to many actors, and counts those that have not handled it.
type touch struct{ left atomic.Int64 }

// idleBytes is bytes of resident memory an actor that has handled one message.
func idleBytes(actors int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		root := newRoot()
		props := actor.PropsFromProducer(func() actor.Actor { return &small{} })
		grown, err := measure.Growth(func() error {
			t := &touch{}
			t.left.Store(int64(actors))
			for range actors {
				root.Send(root.Spawn(props), t)
			}
			for t.left.Load() > 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
				runtime.Gosched()
			}
			return nil
		})
		runtime.KeepAlive(root)
		return float64(grown) / float64(actors), err
	}
}
