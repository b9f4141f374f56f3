package actor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

// inBubble runs f with fake time and a system that has ended before the bubble does.
func inBubble(t *testing.T, f func(t *testing.T, sys *actor.System)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newLogged(t)
		f(t, sys)
	})
}

func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // fake time

func TestWhoeverWorksForAnAskerThatGaveUpLearnsIt(t *testing.T) {
	tests := map[string]func(sys *actor.System, ctx context.Context, cancel func(), front actor.Ref) error{
		"from outside": func(sys *actor.System, ctx context.Context, cancel func(), front actor.Ref) error {
			time.AfterFunc(time.Second, cancel)
			_, err := sys.Ask(ctx, front, "work")
			return err
		},
		"an actor that cancels": func(sys *actor.System, _ context.Context, _ func(), front actor.Ref) error {
			_, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
				return &hooked{start: func(c *actor.Context) error {
					call := c.Ask(front, "work", func(any, error) { panic("the continuation of a request that was given up") })
					c.After(time.Second, func() {
						if !call.Cancel() || call.Cancel() {
							panic("Cancel does not tell whether it did anything")
						}
					})
					return nil
				}}
			}})
			pass(2 * time.Second)
			return errors.Join(err, context.Canceled)
		},
		"an actor that ends": func(sys *actor.System, _ context.Context, _ func(), front actor.Ref) error {
			asker, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
				return &hooked{start: func(c *actor.Context) error {
					c.Ask(front, "work", func(any, error) {})
					return nil
				}}
			}})
			pass(time.Second)
			sys.Kill(asker, nil)
			pass(time.Second)
			return errors.Join(err, context.Canceled)
		},
		"an actor that fails": func(sys *actor.System, _ context.Context, _ func(), front actor.Ref) error {
			_, err := sys.Spawn(actor.Spec{Supervision: actor.Supervision{Limit: -1}, New: func() actor.Actor {
				return &hooked{start: func(c *actor.Context) error {
					c.Ask(front, "work", func(any, error) {})
					c.After(time.Second, func() { panic("planned") })
					return nil
				}}
			}})
			pass(2 * time.Second)
			return errors.Join(err, context.Canceled)
		},
	}
	for name, giveUp := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, sys *actor.System) {
				began := time.Now()
				ended := map[string]time.Duration{}
				results := make(chan string, 10)
				back := spawn(t, sys, func(c *actor.Context, msg any) {
					c.Go(func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() }, func(_ any, err error) {
						if !errors.Is(err, context.Canceled) || c.IsRequest() {
							t.Errorf("work ended with %v, somebody waits: %v", err, c.IsRequest())
						}
						results <- "work"
					})
				})
				silent := spawn(t, sys, func(*actor.Context, any) {})
				middle := spawn(t, sys, func(c *actor.Context, msg any) {
					c.AskFor(silent, msg, time.Hour, func(any, error) { results <- "aside" })
					c.Forward(back)
				})
				front := spawn(t, sys, func(c *actor.Context, msg any) {
					c.AskFor(middle, msg, time.Hour, func(_ any, err error) {
						if !errors.Is(err, actor.ErrCanceled) {
							t.Errorf("the nested request ended with %v", err)
						}
						results <- "nested"
					})
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if err := giveUp(sys, ctx, cancel, front); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				for range 3 {
					ended[<-results] = time.Since(began)
				}
				for what, at := range ended {
					if at > 2*time.Second {
						t.Errorf("%s was given up after %v only", what, at)
					}
				}
			})
		})
	}
}

func TestARequestOnBehalfOfOneThatIsGivenUpIsNotHandled(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		gate := make(chan struct{})
		handled := 0
		back := spawn(t, sys, func(c *actor.Context, msg any) {
			if msg == "block" {
				<-gate
				return
			}
			handled++
		})
		sys.Send(back, "block")
		front := spawn(t, sys, func(c *actor.Context, msg any) { c.AskFor(back, msg, time.Hour, c.Reply) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := sys.Ask(ctx, front, "work")
		wantErr(t, err, actor.ErrDeadline)
		close(gate)
		synctest.Wait()
		if handled != 0 {
			t.Fatal("a request was handled for whose answer nobody waited")
		}
	})
}

func TestDeadlinesAreThoseOfEachRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		began := time.Now()
		silent := spawn(t, sys, func(*actor.Context, any) {})
		type late struct{ asked, took time.Duration }
		var got []late
		waits := []time.Duration{7 * time.Second, time.Second, 3 * time.Millisecond, 2 * time.Second, time.Second, 0, 5 * time.Second}
		ref := spawn(t, sys, func(c *actor.Context, msg any) {
			if msg == "got" {
				c.Reply(slices.Clone(got), nil)
				return
			}
			for _, d := range waits {
				c.AskFor(silent, 1, d, func(_ any, err error) {
					if !errors.Is(err, actor.ErrDeadline) {
						t.Error(err)
					}
					got = append(got, late{d, time.Since(began)})
				})
			}
		})
		sys.Send(ref, "ask")
		pass(10 * time.Second)
		all := ask(t, sys, ref, "got").([]late)
		if len(all) != len(waits) {
			t.Fatalf("%d of %d requests ended", len(all), len(waits))
		}
		for _, l := range all {
			if l.took < l.asked || l.took > l.asked+2*actor.Tick {
				t.Errorf("a deadline of %v came after %v", l.asked, l.took)
			}
		}
	})
}

func TestAskingManyEndsWhenItIsDecided(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		answer := func(d time.Duration, v any, err error) actor.Ref {
			return spawn(t, sys, func(c *actor.Context, _ any) { c.After(d, func() { c.Reply(v, err) }) })
		}
		bad := errors.New("bad")
		fast, mid, slow := answer(time.Second, "fast", nil), answer(2*time.Second, "mid", nil), answer(3*time.Second, "slow", nil)
		failing, silent := answer(time.Millisecond, nil, bad), spawn(t, sys, func(*actor.Context, any) {})
		type result struct {
			answers []actor.Answer
			err     error
			took    time.Duration
		}
		run := func(do func(c *actor.Context, then func([]actor.Answer, error))) (r result) {
			began := time.Now()
			done := make(chan struct{})
			ref := spawn(t, sys, func(c *actor.Context, _ any) {
				do(c, func(a []actor.Answer, err error) {
					r = result{a, err, time.Since(began).Truncate(10 * time.Millisecond)}
					close(done)
				})
			})
			sys.Send(ref, 1)
			<-done
			return r
		}
		values := func(r result) string {
			var s []string
			for _, a := range r.answers {
				s = append(s, fmt.Sprintf("%v %v", a.Value, a.Err != nil))
			}
			return strings.Join(s, " ") + " " + r.took.String()
		}
		all := run(func(c *actor.Context, then func([]actor.Answer, error)) {
			c.AskAll([]actor.Ref{slow, failing, fast, {}}, 1, func(a []actor.Answer) { then(a, nil) })
		})
		if got := values(all); got != "slow false <nil> true fast false <nil> true 3s" || all.answers[0].From != slow || !errors.Is(all.answers[3].Err, actor.ErrNoActor) {
			t.Errorf("all: %s", got)
		}
		first := run(func(c *actor.Context, then func([]actor.Answer, error)) {
			c.AskFirst([]actor.Ref{slow, failing, fast}, 1, func(a actor.Answer, err error) { then([]actor.Answer{a}, err) })
		})
		if got := values(first); got != "fast false 1s" || first.err != nil {
			t.Errorf("first: %s, %v", got, first.err)
		}
		quorum := run(func(c *actor.Context, then func([]actor.Answer, error)) {
			c.AskQuorum([]actor.Ref{silent, slow, mid, failing, fast}, 2, 1, then)
		})
		if got := values(quorum); got != "fast false mid false 2s" || quorum.err != nil {
			t.Errorf("quorum: %s, %v", got, quorum.err)
		}
		few := run(func(c *actor.Context, then func([]actor.Answer, error)) {
			c.AskQuorum([]actor.Ref{slow, failing, {}}, 2, 1, then)
		})
		if !errors.Is(few.err, actor.ErrNoQuorum) || !errors.Is(few.err, bad) || !errors.Is(few.err, actor.ErrNoActor) || few.took != 0 {
			t.Errorf("too few: %v after %v", few.err, few.took)
		}
		none := run(func(c *actor.Context, then func([]actor.Answer, error)) { c.AskQuorum(nil, 1, 1, then) })
		wantErr(t, none.err, actor.ErrNoQuorum)
		if nobody := run(func(c *actor.Context, then func([]actor.Answer, error)) {
			c.AskAll(nil, 1, func(a []actor.Answer) { then(a, nil) })
		}); len(nobody.answers) != 0 {
			t.Error(nobody)
		}
	})
}

func TestARequestThatWaitsForItselfFailsAtOnceAndTellsTheChain(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		began := time.Now()
		next := map[string]string{"a": "b", "b": "c", "c": "a"}
		for name, to := range next {
			_, err := sys.Spawn(actor.Spec{Name: name, Serial: true, New: func() actor.Actor {
				return actor.Func(func(c *actor.Context, msg any) {
					ref, _ := c.System().Lookup(to)
					c.Ask(ref, msg, c.Reply)
				})
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		a, _ := sys.Lookup("a")
		_, err := sys.Ask(t.Context(), a, 1)
		wantErr(t, err, actor.ErrCycle)
		if !strings.Contains(err.Error(), "a waits for b waits for c waits for a") || time.Since(began) > time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		sys.Send(a, 1) // not only requests begin one
		synctest.Wait()
		if time.Since(began) > time.Second {
			t.Fatal("somebody waited")
		}
	})
}

func TestAnActorThatAsksItselfWhileItIsSerialFails(t *testing.T) {
	sys := newSystem(t)
	ref, err := sys.Spawn(actor.Spec{Name: "me", Serial: true, New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) { c.Ask(c.Self(), msg, c.Reply) })
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = sys.Ask(t.Context(), ref, 1)
	wantErr(t, err, actor.ErrCycle)
	if !strings.Contains(err.Error(), "me waits for me") {
		t.Fatal(err)
	}
}

func TestActorsThatAskEachOtherForEverAreFound(t *testing.T) {
	sys := newSystem(t)
	name := func(s string) actor.Spec {
		return actor.Spec{Name: s, New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) {
				other := map[string]string{"ping": "pong", "pong": "ping"}[s]
				ref, _ := c.System().Lookup(other)
				c.Ask(ref, msg, c.Reply)
			})
		}}
	}
	for _, s := range []string{"ping", "pong"} {
		if _, err := sys.Spawn(name(s)); err != nil {
			t.Fatal(err)
		}
	}
	ping, _ := sys.Lookup("ping")
	_, err := sys.Ask(t.Context(), ping, 1)
	wantErr(t, err, actor.ErrCycle)
	if !strings.Contains(err.Error(), "ping waits for pong waits for ping") {
		t.Fatal(err)
	}
}

func TestAnActorAnswersWhatIsAskedOnItsOwnBehalf(t *testing.T) {
	sys := newSystem(t)
	var agent actor.Ref
	guild := spawn(t, sys, func(c *actor.Context, _ any) { c.Ask(agent, "name", c.Reply) })
	agent = spawn(t, sys, func(c *actor.Context, msg any) {
		if msg == "name" {
			c.Reply("Ann", nil)
			return
		}
		c.Ask(guild, msg, c.Reply)
	})
	if got := ask(t, sys, agent, "join"); got != "Ann" {
		t.Fatal(got)
	}
}

func TestARingOfRequestsThatAreAnsweredIsNoChain(t *testing.T) {
	sys := newSystem(t)
	const rounds = 2000
	done := make(chan struct{})
	var refs [2]actor.Ref
	ready := make(chan struct{})
	for i := range refs {
		refs[i] = spawn(t, sys, func(c *actor.Context, msg any) {
			<-ready
			c.Reply(nil, nil)
			n := msg.(int)
			if n == rounds {
				close(done)
				return
			}
			c.Ask(refs[1-i], n+1, func(_ any, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
	close(ready)
	sys.Send(refs[0], 0)
	<-done
}

func TestErrorsAreTheSameOnAnotherNode(t *testing.T) {
	tests := []struct{ err, is error }{
		{&actor.Error{Code: actor.Failed, Actor: "shop", Text: "boom", Stack: "main.go:7"}, actor.ErrFailed},
		{fmt.Errorf("buy: %w", &actor.Error{Code: actor.NoActor, Actor: "shop"}), actor.ErrNoActor},
		{actor.ErrStopped, actor.ErrStopped},
		{actor.ErrUnreachable, actor.ErrUnreachable},
		{actor.ErrOverloaded, actor.ErrOverloaded},
		{actor.ErrCycle, actor.ErrCycle},
		{actor.ErrDeadline, context.DeadlineExceeded},
		{context.DeadlineExceeded, actor.ErrDeadline},
		{actor.ErrCanceled, context.Canceled},
		{fmt.Errorf("load: %w", context.Canceled), actor.ErrCanceled},
		{errors.New("not enough gold"), actor.ErrRefused},
	}
	for _, tt := range tests {
		data, err := json.Marshal(actor.Portable(tt.err))
		if err != nil {
			t.Fatal(err)
		}
		there := &actor.Error{}
		if err := json.Unmarshal(data, there); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(there, tt.is) {
			t.Errorf("%v became %s, which is no %v", tt.err, data, tt.is)
		}
		if !strings.Contains(there.Error(), strings.TrimPrefix(tt.err.Error(), "actor: ")) {
			t.Errorf("%q became %q", tt.err, there)
		}
	}
	if actor.Portable(nil) != nil {
		t.Error("nil is an error")
	}
}

func TestALongRequestForgetsWhatHasComeBack(t *testing.T) {
	sys := newSystem(t)
	back := spawn(t, sys, echo)
	ref := spawn(t, sys, func(c *actor.Context, _ any) {
		left := 50
		var again func()
		again = func() {
			if left--; left < 0 {
				kids, asked, works := c.Pending()
				c.Reply([]int{kids, asked, works}, nil)
				return
			}
			c.Ask(back, left, func(any, error) {
				c.Ask(back, 1, func(any, error) {}).Cancel()
				c.Go(func(context.Context) (any, error) { return 1, nil }, func(any, error) { again() })
			})
		}
		again()
	})
	if got := ask(t, sys, ref, 1); !slices.Equal(got.([]int), []int{0, 0, 0}) {
		t.Fatalf("requests on its behalf, requests and work that are kept: %v", got)
	}
}
