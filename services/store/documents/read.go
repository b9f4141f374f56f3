package documents

import (
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/store"
)

// apiLoad is store.load with kind, id, paths of fields and whether the cache is passed over: the content of a document that somebody else may own, and the
// version of its schema; nil if there is none.
func (m *module) apiLoad(s vm.State) int {
	const what = "store.load"
	n := m.nameAt(s, 1, what)
	msg := store.Load{Kind: n.kind, ID: n.id, Fields: m.paths(s, 3, what), Fresh: s.Bool(4)}
	return m.h.Ask(s, what, m.storeAt(s), msg, func(s vm.State, v any, err error) (int, error) {
		doc, ok := v.(store.Doc)
		switch {
		case errors.Is(err, store.ErrNotFound):
			s.PushNil()
			return 1, nil
		case err != nil:
			return 0, forScript(m.h, err)
		case !ok:
			return 0, fmt.Errorf("store: the load of %s gave no document", n)
		}
		return m.pushContent(s, doc)
	})
}

// pushContent pushes a content and the version of its schema.
func (m *module) pushContent(s vm.State, doc store.Doc) (int, error) {
	if err := m.pushDocument(s, m.codec, doc.Body, store.Name(doc.Kind, doc.ID)); err != nil {
		return 0, err
	}
	schema, _ := doc.Body.Lookup(store.SchemaField).AsInt64OK()
	s.PushInt(max(schema, 1))
	return 2, nil
}

// paths is the list of paths at argument i, nil if there is none.
func (m *module) paths(s vm.State, i int, what string) []string {
	if t := s.Type(i); t == vm.Nil || t == vm.None {
		return nil
	}
	if s.Type(i) != vm.Table {
		s.Errorf("%s: a list of paths is expected as argument %d, got %s", what, i, s.Type(i))
	}
	paths := make([]string, 0, s.Len(i))
	for k := range s.Len(i) {
		s.RawGetInt(i, int64(k)+1)
		path, ok := s.String(-1)
		if !ok {
			s.Errorf("%s: a list of paths is expected as argument %d, its item %d is a %s", what, i, k+1, s.Type(-1))
		}
		paths = append(paths, path)
		s.Pop(1)
	}
	return paths
}

// ops are the names of comparisons.
func ops() map[string]store.Op {
	return map[string]store.Op{"lt": store.Lt, "lte": store.Lte, "gt": store.Gt, "gte": store.Gte}
}

// apiFind is store.find with kind, conditions, order, limit, fields and position: a list of ids, contents and versions of schemas in turn, and the position
// behind the last of them.
func (m *module) apiFind(s vm.State) int {
	const what = "store.find"
	kind, ok := s.String(1)
	if !ok {
		s.Errorf("%s: a kind is expected as argument 1, got %s", what, s.Type(1))
	}
	s.SetTop(6)
	limit, ok := s.Int(4)
	if !ok {
		s.Errorf("%s: the limit is a %s, not a whole number", what, s.Type(4))
	}
	q := store.Query{Kind: kind, Where: m.conditions(s, 2, what), Sort: m.paths(s, 3, what), Fields: m.paths(s, 5, what), After: m.position(s, 6, what)}
	q.Limit = int(min(max(limit, 0), store.MaxQueryLimit+1)) // what is out of range stays so
	return m.ask(s, what, m.storeAt(s), store.Find{Query: q}, func(s vm.State, v any) (int, error) {
		found, ok := v.(store.Found)
		if !ok {
			return 0, fmt.Errorf("store: the query of kind %s gave no documents", kind)
		}
		return m.pushFound(s, found)
	}, nil)
}

func (m *module) pushFound(s vm.State, found store.Found) (int, error) {
	s.NewTable(3*len(found.Docs), 0)
	list := s.Top()
	for i, doc := range found.Docs {
		s.PushString(doc.ID)
		s.RawSetInt(list, int64(3*i)+1)
		n, err := m.pushContent(s, doc)
		if err != nil {
			return n, err
		}
		s.RawSetInt(list, int64(3*i)+3)
		s.RawSetInt(list, int64(3*i)+2)
	}
	if found.Next == nil {
		return 1, nil
	}
	raw, err := bson.Marshal(bson.D{{Key: "id", Value: found.Next.ID}, {Key: "values", Value: found.Next.Values}})
	if err != nil {
		return 0, fmt.Errorf("store: the position of a query: %w", err)
	}
	s.PushString(string(raw))
	return 2, nil
}

// position reads what pushFound has made of a position. It may come from a stranger: the query is checked.
func (m *module) position(s vm.State, i int, what string) *store.Position {
	if s.Type(i) == vm.Nil {
		return nil
	}
	text, _ := s.String(i)
	var p struct {
		ID     string          `bson:"id"`
		Values []bson.RawValue `bson:"values"`
	}
	if err := bson.Unmarshal([]byte(text), &p); err != nil {
		s.Errorf("%s: the position is none that a query has given", what)
	}
	return &store.Position{Values: p.Values, ID: p.ID}
}

// conditions reads a table of conditions by path: a value is an equality, and a table of comparisons a range.
func (m *module) conditions(s vm.State, i int, what string) []store.Condition {
	if s.Type(i) == vm.Nil {
		return nil
	}
	if s.Type(i) != vm.Table {
		s.Errorf("%s: a table of conditions is expected, got %s", what, s.Type(i))
	}
	var where []store.Condition
	s.PushNil()
	for s.Next(i) {
		path, ok := s.String(-2)
		if !ok {
			s.Errorf("%s: a condition is on the path of a field, got a %s", what, s.Type(-2))
		}
		if s.Type(-1) != vm.Table {
			where = append(where, store.Condition{Path: path, Op: store.Eq, Value: m.operand(s, path, what)})
			s.Pop(1)
			continue
		}
		where = append(where, m.comparisons(s, path, what)...)
		s.Pop(1)
	}
	slices.SortFunc(where, func(a, b store.Condition) int { return int(a.Op) - int(b.Op) })
	return where
}

// comparisons reads the table of comparisons on top of the stack.
func (m *module) comparisons(s vm.State, path, what string) []store.Condition {
	var where []store.Condition
	table := s.Top()
	s.PushNil()
	for s.Next(table) {
		name, _ := s.String(-2)
		op, ok := ops()[name]
		if !ok {
			s.Errorf("%s: %s: lt, lte, gt or gte is expected, got %s", what, path, s.Text(-2))
		}
		where = append(where, store.Condition{Path: path, Op: op, Value: m.operand(s, path, what)})
		s.Pop(1)
	}
	return where
}

// operand is the value on top of the stack.
func (m *module) operand(s vm.State, path, what string) bson.RawValue {
	v := s.Top()
	s.NewTable(0, 1)
	s.Copy(v)
	s.SetField(-2, "v")
	out, err := m.raw.Take(nil, s, -1, nil, 0, what+": "+path)
	if err != nil {
		m.raise(s, invalid(err))
	}
	s.Pop(1)
	return bson.Raw(out).Lookup("v")
}
