package store

import (
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// ServiceName is the name under which a node's store is found.
const ServiceName = "store"

// Claim makes the sender the owner of a document, in the place of the one that it may have: answered by its Doc, whose Body is empty if there is none yet and
// is read only. The ownership ends with the sender. Of several claims at a time the last one holds, and the others get ErrNotOwner.
//
// When somebody on another node claims the document, or the database has another version than the owner's, the owner's next write fails and the ownership
// ends: what it knows of the document is no longer true, and IfLost says what becomes of it. An owner that another one on this node has replaced is not
// touched: it finds out by ErrNotOwner.
type Claim struct {
	Kind, ID string
	// Epoch is what a directory has given its owner, such as [cluster/grain.Identity.Epoch]; below 2^53. It fences all owners with a lower one, and is refused with ErrFenced when the document has
	// had one with a higher one. 0: the sender takes the document from whoever has it, in an epoch of the store's own.
	Epoch uint64
	// IfLost is told anew with each claim.
	IfLost IfLost
}

// IfLost is what the store does with an owner when the database says that its document is somebody else's: with ErrFenced, or ErrConflict.
type IfLost uint8

const (
	// TellThenStop sends the owner a Lost and stops it with the error of that as the reason. The stop comes behind the Lost, so that it can tell others, but a
	// second later at the latest, though other messages wait before the Lost or it is waiting for something. Its other documents are saved as in any stop.
	TellThenStop IfLost = iota
	// TellOnly sends the Lost, and the owner lives on: for services that have documents of others in hand, such as a bank or a login, and keep nothing of them
	// beyond a request, or know how to begin anew.
	TellOnly
	// StopOnly stops the owner at once with the reason, ahead of all messages that wait and without a Lost, as a script's service is.
	StopOnly
)

// Lost tells an owner that a document is no longer its own, and why: ErrFenced or ErrConflict, whose text has both epochs or both versions. What it handed in
// last is not written, and what it hands in from now on is refused with ErrNotOwner. See IfLost for what follows.
type Lost struct {
	Kind, ID string
	Err      error
}

// Refused tells an owner that the database will never have the content which it saved, and why: ErrInvalid, ErrTooLarge, ErrDuplicate or an error of the database. The
// content is kept in the quarantine, if there is one; the document stays the owner's, who may hand in something better. Who waited for a Commit hears of it there.
type Refused struct {
	Kind, ID string
	Err      error
}

// Load reads a document: answered by its Doc, or ErrNotFound. It sees what an owner on this node has saved but not yet written; Version and Epoch are those of
// the database. Body is read only.
//
// What no owner on this node has may come from the cache, as old as Config.CacheTTL.
type Load struct {
	Kind, ID string
	// Fields are the paths that the Body is to have, see Project; empty: all.
	Fields []string
	// Fresh asks the database and not the cache.
	Fresh bool
}

// Find reads the documents that a query asks for: answered by Found. Its index must be one of Config.Indexes. It sees what is written, not what is only saved.
type Find struct{ Query Query }

// Found answers Find.
type Found struct {
	Docs []Doc // read only
	// Next, if not nil, is the After of the query for those behind: there may be more.
	Next *Position
}

// Save hands in a document's new content, which replaces what was handed in before. It is answered when the content is accepted; how soon it is durable says
// Config.Autosave. ErrNotOwner, ErrInvalid, ErrTooLarge and actor.ErrOverloaded refuse it. The body is read only from then on.
//
// Content that is equal to what the database has is not written; the order of keys does not count.
type Save struct {
	Kind, ID string
	Body     bson.Raw
	// Within is how soon it is to be written, if less than Config.Autosave: who has gathered changes for a while gives what is left of it.
	Within time.Duration
}

// Commit is a Save that is answered when the content is durable, or something newer is that was saved on top of it. ErrUnavailable says that the database can't
// be reached: the content is then kept and written when it is back, as after a Save. Other errors of a Backend's Apply say that it will not be.
type Commit struct {
	Kind, ID string
	Body     bson.Raw
}

// Amend changes a document's content by a patch, as a Save of all of it would, or as a Commit. ErrInvalid says that the patch does not fit the content.
type Amend struct {
	Kind, ID string
	Patch    Patch
	Commit   bool
}

// Delete takes a document's content away, and is answered like a Commit. The sender stays its owner and may hand in new content.
type Delete struct{ Kind, ID string }

// Release ends the sender's ownership of a document before the sender ends. What it has handed in is still written.
type Release struct{ Kind, ID string }

// Settle is answered when what the sender has handed in of a document is durable, as a Commit is; at once if there is nothing to be written, or the sender does not own it. Who ends, and is to go
// on elsewhere, waits for it: the next owner has no part in what this node has not written yet.
type Settle struct{ Kind, ID string }

// Invalidated tells the store that a document has changed elsewhere: what the cache has of it is forgotten.
type Invalidated struct{ Kind, ID string }

// ErrNotOwner refuses a Save by an actor that has not claimed the document, or has been replaced as its owner on this node.
var ErrNotOwner = errors.New("store: not the owner")
