package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/logtest"
)

func TestAnActorThatIsStuckInAHandlerIsNamedWithItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, log := newLogged(t)
		gate := make(chan struct{})
		busy := spawn(t, sys, func(c *actor.Context, _ any) { c.Reply(1, nil) })
		stuck := spawnHooked(t, sys, "stuck", hooked{receive: func(*actor.Context, any) { standInHandler(gate) }})
		sys.Send(stuck, 1)
		for range 49 { // others go on, and are no suspects however busy they are
			pass(100 * time.Millisecond)
			ask(t, sys, busy, 1)
		}
		if s := log.String(); s != "" {
			t.Fatalf("after %v: %s", 4900*time.Millisecond, s)
		}
		pass(2 * time.Second)
		s := log.String()
		if n := strings.Count(s, "handler does not return"); n != 1 || !strings.Contains(s, "actor=stuck") || !strings.Contains(s, "standInHandler") {
			t.Fatalf("told %d times: %s", n, s)
		}
		if strings.Contains(s, "synctest.Wait") {
			t.Fatal("the stack is another goroutine's")
		}
		close(gate)
		pass(2 * time.Second)
		if s := log.String(); !strings.Contains(s, "handler has returned") {
			t.Fatal(s)
		}
	})
}

func standInHandler(gate chan struct{}) { <-gate }

func TestNobodyWaitsForThoseInLongHandlers(t *testing.T) {
	sys := newSystem(t)
	gate := make(chan struct{})
	const stuck = 200
	begun := make(chan struct{}, stuck)
	for range stuck {
		ref := spawn(t, sys, func(*actor.Context, any) { begun <- struct{}{}; <-gate })
		sys.Send(ref, 1)
	}
	for range stuck {
		<-begun // all at the same time
	}
	if got := ask(t, sys, spawn(t, sys, echo), 7); got != 7 {
		t.Fatal(got)
	}
	close(gate)
}

func TestWhatIsPublishedReachesAllSubscribersInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		const n, each = 50, 100
		got := make([][]any, n)
		refs := make([]actor.Ref, n)
		for i := range n {
			refs[i] = spawnHooked(t, sys, "", hooked{
				start: func(c *actor.Context) error { c.Subscribe("news"); c.Subscribe("news"); return nil },
				receive: func(c *actor.Context, msg any) {
					if msg == "leave" {
						c.Unsubscribe("news")
						c.Unsubscribe("news")
						return
					}
					got[i] = append(got[i], msg)
				},
			})
		}
		publisher := spawn(t, sys, func(c *actor.Context, msg any) {
			for k := range each {
				if to := c.Publish("news", k); to != n {
					t.Errorf("published to %d actors, want %d", to, n)
				}
			}
		})
		sys.Send(publisher, 1)
		synctest.Wait()
		for i := range n {
			if len(got[i]) != each || !slices.IsSortedFunc(got[i], func(a, b any) int { return a.(int) - b.(int) }) {
				t.Fatalf("subscriber %d got %v", i, got[i])
			}
		}
		for i, ref := range refs {
			switch i % 3 {
			case 0:
				sys.Send(ref, "leave")
			case 1:
				sys.Stop(ref, nil)
			}
		}
		synctest.Wait()
		if to := sys.Publish("news", "late"); to != n/3 {
			t.Errorf("%d subscribers are left, want %d", to, n/3)
		}
		for _, ref := range refs {
			sys.Kill(ref, nil)
		}
		synctest.Wait()
		if to := sys.Publish("news", 1) + sys.Publish("never heard of", 1); to != 0 || actor.Topics(sys) != 0 {
			t.Errorf("published to %d actors, %d topics are kept", to, actor.Topics(sys))
		}
	})
}

func TestDeadLettersCanBeSubscribedTo(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		var got []actor.DeadLetter
		spawnHooked(t, sys, "listener", hooked{
			start:   func(c *actor.Context) error { c.Subscribe(actor.DeadLetters); return nil },
			receive: func(_ *actor.Context, msg any) { got = append(got, msg.(actor.DeadLetter)) },
		})
		gone := spawn(t, sys, echo)
		sys.Stop(gone, nil)
		synctest.Wait()
		sender := spawn(t, sys, func(c *actor.Context, msg any) { c.Send(gone, msg) })
		sys.Send(sender, "hello")
		synctest.Wait()
		want := []actor.DeadLetter{{To: gone, From: sender, Message: "hello", Reason: actor.NoActor}}
		if !slices.Equal(got, want) {
			t.Fatalf("got %+v", got)
		}
		sys.Send(gone, got[0]) // one that is about one is none
		synctest.Wait()
		if len(got) != 1 {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestAnActorShowsWhatItDoes(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		parent := spawnHooked(t, sys, "parent", hooked{start: func(c *actor.Context) error {
			_, err := c.Spawn(actor.Spec{Name: "child", New: func() actor.Actor {
				return actor.Func(func(c *actor.Context, _ any) { pass(time.Second); c.Reply(nil, nil) })
			}})
			return err
		}})
		child, _ := sys.Lookup("child")
		for range 3 {
			sys.Send(child, 1)
		}
		pass(1500 * time.Millisecond)
		if i, ok := sys.Inspect(child); !ok || i.Parent != parent || i.Name != "child" || i.Waiting == 0 || i.MostWaiting == 0 {
			t.Errorf("while it works: %+v", i)
		}
		pass(2 * time.Second)
		if i, _ := sys.Inspect(child); i.Processed != 3 || i.Waiting != 0 || i.Busy < 3*time.Second || i.Busy > 3100*time.Millisecond {
			t.Errorf("afterwards: %+v", i)
		}
		var names []string
		for i := range sys.Actors() {
			names = append(names, i.Name)
		}
		if slices.Sort(names); !slices.Equal(names, []string{"child", "parent"}) {
			t.Errorf("the actors are %q", names)
		}
		for range sys.Actors() {
			break
		}
		if _, ok := sys.Inspect(actor.Ref{}); ok {
			t.Error("nobody does something")
		}
	})
}

func TestATapSeesEachMessageBeforeTheActorDoes(t *testing.T) {
	sys := newSystem(t)
	var seen []string
	ref := spawn(t, sys, func(c *actor.Context, msg any) {
		if got := fmt.Sprint(msg, c.IsRequest()); len(seen) == 0 || seen[len(seen)-1] != got && msg != "untapped" {
			t.Errorf("the actor got %s, the tap %q", got, seen)
		}
		c.Reply(len(seen), nil)
	})
	remove, err := sys.Tap(ref, func(m actor.Inbound) { seen = append(seen, fmt.Sprint(m.Message, m.Request)) })
	if err != nil {
		t.Fatal(err)
	}
	sys.Send(ref, "a")
	if n := ask(t, sys, ref, "b"); n != 2 {
		t.Fatal(n)
	}
	remove()
	remove()
	if n := ask(t, sys, ref, "untapped"); n != 2 {
		t.Fatal(n)
	}
	_, err = sys.Tap(actor.Ref{}, nil)
	wantErr(t, err, actor.ErrNoActor)
}

// spans is a Tracer that writes down the tree.
type spans struct {
	mu  sync.Mutex
	log []string
}

type span struct {
	all  *spans
	path string
}

func (s *spans) Begin(parent actor.Span, h actor.Handling) actor.Span {
	path := h.Actor()
	if p, ok := parent.(*span); ok {
		path = p.path + ">" + path
	}
	if h.Message() == "string" {
		return nil // not sampled
	}
	return &span{s, path}
}

func (s *span) End(err error) {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.all.log = append(s.all.log, fmt.Sprint(s.path, " ", err))
}

func TestATraceFollowsARequestThroughAllActors(t *testing.T) {
	tracer := &spans{}
	sys := actor.New(actor.Config{Tracer: tracer, Log: slog.New(slog.NewTextHandler(&logtest.Buffer{}, nil))})
	named := func(name string, f actor.Func) actor.Ref {
		ref, err := sys.Spawn(actor.Spec{Name: name, New: func() actor.Actor { return f }})
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	refused := errors.New("refused")
	last := named("last", func(c *actor.Context, _ any) { c.Reply(nil, refused) })
	told := make(chan struct{})
	side := named("side", func(c *actor.Context, _ any) { close(told) })
	other := named("other", func(c *actor.Context, _ any) { c.Reply(1, nil) })
	mid := named("mid", func(c *actor.Context, _ any) { c.Forward(last) })
	first := named("first", func(c *actor.Context, msg any) {
		c.Go(func(context.Context) (any, error) { return 1, nil }, func(any, error) {
			c.After(time.Millisecond, func() {
				c.Ask(mid, 1, func(any, error) {
					if msg == 1 {
						c.Send(side, 1)
					}
					c.Reply("done", nil)
				})
			})
		})
		c.Detached(func() { c.Ask(other, 1, func(any, error) {}) }) // no part of it
	})
	ask(t, sys, first, 1)
	<-told
	if err := sys.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(tracer.log)
	want := []string{"first <nil>", "first>mid refused", "first>mid>last refused", "first>side <nil>"}
	if !slices.Equal(tracer.log, want) {
		t.Fatalf("got %q, want %q", tracer.log, want)
	}
}

func TestNothingThatAnUntracedHandlerDoesIsTraced(t *testing.T) {
	tracer := &spans{}
	sys := actor.New(actor.Config{Tracer: tracer})
	back := spawn(t, sys, echo)
	front := spawn(t, sys, func(c *actor.Context, _ any) { c.Ask(back, 1, c.Reply) })
	ask(t, sys, front, "not sampled")
	if err := sys.Shutdown(t.Context()); err != nil || len(tracer.log) != 0 {
		t.Fatal(err, tracer.log)
	}
}

func TestASpanOfAHandlerThatFailsEndsWithItsError(t *testing.T) {
	tracer := &spans{}
	sys := actor.New(actor.Config{Tracer: tracer, Log: slog.New(slog.DiscardHandler)})
	ref := spawnHooked(t, sys, "a", hooked{receive: func(*actor.Context, any) { panic("boom") }})
	sys.Send(ref, 1)
	_, err := sys.Ask(t.Context(), ref, 1)
	wantErr(t, err, actor.ErrFailed)
	if err := sys.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "a actor: a: handler failed: boom"; !slices.Equal(tracer.log, []string{want, want}) {
		t.Fatalf("%q", tracer.log)
	}
}

// broken is a Tracer, and a Span, that panics.
type broken struct{ begin bool }

func (b broken) Begin(actor.Span, actor.Handling) actor.Span {
	if b.begin {
		panic("planned")
	}
	return b
}

func (broken) End(error) { panic("planned") }

func TestAnObserverThatPanicsHarmsNobody(t *testing.T) {
	for name, tracer := range map[string]actor.Tracer{"begin": broken{true}, "end": broken{false}, "tap": nil} {
		t.Run(name, func(t *testing.T) {
			log := &logtest.Buffer{}
			sys := actor.New(actor.Config{Tracer: tracer, Log: slog.New(slog.NewTextHandler(log, nil)), CallTimeout: 5 * time.Millisecond})
			ref := spawn(t, sys, func(c *actor.Context, msg any) {
				if msg != "silent" { // else the span ends with the deadline, in another goroutine
					c.Reply(msg, nil)
				}
			})
			if tracer == nil {
				if _, err := sys.Tap(ref, func(actor.Inbound) { panic("planned") }); err != nil {
					t.Fatal(err)
				}
			}
			sys.Send(ref, "send")
			_, err := sys.Ask(t.Context(), ref, "silent")
			wantErr(t, err, actor.ErrDeadline)
			if got, err := sys.Ask(t.Context(), ref, 7); got != 7 && !errors.Is(err, actor.ErrDeadline) {
				t.Error(got, err)
			}
			if err := sys.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := sys.Stats().Failures; n != 0 || !strings.Contains(log.String(), "observer failed") {
				t.Fatalf("%d failures: %s", n, log)
			}
		})
	}
}
