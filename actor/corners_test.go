package actor_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/logtest"
)

func serial(t *testing.T, sys *actor.System, f actor.Func) actor.Ref {
	t.Helper()
	ref, err := sys.Spawn(actor.Spec{Serial: true, New: func() actor.Actor { return f }})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// When publish held the topic's lock and took that of all topics for a dead letter, subscribe took them the other way round.
func TestPublishingToAFullSubscriberDoesNotDeadlockWithSubscribe(t *testing.T) {
	sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
	gate := make(chan struct{})
	full, err := sys.Spawn(actor.Spec{Mailbox: actor.Mailbox{Limit: 1}, New: func() actor.Actor {
		return &hooked{start: func(c *actor.Context) error { c.Subscribe("news"); return nil }, receive: func(*actor.Context, any) { <-gate }}
	}})
	if err != nil {
		t.Fatal(err)
	}
	_ = full
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 20_000 {
				sys.Publish("news", 1)
			}
		})
	}
	come := spawn(t, sys, func(c *actor.Context, _ any) {
		if !c.IsRequest() {
			return // news
		}
		for range 1000 {
			c.Subscribe("news")
			c.Unsubscribe("news")
		}
		c.Reply(nil, nil)
	})
	wg.Go(func() {
		for range 100 {
			_, _ = sys.Ask(context.Background(), come, 1)
		}
	})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		buf := make([]byte, 1<<20)
		t.Fatalf("deadlock: %s", buf[:runtime.Stack(buf, true)])
	}
	close(gate)
	_ = sys.Shutdown(context.Background())
}

// A bounded mailbox is bounded in memory too.
func TestABoundedMailboxThatIsNotReadStaysBounded(t *testing.T) {
	for name, m := range map[string]actor.Mailbox{
		"drop oldest": {Limit: 4, Policy: actor.DropOldest},
		"latest":      {Limit: 4, Policy: actor.Latest, Key: func(any) any { return "k" }},
	} {
		t.Run(name, func(t *testing.T) {
			sys := newSystem(t)
			box := actor.NewBox(sys, m)
			for _, n := range []int{20_000, 20_000, 20_000} {
				var a, b runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&a)
				began := time.Now()
				for i := range n {
					box.Send(i)
				}
				took := time.Since(began)
				runtime.GC()
				runtime.ReadMemStats(&b)
				t.Logf("%d messages: %v, %d places, %d bytes more", n, took, box.Cap(), int64(b.HeapAlloc)-int64(a.HeapAlloc))
			}
			if box.Cap() > 1000 {
				t.Errorf("a mailbox with limit 4 takes %d places", box.Cap())
			}
		})
	}
}

// A stopping actor with more than 1,024 answers, timers or calls of Resume waiting makes one block of them, whose memory becomes the next queue;
// makeSpace takes every full queue that is not 1,024 long for one that is shorter.
func TestAStoppingActorLosesNothingThatItWaitsFor(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) { // its StopTimeout is not used up by a busy machine
		got := make(chan int, 1)
		var n atomic.Int32
		ref, err := sys.Spawn(actor.Spec{StopTimeout: time.Second, New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, _ any) {
				release := c.Hold()
				first := c.Resume(func() {})
				last := c.Resume(func() { got <- int(n.Load()); release() })
				count := c.Resume(func() { n.Add(1) })
				many := c.Resume(func() {
					for range 10_000 {
						count()
					}
					last()
				})
				then := c.Resume(func() { many() })
				for range 3000 {
					first()
				}
				then()
				c.Stop(c.Self(), nil)
			})
		}})
		if err != nil {
			t.Fatal(err)
		}
		sys.Send(ref, 1)
		<-sys.Ended(ref)
		select {
		case n := <-got:
			if n != 10_000 {
				t.Fatalf("%d of 10,000", n)
			}
		default:
			t.Fatalf("%d of 10,000 and nothing more", n.Load())
		}
	})
}

func TestAnAnsweredRequestIsNoPartOfACircle(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		result := make(chan error, 1)
		var a, b, c actor.Ref
		answered := make(chan struct{})
		c = spawn(t, sys, func(ctx *actor.Context, _ any) {
			ctx.After(time.Second, func() {
				ctx.Ask(a, "hello", func(_ any, err error) { result <- err })
			})
		})
		b = spawn(t, sys, func(ctx *actor.Context, _ any) {
			ctx.Ask(c, "later", func(any, error) {})
			ctx.Reply("done", nil)
		})
		a = serial(t, sys, func(ctx *actor.Context, msg any) {
			if msg == "go" {
				ctx.Ask(b, "work", func(any, error) { close(answered) })
				return
			}
			ctx.Reply("fine", nil)
		})
		sys.Send(a, "go")
		<-answered // a waits for nothing any more
		if err := <-result; err != nil {
			t.Fatalf("nobody waits for anybody, but: %v", err)
		}
	})
}

func TestGivingUpDoesNotTravelThroughAnAnsweredRequest(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		result := make(chan error, 1)
		var handled atomic.Bool
		c := spawn(t, sys, func(ctx *actor.Context, msg any) {
			if msg == "save" {
				handled.Store(true)
			}
			ctx.Reply(nil, nil)
		})
		cBusy := make(chan struct{})
		busy := spawn(t, sys, func(ctx *actor.Context, msg any) {
			if msg == "block" {
				<-cBusy
				return
			}
			handled.Store(true)
			ctx.Reply(nil, nil)
		})
		_ = c
		b := spawn(t, sys, func(ctx *actor.Context, _ any) {
			ctx.Ask(busy, "save", func(_ any, err error) { result <- err })
			ctx.Reply("queued", nil) // nobody waits for b any more
		})
		a := spawn(t, sys, func(ctx *actor.Context, _ any) {
			ctx.Ask(b, "work", func(any, error) {}) // and never replies
		})
		sys.Send(busy, "block")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := sys.Ask(ctx, a, "go")
		wantErr(t, err, actor.ErrCanceled)
		close(cBusy)
		if err := <-result; err != nil || !handled.Load() {
			t.Fatalf("b's request had nothing to do with who gave up: %v, handled %v", err, handled.Load())
		}
	})
}

func TestTwoSerialActorsThatWaitForEachOtherAreFound(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		result := make(chan error, 2)
		var a, b actor.Ref
		makes := func(other *actor.Ref) actor.Func {
			return func(ctx *actor.Context, msg any) {
				if msg == "go" {
					ctx.After(time.Second, func() {})
					release := ctx.Hold()
					ctx.After(time.Millisecond, func() {
						ctx.Ask(*other, "hello", func(_ any, err error) { release(); result <- err })
					})
					return
				}
				ctx.Reply("fine", nil)
			}
		}
		a = serial(t, sys, makes(&b))
		b = serial(t, sys, makes(&a))
		began := time.Now()
		sys.Send(a, "go")
		sys.Send(b, "go")
		e1, e2 := <-result, <-result
		if time.Since(began) > time.Second {
			t.Fatalf("waited out for %v: %v, %v", time.Since(began), e1, e2)
		}
	})
}

func TestAnAskWithoutAContinuationIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		other := spawn(t, sys, echo)
		a := serial(t, sys, func(ctx *actor.Context, msg any) {
			if msg == "go" {
				ctx.Ask(other, 1, nil)
			}
			ctx.Reply("fine", nil)
		})
		sys.Send(a, "go")
		if _, err := sys.Ask(t.Context(), a, 2); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAskAllOfNobodyInStopIsFinished(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		var done atomic.Bool
		ref := spawnHooked(t, sys, "a", hooked{stop: func(c *actor.Context, _ error) {
			c.AskAll(nil, "save", func([]actor.Answer) { done.Store(true) })
		}})
		sys.Stop(ref, nil)
		<-sys.Ended(ref)
		if !done.Load() {
			t.Fatal("the actor ended before its continuation ran")
		}
	})
}

type fragile struct{ kind string }

func (f fragile) MessageType() string { return f.kind }

func TestAMessageWhoseTypeCannotBeToldHurtsNobody(t *testing.T) {
	sys := newSystem(t)
	ref := spawn(t, sys, func(_ *actor.Context, msg any) {
		if f, ok := msg.(*fragile); ok {
			_ = f.kind // a nil pointer: the handler panics
		}
	})
	sys.Send(ref, (*fragile)(nil))
	until(t, func() bool { return sys.Stats().Failures == 1 })
	if v := ask(t, sys, spawn(t, sys, echo), 7); v != 7 {
		t.Errorf("another actor answers %v", v)
	}
}

type slowTracer struct {
	begun, goOn chan struct{}
	ended       atomic.Int32
}

func (s *slowTracer) Begin(actor.Span, actor.Handling) actor.Span {
	close(s.begun)
	<-s.goOn
	return s
}
func (s *slowTracer) End(error) { s.ended.Add(1) }

func TestASpanEndsAlthoughItsAskerGaveUpMeanwhile(t *testing.T) {
	tr := &slowTracer{begun: make(chan struct{}), goOn: make(chan struct{})}
	sys := actor.New(actor.Config{Tracer: tr, Log: slog.New(slog.DiscardHandler)})
	ref := spawn(t, sys, echo)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-tr.begun; cancel() }()
	_, err := sys.Ask(ctx, ref, 1)
	wantErr(t, err, actor.ErrCanceled)
	close(tr.goOn)
	_ = sys.Shutdown(context.Background())
	if tr.ended.Load() != 1 {
		t.Fatalf("the span was ended %d times", tr.ended.Load())
	}
}

type (
	raceTracer struct{ open atomic.Int64 }
	raceSpan   struct{ t *raceTracer }
)

func (s *raceTracer) Begin(actor.Span, actor.Handling) actor.Span {
	s.open.Add(1)
	for i := 0; i < 100; i++ {
		runtime.Gosched()
	}
	return raceSpan{s}
}
func (s raceSpan) End(error) { s.t.open.Add(-1) }

func TestSpansAndDeadlinesDoNotRace(t *testing.T) {
	tr := &raceTracer{}
	sys := actor.New(actor.Config{Tracer: tr, Log: slog.New(slog.DiscardHandler)})
	ref := spawn(t, sys, func(*actor.Context, any) {})
	for range 2000 {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		_, _ = sys.Ask(ctx, ref, 1)
	}
	_ = sys.Shutdown(context.Background())
	if n := tr.open.Load(); n != 0 {
		t.Fatalf("%d spans are open", n)
	}
}

type panicSpan struct{}

func (panicSpan) Begin(_ actor.Span, h actor.Handling) actor.Span {
	if h.Request {
		return panicSpan{}
	}
	return nil
}
func (panicSpan) End(error) { panic("planned") }

func TestASpanThatPanicsLosesNoAnswer(t *testing.T) {
	sys := actor.New(actor.Config{Tracer: panicSpan{}, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ref := spawn(t, sys, echo)
	done := make(chan error, 1)
	go func() {
		_, err := sys.Ask(context.Background(), ref, 1)
		done <- err
	}()
	select {
	case err := <-done:
		t.Log(err)
	case <-time.After(time.Minute):
		t.Fatal("no answer, not even after the deadline")
	}
}

func TestEveryKeepsAFractionOfAMillisecond(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		var n atomic.Int32
		spawnHooked(t, sys, "clock", hooked{start: func(c *actor.Context) error {
			c.Every(time.Second/60, func() { n.Add(1) })
			return nil
		}})
		pass(10*time.Second + time.Millisecond)
		if got := n.Load(); got < 598 || got > 601 {
			t.Fatalf("60 Hz for 10 s are %d", got)
		}
	})
}

func TestAWorkAfterTheAnswerIsNotBoundByIt(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		result := make(chan error, 1)
		ref := spawn(t, sys, func(c *actor.Context, _ any) {
			c.Reply("queued", nil)
			c.Go(func(ctx context.Context) (any, error) {
				select {
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-time.After(10 * time.Second):
					return nil, nil
				}
			}, func(_ any, err error) { result <- err })
		})
		ask(t, sys, ref, 1)
		if err := <-result; err != nil {
			t.Fatalf("the request was answered 10 s ago: %v", err)
		}
	})
}

func TestDeadlinesHoldAcrossSystems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, _ := newLogged(t)
		pass(time.Hour)
		young, _ := newLogged(t)
		far := spawn(t, old, echo)
		// an actor of the old system asks one of the young, which asks back
		front := spawn(t, young, func(c *actor.Context, _ any) {
			d, _ := c.Deadline()
			c.Ask(far, 1, func(_ any, err error) { c.Reply(time.Until(d).String(), err) })
		})
		_ = front
		asker := spawn(t, old, func(c *actor.Context, _ any) { c.Ask(front, 1, c.Reply) })
		v, err := old.Ask(t.Context(), asker, 1)
		if err != nil || v != "5s" {
			t.Errorf("old to young: %v %v", v, err)
		}
		youngEcho := spawn(t, young, echo)
		back := spawn(t, old, func(c *actor.Context, _ any) {
			c.Go(func(ctx context.Context) (any, error) { return nil, ctx.Err() }, c.Reply)
		})
		_ = youngEcho
		asker2 := spawn(t, young, func(c *actor.Context, _ any) { c.Ask(back, 1, c.Reply) })
		if _, err := young.Ask(t.Context(), asker2, 1); err != nil {
			t.Errorf("young to old: %v", err)
		}
	})
}

// manual is a Scheduler of the simplest kind.
type manual struct {
	mu    sync.Mutex
	ready []actor.Runnable
}

func (m *manual) Ready(r actor.Runnable) { m.mu.Lock(); m.ready = append(m.ready, r); m.mu.Unlock() }

func (m *manual) step() bool {
	m.mu.Lock()
	if len(m.ready) == 0 {
		m.mu.Unlock()
		return false
	}
	r := m.ready[0]
	m.ready = m.ready[1:]
	m.mu.Unlock()
	if r.Step() {
		m.Ready(r)
	}
	return true
}

func (m *manual) Await(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		if !m.step() {
			runtime.Gosched()
		}
	}
}

func TestASteppedActorReachesAnOrdinarySystem(t *testing.T) {
	ordinary := newSystem(t)
	stepped := actor.New(actor.Config{Scheduler: &manual{}, Log: slog.New(slog.DiscardHandler)})
	got := make(chan any, 1)
	to := spawn(t, ordinary, func(_ *actor.Context, msg any) { got <- msg })
	from := spawn(t, stepped, func(c *actor.Context, msg any) { c.Send(to, msg); c.Reply(nil, nil) })
	until(t, func() bool { return atRest(ordinary, to) })
	ask(t, stepped, from, 1)
	select {
	case <-got:
	case <-time.After(40 * time.Second):
		t.Error("the message never came")
	}
	_ = stepped.Shutdown(context.Background())
}

func TestAfterALateShutdownStopTimeoutsStillHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logtest.Buffer{}
		sys := actor.New(actor.Config{Log: slog.New(slog.NewTextHandler(log, nil))})
		_, err := sys.Spawn(actor.Spec{Name: "slow", StopTimeout: 3 * time.Second, New: func() actor.Actor {
			return &hooked{stop: func(c *actor.Context, _ error) { c.Hold() }}
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var late *actor.ShutdownError
		if err := sys.Shutdown(ctx); !errors.As(err, &late) {
			t.Fatal(err)
		}
		ctx2, cancel2 := context.WithTimeout(t.Context(), time.Minute)
		defer cancel2()
		if err := sys.Shutdown(ctx2); err != nil {
			t.Fatalf("61 s for a StopTimeout of 3 s: %v", err)
		}
	})
}

func TestUniqueDoesNotReturnOneThatIsStopping(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		spec := actor.Spec{Name: "u", New: func() actor.Actor {
			return &hooked{receive: echo, stop: func(c *actor.Context, _ error) {
				c.Go(func(context.Context) (any, error) { <-time.After(time.Second); return nil, nil }, func(any, error) {})
			}}
		}}
		ref, err := sys.Unique(spec)
		if err != nil {
			t.Fatal(err)
		}
		sys.Stop(ref, nil)
		synctest.Wait()
		again, err := sys.Unique(spec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sys.Ask(t.Context(), again, 1); err != nil {
			t.Fatal(err)
		}
	})
}

func TestADrainLimitEndsWithItsActor(t *testing.T) {
	sys := newSystem(t)
	var a, b runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&a)
	for range 10_000 {
		ref := spawn(t, sys, func(*actor.Context, any) {})
		sys.Drain(ref, time.Hour)
		<-sys.Ended(ref)
	}
	runtime.GC()
	runtime.ReadMemStats(&b)
	runtime.KeepAlive(sys)
	if each := (int64(b.HeapAlloc) - int64(a.HeapAlloc)) / 10_000; each > 100 {
		t.Fatalf("%d bytes are left of each drained actor", each)
	}
}

func TestAStoppingParentKeepsItsStopAlthoughAChildEscalates(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		var stopped atomic.Bool
		gate := make(chan struct{})
		parent := spawnHooked(t, sys, "parent", hooked{
			start: func(c *actor.Context) error {
				child, err := c.Spawn(actor.Spec{Supervision: actor.Supervision{Limit: -1, Escalate: true}, New: func() actor.Actor {
					return actor.Func(func(*actor.Context, any) { <-gate; panic("planned") })
				}})
				c.Send(child, 1)
				return err
			},
			stop: func(*actor.Context, error) { stopped.Store(true) },
		})
		synctest.Wait()
		sys.Stop(parent, nil)
		synctest.Wait()
		close(gate)
		<-sys.Ended(parent)
		if !stopped.Load() {
			t.Fatal("the parent was healthy, but its Stop was left out")
		}
	})
}
