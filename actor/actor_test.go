package actor_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newSystem is a system that ends with the test and logs into it.
func newSystem(t *testing.T) *actor.System {
	t.Helper()
	sys, _ := newLogged(t)
	return sys
}

func newLogged(t *testing.T) (*actor.System, *logtest.Buffer) {
	t.Helper()
	log := &logtest.Buffer{}
	sys := actor.New(actor.Config{Log: slog.New(slog.NewTextHandler(log, nil))})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return sys, log
}

func spawn(t *testing.T, sys *actor.System, f actor.Func) actor.Ref {
	t.Helper()
	ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return f }})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func echo(c *actor.Context, msg any) { c.Reply(msg, nil) }

func ask(t *testing.T, sys *actor.System, to actor.Ref, msg any) any {
	t.Helper()
	v, err := sys.Ask(t.Context(), to, msg)
	if err != nil {
		t.Fatalf("ask %v: %v", msg, err)
	}
	return v
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func TestMessagesOfOneSenderArriveInOrder(t *testing.T) {
	sys := newSystem(t)
	const senders, each = 8, 5000
	type from struct{ sender, n int }
	next := make([]int, senders)
	ref := spawn(t, sys, func(c *actor.Context, msg any) {
		switch m := msg.(type) {
		case from:
			if next[m.sender] != m.n {
				t.Errorf("sender %d: got %d, want %d", m.sender, m.n, next[m.sender])
			}
			next[m.sender] = m.n + 1
		case string:
			total := 0
			for _, n := range next {
				total += n
			}
			c.Reply(total, nil)
		}
	})
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for n := range each {
				sys.Send(ref, from{s, n})
			}
		})
	}
	wg.Wait()
	if got := ask(t, sys, ref, "total"); got != senders*each {
		t.Fatalf("handled %v messages, want %d", got, senders*each)
	}
}

func TestAskRunsItsContinuationInTheActorAndAnswersTheRightRequest(t *testing.T) {
	sys := newSystem(t)
	back := spawn(t, sys, func(c *actor.Context, msg any) {
		c.After(time.Duration(10-msg.(int))*1e6, func() { c.Reply(msg.(int)*2, nil) })
	})
	inside := 0
	front := spawn(t, sys, func(c *actor.Context, msg any) {
		c.Ask(back, msg, func(v any, err error) {
			inside++ // the race detector sees whether this is one goroutine at a time
			c.Reply(v, err)
		})
	})
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if v, err := sys.Ask(t.Context(), front, i); err != nil || v != i*2 {
				t.Errorf("ask %d: %v, %v", i, v, err)
			}
		})
	}
	wg.Wait()
}

func TestFailuresOfARequestAreToldApart(t *testing.T) {
	sys := newSystem(t)
	failing := spawn(t, sys, func(*actor.Context, any) { panic("boom") })
	silent := spawn(t, sys, func(*actor.Context, any) {})
	stopping := spawn(t, sys, func(c *actor.Context, _ any) { c.Stop(c.Self(), nil) })

	_, err := sys.Ask(t.Context(), failing, 1)
	wantErr(t, err, actor.ErrFailed)
	var detail *actor.Error
	if !errors.As(err, &detail) || detail.Text != "boom" || detail.Stack == "" {
		t.Fatalf("the error does not tell the panic: %#v", detail)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err = sys.Ask(ctx, silent, 1); !errors.Is(err, actor.ErrDeadline) && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want a deadline", err)
	}
	_, err = sys.Ask(t.Context(), stopping, 1)
	wantErr(t, err, actor.ErrStopped)
	_, err = sys.Ask(t.Context(), stopping, 1)
	if !errors.Is(err, actor.ErrNoActor) && !errors.Is(err, actor.ErrStopped) {
		t.Fatalf("got %v, want no such actor", err)
	}
	_, err = sys.Ask(t.Context(), actor.Ref{}, 1)
	wantErr(t, err, actor.ErrNoActor)
}

func TestADeadlineIsInheritedByNestedAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem(t)
		silent := spawn(t, sys, func(*actor.Context, any) {})
		var nested time.Duration
		front := spawn(t, sys, func(c *actor.Context, _ any) {
			began := time.Now()
			c.AskFor(silent, 1, time.Hour, func(_ any, err error) {
				nested = time.Since(began)
				wantErr(t, err, actor.ErrDeadline)
			})
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := sys.Ask(ctx, front, 1)
		if err == nil {
			t.Fatal("an answer from nowhere")
		}
		synctest.Wait()
		if nested < 99*time.Millisecond || nested > 110*time.Millisecond {
			t.Fatalf("the nested ask ended after %v", nested)
		}
	})
}

func TestWhoeverWaitsForAnActorThatEndsHearsAtOnce(t *testing.T) {
	sys := newSystem(t)
	started := make(chan struct{}, 10)
	ref := spawn(t, sys, func(c *actor.Context, msg any) { started <- struct{}{} })
	errs := make(chan error, 10)
	for range 10 {
		go func() {
			_, err := sys.Ask(context.Background(), ref, "wait")
			errs <- err
		}()
	}
	for range 10 {
		<-started
	}
	sys.Stop(ref, nil)
	for range 10 {
		wantErr(t, <-errs, actor.ErrStopped)
	}
}

type counter struct {
	n       int
	started chan int
	life    int
}

func (a *counter) Start(*actor.Context) error {
	a.started <- a.life
	return nil
}

func (a *counter) Receive(c *actor.Context, msg any) {
	switch msg {
	case "add":
		a.n++
	case "get":
		c.Reply(a.n, nil)
	default:
		panic(msg)
	}
}

func TestAFailedActorIsRestartedAndItsMessagesWait(t *testing.T) {
	sys := newSystem(t)
	lives, started := 0, make(chan int, 100)
	ref, err := sys.Spawn(actor.Spec{Name: "counter", New: func() actor.Actor {
		lives++
		return &counter{started: started, life: lives}
	}})
	if err != nil {
		t.Fatal(err)
	}
	sys.Send(ref, "add")
	sys.Send(ref, "boom")
	sys.Send(ref, "add")
	if got := ask(t, sys, ref, "get"); got != 1 {
		t.Fatalf("after the restart the counter is %v, want 1", got)
	}
	if a, b := <-started, <-started; a != 1 || b != 2 {
		t.Fatalf("lives %d, %d", a, b)
	}
	if s := sys.Stats(); s.Restarts != 1 || s.Failures != 1 {
		t.Fatalf("stats %+v", s)
	}
}

func TestAnExhaustedActorStopsAloneAndItsWatcherKnows(t *testing.T) {
	sys := newSystem(t)
	failing, err := sys.Spawn(actor.Spec{
		New:         func() actor.Actor { return actor.Func(func(*actor.Context, any) { panic("again") }) },
		Supervision: actor.Supervision{Limit: 2, Backoff: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan actor.Terminated, 1)
	watcher := spawn(t, sys, func(c *actor.Context, msg any) {
		switch m := msg.(type) {
		case actor.Ref:
			c.Watch(m)
			c.Reply(nil, nil)
		case actor.Terminated:
			ended <- m
		}
	})
	ask(t, sys, watcher, failing)
	for range 3 {
		_, err := sys.Ask(t.Context(), failing, 1)
		wantErr(t, err, actor.ErrFailed)
	}
	got := <-ended
	if got.Ref != failing {
		t.Fatalf("told of %v, want %v", got.Ref, failing)
	}
	wantErr(t, got.Reason, actor.ErrExhausted)
}

type saver struct {
	store actor.Ref
	name  string
	order chan string
}

func (a *saver) Receive(c *actor.Context, msg any) {}

func (a *saver) Start(c *actor.Context) error {
	if a.name == "parent" {
		_, err := c.Spawn(actor.Spec{New: func() actor.Actor { return &saver{a.store, "child", a.order} }})
		return err
	}
	return nil
}

func (a *saver) Stop(c *actor.Context, _ error) {
	c.Ask(a.store, a.name, func(v any, err error) {
		if err != nil {
			a.order <- a.name + ": " + err.Error()
			return
		}
		a.order <- v.(string)
	})
}

func TestShutdownStopsUpwardsAndWaitsForWhatStopDoes(t *testing.T) {
	sys := actor.New(actor.Config{})
	store := spawn(t, sys, func(c *actor.Context, msg any) {
		c.After(5*time.Millisecond, func() { c.Reply("saved "+msg.(string), nil) })
	})
	order := make(chan string, 2)
	if _, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return &saver{store, "parent", order} }}); err != nil {
		t.Fatal(err)
	}
	if err := sys.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, b := <-order, <-order; a != "saved child" || b != "saved parent" {
		t.Fatalf("stopped in the order %q, %q", a, b)
	}
	if n := sys.Stats().Actors; n != 0 {
		t.Fatalf("%d actors are left", n)
	}
	if _, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(echo) }}); !errors.Is(err, actor.ErrShutdown) {
		t.Fatalf("spawn after shutdown: %v", err)
	}
}

func TestWorkThatPanicsIsAnErrorAndTheActorLivesOn(t *testing.T) {
	sys := newSystem(t)
	ref := spawn(t, sys, func(c *actor.Context, msg any) {
		c.Go(func(context.Context) (any, error) {
			if msg == "panic" {
				panic("in work")
			}
			return msg, nil
		}, c.Reply)
	})
	_, err := sys.Ask(t.Context(), ref, "panic")
	wantErr(t, err, actor.ErrFailed)
	if got := ask(t, sys, ref, "fine"); got != "fine" {
		t.Fatalf("got %v", got)
	}
}

func TestTimersFireInOrderAndCancelledOnesDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem(t)
		var fired []time.Duration
		began := time.Now()
		ref := spawn(t, sys, func(c *actor.Context, msg any) {
			if msg == "get" {
				c.Reply(fired, nil)
				return
			}
			for _, d := range []time.Duration{70 * time.Minute, 5 * time.Millisecond, 64 * time.Millisecond, time.Millisecond, 5 * time.Second, 4096 * time.Millisecond} {
				c.After(d, func() { fired = append(fired, time.Since(began)) })
			}
			cancelled := c.After(time.Second, func() { t.Error("a cancelled timer fired") })
			if !cancelled.Cancel() || cancelled.Cancel() {
				t.Error("Cancel tells the wrong thing")
			}
		})
		sys.Send(ref, "go")
		time.Sleep(2 * time.Hour) //nolint:forbidigo // fake time
		got := ask(t, sys, ref, "get").([]time.Duration)
		want := []time.Duration{time.Millisecond, 5 * time.Millisecond, 64 * time.Millisecond, 4096 * time.Millisecond, 5 * time.Second, 70 * time.Minute}
		if len(got) != len(want) {
			t.Fatalf("fired at %v", got)
		}
		for i := range want {
			if got[i] < want[i] || got[i] > want[i]+2*time.Millisecond {
				t.Fatalf("fired at %v, want %v", got, want)
			}
		}
	})
}

func TestEveryKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem(t)
		n := 0
		var timer *actor.Timer
		ref := spawn(t, sys, func(c *actor.Context, msg any) {
			switch msg {
			case "start":
				timer = c.Every(10*time.Millisecond, func() { n++ })
			case "stop":
				timer.Cancel()
				c.Reply(n, nil)
			}
		})
		sys.Send(ref, "start")
		time.Sleep(time.Second + 5*time.Millisecond) //nolint:forbidigo // fake time
		if got := ask(t, sys, ref, "stop").(int); got < 99 || got > 101 {
			t.Fatalf("fired %d times in a second", got)
		}
	})
}

func TestASecondAnswerIsDroppedAndLogged(t *testing.T) {
	sys, log := newLogged(t)
	ref := spawn(t, sys, func(c *actor.Context, msg any) {
		c.Reply(1, nil)
		c.Reply(2, nil)
	})
	if got := ask(t, sys, ref, "x"); got != 1 {
		t.Fatalf("got %v", got)
	}
	ask(t, sys, ref, "x")
	if !strings.Contains(log.String(), "answered twice") {
		t.Fatalf("the log does not tell: %s", log)
	}
}

func TestATakenNameIsRefusedAndAFreedOneIsNot(t *testing.T) {
	sys := newSystem(t)
	spec := actor.Spec{Name: "one", New: func() actor.Actor { return actor.Func(echo) }}
	ref, err := sys.Spawn(spec)
	if err != nil {
		t.Fatal(err)
	}
	_, err = sys.Spawn(spec)
	wantErr(t, err, actor.ErrNameTaken)
	if got, ok := sys.Lookup("one"); !ok || got != ref {
		t.Fatalf("lookup: %v %v", got, ok)
	}
	gone := make(chan struct{})
	watcher := spawn(t, sys, func(c *actor.Context, msg any) {
		if _, ok := msg.(actor.Terminated); ok {
			close(gone)
			return
		}
		c.Watch(ref)
		c.Stop(ref, nil)
	})
	sys.Send(watcher, "go")
	<-gone
	if _, err = sys.Spawn(spec); err != nil {
		t.Fatal(err)
	}
}

func TestAFailedStartIsReportedToWhoSpawned(t *testing.T) {
	sys := newSystem(t)
	want := errors.New("no port")
	_, err := sys.Spawn(actor.Spec{Name: "bad", New: func() actor.Actor { return &badStart{want} }})
	wantErr(t, err, want)
	if _, ok := sys.Lookup("bad"); ok {
		t.Fatal("an actor that did not start is still registered")
	}
}

type badStart struct{ err error }

func (a *badStart) Start(*actor.Context) error        { return a.err }
func (a *badStart) Receive(c *actor.Context, msg any) {}

func TestDeadLettersAreCountedAndLogged(t *testing.T) {
	sys, log := newLogged(t)
	ref := spawn(t, sys, echo)
	sys.Stop(ref, nil)
	_, _ = sys.Ask(t.Context(), ref, 1) // an answer of any kind: the stop is through
	for range 100 {
		sys.Send(ref, "lost")
	}
	if n := sys.Stats().DeadLetters; n != 100 {
		t.Fatalf("%d dead letters, want 100", n)
	}
	if n := strings.Count(log.String(), "dead letter"); n != 1 {
		t.Fatalf("%d lines in the log, want a sample of one", n)
	}
}

func TestForwardKeepsTheAsker(t *testing.T) {
	sys := newSystem(t)
	back := spawn(t, sys, echo)
	front := spawn(t, sys, func(c *actor.Context, msg any) {
		c.Forward(back)
		c.Stop(c.Self(), nil)
	})
	if got := ask(t, sys, front, "hello"); got != "hello" {
		t.Fatalf("got %v", got)
	}
}

func TestAPromiseIsKeptFromAnotherGoroutineOnce(t *testing.T) {
	sys := newSystem(t)
	promises := make(chan actor.Promise, 1)
	ref := spawn(t, sys, func(c *actor.Context, msg any) { promises <- c.Promise() })
	results := make(chan int, 2)
	go func() {
		p := <-promises
		for i := range 2 {
			if p.Reply(i, nil) {
				results <- i
			}
		}
		close(results)
	}()
	if got := ask(t, sys, ref, 1); got != 0 {
		t.Fatalf("got %v", got)
	}
	n := 0
	for range results {
		n++
	}
	if n != 1 {
		t.Fatalf("%d answers", n)
	}
}
