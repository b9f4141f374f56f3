package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func basics() []testcase {
	return []testcase{
		{name: "UnknownDocumentIsNotFound", run: func(e *env) {
			e.expect("player", id("nobody"), 0, 0, nil)
		}},
		{name: "VersionsAreComparedAndSet", run: versions},
		{name: "ClaimFencesTheFormerOwner", run: fencing},
		{name: "ClaimOfAnUnknownDocumentIsRemembered", run: claimFirst},
		{name: "HigherEpochTakesOver", run: higherEpoch},
		{name: "ClaimInAnEpochTakesOverFromLowerOnes", run: claimInEpoch},
		{name: "ClaimInALowerEpochIsFenced", run: claimTooLate},
		{name: "DeleteKeepsVersionAndEpoch", run: deletes},
		{name: "RetryOfAWriteThatGotInSucceeds", run: retries},
		{name: "RetryAfterAClaimSucceeds", run: retryAfterClaim},
		{name: "BatchHasAResultForEachWrite", run: mixedBatch},
		{name: "BatchOfManyIsApplied", run: manyInABatch},
		{name: "EmptyBatchIsFine", run: func(e *env) {
			if errs, err := e.Apply(context.Background(), nil); err != nil || len(errs) != 0 {
				e.Fatalf("got %v, %v", errs, err)
			}
		}},
		{name: "BodiesAreNotShared", run: bodiesAreNotShared},
		{name: "PingAnswers", run: func(e *env) {
			if err := e.Ping(context.Background()); err != nil {
				e.Fatal(err)
			}
		}},
		{name: "EndedContextDoesNothing", run: endedContext},
		{name: "ClosedBackendSaysSo", run: closed},
	}
}

func versions(e *env) {
	const kind = "player"
	id := id("cas")
	first := write(e, kind, id, 0, 0, 1)
	e.must(first)
	e.expect(kind, id, 1, 0, first.Body)

	err := e.one(write(e, kind, id, 0, 0, 2))
	e.is(err, store.ErrConflict, kind+"/"+id, "version 0", "has 1")
	var conflict *store.ConflictError
	if !errors.As(err, &conflict) || conflict.Version != 0 || conflict.Have != 1 || conflict.Kind != kind || conflict.ID != id {
		e.Fatalf("got %#v", conflict)
	}
	if store.Retryable(err) {
		e.Fatal("a conflict is said to be retryable")
	}
	second := write(e, kind, id, 1, 0, 3)
	e.must(second)
	e.is(e.one(write(e, kind, id, 1, 0, 4)), store.ErrConflict)
	e.is(e.one(write(e, kind, id, 7, 0, 4)), store.ErrConflict)
	e.expect(kind, id, 2, 0, second.Body)

	absent := id + "-absent"
	e.is(e.one(write(e, kind, absent, 5, 0, 1)), store.ErrConflict, "has 0")
	e.expect(kind, absent, 0, 0, nil)
}

func fencing(e *env) {
	const kind = "player"
	id := id("owned")
	e.must(write(e, kind, id, 0, 0, 1))
	former := e.claim(kind, id)
	e.same(former, store.Doc{Kind: kind, ID: id, Version: 1, Epoch: 1, Body: body(e, "n", int64(1))})
	e.must(write(e, kind, id, 1, former.Epoch, 2))

	next := e.claim(kind, id)
	e.same(next, store.Doc{Kind: kind, ID: id, Version: 2, Epoch: 2, Body: body(e, "n", int64(2))})

	err := e.one(write(e, kind, id, 2, former.Epoch, 666))
	e.is(err, store.ErrFenced, kind+"/"+id, "epoch 1", "at 2")
	var fenced *store.FencedError
	if !errors.As(err, &fenced) || fenced.Epoch != 1 || fenced.Have != 2 || fenced.Kind != kind || fenced.ID != id {
		e.Fatalf("got %#v", fenced)
	}
	e.is(e.one(write(e, kind, id, 2, 0, 666)), store.ErrFenced) // nor does one that never claimed
	e.must(write(e, kind, id, 2, next.Epoch, 3))
	e.is(e.one(write(e, kind, id, 2, former.Epoch, 666)), store.ErrFenced) // behind in both: told the one that ends it
	e.is(e.one(store.Write{Kind: kind, ID: id, Version: 3, Epoch: former.Epoch, Nonce: store.NewNonce(), Delete: true}), store.ErrFenced)
	e.is(e.one(write(e, kind, id, 2, next.Epoch, 666)), store.ErrConflict)
	e.expect(kind, id, 3, 2, body(e, "n", int64(3)))
}

func claimFirst(e *env) {
	const kind = "guild"
	id := id("new")
	e.same(e.claim(kind, id), store.Doc{Kind: kind, ID: id, Epoch: 1})
	e.same(e.claim(kind, id), store.Doc{Kind: kind, ID: id, Epoch: 2})
	e.expect(kind, id, 0, 2, nil)
	e.is(e.one(write(e, kind, id, 0, 1, 666)), store.ErrFenced)
	e.must(write(e, kind, id, 0, 2, 1))
	e.expect(kind, id, 1, 2, body(e, "n", int64(1)))
}

func higherEpoch(e *env) {
	const kind = "player"
	id := id("higher")
	e.must(write(e, kind, id, 0, 40, 1))
	e.is(e.one(write(e, kind, id, 1, 39, 666)), store.ErrFenced)
	e.must(write(e, kind, id, 1, store.MaxCount, 2))
	e.is(e.one(write(e, kind, id, 2, 40, 666)), store.ErrFenced)
	e.expect(kind, id, 2, store.MaxCount, body(e, "n", int64(2)))
	if doc := e.claim(kind, id); doc.Epoch != store.MaxCount+1 {
		e.Fatalf("a claim after epoch %d gave %d", int64(store.MaxCount), doc.Epoch)
	}
}

// claimInEpoch has owners of a directory take a document, each in a higher epoch.
func claimInEpoch(e *env) {
	const kind = "guild"
	for _, id := range []string{id("new"), id("directory")} { // one that is not there, and one that was written by somebody without an epoch
		version := int64(0)
		if strings.Contains(id, "directory") {
			e.must(write(e, kind, id, 0, 0, 1))
			version = 1
		}
		first := e.claimIn(kind, id, 70)
		if first.Epoch != 70 || first.Version != version || first.Exists() != (version > 0) {
			e.Fatalf("the first claim got %s", show(first))
		}
		e.must(write(e, kind, id, version, 70, 2))
		e.must(write(e, kind, id, version+1, 70, 3))
		e.same(e.claimIn(kind, id, 70), store.Doc{Kind: kind, ID: id, Version: version + 2, Epoch: 70, Body: body(e, "n", int64(3))}) // again: it is its own
		next := e.claimIn(kind, id, store.MaxCount-5)                                                                                 // whatever the former one has counted to
		e.same(next, store.Doc{Kind: kind, ID: id, Version: version + 2, Epoch: store.MaxCount - 5, Body: body(e, "n", int64(3))})
		e.is(e.one(write(e, kind, id, version+2, 70, 666)), store.ErrFenced)
		e.must(write(e, kind, id, version+2, next.Epoch, 4))
		if doc := e.claim(kind, id); doc.Epoch != next.Epoch+1 || doc.Version != version+3 { // by somebody whom no directory has sent
			e.Fatalf("the last claim got %s", show(doc))
		}
	}
}

// claimTooLate has an owner come that has been replaced.
func claimTooLate(e *env) {
	const kind = "guild"
	id := id("late")
	e.claimIn(kind, id, 70)
	e.must(write(e, kind, id, 0, 70, 1))
	for range 2 {
		_, err := e.Claim(context.Background(), kind, id, 69)
		e.is(err, store.ErrFenced, kind+"/"+id, "epoch 69", "at 70")
		var fenced *store.FencedError
		if !errors.As(err, &fenced) || fenced.Epoch != 69 || fenced.Have != 70 || store.Retryable(err) {
			e.Fatalf("got %#v", err)
		}
	}
	e.must(write(e, kind, id, 1, 70, 2)) // nothing has changed
	e.expect(kind, id, 2, 70, body(e, "n", int64(2)))
	for _, epoch := range []int64{-1, store.MaxCount + 1} {
		_, err := e.Claim(context.Background(), kind, id, epoch)
		e.is(err, store.ErrInvalid, kind+"/"+id, "epoch")
	}
}

func deletes(e *env) {
	const kind = "player"
	id := id("deleted")
	e.must(write(e, kind, id, 0, 1, 1))
	remove := store.Write{Kind: kind, ID: id, Version: 1, Epoch: 1, Nonce: store.NewNonce(), Delete: true}
	e.must(remove)
	e.expect(kind, id, 2, 1, nil)
	e.must(remove) // a retry
	e.expect(kind, id, 2, 1, nil)

	e.is(e.one(write(e, kind, id, 0, 1, 666)), store.ErrConflict, "has 2") // someone from before the delete
	owner := e.claim(kind, id)
	e.same(owner, store.Doc{Kind: kind, ID: id, Version: 2, Epoch: 2})
	e.is(e.one(write(e, kind, id, 2, 1, 666)), store.ErrFenced)
	e.must(write(e, kind, id, 2, 2, 9))
	e.expect(kind, id, 3, 2, body(e, "n", int64(9)))
}

// retries plays a caller that never heard the answer: the connection was cut after the database had done the work.
func retries(e *env) {
	const kind = "player"
	id := id("retried")
	create := write(e, kind, id, 0, 3, 1)
	e.must(create)
	e.must(create)
	e.expect(kind, id, 1, 3, create.Body)

	update := write(e, kind, id, 1, 3, 2)
	e.must(update)
	e.must(update)
	e.must(update)
	e.expect(kind, id, 2, 3, update.Body)

	// Somebody else's write is no retry, whatever it says: one of two that count up would be lost.
	twin := update
	twin.Nonce = store.NewNonce()
	e.is(e.one(twin), store.ErrConflict)

	later := write(e, kind, id, 2, 3, 3)
	e.must(later)
	e.is(e.one(update), store.ErrConflict) // a retry that comes when its writer has gone on changes nothing
	e.expect(kind, id, 3, 3, later.Body)
}

func retryAfterClaim(e *env) {
	const kind = "player"
	id := id("retried")
	w := write(e, kind, id, 0, 1, 1)
	e.must(w)
	next := e.claim(kind, id)
	e.same(next, store.Doc{Kind: kind, ID: id, Version: 1, Epoch: 2, Body: w.Body})
	e.must(w) // it did get in, and the new owner has it
	e.is(e.one(write(e, kind, id, 1, 1, 666)), store.ErrFenced)
	e.expect(kind, id, 1, 2, w.Body)
}

func mixedBatch(e *env) {
	prefix := id("mix")
	name := func(s string) string { return prefix + s }
	e.must(write(e, "player", name("stale"), 0, 1, 1))
	e.must(write(e, "player", name("stale"), 1, 1, 2))
	e.must(write(e, "player", name("there"), 0, 1, 1))
	e.must(write(e, "player", name("lost"), 0, 1, 1))
	e.claim("player", name("lost"))
	e.claim("player", name("lost"))
	e.must(write(e, "guild", name("gone"), 0, 1, 1))
	again := write(e, "player", name("again"), 0, 1, 5)
	e.must(again)

	hollow := write(e, "player", name("hollow"), 0, 1, 1)
	hollow.Body = nil
	huge := write(e, "player", name("huge"), 0, 1, 1)
	huge.Body = make(bson.Raw, store.MaxBody+1)
	batch := []struct {
		write store.Write
		want  error
	}{
		{write(e, "player", name("new"), 0, 1, 1), nil},
		{write(e, "player", name("stale"), 1, 1, 666), store.ErrConflict},
		{write(e, "player", name("stale"), 0, 1, 666), store.ErrInvalid}, // twice in the batch
		{write(e, "player", name("there"), 0, 1, 666), store.ErrConflict},
		{write(e, "guild", name("new"), 0, 0, 2), nil},
		{write(e, "player", name("lost"), 1, 1, 666), store.ErrFenced},
		{again, nil},
		{hollow, store.ErrInvalid},
		{huge, store.ErrTooLarge},
		{write(e, "Not A Kind", name("x"), 0, 1, 666), store.ErrInvalid},
		{store.Write{Kind: "guild", ID: name("gone"), Version: 1, Epoch: 1, Nonce: store.NewNonce(), Delete: true}, nil},
		{write(e, "player", name("new"), 1, 1, 666), store.ErrInvalid}, // twice in the batch
		{write(e, "guild", name("never"), 3, 1, 666), store.ErrConflict},
		{write(e, "player", name("last"), 0, 0, 3), nil},
	}
	writes := make([]store.Write, len(batch))
	for i, b := range batch {
		writes[i] = b.write
	}
	for round := range 2 { // the second time, each success is a retry
		errs := e.settle(writes)
		for i, b := range batch {
			if !errors.Is(errs[i], b.want) {
				e.Errorf("round %d, write %d, %s: got %v, want %v", round, i, b.write.ID, errs[i], b.want)
			}
		}
	}
	e.expect("player", name("new"), 1, 1, body(e, "n", int64(1)))
	e.expect("player", name("stale"), 2, 1, body(e, "n", int64(2)))
	e.expect("player", name("lost"), 1, 3, body(e, "n", int64(1)))
	e.expect("guild", name("gone"), 2, 1, nil)
	e.expect("guild", name("never"), 0, 0, nil)
	e.expect("player", name("last"), 1, 0, body(e, "n", int64(3)))
}

func manyInABatch(e *env) {
	prefix := id("many")
	const many = 300
	for version := range int64(2) {
		writes := make([]store.Write, many)
		for i := range writes {
			writes[i] = write(e, []string{"player", "guild", "mail"}[i%3], fmt.Sprint(prefix, "/", i), version, 1, int64(i)+version)
		}
		errs, err := e.Apply(context.Background(), writes)
		if err != nil {
			e.Fatal(err)
		}
		if err := errors.Join(errs...); err != nil || len(errs) != many {
			e.Fatalf("%d results: %v", len(errs), err)
		}
	}
	for _, i := range []int{0, 1, 2, 149, many - 1} {
		e.expect([]string{"player", "guild", "mail"}[i%3], fmt.Sprint(prefix, "/", i), 2, 1, body(e, "n", int64(i)+1))
	}
}

func bodiesAreNotShared(e *env) {
	const kind = "player"
	id := id("shared")
	w := write(e, kind, id, 0, 0, 1)
	e.must(w)
	clear(w.Body)
	want := body(e, "n", int64(1))
	e.expect(kind, id, 1, 0, want)
	doc, err := e.Load(context.Background(), kind, id)
	if err != nil {
		e.Fatal(err)
	}
	clear(doc.Body)
	e.expect(kind, id, 1, 0, want)
}

func endedContext(e *env) {
	const kind = "player"
	id := id("ended")
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	for _, c := range []struct {
		ctx       context.Context //nolint:containedctx // a case of the table
		want      error
		retryable bool
	}{{cancelled, context.Canceled, false}, {late, context.DeadlineExceeded, true}} {
		calls := map[string]error{"ping": e.Ping(c.ctx)}
		_, calls["load"] = e.Load(c.ctx, kind, id)
		_, calls["claim"] = e.Claim(c.ctx, kind, id, 0)
		_, calls["apply"] = e.Apply(c.ctx, []store.Write{write(e, kind, id, 0, 0, 666)})
		for name, err := range calls {
			if !errors.Is(err, c.want) || store.Retryable(err) != c.retryable || !strings.Contains(err.Error(), "store: ") {
				e.Errorf("%s: got %v, retryable %v, want %v", name, err, store.Retryable(err), c.want)
			}
		}
	}
	e.expect(kind, id, 0, 0, nil)
}

func closed(e *env) {
	if err := e.Close(); err != nil {
		e.Fatal(err)
	}
	ctx := context.Background()
	e.is(e.Ping(ctx), store.ErrClosed)
	_, err := e.Load(ctx, "player", "x")
	e.is(err, store.ErrClosed)
	_, err = e.Claim(ctx, "player", "x", 0)
	e.is(err, store.ErrClosed)
	_, err = e.Apply(ctx, []store.Write{write(e, "player", "x", 0, 0, 666)})
	e.is(err, store.ErrClosed)
	if store.Retryable(err) {
		e.Fatal("closed is said to be retryable")
	}
	if err := e.Close(); err != nil {
		e.Fatalf("the second Close: %v", err)
	}
}
