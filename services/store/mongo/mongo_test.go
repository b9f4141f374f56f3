package mongo_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
	"github.com/skua-go/skua/services/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(tb testing.TB, opt mongo.Options) *mongo.DB {
	tb.Helper()
	db, err := mongo.Open(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func TestContractOnFerretDB(t *testing.T) {
	server := ferrettest.Start(t)
	storetest.Run(t, func(tb testing.TB, name string) store.Backend {
		return open(tb, mongo.Options{URI: server.URI(), Database: name, CommandWrites: 50, PlainIndexes: true, Timeout: time.Minute})
	}, storetest.Options{
		Cannot: map[storetest.Ability]string{
			storetest.Decimal128:     "FerretDB 1.24 ends the connection on one",
			storetest.SpecialDoubles: "FerretDB 1.24 ends the connection on NaN, refuses infinities and loses the sign of -0",
			storetest.MinMaxKeys:     "FerretDB 1.24 ends the connection on them",
			storetest.NestedArrays:   "FerretDB 1.24 refuses them",
			storetest.KeysAlone:      "FerretDB 1.24 takes it for equal",
			storetest.IDField:        "FerretDB 1.24 moves it to the front",
			storetest.Large:          "FerretDB 1.24 takes half a minute for 16 MiB",
			storetest.Unique:         "FerretDB 1.24 has an internal error where an update breaks a unique index; that inserts are refused is tested",
			storetest.Expiry:         "FerretDB 1.24 has no indexes with a TTL",
		},
		Slow: true,
		Notes: []string{
			"FerretDB 1.24's updates are not atomic: concurrent writes are exact here because one connection puts them in a row",
			"FerretDB 1.24 hangs on a command of some 100 updates: batches go in commands of 50",
			"FerretDB 1.24 stops an unordered command at its first error: the writes behind it are tried again",
			"FerretDB 1.24 has no partial indexes: documents without the first field are in those that it builds; that MongoDB is asked for partial ones is tested",
			"FerretDB 1.24 knows no majority and no journal: that these are asked for is tested, that they are kept is not",
		},
	})
}

// TestContractOnMongoDB is the one that counts; it needs a replica set, or a standalone server, of its own.
func TestContractOnMongoDB(t *testing.T) {
	uri := os.Getenv("MONGO_URI")
	if uri == "" {
		t.Skip("MONGO_URI names no MongoDB")
	}
	prefix := fmt.Sprintf("skua_test_%d_", time.Now().UnixNano())
	storetest.Run(t, func(tb testing.TB, name string) store.Backend {
		tb.Cleanup(func() { drop(tb, uri, prefix+name) })
		return open(tb, mongo.Options{URI: uri, Database: prefix + name})
	}, storetest.Options{})
}

func client(tb testing.TB, uri string) *driver.Client {
	tb.Helper()
	c, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Disconnect(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func drop(tb testing.TB, uri, database string) {
	tb.Helper()
	if err := client(tb, uri).Database(database).Drop(context.Background()); err != nil {
		tb.Error(err)
	}
}
