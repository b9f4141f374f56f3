package actor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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

// newTally is a tally's Spec.
func newTally() actor.Actor { return &tally{} }

// with runs f with a system of its own, which has ended when with returns.
func with(f func(sys *actor.System) error) {
	sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
	if err := errors.Join(f(sys), sys.Shutdown(context.Background())); err != nil {
		fmt.Println(err)
	}
}

func of(f actor.Func) actor.Spec { return actor.Spec{New: func() actor.Actor { return f }} }

// one is a system with one actor, and what it answers.
func one(f actor.Func) {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(of(f))
		if err != nil {
			return err
		}
		fmt.Println(sys.Ask(context.Background(), ref, "go"))
		return nil
	})
}

func upper(c *actor.Context, msg any) { c.Reply(strings.ToUpper(msg.(string)), nil) }

func Example() {
	sys := actor.New(actor.Config{})
	ref, err := sys.Spawn(actor.Spec{Name: "tally", New: newTally})
	if err != nil {
		fmt.Println(err)
		return
	}
	sys.Send(ref, add{2})
	fmt.Println(sys.Ask(context.Background(), ref, get{}))
	fmt.Println(sys.Shutdown(context.Background()))
	// Output:
	// 2 <nil>
	// <nil>
}

func ExampleSystem_Send() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{New: newTally})
		sys.Send(ref, add{2})
		sys.Send(ref, add{3})
		fmt.Println(sys.Ask(context.Background(), ref, get{}))
		return err
	})
	// Output: 5 <nil>
}

func ExampleSystem_SendNow() {
	with(func(sys *actor.System) error {
		sum := 0
		ref, err := sys.Spawn(of(func(_ *actor.Context, msg any) { sum += msg.(int) }))
		sys.SendNow(ref, 2)
		sys.SendNow(ref, 3)
		return errors.Join(err, sys.Shutdown(context.Background()), printed(sum))
	})
	// Output: 5
}

func printed(v any) error { _, err := fmt.Println(v); return err }

// Whoever is about to send to many actors can have the processor load what that takes, for all of them at once.
func ExampleSystem_Prefetch() {
	with(func(sys *actor.System) error {
		one, err := sys.Spawn(actor.Spec{New: newTally})
		two, err2 := sys.Spawn(actor.Spec{New: newTally})
		for depth := range 2 {
			sys.Prefetch(one.ID(), depth)
			sys.Prefetch(two.ID(), depth)
		}
		sys.SendNow(one, add{2})
		sys.SendNow(two, add{3})
		fmt.Println(sys.Ask(context.Background(), two, get{}))
		return errors.Join(err, err2)
	})
	// Output: 3 <nil>
}

func ExampleSystem_Ask() {
	with(func(sys *actor.System) error {
		silent, err := sys.Spawn(of(func(*actor.Context, any) {}))
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, late := sys.Ask(ctx, silent, "hello?")
		_, nobody := sys.Ask(ctx, actor.Ref{}, "hello?")
		fmt.Println(errors.Is(late, actor.ErrDeadline), errors.Is(nobody, actor.ErrNoActor))
		return err
	})
	// Output: true true
}

func ExampleSystem_Spawn() {
	with(func(sys *actor.System) error {
		_, err := sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		if err != nil {
			return err
		}
		_, err = sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		fmt.Println(err, errors.Is(err, actor.ErrNameTaken))
		return nil
	})
	// Output: actor: name is taken: "bank" true
}

func ExampleSystem_Unique() {
	with(func(sys *actor.System) error {
		one, err := sys.Unique(actor.Spec{Name: "bank", New: newTally})
		same, err2 := sys.Unique(actor.Spec{Name: "bank", New: newTally})
		fmt.Println(one == same)
		return errors.Join(err, err2)
	})
	// Output: true
}

func ExampleSystem_Register() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		if err != nil {
			return err
		}
		if err := sys.Register("treasury", ref); err != nil {
			return err
		}
		found, ok := sys.Lookup("treasury")
		fmt.Println(found == ref, ok)
		return nil
	})
	// Output: true true
}

func ExampleSystem_Lookup() {
	with(func(sys *actor.System) error {
		_, ok := sys.Lookup("nobody")
		fmt.Println(ok)
		return nil
	})
	// Output: false
}

func ExampleSystem_RefOf() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(of(upper))
		fmt.Println(sys.RefOf(ref.ID()) == ref, ref.Node())
		return err
	})
	// Output: true skua
}

func ExampleSystem_Stop() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(of(upper))
		sys.Stop(ref, errors.New("no more work"))
		<-sys.Ended(ref)
		_, gone := sys.Ask(context.Background(), ref, "hello?")
		fmt.Println(errors.Is(gone, actor.ErrNoActor))
		return err
	})
	// Output: true
}

func ExampleSystem_Drain() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(of(func(_ *actor.Context, msg any) { fmt.Println(msg) }))
		sys.Send(ref, "one")
		sys.Send(ref, "two")
		sys.Drain(ref, time.Minute) // behind these, but at most for a minute
		<-sys.Ended(ref)
		return err
	})
	// Output:
	// one
	// two
}

func ExampleSystem_Retire() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return epitaph{} }})
		sys.Send(ref, "one")
		sys.Retire(ref, time.Minute, errors.New("no more work"))
		<-sys.Ended(ref)
		return err
	})
	// Output:
	// one
	// it ended: no more work
}

// epitaph prints what it is sent, and why it ends.
type epitaph struct{}

func (epitaph) Receive(_ *actor.Context, msg any)   { fmt.Println(msg) }
func (epitaph) Stop(_ *actor.Context, reason error) { fmt.Println("it ended:", reason) }

func ExampleSystem_Kill() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return &hooked{stop: func(*actor.Context, error) { fmt.Println("never") }} }})
		sys.Kill(ref, nil)
		<-sys.Ended(ref)
		return err
	})
	// Output:
}

func ExampleSystem_Ended() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(of(func(c *actor.Context, _ any) { c.Stop(c.Self(), nil) }))
		sys.Send(ref, "go")
		<-sys.Ended(ref)
		return err
	})
	// Output:
}

func ExampleSystem_Publish() {
	with(func(sys *actor.System) error {
		heard := make(chan any)
		_, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
			return &hooked{
				start:   func(c *actor.Context) error { c.Subscribe("news"); return nil },
				receive: func(_ *actor.Context, msg any) { heard <- msg },
			}
		}})
		fmt.Println(sys.Publish("news", "a gold coin was found"), <-heard)
		return err
	})
	// Output: 1 a gold coin was found
}

func ExampleSystem_Inspect() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		info, ok := sys.Inspect(ref)
		fmt.Println(info.Name, info.Waiting, ok)
		return err
	})
	// Output: bank 0 true
}

func ExampleSystem_Stuck() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		_, stack, stuck := sys.Stuck(ref)
		fmt.Println(stuck, len(stack))
		return err
	})
	// Output: false 0
}

func ExampleSystem_StuckActors() {
	with(func(sys *actor.System) error {
		_, err := sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		for ref, since := range sys.StuckActors() {
			fmt.Println(ref, "is in one handler since", since)
		}
		fmt.Println("that is all")
		return err
	})
	// Output: that is all
}

func ExampleSystem_Quarantine() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		if err != nil {
			return err
		}
		if err := sys.Quarantine(ref, errors.New("it is greedy")); err != nil {
			return err
		}
		fmt.Println(len(sys.InQuarantine()), sys.Release(ref), len(sys.InQuarantine()))
		return nil
	})
	// Output: 1 true 0
}

func ExampleSystem_InQuarantine() {
	with(func(sys *actor.System) error {
		for ref, why := range sys.InQuarantine() {
			fmt.Println(ref, "since", why.Since, "for", why.Reason)
		}
		fmt.Println("that is all")
		return nil
	})
	// Output: that is all
}

func ExampleSystem_Release() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		fmt.Println(sys.Release(ref)) // it is in no quarantine
		return err
	})
	// Output: false
}

func ExampleSystem_Peek() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		for _, kept := range sys.Peek(ref, 10) {
			fmt.Println(kept.From, kept.Type, kept.Request)
		}
		return err
	})
	// Output:
}

func ExampleSystem_HandlerTimes() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{Kind: "upper", New: of(upper).New})
		if err != nil {
			return err
		}
		if _, err := sys.Ask(context.Background(), ref, "a"); err != nil {
			return err
		}
		sys.Stop(ref, nil)
		<-sys.Ended(ref)
		all := uint64(0)
		for _, n := range sys.HandlerTimes()["upper"].Counts {
			all += n
		}
		fmt.Println(all)
		return nil
	})
	// Output: 1
}

func ExampleSystem_AskTimes() {
	with(func(sys *actor.System) error {
		answered, failed := sys.AskTimes()
		fmt.Println(answered.Sum, failed.Sum)
		return nil
	})
	// Output: 0s 0s
}

func ExampleSystem_Actors() {
	with(func(sys *actor.System) error {
		_, err := sys.Spawn(actor.Spec{Name: "bank", New: newTally})
		for info := range sys.Actors() {
			fmt.Println(info.Name)
		}
		return err
	})
	// Output: bank
}

func ExampleSystem_Stats() {
	with(func(sys *actor.System) error {
		sys.Send(actor.Ref{}, "to nobody")
		fmt.Println(sys.Stats().DeadLetters)
		return nil
	})
	// Output: 1
}

func ExampleSystem_Tap() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(of(upper))
		if err != nil {
			return err
		}
		remove, err := sys.Tap(ref, func(m actor.Inbound) { fmt.Println("it gets", m.Message) })
		if err != nil {
			return err
		}
		defer remove()
		_, err = sys.Ask(context.Background(), ref, "hello")
		return err
	})
	// Output: it gets hello
}

func ExampleSystem_Shutdown() {
	sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
	ref, err := sys.Spawn(actor.Spec{Name: "slow", New: func() actor.Actor { return &hooked{stop: func(c *actor.Context, _ error) { c.Hold() }} }})
	if err != nil {
		fmt.Println(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	var late *actor.ShutdownError
	if errors.As(sys.Shutdown(ctx), &late) {
		fmt.Println(late.Waiting, "did not end")
	}
	sys.Kill(ref, nil)
	fmt.Println(sys.Shutdown(context.Background()))
	// Output:
	// slow did not end
	// <nil>
}

func ExamplePortable() {
	data, err := json.Marshal(actor.Portable(fmt.Errorf("load: %w", context.DeadlineExceeded)))
	if err != nil {
		fmt.Println(err)
	}
	there := &actor.Error{} // on another node
	fmt.Println(json.Unmarshal(data, there), errors.Is(there, actor.ErrDeadline))
	// Output: <nil> true
}

func ExampleContext_Ask() {
	one(func(c *actor.Context, _ any) {
		shout, err := c.Spawn(of(upper))
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

func ExampleContext_Reply() {
	one(func(c *actor.Context, msg any) { c.Reply(fmt.Sprint(msg, " yourself"), nil) })
	// Output: go yourself <nil>
}

func ExampleContext_Send() {
	with(func(sys *actor.System) error {
		printed := make(chan struct{})
		printer, err := sys.Spawn(of(func(_ *actor.Context, msg any) { fmt.Println(msg); close(printed) }))
		if err != nil {
			return err
		}
		ref, err := sys.Spawn(of(func(c *actor.Context, msg any) { c.Send(printer, msg) }))
		sys.Send(ref, "hello")
		<-printed
		return err
	})
	// Output: hello
}

func ExampleContext_AskFor() {
	one(func(c *actor.Context, _ any) {
		silent, err := c.Spawn(of(func(*actor.Context, any) {}))
		if err != nil {
			c.Reply(nil, err)
			return
		}
		c.AskFor(silent, "hello?", time.Millisecond, func(_ any, err error) { c.Reply(errors.Is(err, actor.ErrDeadline), nil) })
	})
	// Output: true <nil>
}

// crowd is some children who shout.
func crowd(c *actor.Context, n int) (refs []actor.Ref) {
	for range n {
		if ref, err := c.Spawn(of(upper)); err == nil {
			refs = append(refs, ref)
		}
	}
	return refs
}

func ExampleContext_AskAll() {
	one(func(c *actor.Context, _ any) {
		c.AskAll(crowd(c, 3), "hey", func(answers []actor.Answer) { c.Reply(len(answers), answers[2].Err) })
	})
	// Output: 3 <nil>
}

func ExampleContext_AskFirst() {
	one(func(c *actor.Context, _ any) {
		c.AskFirst(crowd(c, 3), "hey", func(a actor.Answer, err error) { c.Reply(a.Value, err) })
	})
	// Output: HEY <nil>
}

func ExampleContext_AskQuorum() {
	one(func(c *actor.Context, _ any) {
		replicas := append(crowd(c, 2), actor.Ref{}) // one of three is not there
		c.AskQuorum(replicas, 2, "hey", func(answers []actor.Answer, err error) { c.Reply(len(answers), err) })
	})
	// Output: 2 <nil>
}

func ExampleCall_Cancel() {
	one(func(c *actor.Context, _ any) {
		call := c.Ask(crowd(c, 1)[0], "hey", func(any, error) { fmt.Println("never") })
		c.Reply(call.Cancel(), nil)
	})
	// Output: true <nil>
}

func ExampleContext_Forward() {
	one(func(c *actor.Context, _ any) { c.Forward(crowd(c, 1)[0]) })
	// Output: GO <nil>
}

func ExampleContext_ReplyTo() {
	with(func(sys *actor.System) error {
		var first actor.Promise
		ref, err := sys.Spawn(of(func(c *actor.Context, msg any) {
			if msg == "first" {
				first = c.Promise()
				return
			}
			c.ReplyTo(first, "later", nil)
		}))
		answer := make(chan any)
		go func() { v, _ := sys.Ask(context.Background(), ref, "first"); answer <- v }()
		for { // until the first one is there
			sys.Send(ref, "second")
			select {
			case v := <-answer:
				fmt.Println(v)
				return err
			case <-time.After(time.Millisecond):
			}
		}
	})
	// Output: later
}

func ExampleContext_Promise() {
	one(func(c *actor.Context, _ any) {
		promise := c.Promise()
		go promise.Reply("from anywhere", nil)
	})
	// Output: from anywhere <nil>
}

func ExampleContext_Detached() {
	one(func(c *actor.Context, _ any) {
		c.Detached(func() {
			_, has := c.Deadline()
			fmt.Println("a deadline:", has)
		})
		_, has := c.Deadline()
		c.Reply(has, nil)
	})
	// Output:
	// a deadline: false
	// true <nil>
}

func ExampleContext_AtStop() {
	one(func(c *actor.Context, _ any) {
		c.AtStop(func() { fmt.Println("saved") })
		forget := c.AtStop(func() { fmt.Println("not needed") })
		forget()
		c.Reply("changed", nil)
	})
	// Output:
	// changed <nil>
	// saved
}

func ExampleContext_Hold() {
	with(func(sys *actor.System) error {
		_, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
			return &hooked{stop: func(c *actor.Context, _ error) {
				release := c.Hold() // the actor ends when this has been called
				go func() { fmt.Println("written"); release() }()
			}}
		}})
		return err
	})
	// Output: written
}

func ExampleContext_Resume() {
	one(func(c *actor.Context, _ any) {
		n := 0 // the actor's own: no lock
		tick := c.Resume(func() {
			if n++; n == 3 {
				c.Reply(n, nil)
			}
		})
		go func() { tick(); tick(); tick() }()
	})
	// Output: 3 <nil>
}

func ExampleContext_Every() {
	one(func(c *actor.Context, _ any) {
		n, reply := 0, c.Promise()
		var timer *actor.Timer
		timer = c.Every(time.Millisecond, func() {
			if n++; n == 3 {
				timer.Cancel()
				reply.Reply(n, nil)
			}
		})
	})
	// Output: 3 <nil>
}

func ExampleContext_Spawn() {
	one(func(c *actor.Context, _ any) {
		child, err := c.Spawn(actor.Spec{New: newTally}) // ends with its parent
		c.Send(child, add{4})
		if err != nil {
			c.Reply(nil, err)
			return
		}
		c.Ask(child, get{}, c.Reply)
	})
	// Output: 4 <nil>
}

func ExampleContext_Unwatch() {
	one(func(c *actor.Context, msg any) {
		if _, ended := msg.(actor.Terminated); ended {
			fmt.Println("never")
			return
		}
		child := crowd(c, 1)[0]
		c.Watch(child)
		c.Unwatch(child)
		c.Stop(child, nil)
		c.Reply(nil, nil)
	})
	// Output: <nil> <nil>
}

func ExampleContext_Stop() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(of(func(c *actor.Context, _ any) { c.Stop(c.Self(), nil) }))
		sys.Send(ref, "go")
		<-sys.Ended(ref)
		return err
	})
	// Output:
}

func ExampleContext_Drain() {
	one(func(c *actor.Context, _ any) {
		child := crowd(c, 1)[0]
		c.Ask(child, "last words", c.Reply)
		c.Drain(child, time.Second)
	})
	// Output: LAST WORDS <nil>
}

func ExampleContext_Retire() {
	var asked actor.Promise
	one(func(c *actor.Context, msg any) {
		if end, ok := msg.(actor.Terminated); ok {
			asked.Reply("it ended:", end.Reason)
			return
		}
		asked = c.Promise()
		child := crowd(c, 1)[0]
		c.Watch(child)
		c.Ask(child, "last words", func(v any, _ error) { fmt.Println(v) })
		c.Retire(child, time.Second, errors.New("no more work"))
	})
	// Output:
	// LAST WORDS
	// it ended: no more work
}

func ExampleContext_Kill() {
	one(func(c *actor.Context, _ any) {
		child := crowd(c, 1)[0]
		c.Kill(child, nil)
		c.Ask(child, "hello?", func(_ any, err error) {
			c.Reply(errors.Is(err, actor.ErrStopped) || errors.Is(err, actor.ErrNoActor), nil)
		})
	})
	// Output: true <nil>
}

func ExampleContext_SendAll() {
	one(func(c *actor.Context, msg any) {
		if msg == "go" {
			c.SendAll([]actor.Ref{c.Self(), c.Self()}, "again")
			c.Reply("sent", nil)
		}
	})
	// Output: sent <nil>
}

func ExampleContext_Subscribe() {
	var asked actor.Promise
	one(func(c *actor.Context, msg any) {
		if msg != "go" {
			asked.Reply(msg, nil)
			return
		}
		asked = c.Promise()
		c.Subscribe("weather")
		c.Publish("weather", "sunny")
	})
	// Output: sunny <nil>
}

func ExampleContext_Unsubscribe() {
	one(func(c *actor.Context, _ any) {
		c.Subscribe("weather")
		c.Unsubscribe("weather")
		c.Reply(c.Publish("weather", "sunny"), nil)
	})
	// Output: 0 <nil>
}

func ExampleContext_Publish() {
	one(func(c *actor.Context, _ any) { c.Reply(c.Publish("weather", "nobody listens"), nil) })
	// Output: 0 <nil>
}

func ExampleMailbox() {
	with(func(sys *actor.System) error {
		begun, goOn := make(chan struct{}), make(chan struct{})
		ref, err := sys.Spawn(actor.Spec{
			Mailbox: actor.Mailbox{Limit: 100, Policy: actor.Latest, Key: func(msg any) any { return msg.(string)[:1] }},
			New: func() actor.Actor {
				return actor.Func(func(_ *actor.Context, msg any) {
					if msg == "?" {
						close(begun)
						<-goOn
						return
					}
					fmt.Println(msg)
				})
			},
		})
		sys.Send(ref, "?")
		<-begun
		for _, position := range []string{"ann 1", "bob 1", "ann 2", "ann 3"} {
			sys.Send(ref, position)
		}
		close(goOn)
		sys.Drain(ref, 0)
		<-sys.Ended(ref)
		return err
	})
	// Output:
	// bob 1
	// ann 3
}

func ExampleInheritor() {
	with(func(sys *actor.System) error {
		ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return &summer{} }}) // its Inherit copies the sum
		sys.Send(ref, "add")
		sys.Send(ref, "fail")
		fmt.Println(sys.Ask(context.Background(), ref, "add"))
		return err
	})
	// Output: 2 <nil>
}

func ExampleSpec_serial() {
	with(func(sys *actor.System) error {
		serial := func(name, asks string) {
			if _, err := sys.Spawn(actor.Spec{Name: name, Serial: true, New: func() actor.Actor {
				return actor.Func(func(c *actor.Context, msg any) {
					to, _ := c.System().Lookup(asks)
					c.Ask(to, msg, c.Reply)
				})
			}}); err != nil {
				fmt.Println(err)
			}
		}
		serial("a", "b")
		serial("b", "a")
		a, _ := sys.Lookup("a")
		_, err := sys.Ask(context.Background(), a, "go")
		fmt.Println(err)
		return nil
	})
	// Output: actor: a: call cycle: a waits for b waits for a
}

// tree is a Tracer that prints.
type tree struct{}

type branch struct{ name string }

func (tree) Begin(parent actor.Span, h actor.Handling) actor.Span {
	b := &branch{h.Actor()}
	if p, ok := parent.(*branch); ok {
		b.name = p.name + " > " + b.name
	}
	return b
}

func (b *branch) End(err error) { fmt.Println(b.name, err) }

func ExampleTracer() {
	sys := actor.New(actor.Config{Tracer: tree{}})
	shop := actor.Spec{Name: "shop", New: func() actor.Actor { return actor.Func(upper) }}
	ref, err := sys.Spawn(shop)
	if err != nil {
		fmt.Println(err)
	}
	agent, err := sys.Spawn(actor.Spec{Name: "agent", New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) { c.Ask(ref, msg, c.Reply) })
	}})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(sys.Ask(context.Background(), agent, "buy"))
	fmt.Println(sys.Shutdown(context.Background()))
	// Output:
	// agent > shop <nil>
	// agent <nil>
	// BUY <nil>
	// <nil>
}
