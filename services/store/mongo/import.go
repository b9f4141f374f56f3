package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/services/store"
)

// Import implements store.Backend, by unordered bulk writes, one after the other.
func (db *DB) Import(ctx context.Context, docs []store.Doc) ([]error, error) {
	inner, end, err := db.begin(ctx, "import")
	if err != nil {
		return nil, err
	}
	defer end()
	errs := store.CheckImport(docs)
	for i, d := range docs {
		if errs[i] == nil {
			errs[i] = db.indexed.check(d.Kind, d.ID, d.Body)
		}
	}
	for begin := 0; begin < len(docs); {
		var part []int
		kind, bytes := "", 0
		for ; begin < len(docs) && len(part) < db.most && bytes < store.MaxAnswer; begin++ {
			if errs[begin] != nil {
				continue
			}
			if len(part) > 0 && docs[begin].Kind != kind {
				break
			}
			kind = docs[begin].Kind
			bytes += len(docs[begin].Body)
			part = append(part, begin)
		}
		if len(part) == 0 {
			continue
		}
		if err := db.imported(inner, docs, part, errs); err != nil {
			return nil, db.classify(ctx, "import", err)
		}
	}
	return errs, nil
}

// imported writes documents of one kind as they are, where nothing is or what is left there is older.
func (db *DB) imported(ctx context.Context, docs []store.Doc, part []int, errs []error) error {
	models := make([]driver.WriteModel, len(part))
	for i, at := range part {
		d := &docs[at]
		filter := bson.D{
			{Key: "_id", Value: d.ID},
			{Key: "ver", Value: bson.D{{Key: "$lte", Value: d.Version}}},
			{Key: "epoch", Value: bson.D{{Key: "$lte", Value: d.Epoch}}},
			{Key: "body", Value: bson.D{{Key: "$exists", Value: false}}},
		}
		set := bson.D{{Key: "ver", Value: d.Version}, {Key: "epoch", Value: d.Epoch}, {Key: "nonce", Value: int64(0)}, {Key: "body", Value: d.Body}}
		models[i] = driver.NewUpdateOneModel().SetFilter(filter).SetUpdate(bson.D{{Key: "$set", Value: set}}).SetUpsert(true)
	}
	collection := db.db.Collection(docs[part[0]].Kind)
	result, err := collection.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	taken := map[int]string{} // index in docs → the unique index that refused it, if MongoDB said which
	left, err := db.sort(err, result, len(part), func(i int, e driver.WriteError) {
		at := part[i]
		if e.HasErrorCode(duplicateKey) {
			taken[at] = indexOf(e)
			return
		}
		errs[at] = db.refused("import", docs[at].Kind, docs[at].ID, e)
	})
	if err != nil || left == 0 {
		return err
	}
	var again []int
	for _, at := range part {
		if errs[at] != nil {
			continue
		}
		if errs[at], err = db.settled(ctx, collection, docs[at], taken, at); err != nil {
			return err
		}
		if store.Retryable(errs[at]) {
			again = append(again, at)
		}
	}
	if len(again) == 0 || len(again) == len(part) {
		return nil
	}
	for _, at := range again { // the server has stopped at a refusal, or they have changed meanwhile
		errs[at] = nil
	}
	return db.imported(ctx, docs, again, errs)
}

// settled tells what became of a document of which the database may have another version; the second error is one of the database.
func (db *DB) settled(ctx context.Context, collection *driver.Collection, doc store.Doc, taken map[int]string, at int) (result, err error) {
	raw, err := collection.FindOne(ctx, byID(doc.ID)).Raw()
	have := store.Doc{Kind: doc.Kind, ID: doc.ID}
	if err == nil {
		if have, err = decode(doc.Kind, doc.ID, raw); err != nil {
			return err, nil
		}
	} else if !errors.Is(err, driver.ErrNoDocuments) {
		return nil, err
	}
	write, result := doc.Settled(have)
	if !write {
		return result, nil
	}
	if index, dup := taken[at]; dup {
		if result, err = db.duplicate(ctx, collection, doc.Kind, doc.ID, doc.Body, index); result != nil || err != nil {
			return result, err
		}
	}
	return &store.UnavailableError{Op: "import " + store.Name(doc.Kind, doc.ID), Err: errLeftOut}, nil
}

var errLeftOut = errors.New("not done, although nothing stands against it")
