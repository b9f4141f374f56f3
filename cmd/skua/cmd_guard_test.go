package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skua-go/skua/services/admin"
)

const spinner = `
local skynet = require "skynet"
require "skynet.manager"
local function turn(n)
  for i = 1, 1000 do n = n + i end
  return n
end
skynet.start(function()
  skynet.dispatch("lua", function(_, _, command)
    if command == "spin" then
      while true do pcall(function() while true do turn(1) end end) end
    end
    skynet.retpack("pong")
  end)
  skynet.register ".spinner"
end)
`

const spinnerMain = `
local skynet = require "skynet"
skynet.start(function()
  local spinner = skynet.uniqueservice("spinner")
  skynet.send(spinner, "lua", "spin")
  skynet.fork(function() skynet.call(spinner, "lua", "ping") skynet.error("it lives on") end)
end)
`

func TestAStuckHandlerIsNamedProfiledAndInterrupted(t *testing.T) {
	for _, engine := range engineNames {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			put(t, filepath.Join(dir, "scripts", "main.lua"), spinnerMain)
			put(t, filepath.Join(dir, "scripts", "spinner.lua"), spinner)
			put(t, filepath.Join(dir, configFile), "name = \"spins\"\n[lua]\nbudget = \"1h\"\ncall_timeout = \"2m\"\nengine = \""+engine+"\"\n")
			r := start(t, dir)
			// How soon a script says where it is, and how much of it a profile sees, depends on who else wants the cores: it is asked until it has.
			var s admin.StuckActor
			await(t, "the API names it, and where it is in its script", func() bool {
				s, _ = r.stuckIn("lua:spinner")
				return s.LuaStack != "" && s.Waiting > 0
			})
			if !strings.Contains(s.LuaStack, "spinner.lua:") || !strings.Contains(s.GoStack, "goroutine") {
				t.Errorf("got %+v", s)
			}
			await(t, "the log names it, and where it is in its script", func() bool {
				for line := range strings.Lines(r.log.text()) {
					if strings.Contains(line, "handler does not return") && strings.Contains(line, "lua:spinner") && strings.Contains(line, "spinner.lua:") {
						return true
					}
				}
				return false
			})
			file := filepath.Join(t.TempDir(), "lua.pprof")
			var top string
			await(t, "its profile has the function that it is in", func() bool {
				var profile struct{ File string }
				if r.found(&profile, "profile", s.ID, "--seconds", "1", "-o", file); profile.File != file {
					t.Fatalf("the profile is said to be in %q", profile.File)
				}
				out, err := exec.CommandContext(t.Context(), "go", "tool", "pprof", "-top", "-sample_index=samples", file).CombinedOutput()
				if top = string(out); err != nil {
					t.Fatalf("pprof: %v\n%s", err, top)
				}
				return strings.Contains(top, "turn")
			})
			if !strings.Contains(top, "Type: samples") {
				t.Errorf("pprof:\n%s", top)
			}
			if _, out, _ := r.look("task", "spinner"); strings.Count(out, "stack traceback:") > 1 {
				t.Errorf("the stack is told more than once:\n%s", out)
			}
			if code, _, text := r.look("signal", "launcher"); code != exitFailed || !strings.Contains(text, "nothing to interrupt") {
				t.Errorf("%d %s", code, text)
			}
			await(t, "it is interrupted", func() bool {
				code, out, text := r.look("signal", s.ID, "--reason", "it spins")
				if code != exitDone && !strings.Contains(text, "has not come to a step of its script") {
					t.Fatalf("%d %s%s", code, out, text)
				}
				return code == exitDone && strings.Contains(out, "is interrupted")
			})
			r.log.waitFor(t, "it lives on")
			if log := r.log.text(); !strings.Contains(log, "interrupted by an operator: it spins") {
				t.Errorf("the log has no error:\n%s", log)
			}
			if s, is := r.stuckIn("lua:spinner"); is {
				t.Errorf("got %+v", s)
			}
			r.stop()
		})
	}
}

// stuckIn is the actor of a kind that is stuck, if one is. Others may be on a machine that has too much to do.
func (r *running) stuckIn(kind string) (admin.StuckActor, bool) {
	r.t.Helper()
	var all []admin.StuckActor
	r.found(&all, "stuck")
	for i := range all {
		if all[i].Kind == kind {
			return all[i], true
		}
	}
	return admin.StuckActor{}, false
}

func TestLevelsOfTheLogAreChangedByOperators(t *testing.T) {
	r := start(t, idlerProject(t))
	var levels []admin.LogLevel
	r.found(&levels, "log", "level", "mesh=debug", "--for", "10m")
	if len(levels) != 2 || levels[0].Level != "info" || levels[1].Component != "mesh" || levels[1].Level != "debug" || levels[1].Until == nil {
		t.Errorf("got %+v", levels)
	}
	if code, _, text := r.look("log", "level", "mesh=loud"); code != exitFailed || !strings.Contains(text, `found "loud", expected debug, info, warn or error`) {
		t.Errorf("%d %s", code, text)
	}
	r.found(&levels, "log", "level", "mesh=default")
	if len(levels) != 1 {
		t.Errorf("got %+v", levels)
	}
	code, out, _ := r.look("audit")
	if code != exitDone || !strings.Contains(out, "mesh=debug for 10m0s") || !strings.Contains(out, `found "loud"`) {
		t.Errorf("the audit log: %s", out)
	}
	r.stop()
}

// idler is the id of the project's service.
func (r *running) idler() string {
	r.t.Helper()
	var found admin.ActorPage
	r.found(&found, "ps", "lua:idler")
	if len(found.Actors) != 1 {
		r.t.Fatalf("got %+v", found)
	}
	return found.Actors[0].ID
}

// What a profile of a script that is none, or nobody, says.
func TestProfilesOfWhatIsNoScript(t *testing.T) {
	r := start(t, idlerProject(t))
	idler := "actor=" + r.idler()
	for query, want := range map[string]int{"actor=launcher": http.StatusBadRequest, "actor=nobody": http.StatusNotFound, idler + "&seconds=0": http.StatusBadRequest, idler + "&seconds=0.05": http.StatusOK} {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+r.addrs["admin"]+"/debug/pprof/lua?"+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s, expected %d", query, resp.Status, want)
		}
	}
	var none json.RawMessage
	r.found(&none, "stuck")
	if string(none) != "[]" {
		t.Errorf("got %s", none)
	}
	r.stop()
}

func TestOperatorsPutActorsInQuarantineAndLetThemGo(t *testing.T) {
	r := start(t, idlerProject(t))
	idler := r.idler()
	do := func(want int, text string, args ...string) {
		t.Helper()
		if code, out, failed := r.look(args...); code != want || !strings.Contains(out+failed, text) {
			t.Errorf("%v: %d %s%s", args, code, out, failed)
		}
	}
	do(exitFailed, "in no quarantine", "release", idler)
	do(exitFailed, "can't do without", "quarantine", "store")
	do(exitDone, "is in quarantine", "quarantine", idler, "--reason", "it looks odd")
	var all []admin.Aside
	await(t, "the API lists it", func() bool {
		r.found(&all, "quarantine")
		return len(all) == 1
	})
	if a := all[0]; a.Kind != "lua:idler" || a.Reason != "it looks odd" || a.First == nil {
		t.Errorf("got %+v", a)
	}
	do(exitDone, "it looks odd", "quarantine")
	do(exitDone, "quarantined", "ps", "lua:idler")
	do(exitDone, "goes on", "release", idler)
	r.found(&all, "quarantine")
	if len(all) != 0 {
		t.Errorf("got %+v", all)
	}
	do(exitDone, "quarantine", "audit")
	r.stop()
}
