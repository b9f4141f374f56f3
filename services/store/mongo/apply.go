package mongo

import (
	"context"
	"errors"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/skua-go/skua/services/store"
)

// parallel is how many commands of one Apply are under way at once.
const parallel = 16

// Apply implements store.Backend: an unordered bulk write a kind, which is one command.
func (db *DB) Apply(ctx context.Context, writes []store.Write) ([]error, error) {
	inner, end, err := db.begin(ctx, "apply")
	if err != nil {
		return nil, err
	}
	defer end()
	b := &batch{db: db, writes: writes, errs: store.CheckWrites(writes)}
	commands := b.commands()
	failed := make([]error, len(commands))
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, c := range commands {
		slots <- struct{}{}
		wg.Go(func() {
			failed[i] = b.run(inner, c)
			<-slots
		})
	}
	wg.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, db.classify(ctx, "apply", err)
		}
	}
	return b.errs, nil
}

// batch is one Apply. Its commands touch different entries of errs.
type batch struct {
	db     *DB
	writes []store.Write
	errs   []error
}

// command is an update command: writes of one kind, by their index.
type command struct {
	kind   string
	writes []int
}

// commands sorts the valid writes. A bulk write only tells how many of its updates matched, so the state afterwards has
// to tell which: that works for a document that has one writer at a time, its owner. Writes to documents that nobody
// owns, which others may overwrite before we look, are commands of their own, whose count says all.
func (b *batch) commands() []command {
	var all []command
	owned := map[string]int{} // kind → index in all of the command that has room
	for i, w := range b.writes {
		if b.errs[i] != nil {
			continue
		}
		at, ok := owned[w.Kind]
		if !ok || w.Epoch == 0 || len(all[at].writes) == b.db.most {
			at = len(all)
			all = append(all, command{kind: w.Kind})
			if w.Epoch != 0 {
				owned[w.Kind] = at
			}
		}
		all[at].writes = append(all[at].writes, i)
	}
	return all
}

// run does a command and notes the result of each write; an error is one of the command.
func (b *batch) run(ctx context.Context, c command) error {
	models := make([]driver.WriteModel, len(c.writes))
	for i, at := range c.writes {
		models[i] = model(&b.writes[at])
	}
	collection := b.db.db.Collection(c.kind)
	result, err := collection.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	unclear := len(c.writes)
	var some driver.BulkWriteException
	switch {
	case err == nil:
	case !errors.As(err, &some) || some.WriteConcernError != nil || result == nil:
		return err // done or not: a majority has not said so
	default:
		for _, e := range some.WriteErrors {
			if e.Index < 0 || e.Index >= len(c.writes) {
				return err
			}
			if e.HasErrorCode(duplicateKey) { // the document that was to be made is there already
				continue
			}
			at := c.writes[e.Index]
			b.errs[at] = b.db.refused(&b.writes[at], e.WriteError)
			unclear--
		}
	}
	if int(result.MatchedCount+result.UpsertedCount) == unclear {
		return nil
	}
	return b.judge(ctx, collection, c)
}

// model is the update that does a write if version and epoch still stand.
func model(w *store.Write) driver.WriteModel {
	filter := bson.D{
		{Key: "_id", Value: w.ID},
		{Key: "ver", Value: w.Version},
		{Key: "epoch", Value: bson.D{{Key: "$lte", Value: w.Epoch}}},
	}
	set := bson.D{{Key: "ver", Value: w.Version + 1}, {Key: "epoch", Value: w.Epoch}, {Key: "nonce", Value: w.Nonce}}
	update := bson.D{{Key: "$set", Value: set}}
	if w.Delete {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: "body", Value: ""}}})
	} else {
		set = append(set, bson.E{Key: "body", Value: w.Body})
		update[0].Value = set
	}
	// With no such document, version 0 makes one; with one that does not match, its _id is taken: a duplicate key.
	return driver.NewUpdateOneModel().SetFilter(filter).SetUpdate(update).SetUpsert(w.Version == 0)
}

// judge looks at what the database has and tells by it what became of the writes.
func (b *batch) judge(ctx context.Context, collection *driver.Collection, c command) error {
	var ids bson.A
	for _, at := range c.writes {
		if b.errs[at] == nil {
			ids = append(ids, b.writes[at].ID)
		}
	}
	cursor, err := collection.Find(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}},
		options.Find().SetProjection(bson.D{{Key: "ver", Value: 1}, {Key: "epoch", Value: 1}, {Key: "nonce", Value: 1}}))
	if err != nil {
		return err
	}
	have := make(map[string]store.Stamp, len(ids))
	foreign := map[string]error{}
	for cursor.Next(ctx) {
		var stamp store.Stamp
		id, _ := cursor.Current.Lookup("_id").StringValueOK() // strings are what was asked for
		if !readStamp(cursor.Current, &stamp) {
			foreign[id] = notOurs(c.kind, id)
		}
		have[id] = stamp
	}
	if err := errors.Join(cursor.Err(), cursor.Close(ctx)); err != nil {
		return err
	}
	for _, at := range c.writes {
		w := &b.writes[at]
		switch {
		case b.errs[at] != nil:
		case foreign[w.ID] != nil:
			b.errs[at] = foreign[w.ID]
		default:
			b.errs[at] = w.Judge(have[w.ID])
		}
	}
	return nil
}
