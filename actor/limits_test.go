package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor"
)

// blocked is an actor that handles nothing before goOn is called, and tells what it has handled when asked "seen".
func blocked(t *testing.T, sys *actor.System, m actor.Mailbox) (ref actor.Ref, goOn func()) {
	t.Helper()
	begun, gate := make(chan struct{}), make(chan struct{})
	var seen []any
	ref, err := sys.Spawn(actor.Spec{Name: "full", Mailbox: m, New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			switch msg {
			case "block":
				close(begun)
				<-gate
			case "seen":
				c.Reply(slices.Clone(seen), nil)
			default:
				seen = append(seen, msg)
				c.Reply(msg, nil)
			}
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	sys.Send(ref, "block")
	<-begun
	return ref, func() { close(gate) }
}

type price struct {
	item  string
	cents int
}

func byItem(msg any) any {
	if p, ok := msg.(price); ok {
		return p.item
	}
	return nil
}

func TestAFullMailboxKeepsWhatItsPolicySays(t *testing.T) {
	tests := map[string]struct {
		mailbox actor.Mailbox
		send    []any
		want    []any
		dropped uint64
		dead    int64
	}{
		"reject":      {actor.Mailbox{Limit: 3}, []any{1, 2, 3, 4, 5}, []any{1, 2, 3}, 0, 2},
		"drop oldest": {actor.Mailbox{Limit: 3, Policy: actor.DropOldest}, []any{1, 2, 3, 4, 5}, []any{3, 4, 5}, 2, 0},
		"drop newest": {actor.Mailbox{Limit: 3, Policy: actor.DropNewest}, []any{1, 2, 3, 4, 5}, []any{1, 2, 3}, 2, 0},
		"latest": {
			actor.Mailbox{Limit: 4, Policy: actor.Latest, Key: byItem},
			[]any{price{"ore", 1}, price{"log", 2}, "no key", price{"ore", 3}, price{"ore", 4}, price{"log", 5}, "another", price{"new", 6}},
			[]any{"no key", price{"ore", 4}, price{"log", 5}, "another"},
			3, 1,
		},
		"latest without a key": {actor.Mailbox{Limit: 2, Policy: actor.Latest}, []any{1, 1, 1}, []any{1, 1}, 0, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sys := newSystem(t)
			ref, goOn := blocked(t, sys, tt.mailbox)
			for _, msg := range tt.send {
				sys.Send(ref, msg)
			}
			info, _ := sys.Inspect(ref)
			if info.Waiting != len(tt.want) || info.Dropped != tt.dropped {
				t.Errorf("%d wait and %d were dropped, want %d and %d", info.Waiting, info.Dropped, len(tt.want), tt.dropped)
			}
			if n := sys.Stats().DeadLetters; n != tt.dead {
				t.Errorf("%d dead letters, want %d", n, tt.dead)
			}
			goOn()
			for {
				if i, _ := sys.Inspect(ref); i.Waiting == 0 {
					break
				}
			}
			if got := ask(t, sys, ref, "seen"); !slices.Equal(got.([]any), tt.want) {
				t.Errorf("handled %v, want %v", got, tt.want)
			}
		})
	}
}

func TestADroppedRequestIsAnswered(t *testing.T) {
	for _, policy := range []actor.Policy{actor.Reject, actor.DropOldest, actor.DropNewest, actor.Latest} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			sys := newSystem(t)
			ref, goOn := blocked(t, sys, actor.Mailbox{Limit: 1, Policy: policy, Key: func(any) any { return 1 }})
			answers := make(chan error, 2)
			asker := spawn(t, sys, func(c *actor.Context, msg any) {
				c.Ask(ref, msg, func(_ any, err error) { answers <- err })
			})
			sys.Send(asker, 1)
			sys.Send(asker, 2)
			wantErr(t, <-answers, actor.ErrOverloaded) // while the actor is still blocked
			goOn()
			if err := <-answers; err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTheRuntimesOwnMessagesAreNotLimited(t *testing.T) {
	sys := newSystem(t)
	ref, goOn := blocked(t, sys, actor.Mailbox{Limit: 1})
	sys.Send(ref, 1)
	sys.Drain(ref, 0) // behind the message, although there is no room
	goOn()
	<-sys.Ended(ref)
	if n := sys.Stats().DeadLetters; n != 0 {
		t.Fatalf("%d dead letters", n)
	}
}

func TestAKeyThatIsNoneIsLoggedAndTheMessageArrives(t *testing.T) {
	for name, key := range map[string]func(any) any{
		"panics":       func(any) any { panic("boom") },
		"not hashable": func(any) any { return []int{1} },
	} {
		t.Run(name, func(t *testing.T) {
			sys, log := newLogged(t)
			ref, goOn := blocked(t, sys, actor.Mailbox{Limit: 9, Policy: actor.Latest, Key: key})
			sys.Send(ref, 1)
			goOn()
			if got := ask(t, sys, ref, 2); got != 2 || !strings.Contains(log.String(), "no key for a message") {
				t.Fatal(got, log)
			}
		})
	}
}

// A bounded mailbox against a plain list with the same rules, under random messages and takes.
func TestABoundedMailboxIsTheListThatItsPolicyMakes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := actor.Mailbox{
			Limit: rapid.IntRange(1, 5).Draw(rt, "limit"), Policy: rapid.SampledFrom([]actor.Policy{actor.Reject, actor.DropOldest, actor.DropNewest, actor.Latest}).Draw(rt, "policy"),
			Key: byItem,
		}
		sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
		box := actor.NewBox(sys, m)
		var model []any
		n := 0
		rt.Repeat(map[string]func(*rapid.T){
			"send": func(rt *rapid.T) {
				n++
				msg := any(price{rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(rt, "item"), n})
				if msg.(price).item == "" {
					msg = n
				}
				box.Send(msg)
				model = put(m, model, msg)
			},
			"take": func(rt *rapid.T) {
				got, ok := box.Take()
				if ok != (len(model) > 0) {
					rt.Fatalf("took %v, %v of %v", got, ok, model)
				}
				if ok {
					if got != model[0] {
						rt.Fatalf("took %v of %v", got, model)
					}
					model = model[1:]
				}
			},
			"": func(rt *rapid.T) {
				if box.Len() != len(model) {
					rt.Fatalf("%d wait, want %v", box.Len(), model)
				}
			},
		})
		if err := sys.Shutdown(context.Background()); err != nil {
			rt.Fatal(err)
		}
	})
}

// put is what a mailbox has to do, said as simply as possible.
func put(m actor.Mailbox, list []any, msg any) []any {
	if m.Policy == actor.Latest {
		if key := byItem(msg); key != nil {
			for i, old := range list {
				if byItem(old) == key {
					return append(slices.Delete(slices.Clone(list), i, i+1), msg)
				}
			}
		}
	}
	switch {
	case len(list) < m.Limit:
		return append(list, msg)
	case m.Policy == actor.DropOldest:
		return append(slices.Clone(list[1:]), msg)
	default:
		return list
	}
}

func TestASerialActorFinishesOneMessageBeforeItTakesTheNext(t *testing.T) {
	sys := newSystem(t)
	slow := spawn(t, sys, func(c *actor.Context, msg any) { c.After(3e6, func() { c.Reply(msg, nil) }) })
	var order []string
	ref, err := sys.Spawn(actor.Spec{Serial: true, New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			if msg == "order" {
				c.Reply(slices.Clone(order), nil)
				return
			}
			order = append(order, fmt.Sprint("begin ", msg))
			end := func(any, error) { order = append(order, fmt.Sprint("end ", msg)); c.Reply(nil, nil) }
			switch msg {
			case 1:
				c.Ask(slow, msg, end)
			case 2:
				c.Go(func(context.Context) (any, error) { return nil, nil }, end)
			case 3: // answered, but what it began is not over
				c.Reply(nil, nil)
				c.Ask(slow, msg, end)
			case 4: // nothing is on its way, but it is not answered
				c.After(3e6, func() { end(nil, nil) })
			}
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		sys.Send(ref, -i) // messages that end at once
		i := i + 1
		done := make(chan struct{})
		asker := spawn(t, sys, func(c *actor.Context, _ any) { c.Ask(ref, i, func(any, error) { close(done) }) })
		sys.Send(asker, nil)
		<-done
	}
	got := ask(t, sys, ref, "order").([]string)
	for i := 0; i < len(got); i++ {
		var n int
		if _, err := fmt.Sscanf(got[i], "begin %d", &n); err != nil || n > 0 && (i+1 >= len(got) || got[i+1] != fmt.Sprint("end ", n)) {
			t.Fatalf("handled in the order %q", got)
		} else if n > 0 {
			i++
		}
	}
}

func TestASerialActorGoesOnWhenARequestOfItsIsGivenUp(t *testing.T) {
	sys := newSystem(t)
	ref, err := sys.Spawn(actor.Spec{Serial: true, New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			if msg != "never" {
				c.Reply(msg, nil)
			}
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error)
	go func() { _, err := sys.Ask(ctx, ref, "never"); asked <- err }()
	for i := 0; ; i++ { // until the request is in its handler
		if info, _ := sys.Inspect(ref); info.Processed > 1 || actor.OpenRequests(sys, ref) > 0 {
			break
		}
	}
	cancel()
	wantErr(t, <-asked, context.Canceled)
	if got := ask(t, sys, ref, 7); got != 7 {
		t.Fatal(got)
	}
}

func TestALongMailboxNamesItsMostFrequentMessages(t *testing.T) {
	sys, log := newLogged(t)
	ref, goOn := blocked(t, sys, actor.Mailbox{})
	for i := range 2 * actor.FirstWarning {
		if i%4 == 0 {
			sys.Send(ref, errors.New("rare"))
		} else {
			sys.Send(ref, price{"ore", i})
		}
	}
	goOn()
	ask(t, sys, ref, 1)
	if s := log.String(); !strings.Contains(s, "most=actor_test.price percent=7") || !strings.Contains(s, "actor=full") {
		t.Fatal(s)
	}
	info, _ := sys.Inspect(ref)
	if info.MostWaiting < 2*actor.FirstWarning || info.Processed < 2*actor.FirstWarning {
		t.Fatalf("%+v", info)
	}
}
