package trace_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	otel "go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a system whose spans are kept.
type rig struct {
	t        *testing.T
	sys      *actor.System
	tracer   *trace.Tracer
	provider *sdk.TracerProvider
	ended    *tracetest.InMemoryExporter
}

func start(t *testing.T, cfg trace.Config, sampler sdk.Sampler) *rig {
	t.Helper()
	r := &rig{t: t, ended: tracetest.NewInMemoryExporter()}
	r.provider = sdk.NewTracerProvider(sdk.WithSyncer(r.ended), sdk.WithSampler(sampler))
	cfg.Provider = r.provider
	r.tracer = trace.New(cfg)
	r.sys = actor.New(actor.Config{Node: "n1", Tracer: r.tracer, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(r.shutdown)
	return r
}

func sampled(t *testing.T) *rig {
	t.Helper()
	return start(t, trace.Config{}, sdk.ParentBased(sdk.AlwaysSample()))
}

func (r *rig) shutdown() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.sys.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
		r.t.Error(err)
	}
}

func (r *rig) spawn(name string, f actor.Func) actor.Ref {
	r.t.Helper()
	ref, err := r.sys.Spawn(actor.Spec{Name: name, New: func() actor.Actor { return f }, Supervision: actor.Supervision{Backoff: time.Millisecond}})
	if err != nil {
		r.t.Fatal(err)
	}
	return ref
}

// until waits for n spans to end.
func (r *rig) until(n int) tracetest.SpanStubs {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(time.Millisecond); ; {
		if s := r.ended.GetSpans(); len(s) >= n {
			return s
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("expected %d spans:\n%s", n, tree(r.ended.GetSpans()))
		}
	}
}

// is compares the tree of spans when there are as many as there are lines, without the tabs that indent all lines.
func (r *rig) is(want string) tracetest.SpanStubs {
	r.t.Helper()
	lines := strings.Split(strings.TrimSpace(want), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "\t\t")
	}
	spans := r.until(len(lines))
	if got := tree(spans); got != strings.Join(lines, "\n")+"\n" {
		r.t.Fatalf("got\n%swant\n%s", got, strings.Join(lines, "\n"))
	}
	return spans
}

// tree draws spans: kind, name and the reason of an error, each below its parent, brothers by name.
func tree(spans tracetest.SpanStubs) string {
	slices.SortFunc(spans, func(a, b tracetest.SpanStub) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	var draw func(parent otel.SpanID, depth int)
	draw = func(parent otel.SpanID, depth int) {
		for _, s := range spans {
			if s.Parent.SpanID() != parent {
				continue
			}
			fmt.Fprintf(&b, "%s%s %s", strings.Repeat("  ", depth), s.SpanKind, s.Name)
			if reason := of(s, "error.type"); reason != "" {
				fmt.Fprintf(&b, " ! %s", reason)
			}
			b.WriteByte('\n')
			draw(s.SpanContext.SpanID(), depth+1)
		}
	}
	draw(otel.SpanID{}, 0)
	return b.String()
}

// of is an attribute of a span.
func of(s tracetest.SpanStub, key attribute.Key) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

func find(t *testing.T, spans tracetest.SpanStubs, name string) tracetest.SpanStub {
	t.Helper()
	i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("no span %q:\n%s", name, tree(spans))
	}
	return spans[i]
}

// Messages of the tests.
type (
	buy     struct{}
	reserve struct{}
	audit   struct{}
	pay     struct{}
	later   struct{}
	row     struct{}
)

// A shop asks a stock, sends to an audit, does work off the actor and comes back later; the stock forwards to a bank.
func (r *rig) shop() actor.Ref {
	log := r.spawn("audit", func(*actor.Context, any) {})
	bank := r.spawn("bank", func(c *actor.Context, _ any) { c.Reply("paid", nil) })
	stock := r.spawn("stock", func(c *actor.Context, msg any) {
		if _, ok := msg.(reserve); ok {
			c.Forward(bank)
			return
		}
		c.Reply(nil, nil)
	})
	return r.spawn("shop", func(c *actor.Context, _ any) {
		c.Ask(stock, reserve{}, func(v any, err error) {
			c.Send(log, audit{})
			c.Go(func(ctx context.Context) (any, error) {
				_, query := r.provider.Tracer("database").Start(ctx, "SELECT")
				query.End()
				return r.sys.Ask(ctx, stock, row{})
			}, func(any, error) {
				c.After(time.Millisecond, func() {
					c.Send(log, later{})
					c.Reply(v, err)
				})
			})
		})
	})
}

func TestARequestIsOneTreeThroughAskSendForwardGoAndAfter(t *testing.T) {
	r := sampled(t)
	v, err := r.sys.Ask(t.Context(), r.shop(), buy{})
	if v != "paid" || err != nil {
		t.Fatalf("got %v, %v", v, err)
	}
	spans := r.is(`
		server shop trace_test.buy
		  internal SELECT
		  internal audit trace_test.audit
		  internal audit trace_test.later
		  internal stock trace_test.reserve
		    internal bank trace_test.reserve
		  internal stock trace_test.row
	`)
	root := find(t, spans, "shop trace_test.buy")
	for _, s := range spans {
		if s.SpanContext.TraceID() != root.SpanContext.TraceID() {
			t.Errorf("%s is of another trace", s.Name)
		}
		// A request's span lasts until it is answered, which is behind all that was waited for.
		if s.Parent.SpanID() == root.SpanContext.SpanID() && strings.HasPrefix(s.Name, "stock") && s.EndTime.After(root.EndTime) {
			t.Errorf("%s ended behind the request that it is part of", s.Name)
		}
	}
	want := map[attribute.Key]string{
		"skua.actor": "shop", "skua.actor.type": "shop", "skua.message": "trace_test.buy", "skua.request": "true", "skua.node": "n1", "error.type": "",
	}
	for key, value := range want {
		if got := of(root, key); got != value {
			t.Errorf("%s is %q, want %q", key, got, value)
		}
	}
	if got := of(find(t, spans, "audit trace_test.audit"), "skua.request"); got != "false" {
		t.Errorf("a message that was sent has skua.request = %s", got)
	}
}

func TestMessagesFromOutsideAreTracesOfTheirOwn(t *testing.T) {
	r := sampled(t)
	a := r.spawn("a", func(*actor.Context, any) {})
	r.sys.Send(a, audit{})
	r.sys.Send(a, buy{})
	spans := r.is(`
		consumer a trace_test.audit
		consumer a trace_test.buy
	`)
	if spans[0].SpanContext.TraceID() == spans[1].SpanContext.TraceID() {
		t.Error("two messages from outside are one trace")
	}
}

// typed is an actor that says what it is, and a message that does.
type typed struct{ f actor.Func }

func (a typed) Receive(c *actor.Context, msg any) { a.f(c, msg) }
func (typed) ActorType() string                   { return "cashier" }
func (typed) MessageType() string                 { return "open" }
func (typed) Awaited() bool                       { return true }

func TestActorsAndMessagesAreCalledWhatTheySay(t *testing.T) {
	r := sampled(t)
	ref, err := r.sys.Spawn(actor.Spec{Name: "till/42", New: func() actor.Actor { return typed{func(*actor.Context, any) {}} }})
	if err != nil {
		t.Fatal(err)
	}
	nameless, err := r.sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) {}) }})
	if err != nil {
		t.Fatal(err)
	}
	r.sys.Send(ref, typed{}) // Awaited, so somebody waits although it was only sent
	r.sys.Send(nameless, "x")
	spans := r.is(`
		consumer actor.Func string
		server cashier open
	`)
	if got := of(find(t, spans, "cashier open"), "skua.actor"); got != "till/42" {
		t.Errorf("skua.actor is %q", got)
	}
	if got := of(find(t, spans, "actor.Func string"), "skua.actor"); got != nameless.String() {
		t.Errorf("skua.actor is %q, want the address %s", got, nameless)
	}
}

// route is a message that a client has named.
type route string

func (r route) MessageType() string { return string(r) }

func TestNamesAreAlwaysText(t *testing.T) {
	r := sampled(t)
	r.sys.Send(r.spawn("a", func(*actor.Context, any) {}), route("buy\xff\xfe"))
	spans := r.is("consumer a buy\uFFFD")
	if got := of(spans[0], "skua.message"); got != "buy\uFFFD" {
		t.Errorf("skua.message is %q", got)
	}
}

// traceback is an error as scripts have them.
type traceback struct{}

func (traceback) Error() string        { return "main.lua:1: no luck" }
func (traceback) Is(target error) bool { return target == actor.ErrFailed }
func (traceback) StackTrace() string   { return "main.lua:1: in function 'buy'" }

var errPoor = errors.New("too \xffpoor")

func TestAnErrorIsTheReasonTheTextAndTheStack(t *testing.T) {
	for _, c := range []struct {
		name, reason, text, stack string
		handle                    actor.Func
	}{
		{"answer", "*errors.errorString", "shop: too \uFFFDpoor", "", func(c *actor.Context, _ any) { c.Reply(nil, fmt.Errorf("shop: %w", errPoor)) }},
		{"script", "failed", "main.lua:1: no luck", "in function 'buy'", func(c *actor.Context, _ any) { c.Reply(nil, traceback{}) }},
		{"panic", "failed", "actor: panic: handler failed: oh no", "trace_test.go", func(*actor.Context, any) { panic("oh no") }},
		{"absent", "no_actor", "no such actor", "", func(c *actor.Context, _ any) { c.Ask(actor.Ref{}, row{}, c.Reply) }},
		{"context", "deadline", "deadline exceeded", "", func(c *actor.Context, _ any) { c.Reply(nil, context.DeadlineExceeded) }},
		{"refused", "refused", "no", "", func(c *actor.Context, _ any) { c.Reply(nil, &actor.Error{Code: actor.Refused, Text: "no"}) }},
		{"long", "*errors.errorString", strings.Repeat("ä", 512), "", func(c *actor.Context, _ any) { c.Reply(nil, errors.New(strings.Repeat("ä", 5000))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sampled(t)
			_, err := r.sys.Ask(t.Context(), r.spawn(c.name, c.handle), buy{})
			if err == nil {
				t.Fatal("no error")
			}
			s := r.until(1)[0]
			if len(s.Events) != 1 || s.Events[0].Name != "exception" || s.Status.Code.String() != "Error" || of(s, "error.type") != c.reason {
				t.Fatalf("got %v %v %v", s.Status, s.Attributes, s.Events)
			}
			event := tracetest.SpanStub{Attributes: s.Events[0].Attributes}
			if got := of(event, "exception.message"); !strings.Contains(got, c.text) || got != s.Status.Description || len(got) > 1<<10 {
				t.Errorf("text is %q, status %q, want %q", got, s.Status.Description, c.text)
			}
			if got := of(event, "exception.stacktrace"); !strings.Contains(got, c.stack) || (got == "") != (c.stack == "") || len(got) > 8<<10 {
				t.Errorf("stack is %q, want %q", got, c.stack)
			}
			if got := of(event, "exception.type"); got != c.reason {
				t.Errorf("exception.type is %q", got)
			}
		})
	}
}

func TestAPanicEndsTheSpanOfAMessageThatNobodyWaitsFor(t *testing.T) {
	r := sampled(t)
	ref := r.spawn("a", func(_ *actor.Context, msg any) {
		if msg == "bad" {
			panic("oh no")
		}
	})
	r.sys.Send(ref, "bad")
	r.sys.Send(ref, 7)
	r.is(`
		consumer a int
		consumer a string ! failed
	`)
}

func TestADeadlineEndsTheSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := sampled(t)
		mute := r.spawn("mute", func(c *actor.Context, _ any) { c.Promise() })
		front := r.spawn("front", func(c *actor.Context, _ any) { c.AskFor(mute, row{}, time.Second, c.Reply) })
		if _, err := r.sys.Ask(t.Context(), front, buy{}); !errors.Is(err, actor.ErrDeadline) {
			t.Fatal(err)
		}
		spans := r.is(`
		server front trace_test.buy ! deadline
		  internal mute trace_test.row ! deadline
		`)
		for _, s := range spans {
			if took := s.EndTime.Sub(s.StartTime); took < 900*time.Millisecond || took > 1100*time.Millisecond {
				t.Errorf("%s took %v", s.Name, took)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := r.sys.Ask(ctx, mute, audit{}); !errors.Is(err, actor.ErrDeadline) {
			t.Fatal(err)
		}
		if got := of(find(t, r.until(3), "mute trace_test.audit"), "error.type"); got != "deadline" {
			t.Errorf("the span of a request from outside ended with %q", got)
		}
		r.shutdown()
	})
}

func TestTheEndOfAnActorEndsTheSpansOfItsOpenRequests(t *testing.T) {
	r := sampled(t)
	asked := make(chan struct{})
	mute := r.spawn("mute", func(c *actor.Context, _ any) { c.Promise(); close(asked) })
	front := r.spawn("front", func(c *actor.Context, _ any) { c.Ask(mute, row{}, c.Reply) })
	answer := make(chan error, 1)
	go func() {
		_, err := r.sys.Ask(context.Background(), front, buy{})
		answer <- err
	}()
	<-asked
	r.sys.Stop(mute, nil)
	if err := <-answer; !errors.Is(err, actor.ErrStopped) {
		t.Fatal(err)
	}
	r.is(`
		server front trace_test.buy ! stopped
		  internal mute trace_test.row ! stopped
	`)
}

func TestAskersThatEndEndTheSpansOfWhatTheyAskedFor(t *testing.T) {
	r := sampled(t)
	asked := make(chan struct{})
	mute := r.spawn("mute", func(c *actor.Context, _ any) { c.Promise(); close(asked) })
	front := r.spawn("front", func(c *actor.Context, _ any) { c.Ask(mute, row{}, func(any, error) {}) })
	r.sys.Send(front, buy{})
	<-asked
	r.sys.Kill(front, nil)
	r.is(`
		consumer front trace_test.buy
		  internal mute trace_test.row ! canceled
	`)
}

func TestASpanThatIsKeptLastsUntilItsHolderEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := sampled(t)
		back := r.spawn("back", func(c *actor.Context, _ any) { c.Reply(nil, nil) })
		var queue []actor.Span
		ref := r.spawn("queue", func(c *actor.Context, msg any) {
			if msg != "work" {
				queue = append(queue, c.KeepSpan())
				return
			}
			for _, s := range queue {
				c.Within(s, func() {
					c.After(time.Second, func() {
						c.Ask(back, row{}, func(any, error) { s.End(nil) })
					})
				})
			}
		})
		r.sys.Send(ref, buy{})
		r.sys.Send(ref, pay{})
		r.sys.Send(ref, "work")
		time.Sleep(2 * time.Second) //nolint:forbidigo // fake time
		synctest.Wait()
		spans := r.is(`
		consumer queue string
		consumer queue trace_test.buy
		  internal back trace_test.row
		consumer queue trace_test.pay
		  internal back trace_test.row
		`)
		if s := find(t, spans, "queue trace_test.buy"); s.EndTime.Sub(s.StartTime) < time.Second {
			t.Errorf("the kept span took %v", s.EndTime.Sub(s.StartTime))
		}
		r.shutdown()
	})
}

func TestAPanicEndsAKeptSpan(t *testing.T) {
	r := sampled(t)
	back := r.spawn("back", func(c *actor.Context, _ any) { c.Reply(nil, nil) })
	ref := r.spawn("a", func(c *actor.Context, msg any) {
		s := c.KeepSpan()
		if msg == 1 {
			panic("at once")
		}
		c.Within(s, func() { c.Ask(back, row{}, func(any, error) { panic("later") }) })
	})
	r.sys.Send(ref, 1)
	r.sys.Send(ref, "2")
	r.is(`
		consumer a int ! failed
		consumer a string ! failed
		  internal back trace_test.row
	`)
}

func TestWhatIsDetachedIsOfNoTrace(t *testing.T) {
	r := sampled(t)
	done := make(chan struct{})
	back := r.spawn("back", func(c *actor.Context, _ any) { c.Reply(nil, nil) })
	ref := r.spawn("a", func(c *actor.Context, _ any) {
		c.Detached(func() { c.Ask(back, row{}, func(any, error) { close(done) }) })
	})
	r.sys.Send(ref, buy{})
	<-done
	r.is("consumer a trace_test.buy")
}

func TestTheCallersSpanIsTheParent(t *testing.T) {
	r := sampled(t)
	ref := r.spawn("a", func(c *actor.Context, _ any) {
		_, s := r.provider.Tracer("handler").Start(trace.Context(c), "in the handler")
		s.End()
		c.Reply(nil, nil)
	})
	ctx, outer := r.provider.Tracer("web").Start(t.Context(), "GET /")
	if _, err := r.sys.Ask(ctx, ref, buy{}); err != nil {
		t.Fatal(err)
	}
	outer.End()
	r.is(`
		internal GET /
		  internal a trace_test.buy
		    internal in the handler
	`)
	r.ended.Reset()

	// One on another node, or in another program.
	remote := otel.NewSpanContext(otel.SpanContextConfig{TraceID: otel.TraceID{1}, SpanID: otel.SpanID{2}, TraceFlags: otel.FlagsSampled, Remote: true})
	if _, err := r.sys.Ask(otel.ContextWithSpanContext(t.Context(), remote), ref, buy{}); err != nil {
		t.Fatal(err)
	}
	s := find(t, r.until(2), "a trace_test.buy")
	if s.Parent.SpanID() != remote.SpanID() || s.SpanContext.TraceID() != remote.TraceID() || s.SpanKind != otel.SpanKindServer {
		t.Errorf("got parent %v of kind %v", s.Parent, s.SpanKind)
	}
	r.ended.Reset()

	// A caller who is not traced is not traced here either.
	unsampled := remote.WithTraceFlags(0)
	if _, err := r.sys.Ask(otel.ContextWithSpanContext(t.Context(), unsampled), ref, buy{}); err != nil {
		t.Fatal(err)
	}
	if spans := r.ended.GetSpans(); len(spans) > 0 {
		t.Errorf("got\n%s", tree(spans))
	}
}

// What is not traced does not begin a trace half-way: neither in a handler's context, nor in work off the actor, nor where it is forwarded, nor behind it.
func TestWhatIsNotTracedStaysSo(t *testing.T) {
	chosen := 0
	r := start(t, trace.Config{Choose: func(actor.Handling) bool { chosen++; return chosen != 1 }}, sdk.ParentBased(sdk.AlwaysSample()))
	span := func(ctx context.Context) {
		_, s := r.provider.Tracer("library").Start(ctx, "query")
		s.End()
	}
	back := r.spawn("back", func(c *actor.Context, _ any) { c.Reply(nil, nil) })
	third := r.spawn("third", func(c *actor.Context, _ any) {
		span(trace.Context(c))
		c.Go(func(ctx context.Context) (any, error) {
			span(ctx)
			return r.sys.Ask(ctx, back, row{})
		}, func(v any, err error) { c.Ask(back, row{}, c.Reply) })
	})
	second := r.spawn("second", func(c *actor.Context, _ any) { c.Forward(third) })
	first := r.spawn("first", func(c *actor.Context, _ any) { c.Forward(second) })
	if _, err := r.sys.Ask(t.Context(), first, buy{}); err != nil {
		t.Fatal(err)
	}
	if spans := r.ended.GetSpans(); len(spans) > 0 || chosen != 1 {
		t.Errorf("asked %d times whether to trace, got\n%s", chosen, tree(spans))
	}
	chosen = 0
	done := make(chan struct{})
	last := r.spawn("last", func(*actor.Context, any) { close(done) })
	r.sys.Send(r.spawn("forwards", func(c *actor.Context, _ any) { c.Forward(last) }), buy{})
	<-done
	if spans := r.ended.GetSpans(); len(spans) > 0 || chosen != 1 {
		t.Errorf("asked %d times whether to trace, got\n%s", chosen, tree(spans))
	}
}

// Without a tracer a handler's context says nothing, so whatever makes spans in it decides for itself.
func TestWithoutATracerContextsAreEmpty(t *testing.T) {
	sys := actor.New(actor.Config{})
	defer func() { _ = sys.Shutdown(context.Background()) }()
	ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) { c.Reply(otel.SpanContextFromContext(trace.Context(c)).IsValid(), nil) })
	}})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := sys.Ask(t.Context(), ref, 1); v != false || err != nil {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestATraceHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, trace.Config{MaxSpans: 10, MaxAge: time.Minute}, sdk.ParentBased(sdk.AlwaysSample()))
		many := r.spawn("many", func(*actor.Context, any) {})
		ref := r.spawn("a", func(c *actor.Context, msg any) {
			switch msg.(type) {
			case buy: // a push to many
				for range 100 {
					c.Send(many, row{})
				}
			case later: // a clock that never stops
				c.After(40*time.Second, func() { c.Send(c.Self(), later{}) })
			}
		})
		r.sys.Send(ref, buy{})
		synctest.Wait()
		if n := len(r.ended.GetSpans()); n != 10 || r.tracer.Cut() != 91 {
			t.Errorf("got %d spans, %d were cut", n, r.tracer.Cut())
		}
		r.ended.Reset()
		r.sys.Send(ref, later{})
		time.Sleep(10 * time.Minute) //nolint:forbidigo // fake time
		r.is(`
		consumer a trace_test.later
		  internal a trace_test.later
		`)
		r.shutdown()
	})
}
