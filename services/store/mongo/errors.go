package mongo

import (
	"context"
	"errors"
	"fmt"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"

	"github.com/skua-go/skua/services/store"
)

// Codes of MongoDB's errors: src/mongo/base/error_codes.yml of the server.
const duplicateKey = 11000

// transientCodes are those of the retryable-writes and retryable-reads specifications, and those by which a server says
// that it lacks time or room at the moment.
func transientCode(code int) bool {
	switch code {
	case 6, 7, 89, 9001, // HostUnreachable, HostNotFound, NetworkTimeout, SocketException
		91, 189, 10107, 11600, 11602, 13435, 13436, // shutting down, stepping down, not the primary
		24, 46, 50, 64, 100, 112, 134, 202, 262, // LockTimeout, LockBusy, MaxTimeMSExpired, WriteConcernFailed, UnsatisfiableWriteConcern, WriteConflict, ReadConcernMajorityNotAvailableYet, NetworkInterfaceExceededTimeLimit, ExceededTimeLimit
		14031, 365: // OutOfDiskSpace, TemporarilyUnavailable
		return true
	}
	return false
}

// invalidCode are those by which a server says that it will never take such a document.
func invalidCode(code int) bool {
	switch code {
	case 2, 9, 14, 15, 22, 28, 52, 55, 56, 57, 121: // BadValue, FailedToParse, TypeMismatch, Overflow (nesting), InvalidBSON, PathNotViable, DollarPrefixedFieldName, InvalidDBRef, EmptyFieldName, DottedFieldName, DocumentValidationFailure
		return true
	}
	return false
}

func tooLargeCode(code int) bool { return code == 10334 || code == 17419 || code == 17420 }

// classify gives an error of the driver the class that callers decide by. What the database has answered is final
// unless its code says otherwise; where it has not answered, it may do so later.
func (db *DB) classify(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return ended(op, ctx.Err())
	}
	clean := db.clean.Error(err)
	final := fmt.Errorf("store: mongo: %s: %w", op, clean)
	var login *auth.Error
	var server driver.ServerError
	var marshal driver.MarshalError
	var argument driver.InvalidArgumentError
	switch {
	case errors.Is(err, driver.ErrClientDisconnected):
		return store.ErrClosed
	case errors.As(err, &login) && !driver.IsTimeout(err), errors.As(err, &marshal), errors.As(err, &argument):
		return final
	case errors.As(err, &server) && !driver.IsNetworkError(err) && !driver.IsTimeout(err):
		if labelled(server) || hasTransientCode(server) {
			return &store.UnavailableError{Op: op, Err: clean}
		}
		return final
	}
	return &store.UnavailableError{Op: op, Err: clean}
}

// labelled tells errors that the server itself, or the driver, says are worth another try.
func labelled(e driver.ServerError) bool {
	for _, label := range []string{"RetryableWriteError", "RetryableError", "TransientTransactionError"} {
		if e.HasErrorLabel(label) {
			return true
		}
	}
	return false
}

func hasTransientCode(e driver.ServerError) bool {
	for _, code := range e.ErrorCodes() {
		if transientCode(code) {
			return true
		}
	}
	return false
}

// refused is the result of one write that the server answered with an error.
func (db *DB) refused(op, kind, id string, e driver.WriteError) error {
	name := store.Name(kind, id)
	reason := fmt.Sprintf("MongoDB refuses it, code %d: %s", e.Code, e.Message)
	switch {
	case transientCode(e.Code):
		return &store.UnavailableError{Op: op + " " + name, Err: e}
	case tooLargeCode(e.Code):
		return &store.InvalidError{What: name, Reason: reason, Large: true}
	case invalidCode(e.Code):
		return &store.InvalidError{What: name, Reason: reason}
	}
	return fmt.Errorf("store: mongo: %s %s: %s", op, name, reason)
}

// ended is the error of a call whose context has ended: one that ran out of time may be tried again, one that its
// caller called off is nobody's any more.
func ended(op string, cause error) error {
	if errors.Is(cause, context.DeadlineExceeded) {
		return &store.UnavailableError{Op: op, Err: cause}
	}
	return fmt.Errorf("store: %s: %w", op, cause)
}
