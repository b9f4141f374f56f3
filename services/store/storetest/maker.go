package storetest

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Maker makes random documents, and others that differ from them a little.
type Maker struct {
	*rand.Rand
	// Plain leaves out the values that a server used for testing may not keep: see the abilities.
	Plain bool
}

// NewMaker makes the same documents for the same seed.
func NewMaker(seed uint64) *Maker {
	return &Maker{Rand: rand.New(rand.NewPCG(seed, 1))}
}

// Document is a random one, of few keys, so that two of them often have the same.
func (m *Maker) Document() bson.D { return m.document(0) }

// Change makes a document that differs a little from one, which it leaves alone.
func (m *Maker) Change(d bson.D) bson.D { return m.changed(d, 0) }

func (m *Maker) key() string {
	keys := []string{"a", "b", "c", "0", "1", "gold", "日本", "x y", "_id"}
	if m.Plain {
		keys = keys[:len(keys)-1]
	}
	return keys[m.IntN(len(keys))]
}

func (m *Maker) value(depth int, inArray bool) any {
	n := 11
	switch {
	case depth > 4:
		n = 9
	case m.Plain && inArray:
		n = 10
	}
	switch m.IntN(n) {
	case 0:
		return m.Int64()
	case 1:
		return int32(m.IntN(3))
	case 2:
		return m.double()
	case 3:
		return strings.Repeat("text", m.IntN(40))
	case 4:
		return m.IntN(2) == 0
	case 5:
		if m.Plain { // FerretDB takes null and nothing for equal
			return "null"
		}
		return nil
	case 6:
		return bson.DateTime(m.IntN(1000))
	case 7:
		return m.rare()
	case 8:
		return bson.ObjectID{byte(m.IntN(3))}
	case 9:
		return m.document(depth + 1)
	}
	list := bson.A{}
	for range m.IntN(6) {
		list = append(list, m.value(depth+1, true))
	}
	return list
}

func (m *Maker) double() float64 {
	if m.Plain {
		return float64(m.IntN(5)) / 2
	}
	return []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), 1.5}[m.IntN(5)]
}

func (m *Maker) rare() any {
	all := []any{bson.Binary{Data: []byte{0}}, bson.Timestamp{T: 7}, bson.Binary{Subtype: 2, Data: []byte("ab")}, bson.Regex{Pattern: "a", Options: "i"}, bson.MinKey{}, bson.MaxKey{}, bson.Decimal128{}}
	if m.Plain {
		all = all[:2]
	}
	return all[m.IntN(len(all))]
}

func has(d bson.D, key string) bool {
	return slices.ContainsFunc(d, func(e bson.E) bool { return e.Key == key })
}

func (m *Maker) document(depth int) bson.D {
	d := bson.D{}
	for range m.IntN(8) {
		if key := m.key(); !has(d, key) {
			d = append(d, bson.E{Key: key, Value: m.value(depth, false)})
		}
	}
	return d
}

func (m *Maker) other(v any, depth int, inArray bool) any {
	switch v := v.(type) {
	case bson.D:
		return m.changed(v, depth)
	case bson.A:
		return m.list(v, depth)
	}
	return m.value(depth, inArray)
}

func (m *Maker) list(a bson.A, depth int) bson.A {
	a = slices.Clone(a)
	for i := range a {
		if m.IntN(3) == 0 {
			a[i] = m.other(a[i], depth+1, true)
		}
	}
	switch m.IntN(4) {
	case 0:
		a = append(a, m.value(depth+1, true), m.value(depth+1, true))
	case 1:
		a = a[:m.IntN(len(a)+1)]
	}
	return a
}

func (m *Maker) changed(d bson.D, depth int) bson.D {
	d = slices.Clone(d)
	for i := range d {
		if m.IntN(4) == 0 {
			d[i].Value = m.other(d[i].Value, depth+1, false)
		}
	}
	if len(d) > 0 && m.IntN(3) == 0 {
		at := m.IntN(len(d))
		d = slices.Delete(d, at, at+1)
	}
	if key := m.key(); m.IntN(3) == 0 && !has(d, key) {
		d = append(d, bson.E{Key: key, Value: m.value(depth, false)})
	}
	if m.IntN(4) == 0 {
		m.Shuffle(len(d), func(i, j int) { d[i], d[j] = d[j], d[i] })
	}
	return d
}

// SameContent tells whether two contents are equal but for the order of their keys.
func SameContent(tb testing.TB, a, b bson.Raw) bool {
	tb.Helper()
	return bytes.Equal(a, b) || bytes.Equal(canon(tb, a, false), canon(tb, b, false))
}

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
		if v.Type == bson.TypeEmbeddedDocument || v.Type == bson.TypeArray {
			v = bson.RawValue{Type: v.Type, Value: canon(tb, v.Value, v.Type == bson.TypeArray)}
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
