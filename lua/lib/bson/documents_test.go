package bson_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"

	"github.com/skua-go/skua/lua/lib/bson"
	"github.com/skua-go/skua/lua/vm"
)

func documentsOf(s vm.State) *bson.Documents { return bson.NewDocuments(s, "_schema", 1<<20, 96) }

// field is a key that a document can have.
func field(t *rapid.T) string {
	return strings.NewReplacer(".", "_", "$", "s", "\x00", "0").Replace(rapid.StringN(1, 8, 16).Draw(t, "key"))
}

// anything draws a value of any type that can be kept, with integers of 64 bits up to most.
func anything(t *rapid.T, depth int, most int64) any {
	kinds := 13
	if depth == 0 {
		kinds = 11
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.Int32().Draw(t, "int32")
	case 1:
		return rapid.Int64Range(-most, most).Draw(t, "int64")
	case 2:
		return rapid.Float64().Draw(t, "double")
	case 3:
		return rapid.Bool().Draw(t, "bool")
	case 4:
		return strings.TrimLeft(rapid.String().Draw(t, "text"), "\x00")
	case 5:
		return nil
	case 6:
		return driver.DateTime(rapid.Int64().Draw(t, "date"))
	case 7:
		return driver.Binary{Subtype: rapid.Byte().Filter(func(b byte) bool { return b != 2 }).Draw(t, "subtype"), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")}
	case 8:
		return driver.ObjectID(rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "id"))
	case 9:
		return driver.NewDecimal128(rapid.Uint64().Draw(t, "high"), rapid.Uint64().Draw(t, "low"))
	case 10:
		return driver.Timestamp{T: rapid.Uint32().Draw(t, "seconds"), I: rapid.Uint32().Draw(t, "increment")}
	case 11:
		return fields(t, depth-1, most)
	default:
		list := driver.A{}
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			list = append(list, anything(t, depth-1, most))
		}
		return list
	}
}

func fields(t *rapid.T, depth int, most int64) driver.D {
	doc := driver.D{}
	known := map[string]bool{}
	for range rapid.IntRange(0, 6).Draw(t, "fields") {
		if key := field(t); !known[key] {
			known[key] = true
			doc = append(doc, driver.E{Key: key, Value: anything(t, depth, most)})
		}
	}
	return doc
}

func TestADocumentThatGoesThroughATableIsTheSameBytes(t *testing.T) {
	for name, e := range engineKinds(t) {
		t.Run(name, func(t *testing.T) {
			s := e.New(vm.Options{}).Main()
			c := documentsOf(s)
			most := int64(math.MaxInt64)
			if name == "gopher" {
				most = 1 << 53
			}
			rapid.Check(t, func(t *rapid.T) {
				s.SetTop(0)
				raw, err := driver.Marshal(fields(t, 4, most))
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Push(s, raw, "doc"); err != nil {
					t.Fatal(err)
				}
				out, err := c.Take(nil, s, -1, raw, 0, "doc")
				if err != nil || !bytes.Equal(out, raw) {
					t.Fatalf("%v\nbecame %v, %v", driver.Raw(raw), driver.Raw(out), err)
				}
				if s.Top() != 1 {
					t.Fatalf("%d values are on the stack", s.Top())
				}
				// Without the content before, it still gives the same table.
				fresh, err := c.Take([]byte("before"), s, 1, nil, 7, "doc")
				if err != nil || string(fresh[:6]) != "before" {
					t.Fatal(err)
				}
				fresh = fresh[6:]
				if n, ok := driver.Raw(fresh).Lookup("_schema").AsInt64OK(); !ok || n != 7 {
					t.Fatalf("no hidden field: %v", driver.Raw(fresh))
				}
				if err := c.Push(s, fresh, "doc"); err != nil {
					t.Fatal(err)
				}
				if out, err = c.Take(nil, s, -1, raw, 0, "doc"); err != nil || !bytes.Equal(out, raw) {
					t.Fatalf("%v\nbecame %v behind a new encoding, %v", driver.Raw(raw), driver.Raw(out), err)
				}
			})
		})
	}
}

func TestWhatAScriptChangesIsAllThatChanges(t *testing.T) {
	const change = `local d = ... d.n = 6 d.new = 1 d.gone = nil d.list[3] = "c" d.sub.z = nil d.empty[1] = true d.was = {}`
	for name, e := range engineKinds(t) {
		t.Run(name, func(t *testing.T) {
			s := e.New(vm.Options{}).Main()
			c := documentsOf(s)
			raw, err := driver.Marshal(driver.D{
				{Key: "z", Value: "first"},
				{Key: "n", Value: int32(5)},
				{Key: "gone", Value: true},
				{Key: "list", Value: driver.A{"a", int32(2)}},
				{Key: "sub", Value: driver.D{{Key: "z", Value: 1.5}, {Key: "a", Value: int64(1)}}},
				{Key: "empty", Value: driver.A{}},
				{Key: "was", Value: driver.A{int64(1)}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Push(s, raw, "doc"); err != nil {
				t.Fatal(err)
			}
			if err := s.Load("change", change); err != nil {
				t.Fatal(err)
			}
			s.Copy(1)
			s.Call(1, 0)
			out, err := c.Take(nil, s, 1, raw, 0, "doc")
			if err != nil {
				t.Fatal(err)
			}
			const want = `{"z": "first","n": {"$numberInt":"6"},"list": ["a",{"$numberInt":"2"},"c"],"sub": {"a": {"$numberLong":"1"}},` +
				`"empty": [true],"was": [],"new": {"$numberLong":"1"}}`
			if got := driver.Raw(out).String(); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
}

func FuzzADocumentIntoATable(f *testing.F) {
	f.Add(playerDocument(f))
	for _, text := range []string{"", "\x05\x00\x00\x00\x00", "\x08\x00\x00\x00\x0aa\x00\x00", "\x0d\x00\x00\x00\x04a\x00\x05\x00\x00\x00\x00\x00", "\x0e\x00\x00\x00\x02a\x00\x02\x00\x00\x00x\x00\x00"} {
		f.Add([]byte(text))
	}
	var states []vm.State
	for _, e := range engineKinds(f) {
		states = append(states, e.New(vm.Options{}).Main())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, s := range states {
			s.SetTop(0)
			c := documentsOf(s)
			if err := c.Push(s, raw, "doc"); err != nil {
				if s.Top() != 0 {
					t.Fatalf("%d values are left on the stack", s.Top())
				}
				continue
			}
			out, err := c.Take(nil, s, 1, raw, 0, "doc")
			if err != nil {
				continue
			}
			if err := c.Push(s, out, "doc"); err != nil {
				t.Fatalf("%x became %x: %v", raw, out, err)
			}
		}
	})
}
