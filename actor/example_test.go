package actor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
)

// add and get are messages to a tally.
type (
	add struct{ n int }
	get struct{}
)

type tally struct{ n int }

func (a *tally) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case add:
		a.n += m.n
	case get:
		c.Reply(a.n, nil)
	}
}

func ExampleSystem_Send() {
	sys := actor.New(actor.Config{})
	defer func() { _ = sys.Shutdown(context.Background()) }()
	ref, err := sys.Spawn(actor.Spec{Name: "tally", New: func() actor.Actor { return &tally{} }})
	if err != nil {
		fmt.Println(err)
		return
	}
	sys.Send(ref, add{2})
	sys.Send(ref, add{3})
	fmt.Println(sys.Ask(context.Background(), ref, get{}))
	// Output: 5 <nil>
}

// one is a system with one actor, and what it answers.
func one(f actor.Func) {
	sys := actor.New(actor.Config{})
	defer func() { _ = sys.Shutdown(context.Background()) }()
	ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return f }})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sys.Ask(context.Background(), ref, "go"))
}

func ExampleContext_Ask() {
	one(func(c *actor.Context, _ any) {
		shout, err := c.Spawn(actor.Spec{New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) { c.Reply(strings.ToUpper(msg.(string)), nil) })
		}})
		if err != nil {
			c.Reply(nil, err)
			return
		}
		c.Ask(shout, "hello", func(v any, err error) { c.Reply(v, err) })
	})
	// Output: HELLO <nil>
}

func ExampleContext_Go() {
	one(func(c *actor.Context, _ any) {
		c.Go(func(ctx context.Context) (any, error) { // in a goroutine of its own: it may block
			return "from the disk", ctx.Err()
		}, c.Reply)
	})
	// Output: from the disk <nil>
}

func ExampleContext_After() {
	one(func(c *actor.Context, _ any) {
		c.After(time.Millisecond, func() { c.Reply("later", nil) })
	})
	// Output: later <nil>
}

func ExampleContext_Watch() {
	var asked actor.Promise
	one(func(c *actor.Context, msg any) {
		if t, ok := msg.(actor.Terminated); ok {
			asked.Reply("ended: "+t.Reason.Error(), nil)
			return
		}
		asked = c.Promise()
		worker, err := c.Spawn(actor.Spec{New: func() actor.Actor { return &tally{} }})
		if err != nil {
			c.Reply(nil, err)
			return
		}
		c.Watch(worker)
		c.Stop(worker, errors.New("no more work"))
	})
	// Output: ended: no more work <nil>
}
