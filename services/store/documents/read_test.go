package documents_test

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func TestScriptsReadPartsOfDocumentsAndFindThemByIndexes(t *testing.T) {
	in(t, `
function M.part(self) local p = store.load("player", "p1", { "sub.x" }) return p.level, p.sub.x, p.sub.y end
function M.none(self) return store.load("player", "nobody"), store.load("player", "nobody", { fresh = true }) end
function M.find(self, where, options)
  local list, after = store.find("player", where, options)
  local names = {}
  for i, e in ipairs(list) do names[i] = e.id .. ":" .. tostring(e.doc.level) .. ":" .. tostring(e.doc.guild) end
  if not after then return table.concat(names, " "), "end" end
  local behind, last = store.find("player", where, { sort = options and options.sort, after = after, limit = 1 })
  return table.concat(names, " "), behind[1] and behind[1].id, last == nil
end
function M.find_bad(self, ...) return store.find(...) end`, func(_ *testing.T, r *rig) {
		for i, id := range []string{"p1", "p2", "p3", "p4"} {
			guild := []string{"red", "blue"}[i%2]
			r.put(id, bson.D{{Key: "level", Value: int64(10 * (i + 1))}, {Key: "guild", Value: guild}, {Key: "sub", Value: bson.D{{Key: "x", Value: int64(1)}, {Key: "y", Value: int64(2)}}}})
		}
		a := r.service()
		r.want("nil 1 nil", a, "part")
		r.want("nil nil", a, "none")
		r.want(`"p1:10:red p3:30:red" nil true`, a, "find", map[string]any{"guild": "red"})
		r.want(`"p4:40:blue" "p2" false`, a, "find", map[string]any{"guild": "blue"}, map[string]any{"sort": "-level", "limit": 1})
		r.want(`"p3:30:nil" nil true`, a, "find", map[string]any{"guild": "red", "level": map[string]any{"gt": 10, "lte": 40}}, map[string]any{"fields": []any{"level"}})
		r.want(`"" "end"`, a, "find", map[string]any{"guild": "green"})
		r.want("error: store: invalid: query of kind player: no index serves it; declare one with the fields name", a, "find", map[string]any{"name": "x"})
		r.want("error: lt, lte, gt or gte is expected, got above", a, "find", map[string]any{"level": map[string]any{"above": 1}})
		r.want("error: the limit is 0", a, "find", map[string]any{"guild": "red"}, map[string]any{"limit": 0})
		r.want("error: the position is none that a query has given", a, "find", map[string]any{"guild": "red"}, map[string]any{"after": "x"})
		r.want("error: a kind is expected", a, "find_bad")
	})
}

func TestADeletedDocumentIsGoneAndFree(t *testing.T) {
	in(t, `
function M.delete(self) self.p:delete() return true end
function M.try(self) return pcall(store.delete, self.p) end`, func(_ *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann", map[string]any{"gold": 1})
		r.want("true", a, "commit")
		r.call(a, "set", "gold", 2)
		r.want("true", a, "delete")
		pass(autosave)
		r.lacks("ann")
		r.want("error: a document that is open is expected", a, "commit")
		r.want("true", a, "open", "ann", map[string]any{"gold": 3})
		r.want("3", a, "get", "gold")
		r.want("true", a, "commit")
		r.has("ann", `{"gold":3}`)
	})
}

func TestAScriptHearsThatTheDatabaseRefusesWhatItSaved(t *testing.T) {
	in(t, `
local told = {}
function M.start() store.on_error(function(doc, err, kind, id) told[#told + 1] = id .. ":" .. err.code .. ":" .. doc.name end) end
function M.told() return table.concat(told, " ") end
function M.mend(self) self.p.name = "ann" return true end`, func(t *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann", map[string]any{"name": "bob"})
		r.db.set(func() { r.db.refuse = &store.DuplicateError{Kind: "player", ID: "ann", Index: "name", Other: "bob"} })
		pass(2 * autosave)
		r.want(`"ann:duplicate:bob"`, a, "told")
		r.want(`error: store: duplicate: player/ann: player/bob has the value that the unique index name allows once`, a, "commit")
		r.db.set(func() { r.db.refuse = nil })
		r.call(a, "mend")
		pass(2 * autosave)
		r.has("ann", `{"name":"ann"}`)
		r.want(`"ann:duplicate:bob"`, a, "told")
	})
}
