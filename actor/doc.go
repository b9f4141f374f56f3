// Package actor is Skua's runtime: actors that own their state and handle one message at a time, so that nothing in them needs a lock.
//
// # An actor in five minutes
//
// An actor is a type with a Receive method. Its messages are plain Go values, which nobody changes once they are sent:
//
//	type Deposit struct{ Gold int }
//	type Balance struct{}
//
//	type Purse struct{ gold int }
//
//	func (p *Purse) Receive(c *actor.Context, msg any) {
//		switch m := msg.(type) {
//		case Deposit:
//			p.gold += m.Gold
//		case Balance:
//			c.Reply(p.gold, nil)
//		}
//	}
//
// A [System] runs actors. From outside, Spawn starts one and returns its [Ref], which is its address; Send gives it a message, and Ask waits for an answer:
//
//	sys := actor.New(actor.Config{})
//	defer sys.Shutdown(context.Background())
//	purse, err := sys.Spawn(actor.Spec{Name: "purse/ann", New: func() actor.Actor { return &Purse{} }})
//	sys.Send(purse, Deposit{Gold: 3})
//	gold, err := sys.Ask(ctx, purse, Balance{})
//
// An actor itself never blocks. It asks with [Context.Ask], whose continuation runs in the actor when the answer is there; it does what blocks through
// [Context.Go]; it lets time pass with [Context.After]. Meanwhile it handles other messages, so what a continuation finds changed is for it to check, unless
// [Spec].Serial has the actor finish one message before it takes the next:
//
//	func (s *Shop) Receive(c *actor.Context, msg any) {
//		switch m := msg.(type) {
//		case Buy:
//			c.Ask(m.Purse, Withdraw{m.Price}, func(_ any, err error) {
//				if err != nil {
//					c.Reply(nil, fmt.Errorf("buy %s: %w", m.Item, err))
//					return
//				}
//				c.Reply(s.take(m.Item), nil)
//			})
//		}
//	}
//
// [Starter], [Stopper] and [Inheritor] are methods that an actor may have: to prepare itself, to save before it ends, to take something over from the one
// that failed.
//
// # What the runtime promises
//
// Order: messages from one actor to another arrive in the order sent.
//
// Answers: a request is answered exactly once, by its handler or with an [Error] that tells no such actor, stopped, unreachable, failed, too late, overloaded,
// in a circle and given up apart; errors.Is compares it with [ErrNoActor] and its like. Deadlines are inherited by what is asked on behalf of a
// request, and so is the end of all interest in it: when an asker ends, gives up or is too late, the work that was begun for it is given up too.
//
// Failures: a panic ends the life of its actor only. Whoever asked hears of it with the stack; supervision makes a successor, which gets the messages that wait.
//
// Bounds: a [Mailbox] may have a limit and a policy; one without warns at 1,024 messages and each doubling. What can't be delivered is a [DeadLetter].
//
// # Reading the source
//
// process.go is an actor and its loop, mailbox.go, blocks.go and limits.go are its mailbox, request.go is a question on its way, lifecycle.go and supervise.go are
// birth, end and what follows a panic, dispatch.go and rescue.go decide who runs on which worker, wheel.go keeps the time, and clock.go moves it.
// remote.go is the seam to other nodes. The rest are verbs.
//
// Packages below: actortest for tests, record to write down what an actor was sent and to replay it, trace for OpenTelemetry, value and codec for messages that
// cross languages.
package actor
