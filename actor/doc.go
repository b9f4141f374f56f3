// Package actor is Skua's runtime: actors that own their state and handle one message at a time.
//
//	type Counter struct{ n int }
//
//	func (a *Counter) Receive(c *actor.Context, msg any) {
//		switch m := msg.(type) {
//		case Add:
//			a.n += m.N
//		case Get:
//			c.Reply(a.n, nil)
//		}
//	}
//
//	sys := actor.New(actor.Config{})
//	ref, err := sys.Spawn(actor.Spec{Name: "counter", New: func() actor.Actor { return &Counter{} }})
//	sys.Send(ref, Add{N: 1})
//	n, err := sys.Ask(ctx, ref, Get{})
//
// An actor never blocks. It asks others with [Context.Ask], whose continuation runs in the actor when the answer is there, does slow work through
// [Context.Go], and lets time pass with [Context.After]; meanwhile it handles other messages. What a continuation finds changed is for it to check.
//
// # Promises
//
// Messages from one actor to another arrive in the order sent. A request is answered exactly once: by its handler, or with an error that tells
// no such actor, stopped, failed, too late and overloaded apart (see [Error]). When an actor ends, whoever waits for its answer hears at once.
package actor
