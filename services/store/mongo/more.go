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

// LoadFields implements store.Backend.
func (db *DB) LoadFields(ctx context.Context, kind, id string, fields []string) (store.Doc, error) {
	if err := errors.Join(store.CheckName(kind, id), store.CheckFields(fields)); err != nil {
		return store.Doc{}, err
	}
	op := "load " + store.Name(kind, id)
	inner, end, err := db.begin(ctx, op)
	if err != nil {
		return store.Doc{}, err
	}
	defer end()
	raw, err := db.db.Collection(kind).FindOne(inner, bson.D{{Key: "_id", Value: id}}, projected(fields)).Raw()
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

// projected is the option of a look for a document whose body is wanted in part, if it is.
func projected(fields []string) *options.FindOneOptionsBuilder {
	how := options.FindOne()
	if len(fields) == 0 {
		return how
	}
	p := bson.D{{Key: "ver", Value: 1}, {Key: "epoch", Value: 1}}
	for _, path := range fields {
		p = append(p, bson.E{Key: "body." + path, Value: 1})
	}
	return how.SetProjection(p)
}

// Scan implements store.Backend.
func (db *DB) Scan(ctx context.Context, kind, after string, limit int) ([]store.Doc, error) {
	if err := store.CheckScan(kind, after, limit); err != nil {
		return nil, err
	}
	op := "scan " + kind
	inner, end, err := db.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer end()
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}, {Key: "body", Value: bson.D{{Key: "$exists", Value: true}}}}
	cursor, err := db.db.Collection(kind).Find(inner, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, db.classify(ctx, op, err)
	}
	var docs []store.Doc
	for bytes := 0; bytes < store.MaxAnswer && cursor.Next(inner); {
		id, _ := cursor.Current.Lookup("_id").StringValueOK() // strings are what was asked for
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

// Kinds implements store.Backend.
func (db *DB) Kinds(ctx context.Context) ([]string, error) {
	inner, end, err := db.begin(ctx, "kinds")
	if err != nil {
		return nil, err
	}
	defer end()
	names, err := db.db.ListCollectionNames(inner, bson.D{})
	if err != nil {
		return nil, db.classify(ctx, "kinds", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return store.CheckName(n, "x") != nil })
	slices.Sort(names)
	return names, nil
}

// Import implements store.Backend.
func (db *DB) Import(ctx context.Context, docs []store.Doc) ([]error, error) {
	inner, end, err := db.begin(ctx, "import")
	if err != nil {
		return nil, err
	}
	defer end()
	errs := store.CheckImport(docs)
	for i := range docs {
		if errs[i] != nil {
			continue
		}
		if errs[i], err = db.imported(inner, docs[i]); err != nil {
			return nil, db.classify(ctx, "import "+store.Name(docs[i].Kind, docs[i].ID), err)
		}
	}
	return errs, nil
}

// imported writes a document as it is; the second error is one of the database.
func (db *DB) imported(ctx context.Context, doc store.Doc) (result, err error) {
	filter := bson.D{
		{Key: "_id", Value: doc.ID},
		{Key: "ver", Value: bson.D{{Key: "$lte", Value: doc.Version}}},
		{Key: "epoch", Value: bson.D{{Key: "$lte", Value: doc.Epoch}}},
		{Key: "body", Value: bson.D{{Key: "$exists", Value: false}}},
	}
	set := bson.D{{Key: "ver", Value: doc.Version}, {Key: "epoch", Value: doc.Epoch}, {Key: "nonce", Value: int64(0)}, {Key: "body", Value: doc.Body}}
	_, err = db.db.Collection(doc.Kind).UpdateOne(ctx, filter, bson.D{{Key: "$set", Value: set}}, options.UpdateOne().SetUpsert(true))
	if !driver.IsDuplicateKeyError(err) {
		return nil, err
	}
	raw, err := db.db.Collection(doc.Kind).FindOne(ctx, bson.D{{Key: "_id", Value: doc.ID}}).Raw()
	if err != nil {
		return nil, err
	}
	have, err := decode(doc.Kind, doc.ID, raw)
	if err != nil {
		return err, nil
	}
	write, result := doc.Settled(have)
	if write {
		result = &store.UnavailableError{Op: "import " + store.Name(doc.Kind, doc.ID), Err: errors.New("the document changed meanwhile")}
	}
	return result, nil
}

// Indexes implements store.Backend.
func (db *DB) Indexes(_ context.Context, want []store.Index) error {
	if err := store.CheckIndexes(want); err != nil || len(want) == 0 {
		return err
	}
	return &store.InvalidError{What: want[0].String(), Reason: "this database has no indexes"}
}

// Find implements store.Backend.
func (db *DB) Find(_ context.Context, q store.Query) ([]store.Doc, error) {
	_, err := q.Plan(nil)
	return nil, err
}
