// Package walk is what the modules that turn Lua values into bytes and back have in common: errors that say where in a value they are, whole numbers that are
// never rounded, and bounds.
package walk

import (
	"errors"
	"strconv"
	"strings"
)

// maxSteps is how many steps of a path an error shows.
const maxSteps = 24

// pathError is an error with the way to what it is about, the innermost step first.
type pathError struct {
	steps []string
	more  int // steps that are left out, between the outermost and those in steps
	err   error
}

func (e *pathError) Error() string { return e.path() + ": " + e.err.Error() }

func (e *pathError) Unwrap() error { return e.err }

func (e *pathError) path() string {
	var b strings.Builder
	if e.more > 0 {
		b.WriteString("...")
	}
	for i := len(e.steps) - 1; i >= 0; i-- {
		b.WriteString(e.steps[i])
	}
	return b.String()
}

// Field says that err is about the field of this name of what the caller looks at.
func Field(err error, name string) error {
	if isName(name) {
		return step(err, "."+name)
	}
	const most = 40
	if len(name) > most {
		name = name[:most] + "..."
	}
	return step(err, "["+strconv.Quote(name)+"]")
}

// Index says that err is about the element with this index of what the caller looks at.
func Index(err error, i int64) error { return step(err, "["+strconv.FormatInt(i, 10)+"]") }

func step(err error, s string) error {
	var e *pathError
	if !errors.As(err, &e) {
		e = &pathError{err: err}
	}
	if len(e.steps) == maxSteps {
		e.more++
		return e
	}
	e.steps = append(e.steps, s)
	return e
}

// Text is the message of err, with its path behind the name of the whole value.
func Text(err error, root string) string {
	var e *pathError
	if errors.As(err, &e) {
		return root + e.path() + ": " + e.err.Error()
	}
	return root + ": " + err.Error()
}

func isName(s string) bool {
	const most = 64
	if s == "" || len(s) > most {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}
