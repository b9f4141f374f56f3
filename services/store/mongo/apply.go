package mongo

import (
	"context"
	"errors"
	"slices"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

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
	b := &batch{db: db, writes: writes, errs: store.CheckWrites(writes), taken: make([]*string, len(writes))}
	for i, w := range writes {
		if b.errs[i] == nil && !w.Delete {
			b.errs[i] = db.indexed.check(w.Kind, w.ID, w.Body)
		}
	}
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
	taken  []*string // the index that refused a write for a duplicate key; empty if MongoDB did not say which
}

// command is an update command: writes of one kind, by their index.
type command struct {
	kind   string
	writes []int
	whole  bool // bodies, not patches
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
		models[i] = model(&b.writes[at], c.whole)
	}
	collection := b.db.db.Collection(c.kind)
	result, err := collection.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	again := command{kind: c.kind, whole: true}
	left, err := b.db.sort(err, result, len(c.writes), func(i int, e driver.WriteError) {
		at := c.writes[i]
		w := &b.writes[at]
		switch {
		case e.HasErrorCode(duplicateKey):
			index := indexOf(e)
			b.taken[at] = &index
		case w.Patch != nil && !c.whole && invalidCode(e.Code): // somebody else has changed the body: ours is right as long as the version stands
			again.writes = append(again.writes, at)
		default:
			b.errs[at] = b.db.refused("write", w.Kind, w.ID, e)
		}
	})
	if err != nil {
		return err
	}
	if left > 0 {
		rest := slices.DeleteFunc(slices.Clone(c.writes), func(at int) bool { return b.errs[at] != nil || slices.Contains(again.writes, at) })
		if err := b.judge(ctx, collection, c.kind, rest); err != nil {
			return err
		}
	}
	if len(again.writes) > 0 {
		return b.run(ctx, again)
	}
	return nil
}

// sort tells refusals of single updates, which it gives to refused, from an error of all of the command. left is how many updates are neither refused nor done,
// duplicate keys among them.
func (db *DB) sort(err error, result *driver.BulkWriteResult, all int, refused func(i int, e driver.WriteError)) (left int, _ error) {
	left = all
	var some driver.BulkWriteException
	switch {
	case err == nil:
	case !errors.As(err, &some) || some.WriteConcernError != nil || result == nil:
		return 0, err // done or not: a majority has not said so
	default:
		for _, e := range some.WriteErrors {
			if e.Index < 0 || e.Index >= all {
				return 0, err
			}
			refused(e.Index, e.WriteError)
			if !e.HasErrorCode(duplicateKey) {
				left--
			}
		}
	}
	return left - int(result.MatchedCount+result.UpsertedCount), nil
}

// model is the update that does a write if version and epoch still stand. It is bytes already: the driver takes them as they are, and walks through all else.
func model(w *store.Write, whole bool) driver.WriteModel {
	patch := w.Patch
	size := 128
	switch {
	case whole || patch == nil:
		patch = nil
		size += len(w.Body)
	default:
		size += 2 * patch.Size()
	}
	filter := document(64+len(w.ID), func(b []byte) []byte {
		b = bsoncore.AppendInt64Element(bsoncore.AppendStringElement(b, "_id", w.ID), "ver", w.Version)
		return inner(b, "epoch", func(b []byte) []byte { return bsoncore.AppendInt64Element(b, "$lte", w.Epoch) })
	})
	update := document(size, func(b []byte) []byte {
		b = inner(b, "$set", func(b []byte) []byte {
			b = bsoncore.AppendInt64Element(b, "ver", w.Version+1)
			b = bsoncore.AppendInt64Element(b, "epoch", w.Epoch)
			b = bsoncore.AppendInt64Element(b, "nonce", w.Nonce)
			if w.Delete {
				return b
			}
			if patch == nil {
				return bsoncore.AppendDocumentElement(b, "body", w.Body)
			}
			for i := range patch.Set {
				c := &patch.Set[i]
				b = bsoncore.AppendValueElement(b, "body."+c.Path, bsoncore.Value{Type: bsoncore.Type(c.Value.Type), Data: c.Value.Value})
			}
			return b
		})
		switch {
		case w.Delete:
			return inner(b, "$unset", func(b []byte) []byte { return bsoncore.AppendStringElement(b, "body", "") })
		case patch != nil && len(patch.Unset) > 0:
			return inner(b, "$unset", func(b []byte) []byte {
				for _, path := range patch.Unset {
					b = bsoncore.AppendStringElement(b, "body."+path, "")
				}
				return b
			})
		}
		return b
	})
	// With no such document, version 0 makes one; with one that does not match, its _id is taken: a duplicate key.
	return driver.NewUpdateOneModel().SetFilter(filter).SetUpdate(update).SetUpsert(w.Version == 0)
}

func document(size int, fill func(b []byte) []byte) bson.Raw {
	at, b := bsoncore.AppendDocumentStart(make([]byte, 0, size))
	return closed(fill(b), at)
}

func inner(b []byte, key string, fill func(b []byte) []byte) []byte {
	at, b := bsoncore.AppendDocumentElementStart(b, key)
	return closed(fill(b), at)
}

// closed ends the document that begins at at.
func closed(b []byte, at int32) []byte {
	b = append(b, 0)
	return bsoncore.UpdateLength(b, at, int32(len(b))-at)
}

// judge looks at what the database has and tells by it what became of the writes.
func (b *batch) judge(ctx context.Context, collection *driver.Collection, kind string, writes []int) error {
	ids := make(bson.A, len(writes))
	for i, at := range writes {
		ids[i] = b.writes[at].ID
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
			foreign[id] = notOurs(kind, id)
		}
		have[id] = stamp
	}
	if err := errors.Join(cursor.Err(), cursor.Close(ctx)); err != nil {
		return err
	}
	for _, at := range writes {
		w := &b.writes[at]
		if foreign[w.ID] != nil {
			b.errs[at] = foreign[w.ID]
			continue
		}
		result := w.Judge(have[w.ID])
		if index := b.taken[at]; index != nil && store.Retryable(result) { // it was not the _id that was taken
			dup, err := b.db.duplicate(ctx, collection, w.Kind, w.ID, w.Body, *index)
			if err != nil {
				return err
			}
			if dup != nil {
				result = dup
			}
		}
		b.errs[at] = result
	}
	return nil
}
