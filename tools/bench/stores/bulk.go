package stores

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/tools/bench/measure"
)

// bulkDocs is how many documents bulk saves go over.
const bulkDocs = 10_000

// SaveBulk is documents a second that the embedded store saves in batches of 500, whole or as the patch of one of their 50 fields.
func SaveBulk(patches bool) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return onEmbedded(ctx, bulkDocs, small(0), func(db store.Backend) (float64, error) {
			return rate(ctx, bulkDocs, saver(db, patches))
		})
	}
}

// BareBulk is the same of the bare engine, in transactions of 500 rows.
func BareBulk(ctx context.Context) (float64, error) {
	bodies := versions()
	return onBare(ctx, bulkDocs, bodies[0], func(b *bare) (float64, error) {
		return rate(ctx, bulkDocs, func(ctx context.Context, from, to, round int) error { return b.write(ctx, from, to, bodies[round%2]) })
	})
}

// versions are two contents that differ in one field.
func versions() [2]bson.Raw { return [2]bson.Raw{small(0), small(1)} }

// saver writes documents, that fill has made, round after round.
func saver(db store.Backend, patches bool) func(ctx context.Context, from, to, round int) error {
	bodies := versions()
	diffs := [2]*store.Patch{store.Diff(bodies[1], bodies[0]), store.Diff(bodies[0], bodies[1])}
	return func(ctx context.Context, from, to, round int) error {
		writes := make([]store.Write, 0, to-from)
		for i := from; i < to; i++ {
			w := store.Write{Kind: kind, ID: docID(i), Version: int64(round), Epoch: owner, Nonce: store.NewNonce(), Body: bodies[round%2]}
			if patches {
				w.Patch = diffs[round%2]
			}
			writes = append(writes, w)
		}
		return apply(ctx, db, writes)
	}
}

// rate is documents a second of so many; the first round of all of them is the first one, which only warms up.
func rate(ctx context.Context, all int, save func(ctx context.Context, from, to, round int) error) (float64, error) {
	const enough = 2 * time.Second
	var begun time.Time
	docs := 0
	for round := 1; ; round++ {
		for from := 0; from < all; from += batch {
			to := min(from+batch, all)
			if err := save(ctx, from, to, round); err != nil {
				return 0, err
			}
			if round == 1 {
				continue
			}
			docs += to - from
			if took := time.Since(begun); took >= enough {
				return float64(docs) / took.Seconds(), nil
			}
		}
		if round == 1 {
			begun = time.Now()
		}
	}
}
