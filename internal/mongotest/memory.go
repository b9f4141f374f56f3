package mongotest

import (
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Memory answers the commands that keep single documents, by _id, as MongoDB documents them: update, findAndModify and find, each document at a time and in one
// step, which FerretDB's are not. It knows the operators $set, $unset, $inc and $setOnInsert on fields of documents, and in filters equality, $lte and $in.
type Memory struct {
	mu   sync.Mutex
	docs map[string]map[string]bson.D // by collection and _id
}

// NewMemory makes one; its Answer is for Answer.
func NewMemory() *Memory { return &Memory{docs: map[string]map[string]bson.D{}} }

// Answer replies to a command, nil for one that needs no more than ok.
func (m *Memory) Answer(command string, doc bson.Raw) bson.D {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, _ := doc.Lookup(command).StringValueOK()
	if m.docs[name] == nil {
		m.docs[name] = map[string]bson.D{}
	}
	docs := m.docs[name]
	switch command {
	case "find":
		return m.find(name, doc.Lookup("filter").Document())
	case "update":
		return update(docs, doc)
	case "findAndModify":
		found := change(docs, doc.Lookup("query").Document(), doc.Lookup("update").Document(), true)
		return bson.D{{Key: "ok", Value: 1}, {Key: "value", Value: docs[found.id]}}
	}
	return nil
}

func (m *Memory) find(name string, filter bson.Raw) bson.D {
	list := bson.A{}
	for _, doc := range m.docs[name] {
		if matches(doc, filter) {
			list = append(list, doc)
		}
	}
	return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "db." + name}, {Key: "firstBatch", Value: list}}}}
}

func update(docs map[string]bson.D, command bson.Raw) bson.D {
	values, err := command.Lookup("updates").Array().Values()
	if err != nil {
		return Failure(9, err.Error())
	}
	n, upserted, refused := 0, bson.A{}, bson.A{}
	for i, v := range values {
		one := v.Document()
		upsert, _ := one.Lookup("upsert").BooleanOK()
		switch done := change(docs, one.Lookup("q").Document(), one.Lookup("u").Document(), upsert); {
		case done.taken:
			refused = append(refused, bson.D{{Key: "index", Value: i}, {Key: "code", Value: 11000}, {Key: "errmsg", Value: "E11000 duplicate key error index: _id_ dup key"}})
		case done.made:
			upserted = append(upserted, bson.D{{Key: "index", Value: i}, {Key: "_id", Value: done.id}})
			n++
		case done.matched:
			n++
		}
	}
	reply := bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: n}, {Key: "nModified", Value: n - len(upserted)}}
	if len(upserted) > 0 {
		reply = append(reply, bson.E{Key: "upserted", Value: upserted})
	}
	if len(refused) > 0 {
		reply = append(reply, bson.E{Key: "writeErrors", Value: refused})
	}
	return reply
}

type changed struct {
	id                   string
	matched, made, taken bool
}

// change does an update of the document whose _id the filter names.
func change(docs map[string]bson.D, filter, with bson.Raw, upsert bool) changed {
	done := changed{id: filter.Lookup("_id").StringValue()}
	doc, there := docs[done.id]
	switch {
	case there && matches(doc, filter):
		done.matched = true
	case !upsert:
		return done
	case there:
		done.taken = true
		return done
	default:
		done.made = true
		doc = bson.D{{Key: "_id", Value: done.id}}
		each(with.Lookup("$setOnInsert"), func(path string, v bson.RawValue) { doc = set(doc, path, v) })
	}
	each(with.Lookup("$set"), func(path string, v bson.RawValue) { doc = set(doc, path, v) })
	each(with.Lookup("$unset"), func(path string, _ bson.RawValue) { doc = set(doc, path, bson.RawValue{}) })
	each(with.Lookup("$inc"), func(path string, v bson.RawValue) {
		old, _ := field(doc, path).AsInt64OK()
		doc = set(doc, path, raw(old+v.AsInt64()))
	})
	docs[done.id] = doc
	return done
}

func each(v bson.RawValue, f func(path string, v bson.RawValue)) {
	doc, ok := v.DocumentOK()
	if !ok {
		return
	}
	elements, err := doc.Elements()
	if err != nil {
		return
	}
	for _, e := range elements {
		v := e.Value()
		f(e.Key(), bson.RawValue{Type: v.Type, Value: append([]byte(nil), v.Value...)})
	}
}

func raw(v any) bson.RawValue {
	kind, data, err := bson.MarshalValue(v)
	if err != nil {
		return bson.RawValue{}
	}
	return bson.RawValue{Type: kind, Value: data}
}

// set gives the document with the value at the path, or without what is there if the value is none.
func set(doc bson.D, path string, v bson.RawValue) bson.D {
	key, rest, deep := strings.Cut(path, ".")
	if deep {
		var inner bson.D
		if err := field(doc, key).Unmarshal(&inner); err != nil {
			return doc
		}
		v = raw(set(inner, rest, v))
	}
	out := make(bson.D, 0, len(doc)+1)
	done := false
	for _, e := range doc {
		if e.Key != key {
			out = append(out, e)
			continue
		}
		done = true
		if v.Type != 0 {
			out = append(out, bson.E{Key: key, Value: v})
		}
	}
	if !done && v.Type != 0 {
		out = append(out, bson.E{Key: key, Value: v})
	}
	return out
}

func field(doc bson.D, key string) bson.RawValue {
	for _, e := range doc {
		if e.Key == key {
			return raw(e.Value)
		}
	}
	return bson.RawValue{}
}

func matches(doc bson.D, filter bson.Raw) bool {
	ok := true
	each(raw(filter), func(key string, want bson.RawValue) { ok = ok && meets(field(doc, key), want) })
	return ok
}

func meets(have, want bson.RawValue) bool {
	conditions, ok := want.DocumentOK()
	if !ok {
		return same(have, want)
	}
	if most := conditions.Lookup("$lte"); most.Type != 0 {
		n, ok := have.AsInt64OK()
		return ok && n <= most.AsInt64()
	}
	values, err := conditions.Lookup("$in").Array().Values()
	if err != nil {
		return false
	}
	for _, v := range values {
		if same(have, v) {
			return true
		}
	}
	return false
}

// same compares as MongoDB does: numbers whatever their type.
func same(a, b bson.RawValue) bool {
	m, ok := a.AsInt64OK()
	n, also := b.AsInt64OK()
	return ok && also && m == n || a.Equal(b)
}
