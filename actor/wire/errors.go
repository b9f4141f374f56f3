package wire

import (
	"errors"
	"fmt"

	"github.com/skua-go/skua/actor"
)

// How an error begins.
const (
	errorPlain    byte = iota // code, actor, text, stack
	errorNamed                // name of its type, and its form
	errorSentinel             // name of the sentinel, then as plain
)

// What is kept of an error's parts, in bytes.
const (
	maxErrorText  = 64 << 10
	maxErrorStack = 64 << 10
)

// AppendError appends what failed: in the form of its type, if err itself is of a registered one, else what [actor.Portable] keeps of it, with the stack of the
// handler. It takes any error that is not nil.
func (c *Coder) AppendError(dst []byte, err error) []byte {
	if out, ok := c.appendTyped(dst, err); ok {
		return out
	}
	tag, name := errorPlain, ""
	for _, s := range c.types.sentinels {
		if errors.Is(err, s.err) {
			tag, name = errorSentinel, s.name
			break
		}
	}
	dst = append(dst, tag)
	if tag == errorSentinel {
		dst = AppendString(dst, name)
	}
	return appendPortable(dst, portable(err))
}

// appendTyped is false for an error of a type that is not registered, or that can't be written.
func (c *Coder) appendTyped(dst []byte, err error) ([]byte, bool) {
	if _, ours := err.(*actor.Error); ours { //nolint:errorlint // what wraps one has more to say
		return dst, false
	}
	out, failed := c.appendNamed(append(dst, errorNamed), err)
	return out, failed == nil && len(out)-len(dst) <= maxErrorText+maxErrorStack
}

// portable is actor.Portable with the stack that a script's error has.
func portable(err error) actor.Error {
	e := *actor.Portable(err)
	var traced interface{ StackTrace() string }
	if e.Stack == "" && errors.As(err, &traced) {
		e.Stack = traced.StackTrace()
	}
	return e
}

func appendPortable(dst []byte, e actor.Error) []byte {
	dst = append(dst, byte(e.Code))
	dst = AppendString(dst, e.Actor[:min(len(e.Actor), maxErrorText)])
	dst = AppendString(dst, e.Text[:min(len(e.Text), maxErrorText)])
	return AppendString(dst, e.Stack[:min(len(e.Stack), maxErrorStack)])
}

// ParseError reads what AppendError has written, all of data; bad is why it can't.
func (c *Coder) ParseError(data []byte) (err, bad error) {
	r := c.Reader(data)
	switch tag := r.Byte(); tag {
	case errorPlain:
		err = r.portable()
	case errorSentinel:
		name := r.name()
		e := r.portable()
		err = e
		for _, s := range c.types.sentinels {
			if s.name == string(name) {
				err = &foreign{e, s.err}
			}
		}
	case errorNamed:
		if code := r.Byte(); code != codeNamed {
			return nil, fmt.Errorf("%w: an error of the code %d", ErrFormat, code)
		}
		v, bad := c.parseNamed(r)
		if bad != nil {
			return nil, bad
		}
		e, ok := v.(error)
		if !ok {
			return nil, fmt.Errorf("%w: a %T is no error", ErrFormat, v)
		}
		err = e
	default:
		return nil, fmt.Errorf("%w: an error begins with %d", ErrFormat, tag)
	}
	return err, r.End()
}

func (r *Reader) portable() *actor.Error {
	e := &actor.Error{Code: actor.Code(r.Byte()), Actor: r.String(), Text: r.String(), Stack: r.String()}
	if r.err == nil && (e.Code < actor.NoActor || e.Code > actor.Refused) {
		r.fail(fmt.Errorf("an error of the code %d", e.Code))
	}
	return e
}

// foreign is an error of another node that matches one of this node's.
type foreign struct{ came, is error }

func (f *foreign) Error() string { return f.came.Error() }

// Unwrap is both what came and what it matches.
func (f *foreign) Unwrap() []error { return []error{f.came, f.is} }
