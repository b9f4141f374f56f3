package trace

import (
	"context"

	otel "go.opentelemetry.io/otel/trace"

	"github.com/skua-go/skua/actor"
)

// A span on its way to another node is its trace's id, its own, and its flags (W3C Trace Context, in binary).
const (
	atSpan    = 16
	atFlags   = atSpan + 8
	spanBytes = atFlags + 1
)

// AppendSpan appends what ParseSpan reads on another node. See actor.Propagator.
func (*Tracer) AppendSpan(dst []byte, s actor.Span) []byte {
	own, ok := s.(*span)
	if !ok || own == nowhere {
		return dst
	}
	c := own.otel.SpanContext()
	if !c.IsValid() || !c.IsSampled() {
		return dst
	}
	traceID, spanID := c.TraceID(), c.SpanID()
	return append(append(append(dst, traceID[:]...), spanID[:]...), byte(c.TraceFlags()))
}

// ParseSpan is a span of another node. What is told there of a trace is bounded for itself, see Config.MaxSpans.
func (*Tracer) ParseSpan(data []byte) actor.Span {
	if len(data) != spanBytes {
		return nil
	}
	c := otel.NewSpanContext(otel.SpanContextConfig{
		TraceID: otel.TraceID(data[:atSpan]), SpanID: otel.SpanID(data[atSpan:atFlags]), TraceFlags: otel.TraceFlags(data[atFlags]), Remote: true,
	})
	if !c.IsValid() {
		return nil
	}
	return &span{otel: otel.SpanFromContext(otel.ContextWithRemoteSpanContext(context.Background(), c)), journey: newJourney()}
}
