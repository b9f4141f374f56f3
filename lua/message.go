package lua

import (
	"fmt"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
)

// Type selects how a service handles a message: the PTYPE_* of Skynet. Scripts can give their own protocols the numbers up to 255 that they find free; those
// beyond are for libraries of this node.
type Type uint16

// The types of Skynet, and those of libraries of this node.
const (
	TypeText      Type = 0 // a plain string
	TypeResponse  Type = 1 // an answer that somebody sends by hand, see skynet.redirect
	TypeMulticast Type = 2
	TypeClient    Type = 3 // a request of a client: route and body
	TypeSystem    Type = 4
	TypeHarbor    Type = 5
	TypeSocket    Type = 6
	TypeError     Type = 7 // that a request has failed, or a service has ended, see skynet.redirect
	TypeQueue     Type = 8
	TypeDebug     Type = 9  // a command of the console
	TypeLua       Type = 10 // a command and its arguments
	TypeSnax      Type = 11
	TypeTrace     Type = 12

	TypeCron  Type = 256 // a job is due, see scripts/cron.lua
	TypeTopic Type = 257 // published in the cluster, see scripts/cluster.lua
)

// maxScriptType is the last type that a script can give a protocol.
const maxScriptType = 255

// typeNames are the types that scripts can name without registering them.
var typeNames = map[string]Type{ //nolint:gochecknoglobals // a constant
	"text": TypeText, "response": TypeResponse, "client": TypeClient, "error": TypeError, "debug": TypeDebug, "lua": TypeLua, "cron": TypeCron,
	"topic": TypeTopic,
}

func (t Type) String() string {
	switch t {
	case TypeText:
		return "text"
	case TypeResponse:
		return "response"
	case TypeMulticast:
		return "multicast"
	case TypeClient:
		return "client"
	case TypeSystem:
		return "system"
	case TypeHarbor:
		return "harbor"
	case TypeSocket:
		return "socket"
	case TypeError:
		return "error"
	case TypeQueue:
		return "queue"
	case TypeDebug:
		return "debug"
	case TypeLua:
		return "lua"
	case TypeSnax:
		return "snax"
	case TypeTrace:
		return "trace"
	case TypeTopic:
		return "topic"
	case TypeCron:
		return "cron"
	}
	return fmt.Sprintf("type(%d)", uint16(t))
}

// Message is what scripts, and Go services that they talk to, send each other. A request is answered with a value.List, with Bytes by a protocol that packs
// by itself, or with an error.
type Message struct {
	Type Type
	// Raw tells that Args is one string: the bytes of a protocol that packs by itself.
	Raw  bool
	Args value.List
	// Envelope is what differs from what the runtime knows of the message; nil for nearly all.
	Envelope *Envelope
}

// Envelope is what a script says of a message that it passes on (skynet.redirect), and the trace that the message is part of.
type Envelope struct {
	// From is who the handler is told has sent the message, unless it is nobody.
	From actor.Ref
	// Session is what the handler is told, if it is not 0.
	Session int64
	// Trace is the tag of skynet.trace, empty if there is none.
	Trace string
}

// Bytes is the answer of a protocol that packs by itself.
type Bytes string

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
	// Shared starts an agent that shares a VM with others of its script, which returns a table of handlers. Shard names the VM; without, the launcher chooses.
	Shared bool
	Shard  string
	// Query waits for a unique service that somebody else starts.
	Query bool
	// Key is what a unique service is known by, its script if it is empty.
	Key string
	// Soon has the request answered before the service is ready.
	Soon bool
	// Monitor has the service told, by an empty message of type client, of each service that ends from when the request is answered.
	Monitor bool
}

func (l Launch) key() string {
	if l.Key != "" {
		return l.Key
	}
	return l.Script
}

// Error is an error of a script.
type Error struct {
	Script  string
	Message string
	// Traceback is the script's stack, and behind it those of the services whose calls failed with it.
	Traceback string
	// Code is why the script's own call failed, if it left that error to its caller; see the `code` of errors in docs/lua.md.
	Code string
	// Value is what the script raised, if it was a table: an error that it means others to read, or one of a call of its own that failed (see Code).
	Value value.List
}

func (e *Error) Error() string { return e.Message }

// StackTrace is the traceback, for traces.
func (e *Error) StackTrace() string { return e.Traceback }

// Is makes a script's error one of actor.ErrFailed.
func (e *Error) Is(target error) bool { return target == actor.ErrFailed }
