package actor_test

import (
	"context"
	"fmt"

	"github.com/skua-go/skua/actor"
)

// traced runs f with a system whose spans are printed as they end.
func traced(f func(sys *actor.System, spawn func(name string, f actor.Func) actor.Ref)) {
	sys := actor.New(actor.Config{Tracer: tree{}})
	f(sys, func(name string, f actor.Func) actor.Ref {
		ref, err := sys.Spawn(actor.Spec{Name: name, New: func() actor.Actor { return f }})
		if err != nil {
			fmt.Println(err)
		}
		return ref
	})
	if err := sys.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
}

func ExampleContext_KeepSpan() {
	traced(func(sys *actor.System, spawn func(string, actor.Func) actor.Ref) {
		var waits actor.Span
		ended := make(chan struct{})
		kitchen := spawn("kitchen", func(c *actor.Context, msg any) {
			if msg == "order" {
				waits = c.KeepSpan() // the guest's order lasts until it is served
				return
			}
			fmt.Println("serving")
			waits.End(nil)
			close(ended)
		})
		sys.Send(kitchen, "order")
		sys.Send(kitchen, "serve")
		<-ended
	})
	// Output:
	// serving
	// kitchen <nil>
	// kitchen <nil>
}

func ExampleContext_Within() {
	traced(func(sys *actor.System, spawn func(string, actor.Func) actor.Ref) {
		cook := spawn("cook", func(c *actor.Context, msg any) { c.Reply(msg, nil) })
		orders := map[string]actor.Span{}
		ended := make(chan struct{})
		kitchen := spawn("kitchen", func(c *actor.Context, msg any) {
			dish := msg.(string)
			if dish != "cook" {
				orders[dish] = c.KeepSpan()
				return
			}
			span := orders["soup"] // whatever is being handled now, it is the soup's trace that goes on
			c.Within(span, func() {
				c.Ask(cook, "soup", func(any, error) { span.End(nil); close(ended) })
			})
		})
		sys.Send(kitchen, "soup")
		sys.Send(kitchen, "cook")
		<-ended
	})
	// Unordered output:
	// kitchen <nil>
	// kitchen > cook <nil>
	// kitchen <nil>
}
