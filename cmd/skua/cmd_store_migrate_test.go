package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// heroMigrations lead from gold to coins to bags; one hero can't go on.
const heroMigrations = `
local skynet = require "skynet"
return {
  version = 3,
  [1] = function(doc) doc.coins, doc.gold = doc.gold, nil end,
  [2] = function(doc)
    skynet.yield()
    if doc.trap then error("no bags for " .. doc.trap) end
    doc.bags = { { coins = doc.coins } }
    doc.coins = nil
  end,
}
`

// heroProject has heroes of all versions.
func heroProject(t *testing.T, migrations string) string {
	t.Helper()
	hero := func(id string, d bson.D) store.Doc {
		return store.Doc{Kind: "hero", ID: id, Version: 4, Epoch: 2, Body: body(t, d)}
	}
	dir := storeProject(
		t,
		hero("first", bson.D{{Key: "gold", Value: int64(1 << 60)}, {Key: "list", Value: bson.A{}}, {Key: "id", Value: bson.Binary{Data: []byte{1, 0}}}}),
		hero("newer", bson.D{{Key: "_schema", Value: int64(9)}}),
		hero("second", bson.D{{Key: "_schema", Value: int32(2)}, {Key: "coins", Value: 0.5}}),
		hero("third", bson.D{{Key: "_schema", Value: int64(3)}, {Key: "bags", Value: bson.A{}}}),
		hero("trapped", bson.D{{Key: "gold", Value: int64(7)}, {Key: "trap", Value: "you"}}),
		store.Doc{Kind: "other", ID: "first", Version: 1, Body: body(t, bson.D{{Key: "gold", Value: int64(1)}})},
	)
	if migrations != "" {
		put(t, filepath.Join(dir, "scripts", "migrations", "hero.lua"), migrations)
	}
	return dir
}

func TestADryRunOfMigrationsWritesNothing(t *testing.T) {
	dir := heroProject(t, heroMigrations)
	before := allOf(t, dir)
	out, told := skua(t, exitFailed, "store", "migrate", "-C", dir, "--dry-run", "hero")
	wants(t, out, "version 1: 2 documents\nversion 2: 1 documents\nversion 3: 1 documents\nversion 9: 1 documents\n2 documents would change, to version 3; 2 failed\n")
	wants(t, told, "hero/trapped: the migration from version 2 to 3 failed: ", "no bags for you", "hero/newer", "was it written by a newer release?")
	equalDocs(t, allOf(t, dir), before)
}

func TestMigrationsOfAllDocumentsChangeThoseThatAreOlder(t *testing.T) {
	dir := heroProject(t, heroMigrations)
	want := allOf(t, dir)
	out, _ := skua(t, exitFailed, "store", "migrate", "-C", dir, "hero")
	wants(t, out, "2 documents changed, to version 3; 2 failed\n")
	got := allOf(t, dir)
	for _, i := range []int{0, 2} {
		if got[i].Version != 5 || got[i].Epoch != 2 {
			t.Errorf("%s has version %d, epoch %d", got[i].ID, got[i].Version, got[i].Epoch)
		}
		text, err := bson.MarshalExtJSON(sorted(t, got[i].Body), false, false)
		if err != nil {
			t.Fatal(err)
		}
		wanted := map[int]string{
			0: `{"_schema":3,"bags":[{"coins":1152921504606846976}],"id":{"$binary":{"base64":"AQA=","subType":"00"}},"list":[]}`,
			2: `{"_schema":3,"bags":[{"coins":0.5}]}`,
		}[i]
		if string(text) != wanted {
			t.Errorf("%s:\n%s, want\n%s", got[i].ID, text, wanted)
		}
		got[i] = want[i]
	}
	equalDocs(t, got, want)
	out, _ = skua(t, exitFailed, "store", "migrate", "-C", dir, "hero")
	wants(t, out, "version 3: 3 documents\n", "0 documents changed, to version 3; 2 failed\n")
}

// sorted gives a content with its fields in the order of their names.
func sorted(t *testing.T, raw bson.Raw) bson.D {
	t.Helper()
	var d bson.D
	if err := bson.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(d, func(a, b bson.E) int { return strings.Compare(a.Key, b.Key) })
	return d
}

func TestMigrationsThatCanNotWorkAreToldBeforeAnythingIsRead(t *testing.T) {
	for text, want := range map[string]string{
		"": "the project has no migrations/hero.lua",
		"return { version = 3, [1] = function() end }": "there is no function [2], which leads from version 2 to 3",
		"return 5":        "a table with a field version is expected",
		"return {":        "hero.lua",
		"error('broken')": "broken",
	} {
		dir := heroProject(t, text)
		out, told := skua(t, exitFailed, "store", "migrate", "-C", dir, "hero")
		wants(t, told, want)
		if strings.Contains(out, "version") {
			t.Error(out)
		}
	}
	skua(t, exitUsage, "store", "migrate", "-C", heroProject(t, ""))
	skua(t, exitUsage, "store", "migrate", "-C", heroProject(t, ""), "no/kind")
}

func TestAStepThatDoesNotEndEndsTheRun(t *testing.T) {
	dir := heroProject(t, `
local skynet = require "skynet"
return { version = 2, [1] = function(doc) skynet.wait() end }`)
	p, err := openProject(dir, extension{})
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := startMigrator(t.Context(), p, "hero")
	if err != nil {
		t.Fatal(err)
	}
	scripts.patience = time.Millisecond
	_, err = scripts.migrate(t.Context(), store.Doc{Kind: "hero", ID: "first", Version: 1, Body: body(t, bson.D{{Key: "gold", Value: 1}})}, 1)
	if !errors.Is(err, errStuck) || !strings.Contains(err.Error(), "hero/first: version 1") {
		t.Error(err)
	}
	if err := scripts.stop(); err != nil {
		t.Error(err)
	}
}
