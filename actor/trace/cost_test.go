package trace_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/trace"
)

// chain is a system whose front actor asks a back one, or sends to it, who tells when it has been.
type chain struct {
	sys         *actor.System
	front, back actor.Ref
	been        chan struct{}
}

type (
	ask  struct{}
	send struct{}
)

func newChain(tb testing.TB, tracer actor.Tracer) *chain {
	tb.Helper()
	c := &chain{sys: actor.New(actor.Config{Tracer: tracer, Log: slog.New(slog.DiscardHandler)}), been: make(chan struct{}, 1)}
	tb.Cleanup(func() { _ = c.sys.Shutdown(context.Background()) })
	spawn := func(f actor.Func) actor.Ref {
		ref, err := c.sys.Spawn(actor.Spec{New: func() actor.Actor { return f }})
		if err != nil {
			tb.Fatal(err)
		}
		return ref
	}
	c.back = spawn(func(a *actor.Context, _ any) {
		if a.IsRequest() {
			a.Reply(nil, nil)
			return
		}
		c.been <- struct{}{}
	})
	c.front = spawn(func(a *actor.Context, msg any) {
		switch msg.(type) {
		case ask:
			a.Ask(c.back, row{}, func(any, error) { c.been <- struct{}{} })
		case send:
			a.Send(c.back, row{})
		}
	})
	return c
}

func (c *chain) send(to actor.Ref, msg any) {
	c.sys.Send(to, msg)
	<-c.been
}

func never(actor.Handling) bool { return false }

// discarding is a provider with a sampler whose spans go nowhere.
func discarding(sampler sdk.Sampler) *sdk.TracerProvider {
	return sdk.NewTracerProvider(sdk.WithSampler(sampler), sdk.WithSpanProcessor(&counting{}))
}

func TestWhatIsNotTracedAllocatesNothing(t *testing.T) {
	allocs := func(tracer actor.Tracer) map[string]float64 {
		c := newChain(t, tracer)
		got := map[string]float64{}
		for name, do := range map[string]func(){
			"send":          func() { c.send(c.back, row{}) },
			"send and send": func() { c.send(c.front, send{}) },
			"send and ask":  func() { c.send(c.front, ask{}) },
		} {
			got[name] = testing.AllocsPerRun(2000, do)
		}
		return got
	}
	provider := discarding(sdk.ParentBased(sdk.NeverSample()))
	without := allocs(nil)
	t.Log("without a tracer:", without)
	for name, n := range allocs(trace.New(trace.Config{Provider: provider, Choose: never})) {
		if n != without[name] {
			t.Errorf("%s: %v allocations, %v without a tracer", name, n, without[name])
		}
	}
	// Where the sampler is asked it costs something at the root, and nothing behind it.
	asked := allocs(trace.New(trace.Config{Provider: provider}))
	root := asked["send"] - without["send"]
	t.Log("where the sampler says no:", asked)
	for name, n := range asked {
		if n != without[name]+root {
			t.Errorf("%s: %v allocations, %v without a tracer, and %v at the root", name, n, without[name], root)
		}
	}
}

// counting counts spans.
type counting struct{ begun, ended atomic.Int64 }

func (c *counting) OnStart(context.Context, sdk.ReadWriteSpan) { c.begun.Add(1) }
func (c *counting) OnEnd(sdk.ReadOnlySpan)                     { c.ended.Add(1) }
func (*counting) Shutdown(context.Context) error               { return nil }
func (*counting) ForceFlush(context.Context) error             { return nil }

// Requests are given up by their callers, run into deadlines while their handlers begin, and lose the actors that were to answer them.
func TestEverySpanThatBeginsEnds(t *testing.T) {
	count := &counting{}
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(count))
	sys := actor.New(actor.Config{Tracer: trace.New(trace.Config{Provider: provider}), Log: slog.New(slog.DiscardHandler)})
	var refs [4]actor.Ref
	// Whoever is asked for n asks somebody for n-1, late, never, or not at all.
	receive := func(c *actor.Context, msg any) {
		n, _ := msg.(int)
		next := refs[rand.IntN(len(refs))]
		switch rand.IntN(8) {
		case 0:
			c.Promise()
		case 1:
			c.Forward(next)
		case 2:
			panic("oh no")
		case 3:
			c.Go(func(ctx context.Context) (any, error) { return sys.Ask(ctx, next, n-1) }, c.Reply)
		case 4:
			c.After(time.Millisecond, func() { c.Reply(nil, nil) })
		case 5:
			c.Send(next, n-1)
			c.Reply(nil, nil)
		default:
			if n <= 0 {
				c.Reply(nil, nil)
				return
			}
			c.AskFor(next, n-1, time.Duration(rand.IntN(3))*time.Millisecond, c.Reply)
		}
	}
	for i := range refs {
		ref, err := sys.Spawn(actor.Spec{
			New:         func() actor.Actor { return actor.Func(receive) },
			Supervision: actor.Supervision{Limit: 1 << 30, Backoff: time.Nanosecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = ref
	}
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for i := 0; i < 300 || i < 100_000 && count.begun.Load() < 500; i++ { // on a busy machine most are given up before a handler begins
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(2000))*time.Microsecond)
				_, _ = sys.Ask(ctx, refs[rand.IntN(len(refs))], rand.IntN(5))
				cancel()
			}
		})
	}
	callers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := sys.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if begun, ended := count.begun.Load(), count.ended.Load(); begun != ended || begun < 500 {
		t.Errorf("%d spans began, %d ended", begun, ended)
	} else {
		t.Logf("%d spans", begun)
	}
}

// What does tracing cost a message? Each is measured from outside of all actors: a message that an actor sends on, and one that it asks another for.
func BenchmarkCostOfTracing(b *testing.B) {
	always := discarding(sdk.ParentBased(sdk.AlwaysSample()))
	ratio := discarding(sdk.ParentBased(sdk.TraceIDRatioBased(0.01)))
	for _, tracer := range []struct {
		name string
		t    actor.Tracer
	}{
		{"off", nil},
		{"share=0", trace.New(trace.Config{Provider: always, Choose: trace.NewChooser(0).Choose})},
		{"share=0.01", trace.New(trace.Config{Provider: always, Choose: trace.NewChooser(0.01).Choose})},
		{"sampler=0.01", trace.New(trace.Config{Provider: ratio})},
		{"share=1", trace.New(trace.Config{Provider: always, Choose: trace.NewChooser(1).Choose})},
	} {
		for _, what := range []struct {
			name string
			msg  any
		}{{"send", send{}}, {"ask", ask{}}} {
			b.Run(what.name+"/"+tracer.name, func(b *testing.B) {
				c := newChain(b, tracer.t)
				b.ReportAllocs()
				for b.Loop() {
					c.send(c.front, what.msg)
				}
			})
		}
	}
}
