package trace

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	otel "go.opentelemetry.io/otel/trace"

	"github.com/skua-go/skua/actor"
)

// Context is a context.Background with the span of the message that c handles, or goes on with: spans that are begun with it, and calls of libraries that make
// spans, are part of the actor's trace. When the message is not traced it has a span that is not sampled, so that none of these begins a trace in the middle
// of things. Only the actor may call it, as c says. Context.Go gives its work such a context without further ado.
func Context(c *actor.Context) context.Context {
	t, ok := c.System().Tracer().(*Tracer)
	if !ok {
		return context.Background()
	}
	return t.Carry(context.Background(), c.Span())
}

// journeyKey is the key of a *journey in contexts: nil where nothing is traced.
type journeyKey struct{}

// nowhere is the span of what is not traced.
var nowhere = &span{} //nolint:gochecknoglobals // a constant

// Carry is ctx with the span in it. See actor.Carrier.
func (*Tracer) Carry(ctx context.Context, s actor.Span) context.Context {
	if own, ok := s.(*span); ok && own != nowhere {
		return otel.ContextWithSpan(context.WithValue(ctx, journeyKey{}, own.journey), own.otel)
	}
	return otel.ContextWithSpanContext(context.WithValue(ctx, journeyKey{}, (*journey)(nil)), unsampled())
}

// unsampled is a span that nobody records.
func unsampled() otel.SpanContext {
	var c otel.SpanContextConfig
	binary.BigEndian.PutUint64(c.TraceID[:], rand.Uint64())
	binary.BigEndian.PutUint64(c.TraceID[8:], rand.Uint64()|1) // never all zero
	binary.BigEndian.PutUint64(c.SpanID[:], rand.Uint64()|1)
	return otel.NewSpanContext(c)
}

// SpanIn is the span in ctx, whoever made it: one of a handler, one that was begun in a handler's context, one of a web server. See actor.Carrier.
func (*Tracer) SpanIn(ctx context.Context) actor.Span {
	s := otel.SpanFromContext(ctx)
	if !s.SpanContext().IsValid() {
		return nil
	}
	j, known := ctx.Value(journeyKey{}).(*journey)
	switch {
	case j != nil:
	case known && !s.SpanContext().IsSampled():
		return nowhere
	default:
		j = newJourney()
	}
	return &span{otel: s, journey: j}
}
