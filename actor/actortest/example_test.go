package actortest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
)

// The messages of a shop, and of the store where it saves orders.
type (
	order     struct{ Item string }
	confirmed struct{ Item string }
	delivered struct{ Item string }
	keep      struct{ Item string }
)

// shop confirms orders when they are saved, and delivers an hour later.
type shop struct {
	store actor.Ref
	stock int
}

var errSoldOut = errors.New("shop: sold out")

func (s *shop) Start(c *actor.Context) error {
	store, ok := c.System().Lookup("store")
	if !ok {
		return errors.New("shop: there is no store")
	}
	s.store = store
	return nil
}

func (s *shop) Receive(c *actor.Context, msg any) {
	o, ok := msg.(order)
	if !ok {
		return
	}
	if s.stock == 0 {
		c.Reply(nil, errSoldOut)
		return
	}
	s.stock--
	client := c.From()
	c.Ask(s.store, keep(o), func(_ any, err error) {
		if err != nil {
			s.stock++
			c.Reply(nil, err)
			return
		}
		c.Reply(confirmed(o), nil)
		c.After(time.Hour, func() { c.Send(client, delivered(o)) })
	})
}

func open(k *actortest.Kit, stock int) actor.Ref {
	return k.Spawn(actor.Spec{Name: "shop", New: func() actor.Actor { return &shop{stock: stock} }})
}

// A test with a probe for the service that the actor uses, one for its client, and an hour that takes no time.
func TestExampleAnOrderIsSavedBeforeItIsConfirmed(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		store, client := k.Probe("store"), k.Probe("client")
		shop := open(k, 1)

		o := client.Ask(shop, order{"sword"})
		if got := actortest.Expect[keep](store); got.Item != "sword" {
			t.Fatalf("saved %q", got.Item)
		}
		if o.Done() {
			t.Fatal("confirmed before it is saved")
		}
		store.Reply(nil, nil)
		if v, err := o.Answer(); v != (confirmed{"sword"}) || err != nil {
			t.Fatalf("answered %v, %v", v, err)
		}
		client.ExpectNone()
		k.Advance(time.Hour)
		client.ExpectEqual(delivered{"sword"})
	})
}

// A test of what happens when a service does not answer.
func TestExampleASwordThatCouldNotBeSavedIsForSaleAgain(t *testing.T) {
	actortest.Run(t, func(t *testing.T, k *actortest.Kit) {
		store := k.Probe("store")
		shop := open(k, 1)
		if _, err := k.Ask(t.Context(), shop, order{"sword"}); !errors.Is(err, actor.ErrDeadline) {
			t.Fatal(err)
		}
		k.Settle() // the shop hears that nobody waits any more
		store.Answer(func(any) (any, error) { return "saved", nil })
		if got := actortest.Ask[confirmed](k, shop, order{"sword"}); got.Item != "sword" {
			t.Fatal(got)
		}
	})
}

// A test that decides who runs: the second order comes while the first one is being saved.
func TestExampleTheLastSwordIsNotSoldTwice(t *testing.T) {
	actortest.Config{Dispatch: actortest.Manual}.Run(t, func(t *testing.T, k *actortest.Kit) {
		store, ann, bob := k.Probe("store"), k.Probe("ann"), k.Probe("bob")
		shop := open(k, 1)
		first, second := ann.Ask(shop, order{"sword"}), bob.Ask(shop, order{"sword"})
		k.StepOf(shop)
		actortest.Expect[keep](store)
		k.StepOf(shop) // the store has not answered yet
		if _, err := second.Answer(); !errors.Is(err, errSoldOut) {
			t.Fatal(err)
		}
		store.Reply(nil, nil)
		k.StepOf(shop)
		if _, err := first.Answer(); err != nil {
			t.Fatal(err)
		}
		store.ExpectNone()
	})
}

// A test that must hold in any order.
func TestExampleNoOrderOfMessagesSellsMoreThanThereIs(t *testing.T) {
	actortest.Explore(t, 50, func(t *testing.T, k *actortest.Kit) {
		k.Probe("store").Answer(func(any) (any, error) { return "saved", nil })
		shop := open(k, 2)
		var orders []*actortest.Pending
		for _, name := range []string{"ann", "bob", "cid"} {
			orders = append(orders, k.Probe(name).Ask(shop, order{"sword"}))
		}
		sold := 0
		for _, o := range orders {
			if _, err := o.Answer(); err == nil {
				sold++
			}
		}
		if sold != 2 {
			t.Fatalf("sold %d swords of 2", sold)
		}
	})
}
