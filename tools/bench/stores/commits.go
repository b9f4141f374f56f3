package stores

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/tools/bench/measure"
)

const commitFor = 1500 * time.Millisecond

// CommitLatency is how many microseconds the one in the middle waits of the commits that so many owners make, each one after the other, or with pauses
// between them that are about so long.
func CommitLatency(owners int, pause time.Duration) measure.Func {
	return commits(owners, pause, func(took []time.Duration, _ time.Duration) float64 { return float64(median(took).Nanoseconds()) / 1000 })
}

// CommitRate is how many commits a second that is.
func CommitRate(owners int) measure.Func {
	return commits(owners, 0, func(took []time.Duration, all time.Duration) float64 { return float64(len(took)) / all.Seconds() })
}

// BareWrite is how many microseconds the bare engine takes for one document, the one in the middle, with a pause behind each or none: machines and disks are
// slower where they have had a moment to rest.
func BareWrite(pause time.Duration) measure.Func {
	return func(ctx context.Context) (float64, error) {
		bodies := versions()
		return onBare(ctx, 100, bodies[0], func(b *bare) (float64, error) {
			var took []time.Duration
			for begun := time.Now(); time.Since(begun) < commitFor; {
				n := len(took)
				each := time.Now()
				if err := b.write(ctx, n%100, n%100+1, bodies[(n/100+1)%2]); err != nil {
					return 0, err
				}
				took = append(took, time.Since(each))
				time.Sleep(pause)
			}
			return float64(median(took).Nanoseconds()) / 1000, nil
		})
	}
}

func median(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)/2]
}

func commits(owners int, pause time.Duration, figure func(took []time.Duration, all time.Duration) float64) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return onEmbedded(ctx, owners, small(0), func(db store.Backend) (float64, error) {
			return withStore(ctx, store.Config{Backend: db}, func(sys *actor.System, ref actor.Ref) (float64, error) {
				took, all, err := commitAll(ctx, sys, ref, owners, pause)
				if err != nil {
					return 0, err
				}
				return figure(took, all), nil
			})
		})
	}
}

// commitAll has owners commit for a while, and returns how long each commit took and how long it all was.
func commitAll(
	ctx context.Context, sys *actor.System, ref actor.Ref, owners int, pause time.Duration,
) (took []time.Duration, all time.Duration, err error) {
	refs := make([]actor.Ref, owners)
	for i := range refs {
		o := &committer{store: ref, id: docID(i), bodies: versions(), pause: pause}
		if refs[i], err = sys.Spawn(actor.Spec{New: func() actor.Actor { return o }}); err != nil {
			return nil, 0, err
		}
		if _, err := sys.Ask(ctx, refs[i], claim{}); err != nil {
			return nil, 0, err
		}
	}
	type result struct {
		took []time.Duration
		err  error
	}
	results := make(chan result, owners)
	begun := time.Now()
	for _, owner := range refs {
		go func() {
			v, err := sys.Ask(ctx, owner, commitUntil(begun.Add(commitFor)))
			took, _ := v.([]time.Duration)
			results <- result{took, err}
		}()
	}
	for range refs {
		r := <-results
		took, err = append(took, r.took...), errors.Join(err, r.err)
	}
	if len(took) == 0 {
		err = errors.Join(err, errors.New("stores: nothing was committed"))
	}
	return took, time.Since(begun), err
}

type (
	claim       struct{}
	commitUntil time.Time
)

// committer is the owner of one document.
type committer struct {
	store  actor.Ref
	id     string
	bodies [2]bson.Raw
	pause  time.Duration
	took   []time.Duration
}

func (o *committer) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case claim:
		c.Ask(o.store, store.Claim{Kind: kind, ID: o.id}, c.Reply)
	case commitUntil:
		o.next(c, time.Time(m), c.Promise())
	}
}

func (o *committer) next(c *actor.Context, until time.Time, done actor.Promise) {
	begun := time.Now()
	if !begun.Before(until) {
		done.Reply(o.took, nil)
		return
	}
	c.Ask(o.store, store.Commit{Kind: kind, ID: o.id, Body: o.bodies[(len(o.took)+1)%2]}, func(_ any, err error) {
		if err != nil {
			done.Reply(nil, err)
			return
		}
		o.took = append(o.took, time.Since(begun))
		if o.pause == 0 {
			o.next(c, until, done)
			return
		}
		c.After(o.pause/2+rand.N(o.pause), func() { o.next(c, until, done) })
	})
}
