package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/examples/bank"
	"github.com/skua-go/skua/services/store"
)

// banking is the extension of docs/go.md.
func banking() extension {
	return extension{
		Services:   []actor.Spec{bank.Spec()},
		Migrations: map[string]store.Migration{bank.Kind: bank.Migrations()},
	}
}

// extended runs a command of a skua with an extension.
func extended(t *testing.T, ext extension, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	out, errs := newWatched(), newWatched()
	if got := runWith(t.Context(), ext, args, out, errs); got != code {
		t.Fatalf("skua %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.text(), errs.text())
	}
	return out.text(), errs.text()
}

func TestScriptsAndGoServicesShareKindsAndMigrations(t *testing.T) {
	dir := storeProject(t)
	put(t, filepath.Join(dir, "tests", "bank_test.lua"), `
local skynet = require "skynet"
local store = require "store"

it("is called like any service", function()
  expect(skynet.call("bank", "lua", "add", "ann", 5)).to_be(5)
  expect(skynet.call("bank", "lua", "add", "ann", -2)).to_be(3)
  expect(function() skynet.call("bank", "lua", "add", "ann", -4) end).to_fail("not enough coins: ann has 3")
  expect(store.load("account", "ann")).to_equal({ coins = 3 })
end)

it("keeps documents that scripts open, too", function()
  local acc = store.open("account", "ben", { coins = 7 })
  acc:commit()
  acc:close()
  expect(skynet.call("bank", "lua", "add", "ben", 1)).to_be(8)
end)
`)
	extended(t, banking(), exitDone, "test", dir)
	skua(t, exitFailed, "test", dir) // which has no bank
}

// What docs/go.md shows of files is in them.
func TestTheGoDevelopersPageShowsWhatIsThere(t *testing.T) {
	page, err := os.ReadFile("../../docs/go.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n// (\\S+\\.go)\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if all := strings.Count(string(page), "```go"); len(blocks) != all || all == 0 {
		t.Fatalf("%d snippets of %d name their file in the first line", len(blocks), all)
	}
	for _, b := range blocks {
		source, err := os.ReadFile(filepath.Join("..", "..", b[1]))
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(b[2], "\n\n") { // a gap stands for what is left out
			if !strings.Contains(string(source), strings.TrimSpace(part)) {
				t.Errorf("%s has no\n%s", b[1], part)
			}
		}
	}
}

func TestMigrationsInGoLeadAllDocumentsOfAKind(t *testing.T) {
	account := func(id string, d bson.D) store.Doc {
		return store.Doc{Kind: bank.Kind, ID: id, Version: 1, Epoch: 1, Body: body(t, d)}
	}
	dir := storeProject(
		t,
		account("bad", bson.D{{Key: "gold", Value: "much"}}),
		account("new", bson.D{{Key: "coins", Value: int64(5)}, {Key: store.SchemaField, Value: int64(2)}}),
		account("newer", bson.D{{Key: store.SchemaField, Value: int64(3)}}),
		account("old", bson.D{{Key: "gold", Value: int64(3)}}),
	)
	before := allOf(t, dir)
	out, told := extended(t, banking(), exitFailed, "store", "migrate", "-C", dir, "--dry-run", bank.Kind)
	wants(t, out, "version 1: 2 documents\nversion 2: 1 documents\nversion 3: 1 documents\n1 documents would change, to version 2; 2 failed\n")
	wants(t, told, "account/bad: the step from schema 1 to 2 failed: gold is a string, not an int64", "account/newer: the content has schema 3, this program knows those up to 2")
	equalDocs(t, allOf(t, dir), before)
	extended(t, banking(), exitFailed, "store", "migrate", "-C", dir, bank.Kind)
	after := allOf(t, dir)
	equalDocs(t, after[:3], before[:3])
	if n, _ := after[3].Body.Lookup("coins").AsInt64OK(); n != 300 || after[3].Version != 2 {
		t.Errorf("version %d: %v", after[3].Version, after[3].Body)
	}
	_, told = skua(t, exitFailed, "store", "migrate", "-C", dir, bank.Kind)
	wants(t, told, "the project has no migrations/account.lua in lua.path, and this program none in Go")
}

func TestAnExtensionThatCanNotBeIsToldAtTheStart(t *testing.T) {
	step := func(d bson.D) (bson.D, error) { return d, nil }
	for want, m := range map[string]map[string]store.Migration{
		"migrations in Go: hero: store: schema: there is no step from 1 to 2":                    {"hero": {Version: 2}},
		"migrations in Go: hero: version 0, 1 or more is expected":                               {"hero": {}},
		"migrations in Go: store: invalid":                                                       {"My Hero": {Version: 1}},
		"the kind hero has migrations in Go and in migrations/hero.lua: it can have one of them": {"hero": {Version: 2, Steps: map[int]func(bson.D) (bson.D, error){1: step}}},
	} {
		dir := heroProject(t, heroMigrations)
		ext := extension{Migrations: m}
		_, told := extended(t, ext, exitUsage, "store", "migrate", "-C", dir, "hero")
		wants(t, told, want)
		_, told = extended(t, ext, exitUsage, "run", dir)
		wants(t, told, want)
	}
}
