// Package mongo keeps documents in MongoDB: a collection a kind, a document a document.
//
//	{_id: "42", ver: 7, epoch: 3, nonce: 123, body: {...}}
//
// Each write is one update whose filter has version and epoch, so it needs no transaction, and it is acknowledged when
// a majority of the replica set has it in its journal. A patch is its $set and $unset, with dotted paths below body; MongoDB
// then may have new fields in another order (by name, since 5.0). Every write has an equality on _id in its filter, as
// updates, upserts and findAndModify on a sharded collection need it whose shard key is _id or its hash.
// (https://www.mongodb.com/docs/manual/core/sharded-cluster-requirements/). Whatever the URI says of write concern, read concern or read
// preference is overruled: with less than these the store could not keep its word.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/skua-go/skua/internal/mongouri"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/internal/inflight"
)

// Options says where the database is.
type Options struct {
	// URI names the deployment (https://www.mongodb.com/docs/manual/reference/connection-string/). It may hold a
	// password: neither errors nor logs of this package show it.
	URI string
	// Database in the deployment; empty: skua.
	Database string
	// Timeout of a call, the search for a primary included; 0: 10 s. A caller's earlier deadline counts.
	Timeout time.Duration
	// CommandWrites is how many writes go into one command at most; 0: 1,000. More is hardly faster, and keeps others
	// waiting longer. FerretDB 1.24 hangs for ever with some 100.
	CommandWrites int
	// PlainIndexes has indexes made without the condition that keeps documents out that lack the first field, and without TTL: for FerretDB 1.24, which knows
	// neither.
	PlainIndexes bool
}

// DB is a MongoDB database. It is a store.Backend.
type DB struct {
	client  *driver.Client
	db      *driver.Database
	timeout time.Duration
	most    int  // writes in a command
	plain   bool // see Options.PlainIndexes
	clean   mongouri.Scrubber
	indexed indexed
	calls   inflight.Calls
	closing func() error
}

var _ store.Backend = (*DB)(nil)

// Open looks at the options and connects in the background; Ping tells whether a database is there. The only errors are
// those of a URI that can't be used, and of the look-up of a mongodb+srv one.
func Open(opt Options) (*DB, error) {
	if opt.Database == "" {
		opt.Database = "skua"
	}
	if opt.Timeout == 0 {
		opt.Timeout = 10 * time.Second
	}
	if opt.CommandWrites == 0 {
		opt.CommandWrites = 1000
	}
	settings, err := mongouri.Parse(opt.URI)
	if err != nil {
		return nil, fmt.Errorf("store: mongo: %w", err)
	}
	journal := true
	settings.SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal})
	settings.SetReadConcern(readconcern.Majority())
	settings.SetReadPreference(readpref.Primary())
	settings.SetTimeout(opt.Timeout)
	if settings.AppName == nil {
		settings.SetAppName("skua")
	}
	clean := mongouri.ScrubberFor(opt.URI)
	client, err := driver.Connect(settings)
	if err != nil {
		return nil, fmt.Errorf("store: mongo: %w", clean.Error(err))
	}
	db := &DB{client: client, db: client.Database(opt.Database), timeout: opt.Timeout, most: opt.CommandWrites, plain: opt.PlainIndexes, clean: clean}
	db.closing = sync.OnceValue(db.shut)
	return db, nil
}

// begin lets a call in and gives it its deadline; end lets it out.
func (db *DB) begin(ctx context.Context, op string) (inner context.Context, end func(), err error) {
	if !db.calls.Enter() {
		return nil, nil, store.ErrClosed
	}
	if ctx.Err() != nil {
		db.calls.Leave()
		return nil, nil, ended(op, ctx.Err())
	}
	inner, cancel := context.WithTimeout(ctx, db.timeout)
	return inner, func() { cancel(); db.calls.Leave() }, nil
}

func notFound(kind, id string) error {
	return fmt.Errorf("%w: %s", store.ErrNotFound, store.Name(kind, id))
}

// Claim implements store.Backend.
func (db *DB) Claim(ctx context.Context, kind, id string, epoch int64) (store.Doc, error) {
	if err := store.CheckClaim(kind, id, epoch); err != nil {
		return store.Doc{}, err
	}
	op := "claim " + store.Name(kind, id)
	inner, end, err := db.begin(ctx, op)
	if err != nil {
		return store.Doc{}, err
	}
	defer end()
	filter := byID(id)
	raise := bson.E{Key: "$inc", Value: bson.D{{Key: "epoch", Value: int64(1)}}}
	if epoch > 0 {
		filter = append(filter, bson.E{Key: "epoch", Value: bson.D{{Key: "$lte", Value: epoch}}})
		raise = bson.E{Key: "$set", Value: bson.D{{Key: "epoch", Value: epoch}}}
	}
	update := bson.D{raise, {Key: "$setOnInsert", Value: bson.D{{Key: "ver", Value: int64(0)}, {Key: "nonce", Value: int64(0)}}}}
	how := options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)
	for {
		raw, err := db.db.Collection(kind).FindOneAndUpdate(inner, filter, update, how).Raw()
		switch {
		case err == nil:
			return decode(kind, id, raw)
		case driver.IsDuplicateKeyError(err) && inner.Err() == nil:
			// Another one made the document at the same moment, so now there is one to claim. Or it is there, and the filter leaves it out.
			if epoch > 0 {
				have, err := db.stamp(inner, kind, id)
				switch {
				case err != nil:
					return store.Doc{}, db.classify(ctx, op, err)
				case have == nil:
					return store.Doc{}, notOurs(kind, id)
				case have.Epoch > epoch:
					return store.Doc{}, &store.FencedError{Kind: kind, ID: id, Epoch: epoch, Have: have.Epoch}
				}
			}
		default:
			return store.Doc{}, db.classify(ctx, op, err)
		}
	}
}

// stamp reads what the database has beside a document's body: zero if there is no such document, nil if it is not ours.
func (db *DB) stamp(ctx context.Context, kind, id string) (*store.Stamp, error) {
	raw, err := db.db.Collection(kind).FindOne(ctx, byID(id), options.FindOne().SetProjection(bson.D{{Key: "body", Value: 0}})).Raw()
	var have store.Stamp
	switch {
	case errors.Is(err, driver.ErrNoDocuments):
		return &have, nil
	case err != nil:
		return nil, err
	case !readStamp(raw, &have):
		return nil, nil //nolint:nilnil // said above
	}
	return &have, nil
}

// decode reads a document of ours. The body shares no memory with the driver's buffers.
func decode(kind, id string, raw bson.Raw) (store.Doc, error) {
	doc := store.Doc{Kind: kind, ID: id}
	var stamp store.Stamp
	if !readStamp(raw, &stamp) {
		return store.Doc{}, notOurs(kind, id)
	}
	doc.Version, doc.Epoch = stamp.Version, stamp.Epoch
	value := raw.Lookup("body")
	if value.IsZero() {
		return doc, nil // claimed but never written, or deleted
	}
	body, ok := value.DocumentOK()
	if !ok {
		return store.Doc{}, fmt.Errorf("store: mongo: %s: the body in the database is of type %s: another program wrote it", store.Name(kind, id), value.Type)
	}
	doc.Body = append(bson.Raw(nil), body...)
	return doc, nil
}

func notOurs(kind, id string) error {
	return fmt.Errorf("store: mongo: %s: the document in the database has no ver and epoch: another program wrote it", store.Name(kind, id))
}

func readStamp(raw bson.Raw, into *store.Stamp) bool {
	for field, to := range map[string]*int64{"ver": &into.Version, "epoch": &into.Epoch, "nonce": &into.Nonce} {
		n, ok := raw.Lookup(field).AsInt64OK() // also an int32, which shells write
		if !ok && field != "nonce" {
			return false
		}
		*to = n
	}
	return true
}

// Ping implements store.Backend.
func (db *DB) Ping(ctx context.Context) error {
	inner, end, err := db.begin(ctx, "ping")
	if err != nil {
		return err
	}
	defer end()
	if err := db.client.Ping(inner, readpref.Primary()); err != nil {
		return db.classify(ctx, "ping", err)
	}
	return nil
}

// Close implements store.Backend. Calls that wait for a database that is away hold it up until their time is out.
func (db *DB) Close() error { return db.closing() }

func (db *DB) shut() error {
	db.calls.Close()
	ctx, cancel := context.WithTimeout(context.Background(), db.timeout)
	defer cancel()
	if err := db.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("store: mongo: close: %w", db.clean.Error(err))
	}
	return nil
}
