package actors

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"

	"github.com/skua-go/skua/tools/bench/measure"
)

// rounds tells the publisher how often to publish, and where to say that it has.
type rounds struct {
	left int
	done chan struct{}
}

// round tells the publisher that all have handled its last message.
type round struct{}

// Fanout is deliveries a second of messages that one actor publishes to many. The next message is sent when all have handled the last one.
func Fanout(subscribers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return with(ctx, func(sys *actor.System) (float64, error) {
			f, err := publishes(sys, subscribers)
			if err != nil {
				return 0, err
			}
			ns, err := measure.PerOp(ctx, f)
			return float64(subscribers) * float64(time.Second) / ns, err
		})
	}
}

// FanoutAllocs is heap objects for a delivery of a message that is on the heap already.
func FanoutAllocs(subscribers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return with(ctx, func(sys *actor.System) (float64, error) {
			f, err := publishes(sys, subscribers)
			if err != nil {
				return 0, err
			}
			allocs, err := measure.AllocsPerOp(func(n int) error { return f(n / subscribers) })
			return allocs, err
		})
	}
}

// topic has the subscribers.
const topic = "news"

func publishes(sys *actor.System, subscribers int) (func(n int) error, error) {
	var left atomic.Int64
	for range subscribers {
		_, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return &subscriber{&left} }})
		if err != nil {
			return nil, err
		}
	}
	m := &message{n: 1}
	var todo rounds
	publisher, err := spawn(sys, func(c *actor.Context, msg any) {
		if r, ok := msg.(rounds); ok {
			todo = r
		}
		if todo.left == 0 {
			close(todo.done)
			return
		}
		todo.left--
		left.Store(int64(subscribers))
		c.Publish(topic, m)
	})
	return func(n int) error {
		done := make(chan struct{})
		sys.Send(publisher, rounds{left: n, done: done})
		<-done
		return nil
	}, err
}

type subscriber struct{ left *atomic.Int64 }

// Start subscribes.
func (s *subscriber) Start(c *actor.Context) error {
	c.Subscribe(topic)
	return nil
}

// Receive tells the publisher if this was the last delivery of its message.
func (s *subscriber) Receive(c *actor.Context, msg any) {
	if m, ok := msg.(*message); ok && s.left.Add(-int64(m.n)) == 0 {
		c.Send(c.From(), round{})
	}
}
