package actortest_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
)

// What the runtime promises holds in any order of messages, also for actors whose mailboxes are special.

func TestASerialActorFinishesOneMessageBeforeTheNextInAnyOrder(t *testing.T) {
	actortest.Explore(t, 40, func(t *testing.T, k *actortest.Kit) {
		clock := spawn(k, "clock", func(c *actor.Context, msg any) { c.After(time.Millisecond, func() { c.Reply(msg, nil) }) })
		n := 0
		adder := k.Spawn(actor.Spec{Name: "adder", Serial: true, New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, _ any) {
				c.Ask(clock, n, func(v any, err error) { // others would be handled meanwhile, and read the same n
					n = v.(int) + 1
					c.Reply(n, err)
				})
			})
		}})
		var asked []*actortest.Pending
		for i := range 4 {
			asked = append(asked, k.Probe(fmt.Sprint("p", i)).Ask(adder, "add"))
		}
		for _, a := range asked {
			if _, err := a.Answer(); err != nil {
				t.Fatal(err)
			}
		}
		if n != 4 {
			t.Fatalf("%d of 4 are there", n)
		}
	})
}

func TestABoundedMailboxRefusesWhatIsTooMuchInAnyOrder(t *testing.T) {
	actortest.Explore(t, 40, func(t *testing.T, k *actortest.Kit) {
		const limit = 3
		handled := 0
		narrow := k.Spawn(actor.Spec{Name: "narrow", Mailbox: actor.Mailbox{Limit: limit}, New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, _ any) {
				handled++
				c.Reply(nil, nil)
			})
		}})
		var asked []*actortest.Pending
		p := k.Probe("p")
		for range 10 {
			asked = append(asked, p.Ask(narrow, 1))
		}
		refused := 0
		for _, a := range asked {
			if _, err := a.Answer(); errors.Is(err, actor.ErrOverloaded) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if handled+refused != 10 || handled < limit {
			t.Fatalf("%d handled, %d refused of 10", handled, refused)
		}
	})
}

func TestAnActorThatFailsGoesOnWithTheMessagesThatWaitInAnyOrder(t *testing.T) {
	actortest.Config{MayPanic: true}.Explore(t, 40, func(t *testing.T, k *actortest.Kit) {
		weak := spawn(k, "weak", func(c *actor.Context, msg any) {
			if msg == 2 {
				panic("boom")
			}
			c.Reply(msg, nil)
		})
		p := k.Probe("p")
		var asked []*actortest.Pending
		for i := range 5 {
			asked = append(asked, p.Ask(weak, i))
		}
		for i, a := range asked {
			v, err := a.Answer()
			if failed := errors.Is(err, actor.ErrFailed); failed != (i == 2) || !failed && v != i {
				t.Fatalf("request %d: %v, %v", i, v, err)
			}
		}
		if s := k.Stats(); s.Restarts != 1 {
			t.Fatalf("%d restarts", s.Restarts)
		}
	})
}
