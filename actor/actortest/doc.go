// Package actortest tests actors: a system of the test's own in fake time, probes that play the other actors, and a say in who handles its message next.
//
//	func TestAnOrderIsSavedBeforeItIsConfirmed(t *testing.T) {
//		actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
//			store, client := k.Probe("store"), k.Probe("client")
//			shop := k.Spawn(actor.Spec{Name: "shop", New: func() actor.Actor { return &Shop{} }})
//
//			order := client.Ask(shop, Order{Item: "sword"})
//			got := actortest.Expect[Save](store) // the shop asks the actor called store
//			if got.Item != "sword" || order.Done() {
//				t.Fatalf("saved %q, confirmed %v", got.Item, order.Done())
//			}
//			store.Reply(Saved{}, nil)
//			if _, err := order.Answer(); err != nil {
//				t.Fatal(err)
//			}
//			k.Advance(time.Hour) // takes no time
//			client.ExpectEqual(Delivered{Item: "sword"})
//			client.ExpectNone()
//		})
//	}
//
// A [Kit] is an [actor.System], so the test sends, publishes, stops and looks names up with its methods. [Kit.Spawn] and [Ask] fail the test instead of
// returning an error.
//
// # Time
//
// A test runs in a bubble of [testing/synctest]: time stands still while anything can run, and jumps when all wait. [Kit.Settle] lets actors run until
// nothing has anything to do, [Kit.Advance] lets time pass, and [Expect] does both, for at most Config.Within, until the message is there. So nothing is
// ever a little late, and no test sleeps. After Settle and Advance, and after an expectation that has been met, no actor runs: the test may look into it.
//
// In a bubble only channels, timers and the like are known to wait. Actors that talk to a real network or a real database are tested without a Kit.
//
// # Order
//
// By default actors run as they do in production, several at a time and in any order. Two others are for tests that want to know:
//
//	actortest.Config{Dispatch: actortest.Manual}.Run(t, func(t *testing.T, k *actortest.Kit) {
//		...
//		k.StepOf(shop) // handles one message; nobody else has run
//	})
//
// With [Manual] nothing runs before the test says so, with [Kit.Step], [Kit.StepOf] or [Kit.Settle]; probes take what they get at once, and expectations
// look at what is there. With [Shuffled] the order is drawn, and
//
//	actortest.Explore(t, 1000, func(t *testing.T, k *actortest.Kit) { ... })
//
// runs the test in a thousand orders, until one breaks it. Such a failure tells who handled what, message by message, and how to run that order again: it
// is the same each time. What runs beside the actors, work given to Context.Go and goroutines of the test, runs between two messages until it waits; when two
// of these send to one actor at the same moment, their order is open. A System.Blocking of 1 has work given to Context.Go run in order too.
//
// In both an actor runs in the goroutine of the test, so that it may even call t.Fatal. A goroutine that the test has begun waits in Spawn, System.Ask and
// Shutdown until the test lets actors run, with Settle for example; the test must not wait for it in another way.
//
// With rapid (pgregory.net/rapid), Config.New makes a Kit for each try, in one bubble around them all:
//
//	synctest.Test(t, func(t *testing.T) {
//		rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) { // the struct hides t.Deadline, which bubbles don't have
//			k := actortest.Config{Dispatch: actortest.Manual}.New(rt)
//			...
//			k.StepOf(rapid.SampledFrom(k.Ready()).Draw(rt, "next"))
//		})
//	})
//
// # The end
//
// When the test function has returned, the system is shut down. The test fails if an actor does not stop, if a goroutine is left, if a handler has panicked
// (unless Config.MayPanic), and, with Config.NoDeadLetters, if a message could not be delivered.
package actortest
