package lua

import (
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// Type selects how a service handles a message: the PTYPE_* of Skynet.
type Type uint8

// The types that exist so far.
const (
	TypeText   Type = 0  // a plain string
	TypeClient Type = 3  // a request of a client: route and body
	TypeLua    Type = 10 // a command and its arguments
	TypeCron   Type = 12 // a job is due, see scripts/cron.lua
)

var typeNames = map[string]Type{"text": TypeText, "client": TypeClient, "lua": TypeLua, "cron": TypeCron} //nolint:gochecknoglobals // a constant

func (t Type) String() string {
	for name, v := range typeNames {
		if v == t {
			return name
		}
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Message is what scripts, and Go services that they talk to, send each other. A request is answered with a value.List, or with an error.
type Message struct {
	Type Type
	Args value.List
}

// maxName bounds the part of a message's type that a script or a client has chosen.
const maxName = 64

// MessageType is what logs and traces call the message: "lua" and the command, or "client" and the route.
func (m Message) MessageType() string {
	kind := m.Type.String()
	name, ok := m.Args.At(0).Str()
	if !ok || m.Type != TypeLua && m.Type != TypeClient { // else it is no name but what the message says
		return kind
	}
	return kind + " " + name[:min(len(name), maxName)]
}

// Command is a Message of TypeLua: a command and its arguments, see value.Of.
func Command(cmd string, args ...any) Message {
	return Message{Type: TypeLua, Args: value.Of(append([]any{cmd}, args...)...)}
}

// Ready is a request to a service that is answered when its start function has returned, or with the error that it raised.
type Ready struct{}

// Launch is a request to the launcher for a new service: answered by its actor.Ref when it is ready.
type Launch struct {
	Script string
	Args   value.List
	// Unique asks for the one service of this script; whoever asks first starts it.
	Unique bool
	// Query waits for a unique service that somebody else starts.
	Query bool
}

// Error is an error of a script.
type Error struct {
	Script    string
	Message   string
	Traceback string
	// Value is what the script raised, if it was a table: an error that it means others to read.
	Value value.List
}

func (e *Error) Error() string { return e.Message }

// StackTrace is the traceback, for traces.
func (e *Error) StackTrace() string { return e.Traceback }

// Is makes a script's error one of actor.ErrFailed.
func (e *Error) Is(target error) bool { return target == actor.ErrFailed }
