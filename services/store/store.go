// Package store keeps documents and lets nobody write who no longer owns them.
//
// A document is named by a kind and an id (player/42) and is a BSON body with a version, which every write raises by
// one, and an epoch, which every change of owner raises. A write says on which version it is based and in which epoch
// its owner holds the document; a backend takes it only if both still stand.
package store

import (
	"context"
	"math/rand/v2"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Doc is a document as the database has it.
type Doc struct {
	Kind, ID string
	// Version counts the writes. It is 0 for a document that was never written and goes on rising through a delete,
	// so that no version of a document ever comes twice.
	Version int64
	// Epoch counts the owners. It is 0 for a document that was never claimed.
	Epoch int64
	// Body is the content; empty when the document was never written or is deleted. The caller owns it.
	Body bson.Raw
}

// Exists tells a document that has content from one that is only known by its version and epoch.
func (d Doc) Exists() bool { return len(d.Body) > 0 }

// Write replaces a document's body, or deletes it, if nobody has written it since Version and nobody has become its
// owner since Epoch. It makes version Version+1.
type Write struct {
	Kind, ID string
	// Version is the one that the write is based on: what Load, Claim or the last write gave. 0: was never written.
	Version int64
	// Epoch is what Claim gave to the writer. A document in a newer epoch refuses the write; one in an older epoch
	// takes over this one, so that epochs may also come from a directory of owners. 0: nobody may own the document.
	//
	// In an epoch above 0 a document has one writer at a time, its owner. In epoch 0 any number may compete.
	Epoch int64
	// Nonce names this write, see NewNonce. It is the same in each retry of the write, and no other write's: by it a
	// backend knows a write that already got in, although its caller never heard so. Never 0.
	Nonce int64
	// Body is the new content, read only until Apply returns. Empty if and only if Delete is set.
	Body bson.Raw
	// Patch, when not nil, turns the content at Version into Body: a backend may write it instead of Body, the order of keys may then be another one. It is
	// only given when the document has content at Version, and read only until Apply returns.
	Patch *Patch
	// Delete takes the content away. Version and epoch stay, so that no stale owner can bring the document back.
	Delete bool
}

// NewNonce returns a name for a write: random, never 0.
func NewNonce() int64 {
	for {
		if n := int64(rand.Uint64()); n != 0 { // two writes are only confused if base version and owner agree as well
			return n
		}
	}
}

// Backend is a database that keeps documents. The package storetest has its contract as a test suite.
//
// All methods may be called by any number of goroutines; all but Close block until the database has answered, ctx has
// ended, or a time-out of the backend has passed. Errors are those of this package, see Retryable.
type Backend interface {
	// Load reads a document. ErrNotFound if it has no content; the returned Doc then still has the Version on which a
	// write that creates it must be based, and the Epoch.
	Load(ctx context.Context, kind, id string) (Doc, error)

	// Claim makes the caller the owner: it raises the epoch, durably, and returns the document as all former
	// owners left it; none of them can write it from now on. Epoch 0 raises it by one; another one, up to MaxCount, comes from a
	// directory of owners: it is the document's from then on, unless that is in a higher one, which is ErrFenced and changes nothing. A document that
	// is in this very epoch is the caller's already. One without content is claimed too, without an
	// error. After any other error the document may or may not have been claimed; claiming it again is right.
	Claim(ctx context.Context, kind, id string, epoch int64) (Doc, error)

	// Apply does the writes, each on its own: one that is refused stops no other. Documents of one batch are distinct.
	//
	// If the second result is nil, the first has one entry a write, in order: nil when the write is durable, or
	// ErrConflict, ErrFenced, ErrInvalid, ErrTooLarge, ErrDuplicate when a unique index has the value of another
	// document, or ErrUnavailable when this one should be tried again. A write that was under way while the owner changed may be fenced and yet be part of what the new owner took over.
	// If the second is not nil, the first is nil, and any of the writes may have been done or not, or be done yet:
	// the same writes with the same nonces can be applied again, and what got in counts as success.
	Apply(ctx context.Context, writes []Write) ([]error, error)

	// LoadFields is Load whose Body has only these paths, as Project would leave them; no fields: all of it.
	LoadFields(ctx context.Context, kind, id string, fields []string) (Doc, error)

	// Scan reads documents of a kind that have content, in the order of their ids' bytes, beginning after the id after
	// (empty: at the first): at most limit (> 0), and fewer if their bodies have more than 16 MiB, but at least one;
	// none: there are no more. It is no snapshot: documents that are written meanwhile are seen as before or after.
	Scan(ctx context.Context, kind, after string, limit int) ([]Doc, error)

	// Kinds are all that have a document with content, sorted, and perhaps some that had one once.
	Kinds(ctx context.Context) ([]string, error)

	// Import writes documents as they are, version and epoch kept, for moves from another database; they need content
	// and a version above 0. One result a document as for Apply: ErrExists for one that is there with content, or with
	// a higher version or epoch and none, unless it is there exactly so, which counts as done: an import whose
	// answer was lost can be repeated. Documents of one call are distinct.
	Import(ctx context.Context, docs []Doc) ([]error, error)

	// Indexes makes these the indexes of the database: it builds those that are missing, while others read and write, rebuilds those that
	// are different, and drops those that a former call made and that are no longer wanted. It returns when all are
	// there. The error names the index; a DuplicateError names a pair of documents that a unique one can't have, an
	// InvalidError a document that can't be in it, see Index.Key. After an error the indexes named before it are built.
	Indexes(ctx context.Context, want []Index) error

	// Find reads the documents with content that a query asks for, by an index that the last successful Indexes of
	// this process declared. A query that none of them serves is an InvalidError, see Query.Plan.
	Find(ctx context.Context, q Query) ([]Doc, error)

	// Ping asks whether the database can be reached.
	Ping(ctx context.Context) error

	// Close waits for the calls that are under way and frees everything. Later calls get ErrClosed; a second Close is
	// free of effect.
	Close() error
}

// Serial is what a Backend also is that has one writer: a batch which is given to it while another one is on its way only waits for that. So one batch of commits is
// on its way at a time, and those that come meanwhile are the next.
type Serial interface {
	Backend
	// Serial says that it is one, and does nothing.
	Serial()
}

// Stamp is what a database keeps beside a body to judge writes by.
type Stamp struct {
	Version, Epoch int64
	// Nonce is that of the write that made Version.
	Nonce int64
}

// Judge tells what became of a write that did not match, from what the database has: nil if it is this very write
// that got in before, else FencedError, ConflictError, or ErrUnavailable when the write would match now. Backends
// call it.
//
// A write that got in counts as done even if the document has been claimed since: the new owner has seen it.
func (w Write) Judge(have Stamp) error {
	switch {
	case have.Version == w.Version+1 && have.Nonce == w.Nonce:
		return nil
	case have.Epoch > w.Epoch:
		return &FencedError{Kind: w.Kind, ID: w.ID, Epoch: w.Epoch, Have: have.Epoch}
	case have.Version != w.Version:
		return &ConflictError{Kind: w.Kind, ID: w.ID, Version: w.Version, Have: have.Version}
	}
	return &UnavailableError{Op: "write " + Name(w.Kind, w.ID), Err: errMoved}
}
