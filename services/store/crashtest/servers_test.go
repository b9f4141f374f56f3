package crashtest_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/internal/ferrettest"
)

// ferretDB starts a server of MongoDB's wire protocol and names a database there. It says what that server can't show.
func ferretDB(t *testing.T) string {
	t.Helper()
	server := ferrettest.Start(t)
	limits(t)
	return server.Door(t).URI() + " skua"
}

func limits(t *testing.T) {
	t.Helper()
	for _, limit := range []string{
		"FerretDB 1.24's updates are not atomic: a proxy lets one command through at a time, so what MongoDB does when two owners write at the same moment is not shown",
		"FerretDB 1.24 knows no majority and no journal: it answers when its SQLite file has the write (write-ahead log, synchronous=FULL)",
		"FerretDB 1.24 is no replica set: no failover, no rollback, no writes that the driver repeats",
	} {
		t.Log(limit)
	}
}

// mongoDB names a database of a test's own, where there is a MongoDB.
func mongoDB(t *testing.T) string {
	t.Helper()
	uri := os.Getenv("MONGO_URI")
	if uri == "" {
		t.Skip("MONGO_URI names no MongoDB")
	}
	name := fmt.Sprintf("skua_test_%d_crash", time.Now().UnixNano())
	t.Cleanup(func() {
		c, err := driver.Connect(options.Client().ApplyURI(uri))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Database(name).Drop(context.Background()); err != nil {
			t.Error(err)
		}
		if err := c.Disconnect(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return uri + " " + name
}
