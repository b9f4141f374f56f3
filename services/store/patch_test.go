package store_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// canon is a content whose keys are in order everywhere, so that equal contents are equal bytes.
func canon(tb testing.TB, body bson.Raw, array bool) bson.Raw {
	tb.Helper()
	elements, err := body.Elements()
	if err != nil {
		tb.Fatalf("%v: %x", err, []byte(body))
	}
	out := make(bson.D, 0, len(elements))
	for _, e := range elements {
		v := e.Value()
		switch v.Type {
		case bson.TypeEmbeddedDocument, bson.TypeArray:
			inner := canon(tb, bson.Raw(v.Value), v.Type == bson.TypeArray)
			v = bson.RawValue{Type: v.Type, Value: inner}
		default:
		}
		out = append(out, bson.E{Key: e.Key(), Value: v})
	}
	if !array {
		slices.SortFunc(out, func(a, b bson.E) int { return cmp.Compare(a.Key, b.Key) })
	}
	raw, err := bson.Marshal(out)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// sameContent tells whether two contents are equal but for the order of keys.
func sameContent(tb testing.TB, a, b bson.Raw) bool {
	tb.Helper()
	return bytes.Equal(canon(tb, a, false), canon(tb, b, false))
}

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
		if err != nil || !sameContent(t, got, after) {
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

// maker makes random documents, and others that differ from them a little.
type maker struct{ *rand.Rand }

func (m maker) key() string {
	return []string{"a", "b", "c", "0", "1", "gold", "日本", "_id", "x y"}[m.IntN(9)]
}

func (m maker) value(depth int) any {
	n := 11
	if depth > 4 {
		n = 9
	}
	switch m.IntN(n) {
	case 0:
		return m.Int64()
	case 1:
		return int32(m.IntN(3))
	case 2:
		return []any{0.0, math.Copysign(0, -1), math.NaN(), math.Inf(1), 1.5}[m.IntN(5)]
	case 3:
		return strings.Repeat("text", m.IntN(40))
	case 4:
		return m.IntN(2) == 0
	case 5:
		return nil
	case 6:
		return bson.DateTime(m.IntN(1000))
	case 7:
		return []any{bson.Binary{Subtype: 2, Data: []byte("ab")}, bson.Binary{Data: []byte{0}}, bson.Regex{Pattern: "a", Options: "i"}, bson.MinKey{}, bson.MaxKey{}, bson.Decimal128{}}[m.IntN(6)]
	case 8:
		return bson.ObjectID{byte(m.IntN(3))}
	case 9:
		return m.document(depth + 1)
	}
	list := bson.A{}
	for range m.IntN(6) {
		list = append(list, m.value(depth+1))
	}
	return list
}

func (m maker) document(depth int) bson.D {
	d := bson.D{}
	for range m.IntN(8) {
		if key := m.key(); !slices.ContainsFunc(d, func(e bson.E) bool { return e.Key == key }) {
			d = append(d, bson.E{Key: key, Value: m.value(depth)})
		}
	}
	return d
}

// change makes another value of one, which it leaves alone.
func (m maker) change(v any, depth int) any {
	switch v := v.(type) {
	case bson.D:
		return m.changeDocument(v, depth)
	case bson.A:
		list := slices.Clone(v)
		for i := range list {
			if m.IntN(3) == 0 {
				list[i] = m.change(list[i], depth+1)
			}
		}
		switch m.IntN(4) {
		case 0:
			list = append(list, m.value(depth+1), m.value(depth+1))
		case 1:
			list = list[:m.IntN(len(list)+1)]
		}
		return list
	}
	return m.value(depth)
}

func (m maker) changeDocument(d bson.D, depth int) bson.D {
	d = slices.Clone(d)
	for i := range d {
		if m.IntN(4) == 0 {
			d[i].Value = m.change(d[i].Value, depth+1)
		}
	}
	if len(d) > 0 && m.IntN(3) == 0 {
		at := m.IntN(len(d))
		d = slices.Delete(d, at, at+1)
	}
	if key := m.key(); m.IntN(3) == 0 && !slices.ContainsFunc(d, func(e bson.E) bool { return e.Key == key }) {
		d = append(d, bson.E{Key: key, Value: m.value(depth)})
	}
	if m.IntN(4) == 0 {
		m.Shuffle(len(d), func(i, j int) { d[i], d[j] = d[j], d[i] })
	}
	return d
}

// lawful fails unless a patch keeps what its comment promises.
func lawful(tb testing.TB, before, after bson.Raw) *store.Patch {
	tb.Helper()
	p := store.Diff(before, after)
	if p == nil {
		return nil
	}
	if p.IsEmpty() != sameContent(tb, before, after) {
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
	if err != nil || !sameContent(tb, got, after) || !bytes.Equal(kept, before) {
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
	m := maker{rand.New(rand.NewPCG(seed, 1))}
	worth := 0
	for range 3000 {
		d := append(m.document(0), filler())
		if p := lawful(t, raw(t, d), raw(t, m.changeDocument(d, 0))); p != nil && !p.IsEmpty() {
			worth++
		}
		lawful(t, raw(t, m.document(0)), raw(t, m.document(0)))
	}
	if worth < 500 {
		t.Errorf("%d of 3,000 documents had a patch: this shows little", worth)
	}
}

// FuzzDiff: whatever two contents CheckBody passes, their patch leads from one to the other; whatever it does not pass harms nobody.
func FuzzDiff(f *testing.F) {
	m := maker{rand.New(rand.NewPCG(1, 2))}
	for range 20 {
		d := append(m.document(0), filler())
		f.Add([]byte(raw(f, d)), []byte(raw(f, m.changeDocument(d, 0))))
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
	for i := range 100_000 {
		before = append(before, bson.E{Key: fmt.Sprint("key", i), Value: "some text that is the same"})
	}
	after = slices.Clone(before)
	slices.Reverse(after)
	after[5].Value = "other"
	if p := lawful(t, raw(t, before), raw(t, after)); text(p) != `key99994="other"` {
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
