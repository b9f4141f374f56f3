package main

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/reload"
)

// workersMain has ten services that are asked for work all the time.
const workersMain = `
local skynet = require "skynet"
skynet.start(function()
  for i = 1, 10 do
    local w = skynet.newservice("worker")
    skynet.fork(function() while true do pcall(skynet.call, w, "lua", "work") skynet.sleep(1) end end)
  end
  skynet.error("all work")
end)
`

func TestAnOperatorHasSomeTryAVersionFirst(t *testing.T) {
	worker := func(does string) string { return "local M = {}\nfunction M.work() " + does + " end\nreturn M\n" }
	dir := tellerProject(t, "[reload]", `canary_time = "2s"`, "canary_messages = 10", "canary_slower = 50") // on a busy machine one may be slow by chance, and handle little for a while
	save(t, dir, "scripts/main.lua", workersMain)
	save(t, dir, "scripts/worker.lua", worker("return 1"))
	r := start(t, dir)
	r.log.waitFor(t, "all work")

	save(t, dir, "scripts/worker.lua", worker("return 2"))
	if code, out, failed := r.look("reload", "--canary", "10%"); code != exitDone || !strings.Contains(out, "canary 10%, 1 VMs: passed") || !strings.Contains(out, "in 11 VMs") {
		t.Fatalf("a good one: %d %s%s", code, out, failed)
	}
	save(t, dir, "scripts/worker.lua", worker("if true then error('broken') end return 3"))
	if code, out, failed := r.look("reload", "--canary", "10%", "--canary-time", "1m"); code != exitFailed || !strings.Contains(out, "1 VMs: errors") || !strings.Contains(failed, "handlers of worker fail") {
		t.Errorf("one that fails: %d %s%s", code, out, failed)
	}
	// Why is the last of the columns, so that a long reason makes none of the others wide.
	if _, out, _ := r.look("versions"); !strings.Contains(out, "undone, canary 10% for 1m0s  ") || !strings.Contains(out, "worker.lua +1 -1: reload: the canary is taken back: handlers of worker fail") {
		t.Errorf("the history:\n%s", out)
	}
	save(t, dir, "scripts/worker.lua", worker("return 4"))
	ended := make(chan int, 1)
	go func() {
		code, _, _ := r.look("reload", "--canary", "10%", "--canary-time", "1m")
		ended <- code
	}()
	await(t, "the canary goes on", func() bool {
		_, out, _ := r.look("versions")
		return strings.Contains(out, "for 10% since")
	})
	if code, out, failed := r.look("rollback"); code != exitDone || !strings.Contains(out, "the canary is ended") {
		t.Errorf("rollback: %d %s%s", code, out, failed)
	}
	if code := <-ended; code != exitFailed {
		t.Errorf("who has begun it is told %d", code)
	}
	var v reload.Versions
	r.found(&v, "versions")
	if h := v.History; len(h) != 4 || h[0].Canary != "10% for 1m0s" || !strings.Contains(h[0].Error, "has ended it") || h[2].ID != v.Current || h[2].Canary != "10% for 2s" {
		t.Errorf("%+v", v.History)
	}
	var audit admin.AuditPage
	r.found(&audit, "audit")
	text := ""
	for i := range audit.Entries {
		text += audit.Entries[i].Action + " " + audit.Entries[i].Detail + "\n"
	}
	for _, want := range []string{"reload (canary 10%: passed)", "reload (canary 10%: errors)", "reload (canary 10%: ended)", "rollback"} {
		if !strings.Contains(text, want) {
			t.Errorf("the audit log does not have %q:\n%s", want, text)
		}
	}
	for _, wrong := range [][]string{{"--canary", "0%"}, {"--canary", "5%", "--canary-time", "1ms"}, {"--canary-time", "1m"}} {
		if code, _, failed := r.look(append([]string{"reload"}, wrong...)...); code != exitUsage {
			t.Errorf("%v: %d %s", wrong, code, failed)
		}
	}
}
