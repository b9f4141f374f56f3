package ferrettest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/internal/ferrettest"
)

// Without the door, FerretDB loses most of these.
func TestUpdatesOfManyConnectionsAreAtomicThroughTheDoor(t *testing.T) {
	door := ferrettest.Start(t).Door(t)
	const clients, each = 4, 25
	var wg sync.WaitGroup
	defer wg.Wait()
	for range clients {
		c := connect(t, door.URI())
		counters := c.Database("skua").Collection("counters")
		if _, err := counters.UpdateByID(t.Context(), "x", bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 0}}}}, options.UpdateOne().SetUpsert(true)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range each {
				if _, err := counters.UpdateByID(t.Context(), "x", bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c := connect(t, door.URI())
	var found struct{ N int }
	if err := c.Database("skua").Collection("counters").FindOne(t.Context(), bson.D{}).Decode(&found); err != nil || found.N != clients*each {
		t.Errorf("%d after %d updates: %v", found.N, clients*each, err)
	}
	door.Shut()
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Ping(soon, nil); err == nil {
		t.Error("a door that is shut lets somebody in")
	}
	door.Open()
	if err := c.Ping(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func connect(t *testing.T, uri string) *mongo.Client {
	t.Helper()
	c, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Disconnect(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}
