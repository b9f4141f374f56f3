package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func indexes() []testcase {
	return []testcase{
		{name: "HostileIndexesAreRefused", run: hostileIndexes},
		{name: "UniqueIndexesHold", needs: Unique, run: unique},
		{name: "UniqueIndexesHoldForPatchesAndImports", needs: Unique, run: uniqueElsewhere},
		{name: "UniqueIndexNamesThoseThatCollide", needs: Unique, run: uniqueBuild},
		{name: "OfManyWhoWantANameOneGetsIt", needs: Unique, run: uniqueRace},
		{name: "IndexesAreBuiltRebuiltAndDropped", needs: Indexed, run: rebuild},
		{name: "WhatCanNotBeIndexedIsRefused", needs: Indexed, run: notIndexed},
		{name: "DocumentsExpire", needs: Expiry, run: expiry},
	}
}

func (e *env) index(want ...store.Index) {
	e.Helper()
	if err := e.Indexes(context.Background(), want); err != nil {
		e.Fatal(err)
	}
}

func hostileIndexes(e *env) {
	ok := store.Index{Kind: "player", Name: "by_name", Fields: []string{"name"}}
	many := make([]store.Index, store.MaxIndexes+1)
	for i := range many {
		many[i] = store.Index{Kind: "player", Name: fmt.Sprint("i", i), Fields: []string{fmt.Sprint("f", i)}}
	}
	for what, list := range map[string][]store.Index{
		"kind":       {{Kind: "Not A Kind", Name: "x", Fields: []string{"a"}}},
		"name":       {{Kind: "player", Name: "by name", Fields: []string{"a"}}},
		"no name":    {{Kind: "player", Fields: []string{"a"}}},
		"no field":   {{Kind: "player", Name: "x"}},
		"empty path": {{Kind: "player", Name: "x", Fields: []string{""}}},
		"sign only":  {{Kind: "player", Name: "x", Fields: []string{"-"}}},
		"dollar":     {{Kind: "player", Name: "x", Fields: []string{"a.$b"}}},
		"twice":      {{Kind: "player", Name: "x", Fields: []string{"a", "-a"}}},
		"overlap":    {{Kind: "player", Name: "x", Fields: []string{"a", "a.b"}}},
		"nine":       {{Kind: "player", Name: "x", Fields: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}}},
		"same name":  {ok, ok},
		"ttl of two": {{Kind: "player", Name: "x", Fields: []string{"a", "b"}, TTL: time.Second}},
		"short ttl":  {{Kind: "player", Name: "x", Fields: []string{"a"}, TTL: time.Millisecond}},
		"ttl < 0":    {{Kind: "player", Name: "x", Fields: []string{"a"}, TTL: -time.Second}},
		"unique ttl": {{Kind: "player", Name: "x", Fields: []string{"a"}, TTL: time.Second, Unique: true}},
		"too many":   many,
	} {
		if err := e.Indexes(context.Background(), list); !errors.Is(err, store.ErrInvalid) {
			e.Errorf("%s: got %v", what, err)
		}
	}
	e.index()
}

// named is a write of a document with a name.
func named(e *env, id string, version, epoch int64, name any) store.Write {
	e.Helper()
	return store.Write{Kind: "guild", ID: id, Version: version, Epoch: epoch, Nonce: store.NewNonce(), Body: body(e, "name", name, "n", version)}
}

var byName = store.Index{Kind: "guild", Name: "by_name", Fields: []string{"name"}, Unique: true} //nolint:gochecknoglobals // a constant

// taken fails unless err says that the name is taken.
func (e *env) taken(err error, id string) {
	e.Helper()
	e.is(err, store.ErrDuplicate, "guild/"+id, "by_name")
	var d *store.DuplicateError
	if !errors.As(err, &d) || d.Kind != "guild" || d.ID != id || d.Index != "by_name" || store.Retryable(err) {
		e.Fatalf("got %#v", err)
	}
}

func unique(e *env) {
	e.index(byName)
	a, b, c := id("a"), id("b"), id("c")
	e.must(named(e, a, 0, 1, "Raiders"))
	e.taken(e.one(named(e, b, 0, 1, "Raiders")), b)
	e.expect("guild", b, 0, 0, nil)
	e.must(named(e, b, 0, 1, "raiders")) // other bytes
	e.taken(e.one(named(e, b, 1, 1, "Raiders")), b)
	e.must(named(e, a, 1, 1, "Raiders")) // its own
	e.must(named(e, a, 2, 1, "Traders"))
	e.must(named(e, b, 1, 1, "Raiders")) // free now
	e.taken(e.one(named(e, a, 3, 1, "Raiders")), a)
	e.must(store.Write{Kind: "guild", ID: b, Version: 2, Epoch: 1, Nonce: store.NewNonce(), Delete: true})
	e.must(named(e, a, 3, 1, "Raiders")) // free again

	// Those without the field are not in it, and other kinds are not concerned.
	e.must(store.Write{Kind: "guild", ID: b, Version: 3, Epoch: 1, Nonce: store.NewNonce(), Body: body(e, "n", 1)})
	e.must(store.Write{Kind: "guild", ID: c, Epoch: 1, Nonce: store.NewNonce(), Body: body(e, "n", 1)})
	e.must(store.Write{Kind: "player", ID: c, Epoch: 1, Nonce: store.NewNonce(), Body: body(e, "name", "Raiders")})

	// What is refused stops no other, and a stale owner hears that it is one.
	errs := e.settle([]store.Write{named(e, b, 4, 1, "Raiders"), named(e, c, 1, 1, "Sailors"), named(e, a, 9, 1, "Sailors")})
	e.taken(errs[0], b)
	e.is(errs[1], nil)
	e.is(errs[2], store.ErrConflict)
	w := named(e, c, 2, 1, "Sailors")
	e.must(w)
	e.must(w) // a retry
	e.claim("guild", a)
	e.is(e.one(named(e, a, 4, 1, "Sailors")), store.ErrFenced)
}

func uniqueElsewhere(e *env) {
	e.index(byName, store.Index{Kind: "guild", Name: "by_two", Fields: []string{"x", "-y"}, Unique: true})
	a, b := id("a"), id("b")
	content := func(name string) bson.Raw {
		return e.marshal(bson.D{{Key: "name", Value: name}, filler()})
	}
	e.must(store.Write{Kind: "guild", ID: a, Epoch: 1, Nonce: store.NewNonce(), Body: content("Raiders")})
	e.must(store.Write{Kind: "guild", ID: b, Epoch: 1, Nonce: store.NewNonce(), Body: content("Traders")})
	patched := func(id string, version int64, before, after string) store.Write {
		return store.Write{Kind: "guild", ID: id, Version: version, Epoch: 1, Nonce: store.NewNonce(), Body: content(after), Patch: store.Diff(content(before), content(after))}
	}
	e.taken(e.one(patched(b, 1, "Traders", "Raiders")), b)
	e.must(patched(a, 1, "Raiders", "Sailors"))
	e.must(patched(b, 1, "Traders", "Raiders"))
	e.taken(e.one(patched(a, 2, "Sailors", "Raiders")), a)

	c := id("c")
	errs := e.importAll(store.Doc{Kind: "guild", ID: c, Version: 4, Body: content("Raiders")}, store.Doc{Kind: "guild", ID: c + "x", Version: 4, Body: content("Pirates")})
	e.taken(errs[0], c)
	e.is(errs[1], nil)

	// Of two fields, a missing second one is a value as well.
	pair := func(id string, fields ...any) store.Write {
		return store.Write{Kind: "guild", ID: id, Epoch: 1, Nonce: store.NewNonce(), Body: body(e, fields...)}
	}
	e.must(pair(id("p"), "x", 1, "y", 1))
	e.must(pair(id("p"), "x", 1, "y", 2))
	e.must(pair(id("p"), "x", 1))
	e.must(pair(id("p"), "x", 2))
	e.must(pair(id("p"), "y", 1))
	e.must(pair(id("p"), "y", 1))
	for _, w := range []store.Write{pair(id("q"), "x", 1, "y", 1), pair(id("q"), "x", int64(1), "y", 1.0), pair(id("q"), "x", 1), pair(id("q"), "x", 1, "y", nil)} {
		e.is(e.one(w), store.ErrDuplicate, "by_two")
	}
}

func uniqueBuild(e *env) {
	a, b := id("a"), id("b")
	e.must(named(e, a, 0, 1, "Raiders"))
	e.must(named(e, b, 0, 1, "Raiders"))
	err := e.Indexes(context.Background(), []store.Index{byName})
	e.is(err, store.ErrDuplicate, "by_name", a, b)
	e.must(named(e, id("c"), 0, 1, "Raiders")) // there is no such index
	e.must(named(e, b, 1, 1, "Traders"))
	if err := e.Indexes(context.Background(), []store.Index{byName}); !errors.Is(err, store.ErrDuplicate) {
		e.Fatalf("got %v", err)
	}
}

func uniqueRace(e *env) {
	e.index(byName)
	const workers = 8
	prefix := id("race")
	var won atomic.Int64
	e.spread(workers, func(worker int) error {
		raw, err := bson.Marshal(bson.D{{Key: "name", Value: prefix}})
		if err != nil {
			return err
		}
		err = apply(e.Backend, store.Write{Kind: "guild", ID: fmt.Sprint(prefix, worker), Epoch: 1, Nonce: store.NewNonce(), Body: raw})
		for store.Retryable(err) {
			err = apply(e.Backend, store.Write{Kind: "guild", ID: fmt.Sprint(prefix, worker), Epoch: 1, Nonce: store.NewNonce(), Body: raw})
		}
		if err == nil {
			won.Add(1)
		} else if !errors.Is(err, store.ErrDuplicate) {
			return err
		}
		return nil
	})
	if won.Load() != 1 {
		e.Fatalf("%d have the name", won.Load())
	}
}

// scored are documents with a field, by their ids.
func (e *env) scored(kind string, field string, values ...any) {
	e.Helper()
	for i, v := range values {
		e.must(store.Write{Kind: kind, ID: fmt.Sprint("d", i), Nonce: store.NewNonce(), Body: body(e, field, v)})
	}
}

func (e *env) found(q store.Query) (ids []string) {
	e.Helper()
	docs, err := e.Find(context.Background(), q)
	if err != nil {
		e.Fatal(err)
	}
	for _, d := range docs {
		ids = append(ids, d.ID)
	}
	return ids
}

func rebuild(e *env) {
	byScore := store.Query{Kind: "player", Sort: []string{"-score"}, Limit: 10}
	_, err := e.Find(context.Background(), byScore)
	e.is(err, store.ErrInvalid, "-score", "player")
	e.scored("player", "score", 5, 9, 7)
	e.index(store.Index{Kind: "player", Name: "best", Fields: []string{"score"}}) // of what is there already
	if got := fmt.Sprint(e.found(byScore)); got != "[d1 d2 d0]" {
		e.Fatalf("got %s", got)
	}
	e.must(store.Write{Kind: "player", ID: "d0", Version: 1, Nonce: store.NewNonce(), Body: body(e, "score", 8)})
	e.must(store.Write{Kind: "player", ID: "d1", Version: 1, Nonce: store.NewNonce(), Delete: true})
	e.must(store.Write{Kind: "player", ID: "d3", Nonce: store.NewNonce(), Body: body(e, "score", 1, "level", 3)})
	e.claim("player", "d4")
	if got := fmt.Sprint(e.found(byScore)); got != "[d0 d2 d3]" {
		e.Fatalf("got %s", got)
	}
	// The same name with other fields, and one more.
	e.index(store.Index{Kind: "player", Name: "best", Fields: []string{"level"}}, store.Index{Kind: "player", Name: "new", Fields: []string{"-score", "level"}})
	if got := fmt.Sprint(e.found(byScore), e.found(store.Query{Kind: "player", Sort: []string{"level"}, Limit: 10})); got != "[d0 d2 d3] [d3]" {
		e.Fatalf("got %s", got)
	}
	if err := e.Close(); err != nil {
		e.Fatal(err)
	}
	e.reopen()
	e.index(store.Index{Kind: "player", Name: "best", Fields: []string{"level"}})
	_, err = e.Find(context.Background(), byScore)
	e.is(err, store.ErrInvalid)
	e.must(store.Write{Kind: "player", ID: "d3", Version: 1, Nonce: store.NewNonce(), Body: body(e, "level", 4)})
	e.index(store.Index{Kind: "player", Name: "best", Fields: []string{"level"}}, store.Index{Kind: "player", Name: "new", Fields: []string{"-score"}})
	if got := fmt.Sprint(e.found(byScore)); got != "[d0 d2]" {
		e.Fatalf("got %s", got)
	}
}

func notIndexed(e *env) {
	e.index(store.Index{Kind: "player", Name: "deep", Fields: []string{"a.b", "c"}})
	good := body(e, "a", bson.D{{Key: "b", Value: 1}})
	for _, bad := range []bson.Raw{
		body(e, "a", bson.D{{Key: "b", Value: bson.A{1}}}),
		body(e, "a", bson.D{{Key: "b", Value: bson.D{}}}),
		body(e, "a", bson.A{bson.D{{Key: "b", Value: 1}}}),
		body(e, "a", bson.D{{Key: "b", Value: 1}}, "c", bson.Regex{Pattern: "x"}),
		body(e, "a", bson.D{{Key: "b", Value: string(make([]byte, store.MaxIndexedValue+1))}}),
	} {
		id := id("bad")
		errs := e.settle([]store.Write{
			{Kind: "player", ID: id, Nonce: store.NewNonce(), Body: bad},
			{Kind: "player", ID: id + "x", Nonce: store.NewNonce(), Body: good},
		})
		e.is(errs[0], store.ErrInvalid, "player/"+id, "deep")
		e.is(errs[1], nil)
		e.expect("player", id, 0, 0, nil)
		e.is(e.importAll(store.Doc{Kind: "player", ID: id, Version: 1, Body: bad})[0], store.ErrInvalid, "player/"+id)
	}
	// What is no document on the way is as if nothing were there.
	for _, none := range []bson.Raw{body(e, "a", 1), body(e, "a", nil), body(e), body(e, "c", 1), body(e, "a", bson.D{})} {
		e.must(store.Write{Kind: "player", ID: id("none"), Nonce: store.NewNonce(), Body: none})
	}
	if got := e.found(store.Query{Kind: "player", Sort: []string{"a.b"}, Limit: 100}); len(got) != 5 {
		e.Fatalf("%d documents are in the index, want the 5 good ones", len(got))
	}

	odd := id("odd")
	e.must(store.Write{Kind: "other", ID: odd, Nonce: store.NewNonce(), Body: body(e, "x", bson.A{1, 2})})
	err := e.Indexes(context.Background(), []store.Index{{Kind: "other", Name: "by_x", Fields: []string{"x"}}})
	e.is(err, store.ErrInvalid, "by_x", odd)
}

func expiry(e *env) {
	e.index(store.Index{Kind: "mail", Name: "old", Fields: []string{"at"}, TTL: time.Hour})
	now := time.Now()
	put := func(id string, at any) {
		e.must(store.Write{Kind: "mail", ID: id, Nonce: store.NewNonce(), Body: body(e, "at", at)})
	}
	put("over", bson.NewDateTimeFromTime(now.Add(-2*time.Hour)))
	put("ancient", bson.DateTime(-1))
	put("young", bson.NewDateTimeFromTime(now.Add(-time.Minute)))
	put("ahead", bson.NewDateTimeFromTime(now.Add(time.Hour)))
	put("number", int64(1))
	put("none", nil)
	e.must(store.Write{Kind: "mail", ID: "without", Nonce: store.NewNonce(), Body: body(e)})
	e.must(store.Write{Kind: "letter", ID: "over", Nonce: store.NewNonce(), Body: body(e, "at", bson.DateTime(1))})
	within := e.opt.Expires
	if within == 0 {
		within = 3 * time.Minute
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(within); ; {
		_, one := e.Load(context.Background(), "mail", "over")
		_, two := e.Load(context.Background(), "mail", "ancient")
		if errors.Is(one, store.ErrNotFound) && errors.Is(two, store.ErrNotFound) {
			break
		}
		select {
		case <-late:
			e.Fatalf("still there: %v, %v", one, two)
		case <-tick.C:
		}
	}
	for _, id := range []string{"young", "ahead", "number", "none", "without"} {
		if _, err := e.Load(context.Background(), "mail", id); err != nil {
			e.Errorf("%s: %v", id, err)
		}
	}
	if _, err := e.Load(context.Background(), "letter", "over"); err != nil {
		e.Error(err)
	}
	// It can be made anew.
	put("over", bson.NewDateTimeFromTime(now))
	e.expect("mail", "over", 1, 0, body(e, "at", bson.NewDateTimeFromTime(now)))
}
