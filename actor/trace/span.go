package trace

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/skua-go/skua/actor"
)

// span is an actor.Span.
type span struct {
	otel    otel.Span
	journey *journey
	over    atomic.Bool
}

// End ends the span. Only the first call counts.
func (s *span) End(err error) {
	if !s.over.CompareAndSwap(false, true) {
		return
	}
	if err != nil {
		s.fail(err)
	}
	s.otel.End()
}

// An error's text and stack are cut to these lengths, in bytes.
const (
	maxText  = 1 << 10
	maxStack = 8 << 10
)

// fail tells why the message failed.
func (s *span) fail(err error) {
	reason, text := reasonOf(err), cut(err.Error(), maxText)
	s.otel.SetStatus(codes.Error, text)
	s.otel.SetAttributes(attribute.String("error.type", reason))
	event := append(make([]attribute.KeyValue, 0, 3),
		attribute.String("exception.type", reason), attribute.String("exception.message", text))
	if stack := stackOf(err); stack != "" {
		event = append(event, attribute.String("exception.stacktrace", cut(stack, maxStack)))
	}
	s.otel.AddEvent("exception", otel.WithAttributes(event...))
}

// reasons are what actor.Codes are called in traces, where a name must stay the same and be short.
var reasons = map[actor.Code]string{ //nolint:gochecknoglobals // a constant
	actor.NoActor: "no_actor", actor.Stopped: "stopped", actor.Unreachable: "unreachable", actor.Failed: "failed", actor.Deadline: "deadline",
	actor.Overloaded: "overloaded", actor.Cycle: "cycle", actor.Canceled: "canceled", actor.Refused: "refused",
}

// reasonOf is one of few names for an error: its Code, or else the Go type of what is at its bottom.
func reasonOf(err error) string {
	code := actor.Portable(err).Code
	if code == actor.Refused && !errors.Is(err, actor.ErrRefused) {
		if !errors.Is(err, actor.ErrFailed) {
			for inner := err; inner != nil; inner = errors.Unwrap(err) {
				err = inner
			}
			return fmt.Sprintf("%T", err)
		}
		code = actor.Failed // a script's
	}
	if name, ok := reasons[code]; ok {
		return name
	}
	return code.String()
}

// stackOf is where the handler failed: the Stack of an actor.Error, or what an error with a method StackTrace says.
func stackOf(err error) string {
	var script interface{ StackTrace() string }
	if errors.As(err, &script) {
		return script.StackTrace()
	}
	var failed *actor.Error
	if errors.As(err, &failed) {
		return failed.Stack
	}
	return ""
}

// cut shortens a text to at most n bytes.
func cut(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return valid(s)
}
