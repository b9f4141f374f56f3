package main

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/reload"
)

// teller is a service that says every moment which version it is of, and what it finds in shared data.
const tellerMain = `
local skynet = require "skynet"
local sharetable = require "skynet.sharetable"
skynet.start(function()
  sharetable.loadfile("prices.lua")
  skynet.uniqueservice("teller")
end)
`

const teller = `
local skynet = require "skynet"
local sharetable = require "skynet.sharetable"
local M = {}
local said
local function say()
  sharetable.update("prices.lua")
  local now = "VERSION sells for " .. sharetable.query("prices.lua").sword
  if now ~= said then skynet.error(now) end
  said = now
end
function M.start()
  skynet.fork(function() while true do say() skynet.sleep(1) end end)
end
return M
`

// tellerProject is one whose log tells what runs.
func tellerProject(t *testing.T, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	save(t, dir, "scripts/main.lua", tellerMain)
	save(t, dir, "scripts/teller.lua", strings.Replace(teller, "VERSION", "one", 1))
	save(t, dir, "scripts/prices.lua", "return { sword = 10 }\n")
	save(t, dir, configFile, "name = \"game\"\n"+strings.Join(more, "\n"))
	return dir
}

func save(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnOperatorReloadsAndGoesBack(t *testing.T) {
	dir := tellerProject(t)
	r := start(t, dir)
	r.log.waitFor(t, "one sells for 10")
	save(t, dir, "scripts/teller.lua", strings.Replace(teller, "VERSION", "two", 1))
	save(t, dir, "scripts/prices.lua", "return { sword = 12 }\n")
	if code, out, failed := r.look("reload", "--dry-run"); code != exitDone || !strings.Contains(out, "nothing has changed") || !strings.Contains(out, "sharetable prices.lua") ||
		!strings.Contains(out, "teller.lua:6 say") || !strings.Contains(out, "1 of teller") {
		t.Fatalf("dry run: %d %s%s", code, out, failed)
	}
	if code, out, failed := r.look("reload", "--label", "dearer swords"); code != exitDone || !strings.Contains(out, "on 1 nodes") {
		t.Fatalf("%d %s%s", code, out, failed)
	}
	r.log.waitFor(t, "two sells for 12")

	save(t, dir, "scripts/teller.lua", strings.Replace(teller, "local said", "local said\nno_such_thing()", 1))
	if code, out, failed := r.look("reload"); code != exitFailed || !strings.Contains(failed, "teller.lua:6:1: global no_such_thing is not defined") {
		t.Errorf("a mistake: %d %s%s", code, out, failed)
	}
	save(t, dir, "scripts/teller.lua", teller)
	save(t, dir, "scripts/prices.lua", "return { sword = 1 + {} }\n")
	if code, out, failed := r.look("reload"); code != exitFailed || !strings.Contains(failed, "sharetable prices.lua: prices.lua:1") {
		t.Errorf("a mistake in shared data: %d %s%s", code, out, failed)
	}

	if code, out, failed := r.look("rollback", "--label", "too dear"); code != exitDone {
		t.Fatalf("rollback: %d %s%s", code, out, failed)
	}
	r.log.waitFor(t, "one sells for 10")
	var v reload.Versions
	r.found(&v, "versions")
	actions := make([]string, 0, len(v.History))
	for i := range v.History {
		actions = append(actions, v.History[i].Action+" "+v.History[i].Outcome+" "+v.History[i].Label)
	}
	if got := strings.Join(actions, ", "); got != "rollback done too dear, reload undone , reload done dearer swords, start done " {
		t.Errorf("history: %s", got)
	}
	if len(v.Nodes) != 1 || v.Nodes[0].Version != v.Current || len(v.Nodes[0].Actors) != 2 {
		t.Errorf("%+v", v.Nodes)
	}
	if code, out, failed := r.look("versions"); code != exitDone || !strings.Contains(out, "dearer swords") || !strings.Contains(out, "the cluster runs "+v.Current) {
		t.Errorf("%d %s%s", code, out, failed)
	}
	if code, out, failed := r.look("versions", "--diff", v.History[2].ID); code != exitDone || !strings.Contains(out, "-return { sword = 10 }\n+return { sword = 12 }") {
		t.Errorf("diff: %d %s%s", code, out, failed)
	}
	var audit admin.AuditPage
	r.found(&audit, "audit")
	if e := audit.Entries[0]; e.Action != "rollback" || e.Outcome != admin.Done || e.Target != v.Current || e.Detail != "too dear" || e.Who != "loopback" {
		t.Errorf("audit: %+v", e)
	}
}

func TestAViewerMayNotReload(t *testing.T) {
	t.Setenv("VIEW_TOKEN", "a token of somebody who looks")
	r := start(t, tellerProject(t, "[admin.tokens]", `grafana = "env:VIEW_TOKEN"`))
	for _, command := range []string{"reload", "rollback"} {
		if code, _, failed := r.look(command, "--token", "env:VIEW_TOKEN"); code != exitFailed || !strings.Contains(failed, "the role operate is needed") {
			t.Errorf("%s: %d %s", command, code, failed)
		}
	}
	if code, out, failed := r.look("versions", "--token", "env:VIEW_TOKEN"); code != exitDone {
		t.Errorf("versions: %d %s%s", code, out, failed)
	}
}

func TestWhatIsSavedIsReloadedWithWatch(t *testing.T) {
	dir := tellerProject(t)
	r := start(t, dir, "--watch")
	r.log.waitFor(t, "one sells for 10")
	r.log.waitFor(t, "whenever one is saved")
	save(t, dir, "scripts/teller.lua", "local = 1")
	r.log.waitFor(t, "teller.lua:1")
	if err := os.Mkdir(filepath.Join(dir, "scripts", "shop"), 0o700); err != nil {
		t.Fatal(err)
	}
	save(t, dir, "scripts/shop/words.lua", "return 'two'")
	save(t, dir, "scripts/teller.lua", strings.Replace(teller, `"VERSION`, `require "shop.words" .. "`, 1))
	r.log.waitFor(t, "two sells for 10")
}

// What a link leads to is a script like any other, and so is what comes with a folder that takes the place of another one, as with a checkout or a release.
func TestWhatLinksLeadToIsReloadedWithWatch(t *testing.T) {
	dir, shared := tellerProject(t), t.TempDir()
	save(t, shared, "names.lua", "return { 'one' }")
	if err := os.Mkdir(filepath.Join(shared, "words"), 0o700); err != nil {
		t.Fatal(err)
	}
	save(t, shared, "words/words.lua", "return { of = 'linked' }")
	link := func(from, to string) {
		t.Helper()
		if err := os.Symlink(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join(shared, "names.lua"), "scripts/names.lua")
	link(filepath.Join(shared, "words"), "scripts/shop")
	link("..", "scripts/shop/loop")
	link(filepath.Join(dir, "nowhere"), "scripts/.#teller.lua") // as an editor marks what it has open
	save(t, dir, "scripts/teller.lua", strings.Replace(teller, `"VERSION`, `require("shop.words").of .. require("names")[1] .. "`, 1))
	r := start(t, dir, "--watch")
	r.log.waitFor(t, "linkedone sells for 10")
	r.log.waitFor(t, "whenever one is saved")
	save(t, shared, "names.lua", "return { 'two' }")
	r.log.waitFor(t, "linkedtwo sells for 10")
	save(t, shared, "words/words.lua", "return { of = 'hidden' }")
	r.log.waitFor(t, "hiddentwo sells for 10")
	if err := os.Rename(filepath.Join(dir, "scripts"), filepath.Join(dir, "before")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"main.lua", "teller.lua", "prices.lua", "shop/words.lua"} {
		text, err := os.ReadFile(filepath.Join(dir, "before", name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, "after", name), string(text))
	}
	save(t, dir, "after/names.lua", "return { 'three' }")
	link("after", "scripts")
	r.log.waitFor(t, "hiddenthree sells for 10")
	save(t, dir, "scripts/names.lua", "return { 'four' }")
	r.log.waitFor(t, "hiddenfour sells for 10")
}

func TestTheDemoIsNotWatched(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"run", "--watch"}, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), "skua run --watch .") {
		t.Errorf("%d %s", code, &stderr)
	}
}

func TestWhoIsInAProjectAndRunsTheDemoIsTold(t *testing.T) {
	t.Chdir(tellerProject(t))
	r := start(t, "")
	r.log.waitFor(t, "`skua run .` runs that")
	r.stop()
}

func TestAHangUpReloads(t *testing.T) {
	ours := make(chan os.Signal, 1)
	signal.Notify(ours, syscall.SIGHUP) // so that one that comes before the node is ready for it ends nothing
	defer signal.Stop(ours)
	dir := tellerProject(t)
	r := start(t, dir)
	r.log.waitFor(t, "one sells for 10")
	save(t, dir, "scripts/teller.lua", strings.Replace(teller, "VERSION", "two", 1))
	var v reload.Versions
	await(t, "the node has reloaded", func() bool {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		r.found(&v, "versions")
		return v.History[0].Action == "reload" && v.History[0].Who == "SIGHUP"
	})
	r.log.waitFor(t, "two sells for 10")
}

func TestTheProjectsTestsAreRunBeforeAReloadIfAsked(t *testing.T) {
	bin := buildProgram(t)
	dir := tellerProject(t)
	save(t, dir, "scripts/prices_test.lua", "describe('prices', function() it('are low', function() expect(require('prices').sword).to_be(10) end) end)")
	p := startProgram(t, bin, "run", dir, "--data", t.TempDir())
	r := &running{t: t, addrs: p.addrs}
	save(t, dir, "scripts/teller.lua", strings.Replace(teller, "VERSION", "two", 1))
	if code, out, failed := r.look("reload", "--test"); code != exitDone {
		t.Fatalf("good tests: %d %s%s", code, out, failed)
	}
	save(t, dir, "scripts/prices.lua", "return { sword = 11 }\n")
	if code, out, failed := r.look("reload", "--test"); code != exitFailed || !strings.Contains(failed, "expected 11 to be 10") {
		t.Errorf("bad tests: %d %s%s", code, out, failed)
	}
	p.stop()
}

// A version whose start fails gives way, at the next start, to the last one that a node has begun with.
func TestANodeThatCanNotBeginWithAVersionFallsBack(t *testing.T) {
	dir, data := tellerProject(t, "[reload]", `start = "stored"`), t.TempDir()
	r := start(t, dir, "--data", data)
	r.log.waitFor(t, "one sells for 10")
	save(t, dir, "scripts/main.lua", strings.Replace(tellerMain, "skynet.uniqueservice", "error('no more')\n  skynet.uniqueservice", 1))
	if code, out, failed := r.look("reload", "--label", "its start fails"); code != exitDone {
		t.Fatalf("%d %s%s", code, out, failed)
	}
	r.stop()
	r = start(t, dir, "--data", data)
	r.log.waitFor(t, "tries an older one")
	r.log.waitFor(t, "one sells for 10")
	code, out, failed := r.look("versions")
	if code != exitDone || !strings.Contains(out, "and not the version of the cluster: it could not begin with version") || !strings.Contains(out, "no more") {
		t.Errorf("%d %s%s", code, out, failed)
	}
}

// A file that has not compiled before, and that nobody uses, stands in nobody's way; and it can be mended.
func TestWhatWasWrongBeforeHindersNobody(t *testing.T) {
	dir := tellerProject(t)
	save(t, dir, "scripts/draft.lua", "local =\n")
	r := start(t, dir)
	r.log.waitFor(t, "one sells for 10")
	save(t, dir, "scripts/teller.lua", strings.Replace(teller, "VERSION", "two", 1))
	r.says(exitDone, []string{"on 1 nodes"}, "reload")
	r.log.waitFor(t, "two sells for 10")
	save(t, dir, "scripts/draft.lua", "local x =\n")
	r.says(exitFailed, []string{"draft.lua:2:1: ", "nothing has changed"}, "reload")
	save(t, dir, "scripts/draft.lua", "return {}\n")
	r.says(exitDone, []string{"changed  draft.lua"}, "reload")
	r.says(exitDone, []string{"draft.lua does not compile in that version"}, "rollback")
	r.says(exitDone, []string{"runs in"}, "reload")
}
