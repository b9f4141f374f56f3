package documents_test

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
)

// hostile is a service that puts something into a document which can't be kept.
const hostile = `
local function deep(n) local t = {} local at = t for _ = 1, n do at.a = {} at = at.a end return t end
local cycle = { x = {} } cycle.x[1] = { back = cycle }
local big = string.rep("x", 1024 * 1024)
local bad = {
  func = function(p) p.inventory = { {}, {}, { name = print } } end,
  thread = function(p) p.co = coroutine.create(print) end,
  cycle = function(p) p.c = cycle end,
  deep = function(p) p.d = deep(200) end,
  holes = function(p) p.list = { 1, 2, nil, 4, [7] = 7 } end,
  mixed = function(p) p.bag = { 1, 2, x = 3 } end,
  number_keys = function(p) p.items = { [1001] = 5 } end,
  zero_key = function(p) p.items = { [0] = 5, 1 } end,
  float_key = function(p) p.items = { [1.5] = 5 } end,
  bool_key = function(p) p.items = { [true] = 5 } end,
  dot = function(p) p["a.b"] = 1 end,
  dollar = function(p) p.sub = { ["$set"] = 1 } end,
  empty_key = function(p) p[""] = 1 end,
  zero_byte = function(p) p["a\0b"] = 1 end,
  key_utf8 = function(p) p["\255"] = 1 end,
  utf8 = function(p) p.name = "\255\254" end,
  special = function(p) p.x = "\0\9short" end,
  code = function(p) p.x = "\0\13\2\0\0\0x\0" end,
  size = function(p) for i = 1, 17 do p["part" .. i] = big end end,
  schema = function(p) p._schema = 3 end,
  list = function(p) p[1] = 1 end,
  pairs = function(p) p.sub = setmetatable({}, { __pairs = function() error("no pairs today") end }) end,
}
local told = {}
function M.start() store.on_error(function(doc, err, kind, id) told[#told + 1] = tostring(err.code) end) end
function M.spoil(self, what) bad[what](self.p) return true end
function M.mend(self) for k in pairs(self.p) do self.p[k] = nil end self.p.n = 5 return true end
function M.told() return table.concat(told, " ") end
`

// refusals are what each of these is refused with; ID is that of the document.
func refusals() map[string]string {
	return map[string]string{
		"func":        "store: invalid: player/ID.inventory[3].name: a function can't be kept",
		"thread":      "player/ID.co: a thread can't be kept",
		"cycle":       "a table contains itself",
		"deep":        "tables nest deeper than 96 levels",
		"holes":       "player/ID.list: a list has no gaps, and of this one item 3 is missing while there is one 7",
		"mixed":       "player/ID.bag: a table with a list of 2 and 1 other keys can't be kept; use two tables",
		"number_keys": "player/ID.items: a list has no gaps, and of this one item 1 is missing while there is one 1001; if numbers name 1 things, make them names: tostring(n)",
		"zero_key":    "player/ID.items[0]: the key is a number below 1",
		"float_key":   `player/ID.items["1.5"]: the key is a number; a table has names, or is a list from 1 on`,
		"bool_key":    "player/ID.items.true: the key is a boolean",
		"dot":         `player/ID["a.b"]: the key has a dot`,
		"dollar":      `player/ID.sub["$set"]: the key begins with $`,
		"empty_key":   `player/ID[""]: the key is empty`,
		"zero_byte":   `player/ID["a\x00b"]: the key has a zero byte`,
		"key_utf8":    `player/ID["\xff"]: the key is not UTF-8`,
		"utf8":        "player/ID.name: the string is not UTF-8; bson.binary holds bytes",
		"special":     "player/ID.x: a string that begins with a zero byte stands for a type of BSON that Lua has not, and this one is broken",
		"code":        "player/ID.x: a value of BSON type javascript can't be kept",
		"schema":      "player/ID._schema: a field of this name is kept by the store itself",
		"list":        "a table with a list of 1 and 1 other keys",
		"pairs":       "no pairs today",
	}
}

func TestWhatCanNotBeKeptIsAnErrorWithItsPath(t *testing.T) {
	in(t, hostile, func(t *testing.T, r *rig) {
		b := r.service()
		r.call(b, "open", "bob", map[string]any{"n": 2})
		owners := map[string]actor.Ref{}
		for what, want := range refusals() {
			want = "error: " + strings.ReplaceAll(want, "ID", what)
			a := r.service()
			owners[what] = a
			r.call(a, "open", what, map[string]any{"n": 1})
			r.want("true", a, "commit")
			r.want("true", a, "spoil", what)
			r.want(want, a, "commit")
			r.want(want, a, "save")
		}
		pass(3 * autosave)
		r.has("bob", `{"n":2}`)
		if n := r.log.Count("document not saved"); n != len(owners) {
			t.Errorf("logged %d times, want %d", n, len(owners))
		}
		for what, a := range owners {
			r.want(`"invalid"`, a, "told")
			r.has(what, `{"n":1}`)
			r.want("true", a, "mend")
		}
		pass(autosave)
		for what := range owners {
			r.has(what, `{"n":5}`)
		}
	})
}

func TestADocumentThatIsTooLargeIsRefusedAndMayShrink(t *testing.T) {
	in(t, hostile, func(_ *testing.T, r *rig) {
		a := r.service()
		r.call(a, "open", "ann", map[string]any{"n": 1})
		r.want("true", a, "commit")
		r.want("true", a, "spoil", "size")
		r.want("error: store: too large: player/ann: the document has more than 16711680 bytes", a, "commit")
		r.want("true", a, "mend")
		pass(autosave)
		r.has("ann", `{"n":5}`)
	})
}

func TestADocumentThatAScriptCanNotReadStaysAsItIs(t *testing.T) {
	in(t, "", func(_ *testing.T, r *rig) {
		r.put("zero", bson.D{{Key: "sub", Value: bson.D{{Key: "s", Value: "\x00\x09x"}}}})
		r.put("schema", bson.D{{Key: "_schema", Value: "three"}})
		a := r.service()
		r.want("error: store: player/zero.sub.s: the string begins with a zero byte", a, "open", "zero")
		r.want(`error: store: schema: player/schema: the field _schema has "three", and no version`, a, "open", "schema")
		r.want("error: the id of a document is expected", a, "open", true)
		r.want("error: has a control character", a, "open", "a\nb")
		r.put("zero", bson.D{{Key: "s", Value: "x"}}) // they are nobody's
		r.want("true", a, "open", "zero")
		pass(autosave)
		r.has("zero", `{"s":"x"}`)
	})
}

func TestIntegersBeyondTheEnginesNumbersAreNeverRounded(t *testing.T) {
	in(t, `function M.big(self) return self.p.big end`, func(t *testing.T, r *rig) {
		r.put("ann", bson.D{{Key: "big", Value: int64(9007199254740993)}})
		a := r.service()
		if strings.HasSuffix(t.Name(), "gopher") {
			r.want("error: store: player/ann.big: the integer 9007199254740993 is beyond 2^53: this engine's numbers can't hold it", a, "open", "ann")
			return
		}
		r.call(a, "open", "ann")
		r.want("9007199254740993", a, "big")
		r.call(a, "set", "small", 1)
		pass(autosave)
		r.has("ann", `{"big":9007199254740993,"small":1}`)
	})
}
