package actor

import (
	"context"
	"errors"
	"fmt"
)

// Code is a reason for which a request can fail.
type Code uint8

// The reasons.
const (
	NoActor     Code = iota + 1 // there is nobody at the address
	Stopped                     // the actor ended, or is ending, before it answered
	Unreachable                 // the actor's node cannot be reached
	Failed                      // the handler panicked; Text and Stack tell how
	Deadline                    // no answer in time
	Overloaded                  // a bounded queue was full
	Cycle                       // it waits for itself; Text tells who waits for whom
	Canceled                    // the asker gave up, or ended
	Refused                     // the handler answered with an error of its own; only across nodes, see Portable
)

var codeTexts = map[Code]string{ //nolint:gochecknoglobals // a constant
	NoActor: "no such actor", Stopped: "actor stopped", Unreachable: "node unreachable",
	Failed: "handler failed", Deadline: "no answer before the deadline", Overloaded: "overloaded",
	Cycle: "call cycle", Canceled: "given up", Refused: "refused",
}

func (c Code) String() string {
	if s, ok := codeTexts[c]; ok {
		return s
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// Error is how the runtime reports that a request failed. Compare it with errors.Is and the sentinels below: equal codes match.
type Error struct {
	Code  Code   `json:"code"`
	Actor string `json:"actor,omitempty"` // who was asked
	Text  string `json:"text,omitempty"`  // what happened, if there is more to say than the code does
	Stack string `json:"stack,omitempty"` // the handler's, for Failed
}

func (e *Error) Error() string {
	s := "actor: "
	if e.Actor != "" {
		s += e.Actor + ": "
	}
	s += e.Code.String()
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Is makes errors.Is match by code. A Deadline is a context.DeadlineExceeded too, and a Canceled a context.Canceled.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == Deadline
	case context.Canceled:
		return e.Code == Canceled
	}
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Actor == "" && t.Text == ""
}

// Sentinels for errors.Is.
var (
	ErrNoActor     error = &Error{Code: NoActor}
	ErrStopped     error = &Error{Code: Stopped}
	ErrUnreachable error = &Error{Code: Unreachable}
	ErrFailed      error = &Error{Code: Failed}
	ErrDeadline    error = &Error{Code: Deadline}
	ErrOverloaded  error = &Error{Code: Overloaded}
	ErrCycle       error = &Error{Code: Cycle}
	ErrCanceled    error = &Error{Code: Canceled}
	ErrRefused     error = &Error{Code: Refused}

	// ErrNameTaken is returned by Spawn when another actor has the name.
	ErrNameTaken = errors.New("actor: name is taken")
	// ErrExhausted is the reason of an actor that failed more often than its supervision allows.
	ErrExhausted = errors.New("actor: restarted too often")
	// ErrShutdown is the reason of actors that end because their system does.
	ErrShutdown = errors.New("actor: system shuts down")
)

// Portable is err as an Error that can go to another node, as JSON for example, and matches the same sentinels there: the Error in err's chain if there
// is one; a Deadline or Canceled for the context's errors; else a Refused with err's text. It is nil for nil.
func Portable(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		if err.Error() == e.Error() {
			return e
		}
		return &Error{Code: e.Code, Text: err.Error(), Stack: e.Stack}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: Deadline, Text: err.Error()}
	case errors.Is(err, context.Canceled):
		return &Error{Code: Canceled, Text: err.Error()}
	default:
		return &Error{Code: Refused, Text: err.Error()}
	}
}
