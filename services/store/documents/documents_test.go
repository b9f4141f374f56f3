package documents_test

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestAnOpenDocumentIsAPlainTableThatSavesItself(t *testing.T) {
	in(t, `
function M.fill(self)
  local p = self.p
  p.gold = p.gold + 1
  p.bag[#p.bag + 1] = { kind = "sword" }
  table.insert(p.bag, 1, { kind = "shield" })
  p.name = nil
  local keys = {}
  for k in pairs(p) do keys[#keys + 1] = k end
  table.sort(keys)
  return table.concat(keys, " ")
end`, func(t *testing.T, r *rig) {
		a := r.service()
		r.want("true", a, "open", "ann", map[string]any{"gold": 5, "name": "x", "bag": map[string]any{}})
		r.want(`"bag gold"`, a, "fill")
		pass(autosave)
		r.has("ann", `{"bag":[{"kind":"shield"},{"kind":"sword"}],"gold":6}`)
		r.want("6", a, "get", "gold")
		if n := r.db.written("ann"); n != 1 {
			t.Errorf("it was written %d times", n)
		}
		pass(10 * autosave)
		r.want("true", a, "nothing") // a run without a change
		pass(10 * autosave)
		if n := r.db.written("ann"); n != 1 {
			t.Errorf("it was written %d times although nothing had changed", n)
		}
		r.want("true", a, "set", "gold", 7)
		pass(autosave)
		if n := r.db.written("ann"); n != 2 {
			t.Errorf("it was written %d times", n)
		}
	})
}

func TestAnOpenedDocumentThatNobodyFillsIsNotWritten(t *testing.T) {
	in(t, "", func(_ *testing.T, r *rig) {
		a := r.service()
		r.want("true", a, "open", "ann")
		pass(10 * autosave)
		r.lacks("ann")
	})
}

func TestACommitReturnsWhenTheContentIsDurable(t *testing.T) {
	in(t, "", func(_ *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann", map[string]any{"gold": 1})
		r.want("0", a, "version")
		r.want("true", a, "commit")
		r.has("ann", `{"gold":1}`)
		r.want("1", a, "version")
		r.db.set(func() { r.db.away = true })
		r.call(a, "set", "gold", 2)
		r.want("error: store: unavailable: commit player/ann (kept until the database is back)", a, "commit")
		r.db.set(func() { r.db.away = false })
		pass(autosave)
		pass(autosave)
		r.has("ann", `{"gold":2}`)
	})
}

func TestTypesOfADatabaseSurviveAScriptThatDoesNotTouchThem(t *testing.T) {
	in(t, `function M.types(self)
  local p = self.p
  return bson.type(p.date), bson.type(p.id), bson.type(p.bytes), bson.type(p.null), p.list[2], #p.empty
end`, func(t *testing.T, r *rig) {
		content := bson.D{
			{Key: "date", Value: bson.DateTime(1700000000123)},
			{Key: "id", Value: bson.ObjectID{1, 2, 3}},
			{Key: "bytes", Value: bson.Binary{Subtype: 4, Data: []byte("0123456789abcdef")}},
			{Key: "i32", Value: int32(5)},
			{Key: "i64", Value: int64(5)},
			{Key: "f", Value: 5.0},
			{Key: "null", Value: nil},
			{Key: "yes", Value: true},
			{Key: "empty", Value: bson.A{}},
			{Key: "none", Value: bson.D{}},
			{Key: "list", Value: bson.A{int32(1), int64(2), 3.0, bson.A{bson.D{}, bson.A{}}}},
			{Key: "sub", Value: bson.D{{Key: "z", Value: int32(1)}, {Key: "a", Value: "text"}}},
			{Key: "dec", Value: bson.NewDecimal128(1, 2)},
		}
		r.put("ann", content)
		a := r.service()
		r.want("true", a, "open", "ann")
		if got := r.call(a, "types"); got != `"date" 1.700000000123e+09 "objectid" "010203000000000000000000" "binary" "0123456789abcdef" 4 "nil" 2 0` &&
			got != `"date" "objectid" "binary" "nil" 2 0` {
			t.Error(got)
		}
		r.want("true", a, "commit")
		if n := r.db.written("ann"); n > 1 {
			t.Errorf("it was written %d times", n)
		}
		raw, err := bson.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := r.db.Load(t.Context(), "player", "ann")
		if err != nil || string(doc.Body) != string(raw) {
			t.Errorf("the database has %v, %v\nwant %v", doc.Body, err, bson.Raw(raw))
		}
	})
}
