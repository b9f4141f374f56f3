package mongo

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/services/store"
)

// Load implements store.Backend.
func (db *DB) Load(ctx context.Context, kind, id string) (store.Doc, error) {
	return db.LoadFields(ctx, kind, id, nil)
}

// LoadFields implements store.Backend, by a projection of MongoDB's.
func (db *DB) LoadFields(ctx context.Context, kind, id string, fields []string) (store.Doc, error) {
	if err := store.CheckName(kind, id); err != nil {
		return store.Doc{}, err
	}
	if err := store.CheckFields(fields); err != nil {
		return store.Doc{}, err
	}
	op := "load " + store.Name(kind, id)
	inner, end, err := db.begin(ctx, op)
	if err != nil {
		return store.Doc{}, err
	}
	defer end()
	how := options.FindOne()
	if p := projection(fields); p != nil {
		how.SetProjection(p)
	}
	raw, err := db.db.Collection(kind).FindOne(inner, byID(id), how).Raw()
	if errors.Is(err, driver.ErrNoDocuments) {
		return store.Doc{Kind: kind, ID: id}, notFound(kind, id)
	}
	if err != nil {
		return store.Doc{}, db.classify(ctx, op, err)
	}
	doc, err := decode(kind, id, raw)
	if err == nil && !doc.Exists() {
		err = notFound(kind, id)
	}
	return doc, err
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }

// projection is of documents whose bodies are wanted in part; nil: they are wanted as they are.
func projection(fields []string) bson.D {
	if len(fields) == 0 {
		return nil
	}
	p := bson.D{{Key: "ver", Value: 1}, {Key: "epoch", Value: 1}}
	for _, path := range fields {
		p = append(p, bson.E{Key: "body." + path, Value: 1})
	}
	return p
}

// Scan implements store.Backend.
func (db *DB) Scan(ctx context.Context, kind, after string, limit int) ([]store.Doc, error) {
	if err := store.CheckScan(kind, after, limit); err != nil {
		return nil, err
	}
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}, {Key: "body", Value: exists()}}
	return db.list(ctx, "scan "+kind, kind, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
}

func exists() bson.D { return bson.D{{Key: "$exists", Value: true}} }

// list reads what a query finds, up to about store.MaxAnswer bytes.
func (db *DB) list(ctx context.Context, op, kind string, filter bson.D, how *options.FindOptionsBuilder) ([]store.Doc, error) {
	inner, end, err := db.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer end()
	cursor, err := db.db.Collection(kind).Find(inner, filter, how)
	if err != nil {
		return nil, db.classify(ctx, op, err)
	}
	var docs []store.Doc
	for bytes := 0; bytes < store.MaxAnswer && cursor.Next(inner); {
		id, _ := cursor.Current.Lookup("_id").StringValueOK() // ours are strings, and others have no ver
		doc, err := decode(kind, id, cursor.Current)
		if err != nil {
			return nil, errors.Join(err, cursor.Close(inner))
		}
		bytes += len(doc.Body)
		docs = append(docs, doc)
	}
	if err := errors.Join(cursor.Err(), cursor.Close(inner)); err != nil {
		return nil, db.classify(ctx, op, err)
	}
	return docs, nil
}

// Kinds implements store.Backend: all collections whose names are those of kinds.
func (db *DB) Kinds(ctx context.Context) ([]string, error) {
	inner, end, err := db.begin(ctx, "kinds")
	if err != nil {
		return nil, err
	}
	defer end()
	kinds, err := db.kinds(inner)
	if err != nil {
		return nil, db.classify(ctx, "kinds", err)
	}
	return kinds, nil
}

func (db *DB) kinds(ctx context.Context) ([]string, error) {
	names, err := db.db.ListCollectionNames(ctx, bson.D{})
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return store.CheckName(n, "x") != nil })
	slices.Sort(names)
	return names, nil
}
