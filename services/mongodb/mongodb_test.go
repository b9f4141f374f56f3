package mongodb_test

import (
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/mongodb"
)

func TestScriptsWriteAndReadUnderSkynetsNames(t *testing.T) {
	both(t, mongodb.Config{}, func(_ *testing.T, r *rig, ref actor.Ref, _ string) {
		r.run(ref, `local ok, err, reply = things:safe_insert { _id = 1, kind = "sword", power = 3 } return ok, err, reply.n`, "true nil 1")
		r.run(ref, `local ok, err, reply = things:safe_insert { _id = 1, kind = "shield" } return ok, err:find "duplicate key" ~= nil, reply.writeErrors[1].code`, "false true 11000")
		r.run(ref, `local docs = { { kind = "bow", power = 5 }, { kind = "axe", power = 4 } }
			local ok, _, reply = things:safe_batch_insert(docs) return ok, reply.n, (bson.type(docs[1]._id))`, `true 2 "objectid"`)
		r.run(ref, `local doc = things:findOne { kind = "sword" } return doc._id, doc.power, things:findOne { kind = "none" }`, "1 3 nil")
		r.run(ref, `local doc = things:findOne({ kind = "sword" }, { power = 1, _id = 0 }) return doc.power, doc.kind, doc._id`, "3 nil nil")
		r.run(ref, `local ok, err, reply = things:safe_update({ kind = "bow" }, { ["$inc"] = { power = 2 } }) return ok, err, reply.n, reply.nModified`, "true nil 1 1")
		r.run(ref, `local ok, err, reply = things:safe_update({ power = { ["$gt"] = 3 } }, { ["$set"] = { strong = true } }, false, true) return ok, reply.n`, "true 2")
		r.run(ref, `local ok, err, reply = things:safe_update({ _id = 7 }, { ["$set"] = { kind = "net" } }, true) return ok, reply.n, reply.upserted[1]._id`, "true 1 7")
		r.run(ref, `things:safe_update({ _id = 7 }, { kind = "rope" }) local d = things:findOne { _id = 7 } return d.kind, d.power`, `"rope" nil`)
		r.run(ref, `local ok, _, reply = things:safe_batch_update { { query = { _id = 7 }, update = { ["$set"] = { n = 1 } } },
			{ query = { _id = 8 }, update = { ["$set"] = { n = 2 } }, upsert = true } } return ok, reply.n, reply.upserted[1]._id`, "true 2 8")
		r.run(ref, `local ok, _, reply = things:safe_delete({ _id = { ["$in"] = { 7, 8 } } }, true) return ok, reply.n`, "true 1")
		r.run(ref, `local ok, _, reply = things:safe_batch_delete({ { _id = 7 }, { _id = 8 } }) return ok, reply.n`, "true 1")
		r.run(ref, `things:delete { kind = "axe" } return things:find():count()`, "2")
		r.run(ref, `local ok, _, reply = things:raw_safe_update { q = { _id = 1 }, u = { ["$set"] = { raw = 1 } } } return ok, reply.nModified`, "true 1")
		r.run(ref, `local ok, _, reply = things:raw_safe_delete { q = { _id = 1 }, limit = 1 } return ok, reply.n`, "true 1")
		r.run(ref, `return things:drop().ok, things:find():count(), things:find():hasNext()`, "1 0 false")
	})
}

func TestBulkWritesAndTheirErrorsNameTheOperation(t *testing.T) {
	both(t, mongodb.Config{}, func(_ *testing.T, r *rig, ref actor.Ref, _ string) {
		r.run(ref, `local ok, err, reply = things:bulkWrite {
			{ insertOne = { document = { _id = 1, n = 1 } } },
			{ updateOne = { filter = { _id = 1 }, update = { ["$inc"] = { n = 1 } } } },
			{ updateOne = { filter = { _id = 2 }, update = { ["$set"] = { n = 5 } }, upsert = true } },
			{ replaceOne = { filter = { _id = 2 }, replacement = { n = 6 } } },
			{ updateMany = { filter = {}, update = { ["$inc"] = { n = 10 } } } },
			{ deleteOne = { filter = { _id = 1 } } },
		} return ok, reply.insertedCount, reply.matchedCount, reply.upsertedCount, reply.deletedCount, things:findOne().n`, "true 1 4 1 1 16")
		r.run(ref, `local ok, err, reply = things:bulkWrite { { insertOne = { document = { _id = 3 } } }, { insertOne = { document = { _id = 3 } } },
			{ insertOne = { document = { _id = 4 } } } } return ok, reply.writeErrors[1].index, things:find({ _id = 4 }):count()`, "false 1 0")
		for chunk, want := range map[string]string{
			`things:bulkWrite { { insertOne = { document = {} } }, { inserOne = { document = {} } } }`:              "operation 2: inserOne: ",
			`things:bulkWrite { { updateOne = { update = { ["$set"] = { n = 1 } } } } }`:                            "updateOne: filter is missing",
			`things:bulkWrite { { updateOne = { filter = {}, update = { ["$set"] = { n = 1 } }, multi = true } } }`: "multi is said by the name",
			`things:bulkWrite { { deleteOne = { filter = {}, upsert = true } } }`:                                   `"upsert" is not for this operation`,
			`things:bulkWrite { { deleteOne = { filter = {}, collation = { locale = "de" } } } }`:                   `"collation" is not known here`,
			`things:bulkWrite { { deleteOne = {}, insertOne = {} } }`:                                               "one key, such as insertOne, is expected, got 2",
			`things:safe_update({}, { n = 1 }, false, true)`:                                                        "needs operators",
			`things:safe_update({ _id = 1 }, 5)`:                                                                    "update can't be of type",
			`things:safe_insert { 1, 2 }`:                                                                           "document can't be of type array",
			`things:safe_insert { bad = "\255" }`:                                                                   "UTF-8",
			`client:getDB(""):getCollection("x"):find():hasNext()`:                                                  "it is empty",
			`things:createIndex { unique = true }`:                                                                  "an index needs keys",
			`things:findAndModify { query = {} }`:                                                                   "update or remove is missing",
			`mongo.client "mongodb://127.0.0.1"`:                                                                    "a table is expected, got string",
			`mongo.client { uri = "mongodb://127.0.0.1", name = "x" }`:                                              "one of host, rs, uri and name is expected, got 2",
			`things:aggregate "x"`:                                                                                  "a list of stages is expected",
			`things:find():next()`:                                                                                  "hasNext has to be called before",
		} {
			r.fails(ref, chunk, want)
		}
		r.run(ref, `local ok, err = things:bulkWrite {} return ok, err ~= nil`, "false true")
	})
}

func TestValuesComeBackExactly(t *testing.T) {
	both(t, mongodb.Config{}, func(_ *testing.T, r *rig, ref actor.Ref, _ string) {
		r.run(ref, `local id = bson.objectid()
			assert(things:safe_insert { _id = id, big = bson.int64 "9007199254740991", date = bson.date(1700000000.5), data = bson.binary("a\0b", 128), none = bson.null,
				list = { 1, 2.5, "x", { deep = true } }, empty = {} })
			local d = things:findOne { _id = id }
			local _, data, subtype = bson.type(d.data)
			local _, seconds = bson.type(d.date)
			return d._id == id, d.big, seconds == 1700000000.5, data, subtype, d.none == mongo.null, #d.list, d.list[2], d.list[4].deep, next(d.empty)`,
			`true 9007199254740991 true "a\x00b" 128 true 4 2.5 true nil`)
	})
}

func TestCursorsGiveAllDocumentsInBatches(t *testing.T) {
	both(t, mongodb.Config{}, func(_ *testing.T, r *rig, ref actor.Ref, _ string) {
		r.run(ref, `for part = 0, 5 do
				local docs = {}
				for i = 1, 50 do docs[i] = { _id = part * 50 + i, odd = i % 2 } end
				assert(things:safe_batch_insert(docs))
			end
			local c, n, sum, last = things:find({ odd = 1 }):sort { _id = -1 }, 0, 0, 1000
			while c:hasNext() do
				local d = c:next()
				assert(d._id < last)
				n, sum, last = n + 1, sum + d._id, d._id
			end
			return n, sum, c:hasNext()`, "150 22500 false")
		r.run(ref, `local c = things:find():sort({ odd = 1 }, { _id = -1 }):skip(1):limit(3)
			local ids = {}
			while c:hasNext() do ids[#ids + 1] = c:next()._id end
			return ids[1], ids[2], ids[3], ids[4], c:count(), c:count(true)`, "298 296 294 nil 300 3")
		if r.metric("cursors") != 0 {
			r.Errorf("%v cursors are open", r.metric("cursors"))
		}
		r.run(ref, `local c = things:find() assert(c:hasNext()) c:next() c:close() return c:hasNext(), pcall(c.next, c)`,
			`false false "next: hasNext has to be called before"`)
		r.run(ref, `open = things:find() return open:hasNext()`, "true") // is closed with the service
	})
}

func TestAggregationsAreCursorsToo(t *testing.T) {
	both(t, mongodb.Config{}, func(_ *testing.T, r *rig, ref actor.Ref, _ string) {
		r.run(ref, `for i = 1, 20 do things:insert { n = i, even = i % 2 == 0 } end
			local c = things:aggregate { { ["$match"] = { even = true } }, { ["$group"] = { _id = "$even", sum = { ["$sum"] = "$n" } } } }
			assert(c:hasNext())
			return c:next().sum, c:hasNext()`, "110 false")
		r.run(ref, `local c = things:aggregate({}, { cursor = { batchSize = 3 } }):sort { n = -1 }:skip(2):limit(7)
			local list = {}
			while c:hasNext() do list[#list + 1] = c:next().n end
			return #list, list[1], list[7], c:count(), c:count(true)`, "7 18 12 20 7")
		r.run(ref, `local r = client:getDB(things.database.name):runCommand("aggregate", "things", "pipeline", {}, "cursor", {}) return r.ok, #r.cursor.firstBatch`, "1 20")
		r.fails(ref, `things:aggregate({ { ["$nonsense"] = {} } }):hasNext()`, "nonsense")
	})
}

func TestIndexesFindAndModifyAndCommands(t *testing.T) {
	both(t, mongodb.Config{}, func(_ *testing.T, r *rig, ref actor.Ref, _ string) {
		r.run(ref, `return things:createIndex({ name = 1 }, { unique = true }).ok, things:ensureIndex({ "a", { b = -1 }, name = "ab" }).ok, things:createIndexes({ "c" }, { "d" }).ok`, "1 1 1")
		r.run(ref, `assert(things:safe_insert { name = "x", n = 1 })
			local ok, err = things:safe_insert { name = "x" } return ok, err:find "duplicate key" ~= nil`, "false true")
		r.run(ref, `return things:dropIndex("name_1").ok, (things:safe_insert { name = "x", n = 2 })`, "1 true")
		r.run(ref, `local r = things:findAndModify { query = { n = 2 }, update = { ["$inc"] = { n = 10 } }, new = true }
			return r.ok, r.value.n, r.value.name`, `1 12 "x"`)
		r.run(ref, `local r = things:findAndModify { query = { n = 12 }, remove = true } return r.value.n, things:find():count()`, "12 1")
		r.run(ref, `local r = client:runCommand "nonsense" return r.ok, r.errmsg ~= nil`, "0 true")
		r.run(ref, `return client:runCommand("ping").ok, tostring(client), tostring(things.database) == "[mongo db : " .. things.database.name .. "]", things.sub.name`,
			`1 "[mongo client : by a URI]" true "things.sub"`)
		// What has the name of a method is there nevertheless, and takes nothing away.
		r.run(ref, `assert(things.database:getCollection("auth"):safe_insert { a = 1 }) return type(things.database.auth), things.database:getCollection("name").name, type(things.database.name)`,
			`"function" "name" "string"`)
	})
}
