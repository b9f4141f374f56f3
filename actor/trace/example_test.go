package trace_test

import (
	"context"
	"fmt"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/trace"
)

// order is a request to a shop, price one to its catalog.
type (
	order struct{ item string }
	price struct{ item string }
)

// A program that embeds Skua hands in the provider that it has anyway; here one that keeps spans instead of sending them to a collector.
func Example() {
	kept := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())))
	sys := actor.New(actor.Config{Tracer: trace.New(trace.Config{Provider: provider, Choose: trace.NewChooser(1).Choose})})
	spawn := func(name string, f actor.Func) actor.Ref {
		ref, err := sys.Spawn(actor.Spec{Name: name, New: func() actor.Actor { return f }})
		if err != nil {
			fmt.Println(err)
		}
		return ref
	}
	catalog := spawn("catalog", func(c *actor.Context, _ any) {
		_, span := provider.Tracer("shelf").Start(trace.Context(c), "look it up") // a part of the handler with a span of its own
		span.End()
		c.Reply(7, nil)
	})
	shop := spawn("shop", func(c *actor.Context, msg any) {
		c.Ask(catalog, price{msg.(order).item}, c.Reply)
	})
	fmt.Println(sys.Ask(context.Background(), shop, order{"lamp"}))
	_ = sys.Shutdown(context.Background())
	for _, s := range kept.GetSpans() {
		fmt.Println(s.SpanKind, s.Name)
	}
	// Output:
	// 7 <nil>
	// internal look it up
	// internal catalog trace_test.price
	// server shop trace_test.order
}
