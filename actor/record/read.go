package record

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/skua-go/skua/actor"
)

// Entry is a message as it was recorded.
type Entry struct {
	Line    int           // counted from 1, which is the header
	At      time.Duration // since the beginning
	From    string        // the sender's address; empty for messages from outside of all actors
	Request bool          // the sender waited for an answer
	Own     bool          // the actor sent it to itself, or one of its children did
	Type    string
	Message any    // nil if there is an error
	JSON    []byte // the message as it is written; nil if it was not recorded
}

// Recording is a file that is being read.
type Recording struct {
	Header

	types *Registry
	coder *coder
	in    *bufio.Reader
	line  int // that was read last
	n     int // messages
}

// Read reads the header of a recording. It fails with ErrFormat if there is none, with ErrCut if r ends before that, or with r's error.
func Read(r io.Reader, types *Registry) (*Recording, error) {
	if types == nil {
		types = Types()
	}
	if err := types.Err(); err != nil {
		return nil, err
	}
	rec := &Recording{types: types, coder: newCoder(), in: bufio.NewReaderSize(r, 64<<10)}
	rec.coder.find = func(string) (actor.Ref, error) { return actor.Ref{}, nil }
	data, whole, err := rec.next()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it is empty", ErrCut)
		}
		return nil, &LineError{Line: rec.line, Err: err}
	}
	if err := unmarshalLine(data, &rec.Header); err != nil {
		return nil, rec.damaged(whole, err)
	}
	if rec.Version != version {
		return nil, &LineError{Line: 1, Err: fmt.Errorf("%w: format %d, and this program reads %d", ErrFormat, rec.Version, version)}
	}
	return rec, nil
}

// Entries are the messages, in the order in which the actor had them; to be ranged over once.
//
// A message that can't be made has an error, and others follow: ErrType when its type is not registered, ErrUnrecorded when it could not be recorded, or why it
// can't be read. Any other error is the last: ErrCut when there is no end, ErrFormat for a line that makes no sense, or the reader's. Errors are of
// type *LineError.
func (rec *Recording) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			l, err := rec.read()
			if err != nil {
				yield(Entry{Line: rec.line}, err)
				return
			}
			if l.End != "" {
				if err := rec.checkEnd(l); err != nil {
					yield(Entry{Line: rec.line}, err)
				}
				return
			}
			rec.n++
			if !yield(rec.entry(l)) {
				return
			}
		}
	}
}

// next reads a line. whole tells whether it has its end.
func (rec *Recording) next() (data []byte, whole bool, err error) {
	rec.line++
	for {
		part, err := rec.in.ReadSlice('\n')
		data = append(data, part...)
		switch {
		case err == nil:
			return data, true, nil
		case len(data) > maxLine:
			return nil, false, fmt.Errorf("%w: the line is longer than %d bytes", ErrFormat, maxLine)
		case errors.Is(err, io.EOF) && len(data) > 0:
			return data, false, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

func (rec *Recording) read() (line, error) {
	data, whole, err := rec.next()
	if errors.Is(err, io.EOF) {
		return line{}, &LineError{Line: rec.line, Err: fmt.Errorf("%w: there is no end", ErrCut)}
	}
	if err != nil {
		return line{}, &LineError{Line: rec.line, Err: err}
	}
	var l line
	if err := unmarshalLine(data, &l); err != nil {
		return line{}, rec.damaged(whole, err)
	}
	if l.End == "" && l.Type == "" || l.At < 0 {
		return line{}, rec.damaged(whole, errors.New("it is neither a message nor an end"))
	}
	return l, nil
}

// damaged is for a line that makes no sense. The last one may be half written.
func (rec *Recording) damaged(whole bool, err error) error {
	kind := ErrFormat
	if !whole {
		kind = ErrCut
	}
	return &LineError{Line: rec.line, Err: fmt.Errorf("%w: %w", kind, err)}
}

// checkEnd tells whether the recording is complete.
func (rec *Recording) checkEnd(l line) error {
	switch _, err := rec.in.Peek(1); {
	case l.Messages != rec.n:
		return &LineError{Line: rec.line, Err: fmt.Errorf("%w: %d messages, and the last line tells of %d", ErrFormat, rec.n, l.Messages)}
	case err == nil:
		return &LineError{Line: rec.line + 1, Err: fmt.Errorf("%w: a line behind the end", ErrFormat)}
	case !errors.Is(err, io.EOF):
		return &LineError{Line: rec.line + 1, Err: err}
	case l.End != endClosed && l.End != endActor:
		return &LineError{Line: rec.line, Err: fmt.Errorf("%w: %s", ErrCut, l.End)}
	}
	return nil
}

func (rec *Recording) entry(l line) (Entry, error) {
	e := Entry{
		Line: rec.line, At: time.Duration(min(l.At, int64(maxAt/time.Microsecond))) * time.Microsecond, From: l.From, Request: l.Request, Own: l.Own, Type: l.Type,
		JSON: l.Message,
	}
	if l.Error != "" {
		return e, &LineError{Line: rec.line, Type: l.Type, Err: fmt.Errorf("%w: %s", ErrUnrecorded, strings.TrimPrefix(l.Error, "record: "))}
	}
	msg, err := rec.types.decode(rec.coder, l.Type, l.Message)
	if err != nil {
		return e, &LineError{Line: rec.line, Type: l.Type, Err: err}
	}
	e.Message = msg
	return e, nil
}

// maxAt is the longest time of an entry: a century.
const maxAt = 100 * 365 * 24 * time.Hour
