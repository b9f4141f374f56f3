package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/skua-go/skua/services/store/mongo"
	"github.com/skua-go/skua/tools/bench/measure"
)

// onMongo runs f with a client of the MongoDB that MONGO_URI names, and the name of a database of its own.
func onMongo(ctx context.Context, f func(uri, name string, c *driver.Client) (float64, error)) (v float64, err error) {
	uri := os.Getenv("MONGO_URI")
	if uri == "" {
		return 0, fmt.Errorf("%w: MONGO_URI names no MongoDB", measure.ErrNotHere)
	}
	c, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return 0, fmt.Errorf("stores: %w", err)
	}
	name := fmt.Sprintf("skua_bench_%d", time.Now().UnixNano())
	defer func() {
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, c.Database(name).Drop(ctx), c.Disconnect(ctx))
	}()
	return f(uri, name, c)
}

// SaveBulkMongo is documents a second that the store saves in MongoDB in batches of 500, whole.
func SaveBulkMongo(ctx context.Context) (float64, error) {
	return onMongo(ctx, func(uri, name string, _ *driver.Client) (v float64, err error) {
		db, err := mongo.Open(mongo.Options{URI: uri, Database: name})
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		if err := fill(ctx, db, bulkDocs, small(0)); err != nil {
			return 0, err
		}
		return rate(ctx, saver(db, false))
	})
}

// BareBulkMongo is the same of the driver's bulkWrite, unordered, by _id, as durable.
func BareBulkMongo(ctx context.Context) (float64, error) {
	return onMongo(ctx, func(_, name string, c *driver.Client) (float64, error) {
		journal := true
		concern := options.Collection().SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal})
		docs := c.Database(name).Collection(kind, concern)
		bodies := versions()
		save := func(ctx context.Context, from, to, round int) error {
			models := make([]driver.WriteModel, 0, to-from)
			for i := from; i < to; i++ {
				set := bson.D{{Key: "$set", Value: bson.D{{Key: "ver", Value: int64(round)}, {Key: "body", Value: bodies[round%2]}}}}
				models = append(models, driver.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: docID(i)}}).SetUpdate(set).SetUpsert(true))
			}
			_, err := docs.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
			return err
		}
		return rate(ctx, save) // the first round makes the documents
	})
}
