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

// Fanout is deliveries a second of messages from one actor to many. The next message is sent when all have handled the last one.
func Fanout(subscribers int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return with(ctx, func(sys *actor.System) (float64, error) {
			var left atomic.Int64
			audience := make([]actor.Ref, subscribers)
			for i := range audience {
				var err error
				audience[i], err = spawn(sys, func(c *actor.Context, msg any) {
					if m, ok := msg.(*message); ok && left.Add(-int64(m.n)) == 0 {
						c.Send(c.From(), round{})
					}
				})
				if err != nil {
					return 0, err
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
				publish(c, audience, m)
			})
			if err != nil {
				return 0, err
			}
			ns, err := measure.PerOp(ctx, func(n int) error {
				done := make(chan struct{})
				sys.Send(publisher, rounds{left: n, done: done})
				<-done
				return nil
			})
			return float64(subscribers) * float64(time.Second) / ns, err
		})
	}
}

// publish is the one way in which a message goes to all.
func publish(c *actor.Context, audience []actor.Ref, msg any) {
	for _, ref := range audience {
		c.Send(ref, msg)
	}
}
