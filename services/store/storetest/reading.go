package storetest

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func reading() []testcase {
	return []testcase{
		{name: "FieldsAreLoadedAlone", run: loadFields},
		{name: "ScanGivesAllDocumentsInOrder", run: scans},
		{name: "ScanOfLargeDocumentsComesInPieces", needs: Large, run: scanLarge},
		{name: "KindsAreThoseThatHaveDocuments", run: kinds},
		{name: "ImportedDocumentsAreAsTheyWere", run: imports},
		{name: "ImportWritesOverNothing", run: importOver},
		{name: "HostileImportsAndScansAreRefused", run: hostileImports},
	}
}

func loadFields(e *env) {
	id := id("fields")
	ctx := context.Background()
	full := e.marshal(bson.D{
		{Key: "name", Value: "Ann"},
		{Key: "gold", Value: int64(7)},
		{Key: "in", Value: bson.D{{Key: "a", Value: 1}, {Key: "b", Value: bson.D{{Key: "c", Value: 2}, {Key: "d", Value: 3}}}}},
		{Key: "list", Value: bson.A{bson.D{{Key: "x", Value: 1}, {Key: "y", Value: 2}}, "text", bson.D{{Key: "y", Value: 3}}}},
		{Key: "none", Value: nil},
	})
	e.must(store.Write{Kind: "player", ID: id, Epoch: 3, Nonce: store.NewNonce(), Body: full})
	for _, c := range []struct {
		fields []string
		want   bson.D
	}{
		{[]string{"gold", "name"}, bson.D{{Key: "name", Value: "Ann"}, {Key: "gold", Value: int64(7)}}},
		{[]string{"in.b.c"}, bson.D{{Key: "in", Value: bson.D{{Key: "b", Value: bson.D{{Key: "c", Value: 2}}}}}}},
		{[]string{"in.b"}, bson.D{{Key: "in", Value: bson.D{{Key: "b", Value: bson.D{{Key: "c", Value: 2}, {Key: "d", Value: 3}}}}}}},
		{[]string{"list.y"}, bson.D{{Key: "list", Value: bson.A{bson.D{{Key: "y", Value: 2}}, bson.D{{Key: "y", Value: 3}}}}}},
		{[]string{"none", "nothing"}, bson.D{{Key: "none", Value: nil}}},
		{[]string{"nothing", "name.first"}, bson.D{}},
	} {
		doc, err := e.LoadFields(ctx, "player", id, c.fields)
		if err != nil {
			e.Fatalf("%v: %v", c.fields, err)
		}
		want := e.marshal(c.want)
		if doc.Version != 1 || doc.Epoch != 3 || !doc.Exists() || !SameContent(e, doc.Body, want) {
			e.Errorf("%v: got %s, want %s", c.fields, show(doc), want)
		}
		if reference, err := store.Project(full, c.fields); err != nil || !SameContent(e, reference, want) {
			e.Errorf("%v: Project gives %s, %v", c.fields, reference, err)
		}
	}
	doc, err := e.LoadFields(ctx, "player", id, nil)
	if err != nil {
		e.Fatal(err)
	}
	e.same(doc, store.Doc{Kind: "player", ID: id, Version: 1, Epoch: 3, Body: full})
	_, err = e.LoadFields(ctx, "player", id+"-none", []string{"gold"})
	e.is(err, store.ErrNotFound)
	for _, bad := range [][]string{{""}, {"a."}, {".a"}, {"$a"}, {"a", "a"}, {"a", "a.b"}, {"a.b", "a"}, {"a\x00"}, {"\xff"}, make([]string, store.MaxFields+1)} {
		if _, err := e.LoadFields(ctx, "player", id, bad); err == nil {
			e.Errorf("%q is no error", bad)
		} else {
			e.is(err, store.ErrInvalid)
		}
	}
}

func scans(e *env) {
	ctx := context.Background()
	names := []string{"a", "A", "a ", "ab", "b", "日本", "😀", "é", "z", "~", "0", "10", "9", "a.b", "$x", "ä", "Z"}
	for i, n := range names {
		e.must(write(e, "scanned", n, 0, int64(i), int64(i)))
	}
	e.claim("scanned", "claimed")
	e.must(write(e, "scanned", "deleted", 0, 1, 1))
	e.must(store.Write{Kind: "scanned", ID: "deleted", Version: 1, Epoch: 1, Nonce: store.NewNonce(), Delete: true})
	e.must(write(e, "other", "b", 0, 0, 1))
	sorted := slices.Clone(names)
	sort.Strings(sorted) // by bytes
	for _, limit := range []int{1, 3, len(names), 1000} {
		var got []string
		after := ""
		for pages := 0; ; pages++ {
			docs, err := e.Scan(ctx, "scanned", after, limit)
			if err != nil {
				e.Fatal(err)
			}
			if len(docs) == 0 {
				break
			}
			if len(docs) > limit || pages > len(names) {
				e.Fatalf("%d documents for a limit of %d", len(docs), limit)
			}
			for _, d := range docs {
				i := int64(slices.Index(names, d.ID))
				e.same(d, store.Doc{Kind: "scanned", ID: d.ID, Version: 1, Epoch: i, Body: number(i)})
				got = append(got, d.ID)
			}
			after = docs[len(docs)-1].ID
		}
		if !slices.Equal(got, sorted) {
			e.Fatalf("limit %d: got %q, want %q", limit, got, sorted)
		}
	}
	if docs, err := e.Scan(ctx, "nothing", "", 10); err != nil || len(docs) != 0 {
		e.Fatalf("a kind without documents: %v, %v", docs, err)
	}
	if docs, err := e.Scan(ctx, "scanned", "between a and b", 1); err != nil || len(docs) != 1 || docs[0].ID != "z" && docs[0].ID < "between a and b" {
		e.Fatalf("after an id that is none: %v, %v", docs, err)
	}
}

func scanLarge(e *env) {
	const each, many = 3 << 20, 6 // 18 MiB, of text: what servers for testing take long for is binary
	for i := range many {
		w := write(e, "large", fmt.Sprint("doc", i), 0, 0, 0)
		w.Body = body(e, "text", strings.Repeat("x", each))
		e.must(w)
	}
	after, seen := "", 0
	for {
		docs, err := e.Scan(context.Background(), "large", after, 1000)
		if err != nil {
			e.Fatal(err)
		}
		if len(docs) == 0 {
			break
		}
		bytes := 0
		for _, d := range docs {
			if d.ID != fmt.Sprint("doc", seen) || len(d.Body) < each {
				e.Fatalf("document %d is %s of %d bytes", seen, d.ID, len(d.Body))
			}
			seen++
			bytes += len(d.Body)
		}
		if bytes > 20<<20 {
			e.Errorf("%d bytes at once", bytes)
		}
		after = docs[len(docs)-1].ID
	}
	if seen != many {
		e.Errorf("%d documents of %d", seen, many)
	}
}

func kinds(e *env) {
	ctx := context.Background()
	if got, err := e.Kinds(ctx); err != nil || len(got) != 0 {
		e.Fatalf("of an empty database: %v, %v", got, err)
	}
	for _, kind := range []string{"player", "guild", "0_a"} {
		e.must(write(e, kind, "x", 0, 0, 1))
	}
	if got, err := e.Kinds(ctx); err != nil || !slices.Equal(got, []string{"0_a", "guild", "player"}) {
		e.Fatalf("got %v, %v", got, err)
	}
}

// importAll imports as a careful caller does.
func (e *env) importAll(docs ...store.Doc) []error {
	e.Helper()
	errs, err := e.Import(context.Background(), docs)
	if err != nil || len(errs) != len(docs) {
		e.Fatalf("%d results for %d documents, %v", len(errs), len(docs), err)
	}
	return errs
}

func imports(e *env) {
	prefix := id("imported")
	docs := make([]store.Doc, 0, 30)
	for i := range 30 {
		docs = append(docs, store.Doc{
			Kind: []string{"player", "guild"}[i%2], ID: fmt.Sprint(prefix, i), Version: int64(i*i + 1), Epoch: int64(i * 3), Body: number(int64(i)),
		})
	}
	for round := range 2 { // the second time as if no answer had come the first time
		for i, err := range e.importAll(docs...) {
			if err != nil {
				e.Fatalf("round %d: %s: %v", round, docs[i].ID, err)
			}
		}
	}
	for _, d := range docs {
		e.expect(d.Kind, d.ID, d.Version, d.Epoch, d.Body)
	}
	// They go on from there.
	d := docs[7]
	owner := e.claim(d.Kind, d.ID)
	e.same(owner, store.Doc{Kind: d.Kind, ID: d.ID, Version: d.Version, Epoch: d.Epoch + 1, Body: d.Body})
	e.is(e.one(write(e, d.Kind, d.ID, d.Version, d.Epoch, 666)), store.ErrFenced)
	e.is(e.one(write(e, d.Kind, d.ID, 0, owner.Epoch, 666)), store.ErrConflict)
	e.must(write(e, d.Kind, d.ID, d.Version, owner.Epoch, 9))
	e.expect(d.Kind, d.ID, d.Version+1, owner.Epoch, number(9))
}

func importOver(e *env) {
	prefix := id("over")
	name := func(s string) string { return prefix + s }
	e.must(write(e, "player", name("there"), 0, 2, 1))
	e.must(write(e, "player", name("deleted"), 0, 2, 1))
	e.must(store.Write{Kind: "player", ID: name("deleted"), Version: 1, Epoch: 2, Nonce: store.NewNonce(), Delete: true})
	e.claim("player", name("claimed"))
	e.claim("player", name("claimed"))
	doc := func(s string, version, epoch int64) store.Doc {
		return store.Doc{Kind: "player", ID: name(s), Version: version, Epoch: epoch, Body: number(7)}
	}
	for i, c := range []struct {
		doc  store.Doc
		want error
	}{
		{doc("there", 1, 2), store.ErrExists},
		{doc("there", 9, 9), store.ErrExists},
		{doc("deleted", 1, 2), store.ErrExists}, // the delete is newer
		{doc("deleted", 2, 1), store.ErrExists}, // its owner was
		{doc("claimed", 5, 1), store.ErrExists},
		{doc("claimed", 5, 2), nil},
		{doc("deleted", 2, 2), nil},
		{doc("new", 4, 0), nil},
	} {
		errs := e.importAll(c.doc, doc(fmt.Sprint("other", i), 1, 0))
		if c.want != nil {
			e.is(errs[0], c.want, "player/"+c.doc.ID)
		} else if errs[0] != nil {
			e.Fatalf("%s: %v", c.doc.ID, errs[0])
		}
		if errs[1] != nil {
			e.Fatalf("the other one: %v", errs[1])
		}
	}
	e.expect("player", name("there"), 1, 2, number(1))
	e.expect("player", name("claimed"), 5, 2, number(7))
	e.expect("player", name("deleted"), 2, 2, number(7))
	e.expect("player", name("new"), 4, 0, number(7))
}

func hostileImports(e *env) {
	prefix := id("hostile")
	good := store.Doc{Kind: "player", ID: prefix, Version: 1, Body: number(1)}
	for i, change := range []func(*store.Doc){
		func(d *store.Doc) { d.Body = nil },
		func(d *store.Doc) { d.Body = d.Body[:5] },
		func(d *store.Doc) { d.Version = 0 },
		func(d *store.Doc) { d.Version = -1 },
		func(d *store.Doc) { d.Epoch = -1 },
		func(d *store.Doc) { d.Kind = "Not A Kind" },
		func(d *store.Doc) { d.ID = "" },
	} {
		bad := good
		change(&bad)
		fine := good
		fine.ID = fmt.Sprint(prefix, i)
		errs := e.importAll(bad, fine)
		e.is(errs[0], store.ErrInvalid)
		if errs[1] != nil {
			e.Fatal(errs[1])
		}
	}
	e.is(e.importAll(good, good)[1], store.ErrInvalid, "twice")
	if errs := e.importAll(); len(errs) != 0 {
		e.Fatalf("got %v", errs)
	}
	for _, c := range []struct {
		kind, after string
		limit       int
	}{{"Not A Kind", "", 1}, {"", "", 1}, {"player", "\xff", 1}, {"player", "", 0}, {"player", "", -1}} {
		_, err := e.Scan(context.Background(), c.kind, c.after, c.limit)
		e.is(err, store.ErrInvalid)
	}
}
