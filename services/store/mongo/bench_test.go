package mongo_test

import (
	"context"
	"fmt"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/internal/mongotest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

// batched is how many documents a batch has.
const batched = 200

func id(i int) string { return fmt.Sprint("player-", i) }

// fields is a player of 50 fields, of which the first is n.
func fields(b *testing.B, n int) bson.Raw {
	b.Helper()
	d := bson.D{{Key: "n", Value: int64(n)}}
	for i := range 49 {
		d = append(d, bson.E{Key: fmt.Sprintf("field_%02d", i), Value: "a value of some thirty bytes ...."})
	}
	return document(b, d)
}

// BenchmarkABatchOfSaves answers: what does a batch cost over the driver's own bulk write of the same updates, and what with patches? The server answers from
// memory, so that the time is that of the node, and the driver's.
func BenchmarkABatchOfSaves(b *testing.B) {
	server := mongotest.Answer(b, func(command string, doc bson.Raw) bson.D {
		if command != "update" {
			return nil
		}
		return bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: batched}, {Key: "nModified", Value: batched}}
	})
	uri := "mongodb://" + server.Addr() + "/?maxPoolSize=1"
	bodies := [2]bson.Raw{fields(b, 1), fields(b, 2)}
	b.Run("driver", func(b *testing.B) {
		collection := client(b, uri).Database("skua").Collection("player")
		for b.Loop() {
			models := make([]driver.WriteModel, batched)
			for i := range models {
				filter := bson.D{{Key: "_id", Value: id(i)}, {Key: "ver", Value: int64(1)}, {Key: "epoch", Value: bson.D{{Key: "$lte", Value: int64(1)}}}}
				models[i] = driver.NewUpdateOneModel().SetFilter(filter).SetUpdate(bson.D{{Key: "$set", Value: bson.D{
					{Key: "ver", Value: int64(2)}, {Key: "epoch", Value: int64(1)}, {Key: "nonce", Value: int64(5)}, {Key: "body", Value: bodies[1]},
				}}})
			}
			if _, err := collection.BulkWrite(context.Background(), models, options.BulkWrite().SetOrdered(false)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*batched)/b.Elapsed().Seconds(), "docs/s")
	})
	for name, patch := range map[string]*store.Patch{"store": nil, "patches": store.Diff(bodies[0], bodies[1])} {
		b.Run(name, func(b *testing.B) {
			db := open(b, mongo.Options{URI: uri})
			writes := make([]store.Write, batched)
			for b.Loop() {
				for i := range writes {
					writes[i] = store.Write{Kind: "player", ID: id(i), Version: 1, Epoch: 1, Nonce: 5, Body: bodies[1], Patch: patch}
				}
				if _, err := db.Apply(context.Background(), writes); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*batched)/b.Elapsed().Seconds(), "docs/s")
		})
	}
}
