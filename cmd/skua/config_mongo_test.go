package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/ferrettest"
)

func TestDatabasesOfScriptsAreNamedInTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "stats.uri"), "mongodb://me:pw@stats\n")
	put(t, filepath.Join(dir, configFile), "[mongo.databases]\nlogs = \"env:LOGS\"\nstats = \"file:stats.uri\"\nplain = \"mongodb://me@plain\"\n")
	cfg, err := loadConfig(dir, []string{"LOGS=mongodb+srv://me:pw@logs", "SKUA_STORE_MONGO=mongodb://me:pw@players"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"logs": "mongodb+srv://me:pw@logs", "stats": "mongodb://me:pw@stats", "plain": "mongodb://me@plain", "store": "mongodb://me:pw@players"}
	got := cfg.databases()
	if len(got) != len(want) {
		t.Errorf("got %d databases", len(got))
	}
	for name, uri := range want {
		if got[name] != uri {
			t.Errorf("%s is %s", name, got[name])
		}
	}
	cfg, err = loadConfig(dir, []string{"LOGS=mongodb://x", "SKUA_MONGO_DATABASES=a=mongodb://me:pw@h1:27017,h2:27017/?replicaSet=rs0 b=env:LOGS"})
	if got = cfg.databases(); err != nil || got["a"] != "mongodb://me:pw@h1:27017,h2:27017/?replicaSet=rs0" || got["b"] != "mongodb://x" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestAWrongDatabaseOfScriptsIsToldWithoutItsPassword(t *testing.T) {
	for text, want := range map[string]string{
		"[mongo.databases]\nlogs = \"mongodb://me:hunter2@h\"":                             "mongo.databases.logs: found a URI with a password or another secret, expected \"env:NAME\" or \"file:PATH\"",
		"[mongo.databases]\nlogs = \"mongodb://h/?tlsCertificateKeyFilePassword=hunter2\"": "mongo.databases.logs: found a URI with a password",
		"store.mongo = \"mongodb://me:hunter2@h\"":                                         "store.mongo: found a URI with a password",
		"[mongo.databases]\nlogs = \"env:NOTHING\"":                                        "mongo.databases.logs: found env:NOTHING, but the variable NOTHING is not set",
		"[mongo.databases]\nlogs = \"env:BROKEN\"":                                         "mongo.databases.logs: the URI mongodb://REDACTED@h can't be used",
		"[mongo.databases]\nlogs = \"postgres://h\"":                                       "mongo.databases (SKUA_MONGO_DATABASES): found [secret], expected for logs a URI such as",
		"[mongo.databases]\n\"my logs\" = \"mongodb://h\"":                                 "expected names of 1 to 64 letters",
		"[mongo.databases]\nstore = \"mongodb://h\"":                                       "this one is for store.mongo",
		"[mongo.databases]\nlogs = [\"mongodb://me:hunter2@h\"]":                           "expected names, each with a URI",
		"[mongo]\ndatabase = \"mongodb://h\"":                                              "unknown key mongo.database, did you mean mongo.databases?",
	} {
		_, err := load(t, text, "BROKEN=mongodb://me:hunter2%zz@h")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
	if _, err := load(t, "", "SKUA_MONGO_DATABASES=mongodb://me:hunter2@h"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestAScriptReachesADatabaseByItsName(t *testing.T) {
	db := ferrettest.Start(t)
	t.Setenv("LOGS_URI", db.URI())
	dir := t.TempDir()
	put(t, filepath.Join(dir, configFile), "[mongo.databases]\nlogs = \"env:LOGS_URI\"\n")
	put(t, filepath.Join(dir, "scripts", "main.lua"), "")
	put(t, filepath.Join(dir, "tests", "logs_test.lua"), `
local mongo = require "skynet.db.mongo"

it("is reached by its name", function()
  local logs = mongo.client { name = "logs" }.market.logs
  assert(logs:safe_insert { _id = 1, text = "hello" })
  expect(logs:findOne().text).to_be("hello")
  expect(function() mongo.client { name = "lost" } end).to_fail([[no database of the name "lost" is configured: those are "logs"]])
end)
`)
	skua(t, exitDone, "test", dir)
}
