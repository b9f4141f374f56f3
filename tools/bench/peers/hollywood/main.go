// Command hollywood measures github.com/anthdm/hollywood with its defaults: one figure a run, for tools/bench.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/anthdm/hollywood/actor"

	"github.com/skua-go/skua/tools/bench/measure"
)

// message is what our own benchmarks send: on the heap already, so that sending it allocates nothing for its sake.
type message struct{ n, _ int }

type start struct{}

func main() {
	name := flag.String(measure.FigureFlag, "", "the figure to measure")
	flag.Parse()
	if err := measure.PrintFigure(context.Background(), map[string]measure.Func{"send": send, "pingpong": pingPong}, *name, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hollywood:", err)
		os.Exit(1)
	}
}

// send is ns for a message from one goroutine to one actor, all messages handled.
func send(ctx context.Context) (float64, error) {
	engine, err := actor.NewEngine(actor.NewEngineConfig())
	if err != nil {
		return 0, err
	}
	return measure.PerOp(ctx, func(n int) error {
		left, done := n, make(chan struct{})
		pid := engine.SpawnFunc(func(c *actor.Context) {
			m, ok := c.Message().(*message)
			if !ok {
				return
			}
			if left -= m.n; left == 0 {
				close(done)
			}
		}, "receiver")
		m := &message{n: 1}
		for range n {
			engine.Send(pid, m)
		}
		<-done
		engine.Stop(pid)
		return nil
	})
}

// pingPong is ns for a message there and back between two actors.
func pingPong(ctx context.Context) (float64, error) {
	engine, err := actor.NewEngine(actor.NewEngineConfig())
	if err != nil {
		return 0, err
	}
	pong := engine.SpawnFunc(func(c *actor.Context) {
		if m, ok := c.Message().(*message); ok {
			c.Respond(m)
		}
	}, "pong")
	return measure.PerOp(ctx, func(n int) error {
		left, done := n, make(chan struct{})
		ping := engine.SpawnFunc(func(c *actor.Context) {
			switch m := c.Message().(type) {
			case start:
				c.Send(pong, &message{n: 1})
			case *message:
				if left -= m.n; left == 0 {
					close(done)
					return
				}
				c.Send(pong, m)
			}
		}, "ping")
		engine.Send(ping, start{})
		<-done
		engine.Stop(ping)
		return nil
	})
}
