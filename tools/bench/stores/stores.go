// Package stores measures the store of documents: the embedded one beside its bare engine, MongoDB beside its bare driver, tables of scripts beside plain ones.
package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

const (
	kind  = "player"
	batch = 500 // documents that are written at once, as a store does
)

func docID(i int) string { return fmt.Sprint("p", i) }

// small is a document of about 2 KB: 50 fields, of which one says n.
func small(n int) bson.Raw {
	d := make(bson.D, 50)
	for i := range d {
		d[i] = bson.E{Key: fmt.Sprintf("field%02d", i), Value: fmt.Sprintf("%026d", i)}
	}
	d[7].Value = fmt.Sprintf("%026d", n)
	return encode(d)
}

// character is a document of about 4 KB, as a Go program has it.
type character struct {
	Name  string           `bson:"name"`
	Bag   []item           `bson:"bag"`
	Stats map[string]int64 `bson:"stats"`
}

type item struct {
	ID    int64  `bson:"id"`
	Kind  string `bson:"kind"`
	Count int64  `bson:"count"`
}

func newCharacter() bson.Raw {
	c := character{Name: "Somebody", Stats: map[string]int64{}}
	for i := range 50 {
		c.Bag = append(c.Bag, item{int64(100_000 + i), "potion of healing", int64(i)})
		c.Stats[fmt.Sprintf("stat_%d", i)] = int64(i)
	}
	return encode(c)
}

func encode(v any) bson.Raw {
	raw, err := bson.Marshal(v)
	if err != nil {
		panic(err) // text and numbers can be encoded
	}
	return raw
}

// inDir runs f with a directory of its own, which is gone then.
func inDir(f func(dir string) (float64, error)) (v float64, err error) {
	dir, err := os.MkdirTemp("", "skua-bench-")
	if err != nil {
		return 0, fmt.Errorf("stores: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return f(dir)
}

// onEmbedded runs f with an embedded database that has so many documents with this content.
func onEmbedded(ctx context.Context, docs int, body bson.Raw, f func(db store.Backend) (float64, error)) (float64, error) {
	return inDir(func(dir string) (v float64, err error) {
		db, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		if err := fill(ctx, db, docs, body); err != nil {
			return 0, err
		}
		return f(db)
	})
}

// owner is the epoch in which documents are written, as those that have an owner are.
const owner = 1

// fill writes documents, which are then at version 1.
func fill(ctx context.Context, db store.Backend, docs int, body bson.Raw) error {
	for from := 0; from < docs; from += batch {
		var writes []store.Write
		for i := from; i < min(from+batch, docs); i++ {
			writes = append(writes, store.Write{Kind: kind, ID: docID(i), Epoch: owner, Nonce: store.NewNonce(), Body: body})
		}
		if err := apply(ctx, db, writes); err != nil {
			return err
		}
	}
	return nil
}

// apply fails unless all writes are done.
func apply(ctx context.Context, db store.Backend, writes []store.Write) error {
	errs, err := db.Apply(ctx, writes)
	return errors.Join(append(errs, err)...)
}

// withStore runs f with a system that has a store on db.
func withStore(ctx context.Context, cfg store.Config, f func(sys *actor.System, ref actor.Ref) (float64, error)) (v float64, err error) {
	sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
	defer func() { err = errors.Join(err, sys.Shutdown(context.WithoutCancel(ctx))) }()
	ref, err := sys.Spawn(store.Spec(cfg))
	if err != nil {
		return 0, err
	}
	return f(sys, ref)
}
