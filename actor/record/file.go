package record

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// version is of the file's format.
const version = 1

// maxLine is how long a line may be, in bytes, with its end.
const maxLine = 16 << 20

// Errors of recordings.
var (
	// ErrCut is wrapped when a recording has no end: whoever wrote it was killed, or could not go on. What is before is as it was recorded.
	ErrCut = errors.New("record: the recording is cut short")
	// ErrFormat is wrapped for what is no recording, or was damaged.
	ErrFormat = errors.New("record: no recording")
	// ErrUnrecorded is wrapped for a message that the recording knows of and does not have.
	ErrUnrecorded = errors.New("record: the message was not recorded")
	// ErrTooSlow is why a recording ended for whose writer there was too much.
	ErrTooSlow = errors.New("record: the writer is too slow")
)

// Header is what the first line tells.
type Header struct {
	Version int       `json:"recording"`
	Actor   string    `json:"actor"` // its name, or its address if it has none
	Address string    `json:"address"`
	Began   time.Time `json:"began"`
}

// line is each line behind the header: a message, or the end.
type line struct {
	At       int64          `json:"at"` // µs since the beginning
	From     string         `json:"from,omitzero"`
	Request  bool           `json:"request,omitzero"`
	Own      bool           `json:"own,omitzero"`
	Type     string         `json:"type,omitzero"`
	Message  jsontext.Value `json:"message,omitzero"`
	Error    string         `json:"error,omitzero"`    // why there is no message
	End      string         `json:"end,omitzero"`      // of the recording, and why
	Messages int            `json:"messages,omitzero"` // at the end: how many there were
}

const (
	endClosed = "closed"
	endActor  = "the actor has ended"
)

func marshalLine(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(data, '\n'), err
}

func unmarshalLine(data []byte, v any) error {
	return json.Unmarshal(data, v, json.RejectUnknownMembers(true))
}

// LineError is an error of one line.
type LineError struct {
	Line int    // counted from 1, which is the header
	Type string // of the message, if it is known
	Err  error
}

func (e *LineError) Error() string {
	text := strings.TrimPrefix(e.Err.Error(), "record: ")
	if e.Type == "" {
		return fmt.Sprintf("record: line %d: %s", e.Line, text)
	}
	return fmt.Sprintf("record: line %d: %s: %s", e.Line, e.Type, text)
}

// Unwrap is what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }
