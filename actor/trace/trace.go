// Package trace makes OpenTelemetry spans of what actors handle, with OpenTelemetry's API only: whoever runs the program chooses a provider, with or without
// the SDK.
//
// A message has one span, with the one in which it was sent as its parent. It is called after the actor's type and the message's (actor.TypedActor and
// actor.Typed say what these are called) and has these attributes:
//
//	skua.actor       name or address of the actor
//	skua.actor.type  what kind of actor it is
//	skua.message     type of the message
//	skua.request     whether somebody waits for an answer
//	skua.node        name of the node
//	error.type       of one that failed: the reason, such as "deadline" or "failed", or the Go type of another error
//
// An error is an event "exception" as well, with the handler's stack if it is known. As OpenTelemetry's conventions have it, what comes from outside
// is of kind SERVER if it is a request and CONSUMER if not, and all that follows from it on the node is INTERNAL.
package trace

import (
	"context"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/skua-go/skua/actor"
)

// Config tells a Tracer what to trace. Provider is needed.
type Config struct {
	// Provider makes the spans. Its sampler decides whether a message from outside of all actors begins a trace. It should be a parent-based one, so that
	// what follows is part of the same trace or of none.
	Provider otel.TracerProvider
	// Choose is asked before the provider about each message from outside; false is no trace, at no further cost. Any goroutine calls it, see Chooser. Default
	// nil: the provider alone decides, which takes it some hundred nanoseconds and a few allocations.
	Choose func(h actor.Handling) bool
	// MaxSpans is how many spans of one trace are made here; what is sent then is not traced. It bounds a trace that begins with a message to thousands.
	// Default 1,000.
	MaxSpans int
	// MaxAge is how long after the beginning of a trace spans are added to it. It bounds a trace of actors that keep each other busy for ever. Default 1 min.
	MaxAge time.Duration
}

// Tracer is an actor.Tracer, and an actor.Carrier. All its methods may be called by any goroutine; none blocks.
type Tracer struct {
	cfg    Config
	tracer otel.Tracer
	cut    atomic.Int64
}

var _ actor.Carrier = (*Tracer)(nil)

// scope is what the spans are said to come from.
const scope = "github.com/skua-go/skua/actor/trace"

// New makes a Tracer for actor.Config.Tracer.
func New(cfg Config) *Tracer {
	if cfg.MaxSpans <= 0 {
		cfg.MaxSpans = 1000
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = time.Minute
	}
	return &Tracer{cfg: cfg, tracer: cfg.Provider.Tracer(scope)}
}

// Cut is how many messages were not traced because their trace had Config.MaxSpans or was older than Config.MaxAge.
func (t *Tracer) Cut() int64 { return t.cut.Load() }

// journey is what the spans of one trace have in common on this node.
type journey struct {
	began time.Time
	spans atomic.Int64
}

// goesOn counts one more span, if the trace may have it.
func (t *Tracer) goesOn(j *journey) bool {
	if time.Since(j.began) > t.cfg.MaxAge || j.spans.Add(1) > int64(t.cfg.MaxSpans) {
		t.cut.Add(1)
		return false
	}
	return true
}

// Begin makes the span of a message. See actor.Tracer.
func (t *Tracer) Begin(parent actor.Span, h actor.Handling) actor.Span {
	ctx, kind := context.Background(), otel.SpanKindInternal
	var j *journey
	if p, ok := parent.(*span); ok {
		if j = p.journey; j == nil || !t.goesOn(j) {
			return nil
		}
		ctx = otel.ContextWithSpan(ctx, p.otel)
		if p.otel.SpanContext().IsRemote() {
			kind = kindOf(h)
		}
	} else {
		if t.cfg.Choose != nil && !t.cfg.Choose(h) {
			return nil
		}
		j = newJourney()
		kind = kindOf(h)
	}
	actorType, message := valid(h.ActorType()), valid(h.Message())
	_, s := t.tracer.Start(ctx, actorType+" "+message, otel.WithSpanKind(kind), otel.WithAttributes(
		attribute.String("skua.actor", valid(h.Actor())),
		attribute.String("skua.actor.type", actorType),
		attribute.String("skua.message", message),
		attribute.Bool("skua.request", h.Request),
		attribute.String("skua.node", h.Node()),
	))
	if !s.IsRecording() {
		return nil
	}
	return &span{otel: s, journey: j}
}

func newJourney() *journey {
	j := &journey{began: time.Now()}
	j.spans.Store(1)
	return j
}

// kindOf is the kind of a span whose message came from outside.
func kindOf(h actor.Handling) otel.SpanKind {
	if h.Request {
		return otel.SpanKindServer
	}
	return otel.SpanKindConsumer
}

// valid makes a text fit for the wire: one span with a wrong byte, which a client may have sent, would have the collector refuse all spans of its batch.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
