package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/internal/mongouri"
	"github.com/skua-go/skua/services/store/mongo"
	"github.com/skua-go/skua/tools/bench/measure"
)

// Mongo measures on the MongoDB that MONGO_URI names, or else on a FerretDB that each figure has for itself, as a process on this machine. The zero value works.
type Mongo struct {
	mu     sync.Mutex
	server string
}

// Server tells what the last figure was measured on.
func (m *Mongo) Server() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.server
}

// deployment is a server and what it can be asked for.
type deployment struct {
	*driver.Client
	uri  string
	name string // of a database of its own
	docs int    // to go over
	most int    // of them in a command
	same bool   // the bare driver has to ask for the version, as we do
}

// ferretDocs is how many documents FerretDB 1.24 has to save: it hangs with some 100 in a command, syncs each for itself, and reads all that there are for each
// update that asks for more than its _id.
const ferretDocs = 50

// on runs f with a deployment.
func (m *Mongo) on(ctx context.Context, f func(d *deployment) (float64, error)) (float64, error) {
	d := &deployment{uri: os.Getenv("MONGO_URI"), name: fmt.Sprintf("skua_bench_%d", time.Now().UnixNano()), docs: bulkDocs, most: batch}
	if d.uri != "" {
		return m.connected(ctx, d, f)
	}
	return inDir(func(dir string) (float64, error) {
		server, err := ferrettest.Run(ctx, dir)
		if errors.Is(err, ferrettest.ErrNotBuilt) {
			return 0, fmt.Errorf("%w: MONGO_URI names no MongoDB: %w", measure.ErrNotHere, err)
		}
		if err != nil {
			return 0, err
		}
		defer server.Kill()
		d.uri, d.docs, d.most, d.same = server.URI(), ferretDocs, ferretDocs, true
		return m.connected(ctx, d, f)
	})
}

// connected runs f with a client of the bare driver, and notes what it is connected with.
func (m *Mongo) connected(ctx context.Context, d *deployment, f func(d *deployment) (float64, error)) (v float64, err error) {
	settings, err := mongouri.Parse(d.uri)
	if err != nil {
		return 0, fmt.Errorf("stores: %w", err)
	}
	defer func() {
		if err != nil {
			err = mongouri.ScrubberFor(d.uri).Error(fmt.Errorf("stores: %w", err))
		}
	}()
	if d.Client, err = driver.Connect(settings); err != nil {
		return 0, err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, d.Database(d.name).Drop(ctx), d.Disconnect(ctx))
	}()
	server, err := d.version(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking the server what it is: %w", err)
	}
	m.mu.Lock()
	m.server = server
	m.mu.Unlock()
	return f(d)
}

// version asks the server what it is.
func (d *deployment) version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var info struct {
		Version string `bson:"version"`
		Ferret  string `bson:"ferretdbVersion"`
	}
	if err := d.Database("admin").RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil {
		return "", err
	}
	switch info.Ferret {
	case "":
		return "MongoDB " + info.Version, nil
	case "unknown": // one that was built from its module
		return "FerretDB as in tools/ferretdb", nil
	}
	return "FerretDB " + info.Ferret, nil
}

// SaveBulk is documents a second that the store saves in MongoDB in batches of 500, whole.
func (m *Mongo) SaveBulk(ctx context.Context) (float64, error) {
	return m.on(ctx, func(d *deployment) (v float64, err error) {
		db, err := mongo.Open(mongo.Options{URI: d.uri, Database: d.name, Timeout: patience, CommandWrites: d.most})
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		if err := fill(ctx, db, d.docs, small(0)); err != nil {
			return 0, err
		}
		return rate(ctx, d.docs, saver(db, false))
	})
}

// BareBulk is the same of the driver's bulkWrite, unordered, by _id, as durable. On FerretDB it is by _id and version: else it would measure how FerretDB reads.
func (m *Mongo) BareBulk(ctx context.Context) (float64, error) {
	return m.on(ctx, func(d *deployment) (float64, error) {
		journal := true
		concern := options.Collection().SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal})
		docs := d.Database(d.name).Collection(kind, concern)
		bodies := versions()
		save := func(ctx context.Context, from, to, round int) error {
			models := make([]driver.WriteModel, 0, to-from)
			for i := from; i < to; i++ {
				filter := bson.D{{Key: "_id", Value: docID(i)}}
				if d.same {
					filter = append(filter, bson.E{Key: "ver", Value: int64(round - 1)})
				}
				set := bson.D{{Key: "$set", Value: bson.D{{Key: "ver", Value: int64(round)}, {Key: "body", Value: bodies[round%2]}}}}
				models = append(models, driver.NewUpdateOneModel().SetFilter(filter).SetUpdate(set).SetUpsert(round == 1))
			}
			result, err := docs.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
			if err == nil && result.MatchedCount+result.UpsertedCount != int64(len(models)) {
				err = fmt.Errorf("%d of %d documents were saved", result.MatchedCount+result.UpsertedCount, len(models))
			}
			return err
		}
		return rate(ctx, d.docs, save) // the first round makes the documents
	})
}
