package store_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/storetest"
)

func raw(tb testing.TB, d any) bson.Raw {
	tb.Helper()
	b, err := bson.Marshal(d)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// filler makes a document large enough for a patch of it to be worth it.
func filler() bson.E { return bson.E{Key: "filler", Value: strings.Repeat("x", 2000)} }

func parsed(tb testing.TB, json string) (d bson.D) {
	tb.Helper()
	if err := bson.UnmarshalExtJSON([]byte(json), false, &d); err != nil {
		tb.Fatal(err)
	}
	return d
}

func text(p *store.Patch) string {
	if p == nil {
		return "none"
	}
	var parts []string
	for _, c := range p.Set {
		parts = append(parts, c.Path+"="+c.Value.String())
	}
	for _, path := range p.Unset {
		parts = append(parts, "-"+path)
	}
	return strings.Join(parts, " ")
}

func TestAPatchNamesWhatChangedAndNothingElse(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`{"a":1}`, `{"a":1}`, ``},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, ``},
		{`{"a":"x","b":"y"}`, `{"a":"x","b":"z"}`, `b="z"`},
		{`{"a":"x"}`, `{"a":"x","b":"z"}`, `b="z"`},
		{`{"a":"x","b":"y"}`, `{"b":"y"}`, `-a`},
		{`{"a":"x","b":"y","c":"z"}`, `{"c":"w","a":"x","d":"v"}`, `c="w" d="v" -b`},
		{`{"in":{"a":"x","b":"long long long long long long"}}`, `{"in":{"a":"y","b":"long long long long long long"}}`, `in.a="y"`},
		{`{"in":{"a":"x"}}`, `{"in":{"a":"y"}}`, `in.a="y"`},
		{`{"in":{"a":"x"}}`, `{"in":{}}`, `-in.a`},
		{`{"in":{}}`, `{"in":[]}`, `in=[]`},
		{`{"in":[]}`, `{"in":["x"]}`, `in.0="x"`},
		{`{"in":["x"]}`, `{"in":["x","y","z"]}`, `in.1="y" in.2="z"`},
		{`{"in":["x","y"]}`, `{"in":["y"]}`, `in=["y"]`},
		{`{"in":["x",{"k":"v","l":"long long long long long long"}]}`, `{"in":["x",{"k":"w","l":"long long long long long long"}]}`, `in.1.k="w"`},
		{`{"in":[["a","b"]]}`, `{"in":[["a","c"]]}`, `in.0.1="c"`},
		{`{"n":1}`, `{"n":{"$numberLong":"1"}}`, `n={"$numberLong":"1"}`},
		{`{"n":0.0}`, `{"n":-0.0}`, `n={"$numberDouble":"-0.0"}`},
		{`{"n":{"$numberDouble":"NaN"}}`, `{"n":{"$numberDouble":"NaN"}}`, ``},
		{`{"n":null}`, `{"n":false}`, `n=false`},
		// Many small changes in a small document cost more than all of it.
		{`{"deep":{"a":true,"b":true,"c":true}}`, `{"deep":{"a":false,"b":false,"c":false}}`, `deep={"a": false,"b": false,"c": false}`},
	} {
		before, after := raw(t, append(bson.D{filler()}, parsed(t, c.old)...)), raw(t, append(parsed(t, c.new), filler()))
		p := store.Diff(before, after)
		if got := text(p); got != c.want {
			t.Errorf("%v to %v: got %s, want %s", c.old, c.new, got, c.want)
			continue
		}
		got, err := p.Apply(before)
		if err != nil || !storetest.SameContent(t, got, after) {
			t.Errorf("%v to %v: applied it gives %v, %v", c.old, c.new, got, err)
		}
		if p.IsEmpty() != (c.want == "") || !p.IsEmpty() && (p.Size() < 18 || p.Size() > 120) {
			t.Errorf("%v to %v: empty %v, %d bytes", c.old, c.new, p.IsEmpty(), p.Size())
		}
	}
}

func TestAPatchThatIsNotWorthItIsNone(t *testing.T) {
	small, other := raw(t, bson.D{{Key: "n", Value: int64(1)}}), raw(t, bson.D{{Key: "n", Value: int64(2)}})
	for _, c := range [][2]bson.Raw{
		{small, other},
		{raw(t, bson.D{filler()}), raw(t, bson.D{{Key: "filler", Value: strings.Repeat("y", 2000)}})},
		{raw(t, bson.D{filler()}), small},
		{nil, small},
		{small, nil},
		{small, small[:len(small)-1]},
		{raw(t, bson.D{filler()})[:1000], raw(t, bson.D{filler()})},
	} {
		if p := store.Diff(c[0], c[1]); p != nil {
			t.Errorf("%d to %d bytes: %s", len(c[0]), len(c[1]), text(p))
		}
	}
	if p := store.Diff(small, bytes.Clone(small)); p == nil || !p.IsEmpty() {
		t.Errorf("equal documents: %s", text(p))
	}
}

func TestAPatchOfAnotherContentIsRefused(t *testing.T) {
	x := bson.RawValue{Type: bson.TypeString, Value: []byte{2, 0, 0, 0, 'x', 0}}
	content := raw(t, bson.D{{Key: "a", Value: "text"}, {Key: "in", Value: bson.D{{Key: "b", Value: 1}}}, {Key: "list", Value: bson.A{1, 2}}})
	set := func(paths ...string) *store.Patch {
		p := &store.Patch{}
		for _, path := range paths {
			p.Set = append(p.Set, store.Change{Path: path, Value: x})
		}
		return p
	}
	for want, p := range map[string]*store.Patch{
		`at "a": is no document`:             set("a.b"),
		`at "none": there is nothing`:        set("none.b"),
		`at "gone": there is nothing`:        {Unset: []string{"gone"}},
		`at "list.3": the array has 2`:       set("list.3"),
		`at "list.x": the array has 2`:       set("list.x"),
		`at "list.1": an array can't lose`:   {Unset: []string{"list.1"}},
		`at "in.b": the path is empty, or`:   set("in", "in.b"),
		`at "in": another path begins with`:  set("in.b", "in"),
		`at "": the path is empty, or`:       set(""),
		`at "in.": the path is empty, or`:    set("in."),
		`at "in.c": there is nothing`:        set("in.c.d"),
		`at "in.c": another path begins wit`: set("in.c.d", "in.c"),
	} {
		if _, err := p.Apply(content); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "store: invalid: the patch") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, broken := range []bson.Raw{nil, {5, 0, 0, 0}, content[:20], raw(t, bson.D{{Key: "in", Value: bson.D{{Key: "b", Value: 1}}}})[:12]} {
		if _, err := set("in.b").Apply(broken); err == nil {
			t.Errorf("%x: no error", []byte(broken))
		}
	}
}

// lawful fails unless a patch keeps what its comment promises.
func lawful(tb testing.TB, before, after bson.Raw) *store.Patch {
	tb.Helper()
	p := store.Diff(before, after)
	if p == nil {
		return nil
	}
	if p.IsEmpty() != storetest.SameContent(tb, before, after) {
		tb.Fatalf("%v to %v: %s", before, after, text(p))
	}
	if !p.IsEmpty() && p.Size() > len(after)/2 {
		tb.Fatalf("a patch of %d bytes for a document of %d", p.Size(), len(after))
	}
	var paths []string
	for _, c := range p.Set {
		paths = append(paths, c.Path)
	}
	paths = append(paths, p.Unset...)
	for i, a := range paths {
		for j, b := range paths {
			if i != j && (a == b || strings.HasPrefix(a, b+".")) {
				tb.Fatalf("%v to %v: the paths %s and %s overlap", before, after, a, b)
			}
		}
	}
	kept := bytes.Clone(before)
	got, err := p.Apply(before)
	if err != nil || !storetest.SameContent(tb, got, after) || !bytes.Equal(kept, before) {
		tb.Fatalf("%v\nto %v\nby %s\ngives %v, %v", before, after, text(p), got, err)
	}
	if err := store.CheckBody("player", "1", got); err != nil {
		tb.Fatal(err)
	}
	if again := store.Diff(got, after); again == nil || !again.IsEmpty() {
		tb.Fatalf("still different: %s", text(again))
	}
	return p
}

func TestAPatchAppliedToTheOldContentIsTheNewOne(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	m := storetest.NewMaker(seed)
	worth := 0
	for range 3000 {
		d := append(m.Document(), filler())
		if p := lawful(t, raw(t, d), raw(t, m.Change(d))); p != nil && !p.IsEmpty() {
			worth++
		}
		lawful(t, raw(t, m.Document()), raw(t, m.Document()))
	}
	if worth < 500 {
		t.Errorf("%d of 3,000 documents had a patch: this shows little", worth)
	}
}

// FuzzDiff: whatever two contents CheckBody passes, their patch leads from one to the other; whatever it does not pass harms nobody.
func FuzzDiff(f *testing.F) {
	m := storetest.NewMaker(1)
	for range 20 {
		d := append(m.Document(), filler())
		f.Add([]byte(raw(f, d)), []byte(raw(f, m.Change(d))))
	}
	f.Add([]byte{5, 0, 0, 0, 0}, []byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, before, after []byte) {
		if store.CheckBody("player", "1", before) == nil && store.CheckBody("player", "1", after) == nil {
			lawful(t, before, after)
			return
		}
		if p := store.Diff(before, after); p != nil {
			_, _ = p.Apply(before)
		}
	})
}

func TestManyChangedKeysTakeLinearTime(t *testing.T) {
	var before, after bson.D
	for i := range 40_000 {
		before = append(before, bson.E{Key: fmt.Sprint("key", i), Value: "some text that is the same"})
	}
	after = slices.Clone(before)
	slices.Reverse(after)
	after[5].Value = "other"
	if p := store.Diff(raw(t, before), raw(t, after)); text(p) != `key39994="other"` {
		t.Errorf("got %s", text(p))
	}
}

// fields is a document of 2 KB with 50 fields, as a player's.
func fields(changed int) bson.D {
	d := bson.D{}
	for i := range 50 {
		n := 0
		if i == 25 {
			n = changed
		}
		d = append(d, bson.E{Key: fmt.Sprint("field_", i), Value: fmt.Sprintf("value %d of %025d", n, i)})
	}
	return d
}

func BenchmarkDiffOneOfFiftyFields(b *testing.B) {
	before, after := raw(b, fields(1)), raw(b, fields(2))
	b.SetBytes(int64(len(after)))
	b.ReportAllocs()
	for b.Loop() {
		if len(store.Diff(before, after).Set) != 1 {
			b.Fatal("not one change")
		}
	}
}

func BenchmarkApplyOneOfFiftyFields(b *testing.B) {
	before, after := raw(b, fields(1)), raw(b, fields(2))
	p := store.Diff(before, after)
	b.SetBytes(int64(len(after)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Apply(before); err != nil {
			b.Fatal(err)
		}
	}
}
