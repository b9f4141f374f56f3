package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func concurrent() []testcase {
	return []testcase{
		{name: "ConcurrentIncrementsAreExact", needs: Atomic, run: increments},
		{name: "ConcurrentClaimsGetDistinctEpochs", needs: Atomic, run: claims},
		{name: "ConcurrentClaimsInEpochsEndInTheHighest", needs: Atomic, run: claimsInEpochs},
		{name: "OwnersThatFightWriteOneHistory", needs: Atomic, run: fight},
		{name: "WritersOfTheirOwnDocumentsDoNotDisturbEachOther", needs: Concurrent, run: strangers},
		{name: "CloseDuringUseLosesNothingAcknowledged", needs: Concurrent, run: closeDuringUse},
	}
}

// spread runs f in n goroutines and fails with the first of their errors.
func (e *env) spread(n int, f func(worker int) error) {
	e.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		e.Fatal(err)
	}
}

// apply is one without a test, for goroutines.
func apply(b store.Backend, w store.Write) error {
	errs, err := b.Apply(context.Background(), []store.Write{w})
	if err != nil {
		return err
	}
	return errs[0]
}

func number(n int64) bson.Raw {
	raw, err := bson.Marshal(bson.D{{Key: "n", Value: n}})
	if err != nil {
		panic(err) // an int64 can always be written
	}
	return raw
}

func increments(e *env) {
	const workers, each = 8, 50
	id := id("counter")
	var conflicts atomic.Int64
	e.spread(workers, func(int) error {
		for done := 0; done < each; {
			doc, err := e.Load(context.Background(), "counter", id)
			var n int64
			switch {
			case errors.Is(err, store.ErrNotFound):
			case err != nil:
				return err
			default:
				n = doc.Body.Lookup("n").Int64()
			}
			err = apply(e.Backend, store.Write{Kind: "counter", ID: id, Version: doc.Version, Nonce: store.NewNonce(), Body: number(n + 1)})
			switch {
			case err == nil:
				done++
			case errors.Is(err, store.ErrConflict) || store.Retryable(err):
				conflicts.Add(1)
			default:
				return err
			}
		}
		return nil
	})
	e.expect("counter", id, workers*each, 0, number(workers*each))
	e.Logf("%d increments by %d workers, exact, after %d conflicts", workers*each, workers, conflicts.Load())
}

// claimsInEpochs has activations of a grain claim its document at once, before it is there.
func claimsInEpochs(e *env) {
	const owners = 16
	id := id("raced")
	var wg sync.WaitGroup
	for epoch := range int64(owners) {
		wg.Go(func() {
			doc, err := e.Claim(context.Background(), "player", id, epoch+1)
			if err == nil && doc.Epoch != epoch+1 || err != nil && (!errors.Is(err, store.ErrFenced) || epoch+1 == owners) {
				e.Errorf("the claim in epoch %d gave %s, %v", epoch+1, show(doc), err)
			}
		})
	}
	wg.Wait()
	e.expect("player", id, 0, owners, nil)
}

func claims(e *env) {
	const workers, each = 8, 10
	id := id("claimed")
	epochs := make([]int64, workers*each)
	e.spread(workers, func(worker int) error {
		for i := range each {
			doc, err := e.Claim(context.Background(), "player", id, 0)
			if err != nil {
				return err
			}
			epochs[worker*each+i] = doc.Epoch
		}
		return nil
	})
	slices.Sort(epochs)
	for i, epoch := range epochs {
		if epoch != int64(i+1) {
			e.Fatalf("%d claims gave the epochs %v", len(epochs), epochs)
		}
	}
}

// fight has owners that take a document from each other all the time. In the history that they were told, each version
// was written once, and epochs never went back.
func fight(e *env) {
	const owners, each = 4, 40
	id := id("fought")
	var mu sync.Mutex
	history := map[int64]int64{} // version → epoch
	fenced := 0
	e.spread(owners, func(int) error {
		doc, err := e.Claim(context.Background(), "player", id, 0)
		if err != nil {
			return err
		}
		for range each {
			err := apply(e.Backend, store.Write{Kind: "player", ID: id, Version: doc.Version, Epoch: doc.Epoch, Nonce: store.NewNonce(), Body: number(doc.Epoch)})
			mu.Lock()
			if err == nil {
				doc.Version++
				if other, twice := history[doc.Version]; twice {
					err = fmt.Errorf("version %d was written in epoch %d and in %d", doc.Version, other, doc.Epoch)
				}
				history[doc.Version] = doc.Epoch
			}
			if errors.Is(err, store.ErrFenced) {
				fenced++
			}
			mu.Unlock()
			switch {
			case errors.Is(err, store.ErrFenced):
				if doc, err = e.Claim(context.Background(), "player", id, 0); err != nil {
					return err
				}
			case err != nil:
				return err
			}
		}
		return nil
	})
	last := int64(len(history))
	for v := int64(1); v <= last; v++ {
		if history[v] == 0 || history[v] < history[v-1] {
			e.Fatalf("version %d was written in epoch %d, the one before in %d", v, history[v], history[v-1])
		}
	}
	doc, err := e.Load(context.Background(), "player", id)
	if err != nil {
		e.Fatal(err)
	}
	if doc.Version != last || !slices.Equal(doc.Body, number(history[last])) {
		e.Fatalf("the last write was version %d in epoch %d, the database has %s", last, history[last], show(doc))
	}
	e.Logf("%d writes got in, %d were fenced", last, fenced)
}

func strangers(e *env) {
	const workers, each = 16, 20
	prefix := id("own")
	e.spread(workers, func(worker int) error {
		id := fmt.Sprint(prefix, "/", worker)
		doc, err := e.Claim(context.Background(), "player", id, 0)
		if err != nil {
			return err
		}
		for v := range int64(each) {
			if err := apply(e.Backend, store.Write{Kind: "player", ID: id, Version: v, Epoch: doc.Epoch, Nonce: store.NewNonce(), Body: number(v + 1)}); err != nil {
				return err
			}
		}
		return nil
	})
	for worker := range workers {
		e.expect("player", fmt.Sprint(prefix, "/", worker), each, 1, number(each))
	}
}

func closeDuringUse(e *env) {
	const workers = 8
	var started sync.WaitGroup
	started.Add(workers)
	var closing sync.WaitGroup
	closing.Go(func() {
		started.Wait() // each of them is in the middle of it
		if err := e.Close(); err != nil {
			e.Error(err)
		}
	})
	prefix := id("closing")
	acknowledged := make([]int64, workers)
	e.spread(workers, func(worker int) error {
		id := fmt.Sprint(prefix, "/", worker)
		for v := int64(0); ; v++ {
			err := apply(e.Backend, store.Write{Kind: "player", ID: id, Version: v, Epoch: 1, Nonce: store.NewNonce(), Body: number(v + 1)})
			if v == 0 {
				started.Done()
			}
			if errors.Is(err, store.ErrClosed) {
				return nil
			}
			if err != nil {
				return err
			}
			acknowledged[worker] = v + 1
			if _, err := e.Load(context.Background(), "player", id); err != nil && !errors.Is(err, store.ErrClosed) {
				return err
			}
		}
	})
	closing.Wait()
	e.reopen()
	for worker, v := range acknowledged {
		e.expect("player", fmt.Sprint(prefix, "/", worker), v, 1, number(v))
	}
}
