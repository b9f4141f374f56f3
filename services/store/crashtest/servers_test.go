package crashtest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/internal/ferrettest"
)

const players = 32

func embedded(t *testing.T, lua bool) scene {
	t.Helper()
	return scene{lua: lua, players: players, where: filepath.Join(t.TempDir(), "store")}
}

// ferretDB starts a server of MongoDB's wire protocol. It says what that server can't show.
func ferretDB(t *testing.T, lua bool) scene {
	t.Helper()
	server := ferrettest.Start(t)
	limits(t)
	return onFerretDB(server.Door(t), lua)
}

// onFerretDB is a scene with fewer players: each update of one command costs FerretDB a transaction of its own.
func onFerretDB(d *ferrettest.Door, lua bool) scene {
	return scene{lua: lua, players: players / 4, where: d.URI() + " skua"}
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

// mongoDB plays in a database of a test's own, where there is a MongoDB.
func mongoDB(t *testing.T, lua bool) scene {
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
	return scene{lua: lua, players: players, where: uri + " " + name}
}
