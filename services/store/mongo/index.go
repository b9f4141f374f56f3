package mongo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/services/store"
)

// indexed are the indexes that the last successful Indexes declared.
type indexed struct{ have atomic.Pointer[[]store.Index] }

func (x *indexed) list() []store.Index {
	if have := x.have.Load(); have != nil {
		return *have
	}
	return nil
}

// check tells why a body can't be in the indexes of its kind.
func (x *indexed) check(kind, id string, body bson.Raw) error {
	for _, index := range x.list() {
		if index.Kind != kind {
			continue
		}
		if _, _, err := index.Key(kind, id, body); err != nil {
			return err
		}
	}
	return nil
}

// ours is in front of the names of the indexes that Indexes makes: those of others are left alone.
const ours = "skua_"

// buildTimeout bounds the building of one index, which takes as long as there are documents.
const buildTimeout = 24 * time.Hour

// Indexes implements store.Backend. MongoDB builds an index while others read and write (https://www.mongodb.com/docs/manual/core/index-creation/); several
// nodes may ask for the same at once. One that is not unique and has no TTL has _id as its last field, so that pages have one order. On a sharded collection
// MongoDB refuses unique ones that do not begin with the shard key.
func (db *DB) Indexes(ctx context.Context, want []store.Index) error {
	if err := store.CheckIndexes(want); err != nil {
		return err
	}
	if !db.calls.Enter() {
		return store.ErrClosed
	}
	defer db.calls.Leave()
	kinds, err := db.kinds(ctx)
	if err != nil {
		return db.classify(ctx, "indexes", err)
	}
	there := map[[2]string]bson.Raw{}
	for _, kind := range kinds {
		if err := db.listIndexes(ctx, kind, there); err != nil {
			return db.classify(ctx, "list the indexes of kind "+kind, err)
		}
	}
	for i := range want {
		name := [2]string{want[i].Kind, want[i].Name}
		if err := db.ensure(ctx, &want[i], there[name]); err != nil {
			return err
		}
		delete(there, name)
	}
	for name := range there {
		if err := db.db.Collection(name[0]).Indexes().DropOne(ctx, ours+name[1]); err != nil {
			return db.classify(ctx, "drop "+store.Index{Kind: name[0], Name: name[1]}.String(), err)
		}
	}
	have := append([]store.Index(nil), want...)
	db.indexed.have.Store(&have)
	return nil
}

// listIndexes adds our indexes of a kind.
func (db *DB) listIndexes(ctx context.Context, kind string, into map[[2]string]bson.Raw) error {
	cursor, err := db.db.Collection(kind).Indexes().List(ctx)
	if err != nil {
		return err
	}
	for cursor.Next(ctx) {
		name, _ := cursor.Current.Lookup("name").StringValueOK()
		if name, ok := strings.CutPrefix(name, ours); ok {
			into[[2]string{kind, name}] = append(bson.Raw(nil), cursor.Current...)
		}
	}
	return errors.Join(cursor.Err(), cursor.Close(ctx))
}

// ensure has the database have the index; there is what it has under that name, if anything.
func (db *DB) ensure(ctx context.Context, x *store.Index, there bson.Raw) error {
	if there != nil && db.same(x, there) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, buildTimeout) // else the client's time-out holds, which is for single calls
	defer cancel()
	collection := db.db.Collection(x.Kind)
	if there != nil {
		if err := collection.Indexes().DropOne(ctx, ours+x.Name); err != nil {
			return db.classify(ctx, "drop the former "+x.String(), err)
		}
	}
	if err := db.fits(ctx, x); err != nil {
		return err
	}
	how := options.Index().SetName(ours + x.Name)
	if x.Unique {
		how.SetUnique(true)
	}
	if x.TTL > 0 && !db.plain {
		how.SetExpireAfterSeconds(seconds(x.TTL))
	}
	if !db.plain {
		how.SetPartialFilterExpression(partial(x))
	}
	_, err := collection.Indexes().CreateOne(ctx, driver.IndexModel{Keys: keys(x), Options: how})
	if err == nil {
		return nil
	}
	var server driver.ServerError
	if x.Unique && errors.As(err, &server) && ctx.Err() == nil { // the code is that of a duplicate key, but not with all servers
		if pair, failed := db.pair(ctx, x); pair != nil {
			return pair
		} else if failed != nil {
			return failed
		}
	}
	return db.classify(ctx, "build "+x.String(), err)
}

func seconds(ttl time.Duration) int32 { return int32(min(ttl/time.Second, math.MaxInt32)) }

func path(field string) string { return "body." + strings.TrimPrefix(field, "-") }

// sign is the direction of a field: 1 or -1.
func sign(field string) int {
	if strings.HasPrefix(field, "-") {
		return -1
	}
	return 1
}

// keys are the fields as MongoDB has them.
func keys(x *store.Index) bson.D {
	d := make(bson.D, 0, len(x.Fields)+1)
	for _, f := range x.Fields {
		d = append(d, bson.E{Key: path(f), Value: sign(f)})
	}
	if !x.Unique && x.TTL == 0 {
		d = append(d, bson.E{Key: "_id", Value: 1})
	}
	return d
}

// partial is the condition for a document to be in the index.
func partial(x *store.Index) bson.D { return bson.D{{Key: path(x.Fields[0]), Value: exists()}} }

// same tells whether an index of the database is the wanted one.
func (db *DB) same(x *store.Index, there bson.Raw) bool {
	want := keys(x)
	have, err := there.Lookup("key").Document().Elements()
	if err != nil || len(have) != len(want) {
		return false
	}
	for i, e := range have {
		n, ok := e.Value().AsInt64OK()
		if !ok || e.Key() != want[i].Key || n != int64(want[i].Value.(int)) { //nolint:forcetypeassert // keys made it
			return false
		}
	}
	if unique, _ := there.Lookup("unique").BooleanOK(); unique != x.Unique {
		return false
	}
	if db.plain {
		return true
	}
	expires, _ := there.Lookup("expireAfterSeconds").AsInt64OK()
	in, _ := there.Lookup("partialFilterExpression", path(x.Fields[0]), "$exists").BooleanOK()
	return in && expires == int64(seconds(x.TTL))
}

// fits looks for a document that can't be in the index: see store.Index.Key. MongoDB would take an array, for one, and find the document several times.
func (db *DB) fits(ctx context.Context, x *store.Index) error {
	var bad bson.A
	for _, f := range x.Fields {
		p := path(f)
		bad = append(bad, bson.D{{Key: p, Value: bson.D{{Key: "$type", Value: bson.A{"object", "array", "decimal", "regex", "minKey", "maxKey"}}}}})
		for at := strings.LastIndexByte(p, '.'); at > len("body"); at = strings.LastIndexByte(p[:at], '.') {
			bad = append(bad, bson.D{{Key: p[:at], Value: bson.D{{Key: "$type", Value: "array"}}}})
		}
	}
	if db.plain { // FerretDB 1.24 ends the connection on what it has no type for
		for i, cond := range bad {
			bad[i] = bson.D{{Key: cond.(bson.D)[0].Key, Value: bson.D{{Key: "$type", Value: bson.A{"object", "array"}}}}} //nolint:forcetypeassert // made above
		}
	}
	raw, err := db.db.Collection(x.Kind).FindOne(ctx, bson.D{{Key: "$or", Value: bad}}).Raw()
	if errors.Is(err, driver.ErrNoDocuments) {
		return nil
	}
	if err != nil {
		return db.classify(ctx, "look through kind "+x.Kind+" for the "+x.String(), err)
	}
	id, _ := raw.Lookup("_id").StringValueOK()
	body, _ := raw.Lookup("body").DocumentOK()
	if _, _, err := x.Key(x.Kind, id, body); err != nil {
		return err
	}
	return nil
}

// pair looks for two documents that a unique index can't have both: a DuplicateError, or nil if there are none any more.
func (db *DB) pair(ctx context.Context, x *store.Index) (dup, err error) {
	fields := make([]string, len(x.Fields))
	for i, f := range x.Fields {
		fields[i] = strings.TrimPrefix(f, "-")
	}
	cursor, err := db.db.Collection(x.Kind).Find(ctx, partial(x), options.Find().SetSort(keys(x)).SetProjection(projection(fields)).SetAllowDiskUse(true))
	if err != nil {
		return nil, db.classify(ctx, "look for duplicates in the "+x.String(), err)
	}
	var last []bson.RawValue
	var lastID string
	for dup == nil && cursor.Next(ctx) {
		id, _ := cursor.Current.Lookup("_id").StringValueOK()
		body, _ := cursor.Current.Lookup("body").DocumentOK()
		key, in, err := x.Key(x.Kind, id, append(bson.Raw(nil), body...))
		if err != nil || !in {
			continue
		}
		if last != nil && equal(last, key) {
			dup = &store.DuplicateError{Kind: x.Kind, ID: id, Index: x.Name, Other: lastID}
		}
		last, lastID = key, id
	}
	if err := errors.Join(cursor.Err(), cursor.Close(ctx)); err != nil && dup == nil {
		return nil, db.classify(ctx, "look for duplicates in the "+x.String(), err)
	}
	return dup, nil
}

// equal compares values as MongoDB does: numbers whatever their type.
func equal(a, b []bson.RawValue) bool {
	for i := range a {
		if a[i].Equal(b[i]) {
			continue
		}
		if !a[i].IsNumber() || !b[i].IsNumber() {
			return false
		}
		m, exact := a[i].AsInt64OK()
		n, also := b[i].AsInt64OK()
		if f, ok := a[i].DoubleOK(); ok && f != math.Trunc(f) {
			exact = false
		}
		if f, ok := b[i].DoubleOK(); ok && f != math.Trunc(f) {
			also = false
		}
		if !exact || !also || m != n {
			return false
		}
	}
	return true
}

// indexOf is the index that an error of a duplicate key names; empty if it names none.
func indexOf(e driver.WriteError) string {
	_, rest, ok := strings.Cut(e.Message, " index: ")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, " ")
	return name
}

// duplicate finds out which unique index a write would break, and with which document; nil if there is none any more, so that another try may work. The second
// error is one of the database.
func (db *DB) duplicate(ctx context.Context, collection *driver.Collection, kind, id string, body bson.Raw, said string) (dup, err error) {
	said, known := strings.CutPrefix(said, ours)
	for _, x := range db.indexed.list() {
		if x.Kind != kind || !x.Unique || known && x.Name != said {
			continue
		}
		key, in, err := x.Key(kind, id, body)
		if err != nil || !in {
			continue
		}
		filter := make(bson.D, 0, len(key)+1)
		for i, v := range key {
			filter = append(filter, bson.E{Key: path(x.Fields[i]), Value: bson.D{{Key: "$eq", Value: v}}})
		}
		filter[0].Value = bson.D{{Key: "$exists", Value: true}, {Key: "$eq", Value: key[0]}} // the index's own condition
		filter = append(filter, bson.E{Key: "_id", Value: bson.D{{Key: "$ne", Value: id}}})
		raw, err := collection.FindOne(ctx, filter, options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Raw()
		if errors.Is(err, driver.ErrNoDocuments) {
			continue
		}
		if err != nil {
			return nil, err
		}
		other, _ := raw.Lookup("_id").StringValueOK()
		return &store.DuplicateError{Kind: kind, ID: id, Index: x.Name, Other: other}, nil
	}
	if said == "" || said == "_id_" {
		return nil, nil //nolint:nilnil // see above
	}
	if known { // of another process, which has declared more
		return &store.DuplicateError{Kind: kind, ID: id, Index: said}, nil
	}
	return &store.InvalidError{What: store.Name(kind, id), Reason: fmt.Sprintf("MongoDB refuses it for the unique index %q, which another program made", said)}, nil
}
