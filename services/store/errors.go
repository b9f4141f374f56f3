package store

import (
	"errors"
	"fmt"
	"strconv"
)

// What can go wrong, told apart by errors.Is. The typed errors below carry the details.
var (
	// ErrNotFound: the document has no content.
	ErrNotFound = errors.New("store: not found")
	// ErrConflict: somebody wrote the document since the version that the write is based on. See ConflictError.
	ErrConflict = errors.New("store: version conflict")
	// ErrFenced: the writer is no longer the owner. It should stop and forget its state. See FencedError.
	ErrFenced = errors.New("store: fenced")
	// ErrUnavailable: the database could not be reached or did not answer in time; the same call may work later.
	ErrUnavailable = errors.New("store: unavailable")
	// ErrTooLarge: the body is larger than MaxBody.
	ErrTooLarge = errors.New("store: too large")
	// ErrInvalid: a kind, an id, a number or a body is not what a document may have; no retry will help.
	ErrInvalid = errors.New("store: invalid")
	// ErrExists: a document that is imported is there already, or was there in a later version or epoch.
	ErrExists = errors.New("store: exists")
	// ErrDuplicate: another document has the value that a unique index allows once. See DuplicateError.
	ErrDuplicate = errors.New("store: duplicate")
	// ErrClosed: the backend was closed.
	ErrClosed = errors.New("store: closed")
)

// errMalformed is for bytes that are no document.
var errMalformed = errors.New("malformed BSON")

// errMoved is the reason when a write was not done although nothing stands against it: the document changed while it
// was judged, or the database left the write out.
var errMoved = errors.New("not done, although version and epoch agree")

// Retryable tells whether the same call, with the same nonces, may work later.
func Retryable(err error) bool { return errors.Is(err, ErrUnavailable) }

// Name is how errors and logs call a document. An id that could spoil a line of a log is quoted.
func Name(kind, id string) string {
	quoted := strconv.Quote(id)
	if len(quoted) == len(id)+2 {
		return kind + "/" + id
	}
	return kind + "/" + quoted
}

// ConflictError is an ErrConflict: the document has another version than the write is based on.
type ConflictError struct {
	Kind, ID string
	Version  int64 // the one that the write is based on
	Have     int64 // the one that the database has
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%v: %s: the write is based on version %d, the database has %d", ErrConflict, Name(e.Kind, e.ID), e.Version, e.Have)
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// FencedError is an ErrFenced: the document has an owner of a later epoch than the writer.
type FencedError struct {
	Kind, ID string
	Epoch    int64 // the writer's
	Have     int64 // the one that the database has
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("%v: %s: the writer owns epoch %d, the database is at %d", ErrFenced, Name(e.Kind, e.ID), e.Epoch, e.Have)
}

// Is makes errors.Is(err, ErrFenced) true.
func (e *FencedError) Is(target error) bool { return target == ErrFenced }

// UnavailableError is an ErrUnavailable with its reason.
type UnavailableError struct {
	Op  string // what was tried
	Err error  // never holds credentials
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%v: %s: %v", ErrUnavailable, e.Op, e.Err)
}

// Is makes errors.Is(err, ErrUnavailable) true.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

// Unwrap gives the reason.
func (e *UnavailableError) Unwrap() error { return e.Err }

// InvalidError is an ErrInvalid, or an ErrTooLarge when the body is only too long.
type InvalidError struct {
	What   string // the document, the kind or the id
	Path   string // where in the body, as a.b.0; empty: not in the body
	Reason string
	Large  bool
}

func (e *InvalidError) Error() string {
	head := ErrInvalid
	if e.Large {
		head = ErrTooLarge
	}
	if e.Path == "" {
		return fmt.Sprintf("%v: %s: %s", head, e.What, e.Reason)
	}
	return fmt.Sprintf("%v: %s: at %s: %s", head, e.What, e.Path, e.Reason)
}

// Is makes errors.Is(err, ErrInvalid), or ErrTooLarge, true.
func (e *InvalidError) Is(target error) bool {
	if e.Large {
		return target == ErrTooLarge
	}
	return target == ErrInvalid
}

// DuplicateError is an ErrDuplicate: a unique index has the document's value already.
type DuplicateError struct {
	Kind, ID string
	Index    string
	Other    string // id of the document that has the value; empty: not known
}

func (e *DuplicateError) Error() string {
	other := "another document has"
	if e.Other != "" {
		other = Name(e.Kind, e.Other) + " has"
	}
	return fmt.Sprintf("%v: %s: %s the value that the unique index %s allows once", ErrDuplicate, Name(e.Kind, e.ID), other, e.Index)
}

// Is makes errors.Is(err, ErrDuplicate) true.
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }
