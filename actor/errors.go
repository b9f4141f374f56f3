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
	Cycle                       // it was handed on in a circle
)

var codeTexts = map[Code]string{ //nolint:gochecknoglobals // a constant
	NoActor: "no such actor", Stopped: "actor stopped", Unreachable: "node unreachable",
	Failed: "handler failed", Deadline: "no answer before the deadline", Overloaded: "overloaded",
	Cycle: "cycle",
}

func (c Code) String() string {
	if s, ok := codeTexts[c]; ok {
		return s
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// Error is how the runtime reports that a request failed. Compare it with errors.Is and the sentinels below: equal codes match.
type Error struct {
	Code  Code
	Actor string // who was asked
	Text  string // what happened, if there is more to say than the code does
	Stack string // the handler's, for Failed
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

// Is makes errors.Is match by code. A Deadline is a context.DeadlineExceeded too.
func (e *Error) Is(target error) bool {
	if target == context.DeadlineExceeded {
		return e.Code == Deadline
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

	// ErrNameTaken is returned by Spawn when another actor has the name.
	ErrNameTaken = errors.New("actor: name is taken")
	// ErrExhausted is the reason of an actor that failed more often than its supervision allows.
	ErrExhausted = errors.New("actor: restarted too often")
	// ErrShutdown is the reason of actors that end because their system does.
	ErrShutdown = errors.New("actor: system shuts down")
)
