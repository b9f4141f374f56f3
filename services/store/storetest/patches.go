package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func patches() []testcase {
	return []testcase{
		{name: "PatchesLeadToTheNewContent", run: patchesLead},
		{name: "PatchesAreComparedAndSet", run: patchesCompared},
		{name: "RetryOfAPatchThatGotInSucceeds", run: patchRetries},
		{name: "BatchesMixPatchesAndContents", run: patchBatch},
		{name: "ManyPatchesKeepEachFieldsLastValue", run: manyPatches},
	}
}

// filler makes a document large enough for a patch of it to be worth it.
func filler() bson.E { return bson.E{Key: "filler", Value: strings.Repeat("f", 3000)} }

func (e *env) marshal(d bson.D) bson.Raw {
	e.Helper()
	raw, err := bson.Marshal(d)
	if err != nil {
		e.Fatal(err)
	}
	return raw
}

// patched is a write that changes a content.
func (e *env) patched(id string, version, epoch int64, before, after bson.Raw) store.Write {
	e.Helper()
	w := store.Write{Kind: "player", ID: id, Version: version, Epoch: epoch, Nonce: store.NewNonce(), Body: after, Patch: store.Diff(before, after)}
	return w
}

// content fails unless all ways of reading give this content.
func (e *env) content(id string, version, epoch int64, want bson.Raw) {
	e.Helper()
	doc, err := e.Load(context.Background(), "player", id)
	if err != nil || doc.Version != version || doc.Epoch != epoch || !SameContent(e, doc.Body, want) {
		short := func(b bson.Raw) string { return strings.ReplaceAll(b.String(), filler().Value.(string), "...") } //nolint:forcetypeassert // see filler
		e.Fatalf("%v\ngot  version %d epoch %d: %s\nwant version %d epoch %d: %s", err, doc.Version, doc.Epoch, short(doc.Body), version, epoch, short(want))
	}
}

// patchesLead changes documents many times, by whatever a patch may say.
func patchesLead(e *env) {
	seed := rand.Uint64()
	e.Logf("seed %d", seed)
	_, doubles := e.opt.Cannot[SpecialDoubles]
	_, arrays := e.opt.Cannot[NestedArrays]
	_, decimals := e.opt.Cannot[Decimal128]
	_, keys := e.opt.Cannot[KeysAlone]
	m := NewMaker(seed)
	m.Plain = doubles || arrays || decimals
	patches := 0
	for range 6 {
		id := id("patched")
		epoch := e.claim("player", id).Epoch
		d := append(m.Document(), filler())
		before := e.marshal(d)
		e.must(store.Write{Kind: "player", ID: id, Epoch: epoch, Nonce: store.NewNonce(), Body: before})
		for version := int64(1); version < 80; version++ {
			d = slices.DeleteFunc(m.Change(d), func(f bson.E) bool { return f.Key == "filler" || f.Key == "rev" })
			d = append(d, filler(), bson.E{Key: "rev", Value: version}) // without it, FerretDB takes documents for equal whose keys are not
			after := e.marshal(d)
			if keys && keysAlone(before, after) {
				d = append(d[:0], filler(), bson.E{Key: "rev", Value: version})
				after = e.marshal(d)
			}
			w := e.patched(id, version, epoch, before, after)
			if w.Patch != nil {
				patches++
			}
			e.must(w)
			e.content(id, version+1, epoch, after)
			if version%20 == 0 {
				doc := e.claim("player", id)
				if epoch++; doc.Version != version+1 || doc.Epoch != epoch || !SameContent(e, doc.Body, after) {
					e.Fatalf("the claim got %s, want %s", show(doc), after)
				}
			}
			before = after
		}
		part, err := e.LoadFields(context.Background(), "player", id, []string{"filler"})
		if err != nil || !SameContent(e, part.Body, e.marshal(bson.D{filler()})) {
			e.Fatalf("a part of it: %s, %v", show(part), err)
		}
		if docs, err := e.Scan(context.Background(), "player", "", 1000); err != nil || !hasDoc(e, docs, id, before) {
			e.Fatalf("a scan: %d documents, %v", len(docs), err)
		}
	}
	if patches < 200 {
		e.Errorf("%d patches: this shows little", patches)
	}
}

// keysAlone tells whether something in a document has changed in nothing but its keys.
func keysAlone(before, after bson.Raw) bool {
	is, _ := after.Elements()
	for _, now := range is {
		was, err := before.LookupErr(now.Key())
		if err != nil || was.Type != now.Value().Type || was.Type != bson.TypeEmbeddedDocument && was.Type != bson.TypeArray || was.Equal(now.Value()) {
			continue
		}
		if slices.Equal(leaves(was.Value), leaves(now.Value().Value)) || keysAlone(was.Value, now.Value().Value) {
			return true
		}
	}
	return false
}

// leaves are the values in a document or an array, without their keys, those of what is in it between brackets.
func leaves(d bson.Raw) (all []string) {
	values, _ := d.Values()
	for _, v := range values {
		if v.Type == bson.TypeEmbeddedDocument || v.Type == bson.TypeArray {
			all = append(append(append(all, "["), leaves(v.Value)...), "]")
			continue
		}
		all = append(all, v.String())
	}
	return all
}

func hasDoc(e *env, docs []store.Doc, id string, want bson.Raw) bool {
	for _, d := range docs {
		if d.ID == id {
			return SameContent(e, d.Body, want)
		}
	}
	return false
}

// two contents whose difference is a patch, which other contents get when they must not.
func (e *env) two() (before, after bson.Raw) {
	e.Helper()
	before = e.marshal(bson.D{{Key: "n", Value: int64(1)}, filler()})
	return before, e.marshal(bson.D{{Key: "n", Value: int64(2)}, filler()})
}

func patchesCompared(e *env) {
	id := id("patched")
	before, after := e.two()
	e.must(store.Write{Kind: "player", ID: id, Epoch: 1, Nonce: store.NewNonce(), Body: before})
	e.is(e.one(e.patched(id, 2, 1, before, after)), store.ErrConflict, "version 2", "has 1")
	e.is(e.one(e.patched(id, 1, 0, before, after)), store.ErrFenced)
	e.claim("player", id)
	e.is(e.one(e.patched(id, 1, 1, before, after)), store.ErrFenced, "epoch 1", "at 2")
	e.content(id, 1, 2, before)
	e.must(e.patched(id, 1, 2, before, after))
	e.content(id, 2, 2, after)
	e.is(e.one(e.patched(id, 1, 2, before, after)), store.ErrConflict)

	gone := store.Write{Kind: "player", ID: id, Version: 2, Epoch: 2, Nonce: store.NewNonce(), Delete: true}
	e.must(gone)
	e.is(e.one(e.patched(id, 2, 2, before, after)), store.ErrConflict)
	e.expect("player", id, 3, 2, nil)
	e.must(store.Write{Kind: "player", ID: id, Version: 3, Epoch: 2, Nonce: store.NewNonce(), Body: after})
	e.content(id, 4, 2, after) // nothing is left of what was before the delete
	e.must(e.patched(id, 4, 2, after, before))
	e.content(id, 5, 2, before)

	first := e.patched(id, 0, 2, before, after)
	e.is(e.one(first), store.ErrInvalid, "player/"+id, "patch")
}

func patchRetries(e *env) {
	id := id("patched")
	before, after := e.two()
	e.must(store.Write{Kind: "player", ID: id, Epoch: 1, Nonce: store.NewNonce(), Body: before})
	w := e.patched(id, 1, 1, before, after)
	e.must(w)
	e.must(w)
	e.claim("player", id)
	e.must(w)
	e.content(id, 2, 2, after)
	twin := w
	twin.Nonce = store.NewNonce()
	if err := e.one(twin); !errors.Is(err, store.ErrFenced) && !errors.Is(err, store.ErrConflict) {
		e.Fatalf("got %v", err)
	}
}

func patchBatch(e *env) {
	prefix := id("batch")
	before, after := e.two()
	const many = 40
	ids := make([]string, many)
	writes := make([]store.Write, many)
	for i := range ids {
		ids[i] = fmt.Sprint(prefix, "/", i)
		writes[i] = store.Write{Kind: "player", ID: ids[i], Epoch: 1, Nonce: store.NewNonce(), Body: before}
	}
	if err := errors.Join(e.settle(writes)...); err != nil {
		e.Fatal(err)
	}
	for i := range writes {
		writes[i] = e.patched(ids[i], 1, 1, before, after)
		switch i % 4 {
		case 1:
			writes[i].Patch = nil
		case 2:
			writes[i].Version = 7
		case 3:
			writes[i] = store.Write{Kind: "player", ID: ids[i], Version: 1, Epoch: 1, Nonce: store.NewNonce(), Delete: true}
		}
	}
	for i, err := range e.settle(writes) {
		switch i % 4 {
		case 2:
			e.is(err, store.ErrConflict)
			e.content(ids[i], 1, 1, before)
		case 3:
			e.is(err, nil)
			e.expect("player", ids[i], 2, 1, nil)
		default:
			e.is(err, nil)
			e.content(ids[i], 2, 1, after)
		}
	}
}

// manyPatches is what a player does: one of many fields changes again and again.
func manyPatches(e *env) {
	id := id("patched")
	d := make(bson.D, 0, 50)
	for i := range 50 {
		d = append(d, bson.E{Key: fmt.Sprint("field_", i), Value: strings.Repeat("v", 40)})
	}
	before := e.marshal(d)
	e.must(store.Write{Kind: "player", ID: id, Epoch: 1, Nonce: store.NewNonce(), Body: before})
	for version := int64(1); version <= 300; version++ {
		d[version%50].Value = version
		after := e.marshal(d)
		e.must(e.patched(id, version, 1, before, after))
		before = after
	}
	e.content(id, 301, 1, before)
	if err := e.Close(); err != nil {
		e.Fatal(err)
	}
	e.reopen()
	e.content(id, 301, 1, before)
}
