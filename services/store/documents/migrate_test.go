package documents_test

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// migrations are those of players: gold became coins, then a list of bags, then something else than the same table.
const migrations = `
local skynet = require "skynet"
return {
  version = 4,
  [1] = function(doc) doc.coins, doc.gold = doc.gold, nil end,
  [2] = function(doc)
    if doc.trap then skynet.sleep(10) error("no bags for " .. doc.trap) end
    doc.bags = { { kind = "small", coins = doc.coins } }
    doc.coins = nil
  end,
  [3] = function(doc) return { bags = doc.bags, renewed = true } end,
}`

func TestADocumentIsMigratedWhenItIsOpenedOrLoaded(t *testing.T) {
	in(t, `
function M.schema(self) return self.p._schema, self.p.renewed, self.p.bags[1].coins end
function M.bags(self, id) local p = store.load("player", id) return p.renewed, p.bags[1].coins, p._schema end`, func(_ *testing.T, r *rig) {
		r.put("one", bson.D{{Key: "gold", Value: int64(5)}})
		r.put("three", bson.D{{Key: "_schema", Value: int32(3)}, {Key: "bags", Value: bson.A{bson.D{{Key: "coins", Value: int64(7)}}}}})
		a, b := r.service(), r.service()
		r.want("true 5 nil", b, "bags", "one")
		r.has("one", `{"gold":5}`) // reading changes nothing
		r.want("true", a, "open", "one", map[string]any{"new": 1})
		r.want("nil true 5", a, "schema")
		r.want("true", a, "commit")
		r.has("one", `{"_schema":4,"bags":[{"kind":"small","coins":5}],"new":1,"renewed":true}`)
		r.want("true 5 nil", b, "bags", "one")
		r.want("true", a, "open", "three")
		r.want("true", a, "commit")
		r.has("three", `{"_schema":4,"bags":[{"coins":7}],"renewed":true}`)
		r.want("true", a, "open", "fresh", map[string]any{"bags": []any{}})
		r.want("true", a, "commit")
		r.has("fresh", `{"_schema":4,"bags":{}}`)
		r.want("true", a, "close")
		r.want("true", a, "open", "fresh")
		r.want("true", b, "open", "empty")
		pass(2 * autosave)
		r.lacks("empty")
	}, "migrations/player.lua", migrations)
}

func TestAMigrationThatFailsLeavesTheDocumentAsItWas(t *testing.T) {
	in(t, "", func(_ *testing.T, r *rig) {
		r.put("ann", bson.D{{Key: "gold", Value: int64(5)}, {Key: "trap", Value: "you"}})
		r.put("new", bson.D{{Key: "_schema", Value: int64(5)}})
		a, b := r.service(), r.service()
		r.want("error: store: player/ann: the migration from version 2 to 3 failed: migrations/player.lua:7: no bags for you", a, "open", "ann")
		r.want("error: store: player/ann: the migration from version 2 to 3 failed", b, "load", "ann")
		r.want("error: store: player/new: the document has version 5 of its schema, and this node's migrations lead to 4: was it written by a newer release?", a, "open", "new")
		pass(2 * autosave)
		r.has("ann", `{"gold":5,"trap":"you"}`)
		r.has("new", `{"_schema":5}`)
		r.put("ann", bson.D{{Key: "gold", Value: int64(6)}}) // it is nobody's
		r.want("true", b, "open", "ann")
	}, "migrations/player.lua", migrations)
}

func TestMigrationsThatAreNotCompleteAreAnErrorAtOnce(t *testing.T) {
	for file, want := range map[string]string{
		`return { version = 3, [1] = function() end }`:              "store: migrations.player: there is no function [2], which leads from version 2 to 3",
		`return { [1] = function() end }`:                           "store: migrations.player: a table with a field version is expected, a whole number from 1 on",
		`return { version = 2, [1] = function() return 5 end }`:     "the migration from version 1 to 2 failed: it returned a number, not a table",
		`return { version = 2, [1] = function(doc) doc.f = 1 end `:  "migrations/player.lua",
		`return { version = 2, [1] = function(doc) error({}) end }`: "the migration from version 1 to 2 failed: ",
	} {
		in(t, "", func(_ *testing.T, r *rig) {
			r.put("ann", bson.D{{Key: "gold", Value: int64(5)}})
			r.want("error: "+want, r.service(), "open", "ann")
		}, "migrations/player.lua", file)
	}
}

func TestMigrationsCanBeTriedWithoutADatabase(t *testing.T) {
	in(t, `
function M.try()
  local before = { gold = 5 }
  local doc, version = store.migrate("player", before)
  local same = store.migrate("player", { bags = 1 }, 3)
  return version, doc.renewed, doc.bags[1].coins, before.gold, same.bags
end`, func(t *testing.T, r *rig) {
		if got := r.call(r.service(), "try"); got != "4 true 5 5 1" {
			t.Error(got)
		}
	}, "migrations/player.lua", migrations)
}

func TestWithoutMigrationsADocumentOfALaterSchemaIsNotTouched(t *testing.T) {
	in(t, "", func(t *testing.T, r *rig) {
		r.put("ann", bson.D{{Key: "_schema", Value: int64(2)}})
		r.put("bob", bson.D{{Key: "_schema", Value: int64(1)}, {Key: "n", Value: int64(1)}})
		a := r.service()
		if got := r.call(a, "open", "ann"); !strings.Contains(got, "this node's migrations lead to 1") {
			t.Error(got)
		}
		r.want("true", a, "open", "bob")
		r.call(a, "set", "n", 2)
		r.call(a, "commit")
		r.has("bob", `{"_schema":1,"n":2}`)
	})
}
