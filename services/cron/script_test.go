package cron_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/cron"
)

// service starts a service of a script.
func (r *rig) service(text string) actor.Ref {
	r.Helper()
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: fstest.MapFS{"main.lua": &fstest.MapFile{Data: []byte(text)}}, Library: scripts.FS(), Log: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	if err != nil {
		r.Fatal(err)
	}
	ref, err := r.sys.Spawn(rt.Spec("main", value.List{}))
	if err != nil {
		r.Fatal(err)
	}
	if _, err := r.sys.Ask(context.Background(), ref, lua.Ready{}); err != nil {
		r.Fatal(err)
	}
	return ref
}

// call gives a handler's results as text, or its error.
func (r *rig) call(ref actor.Ref, cmd string, args ...any) string {
	r.Helper()
	v, err := r.sys.Ask(context.Background(), ref, lua.Command(cmd, args...))
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for _, e := range v.(value.List).All {
		all = append(all, e.String())
	}
	return strings.Join(all, " ")
}

// Both kinds of scripts, which know the same commands.
const (
	table = `
local skynet = require "skynet"
local cron = require "cron"
local M = {}
function M.start(self) self.log = {} end
function M.add(self, name, expr, zone)
  return cron.add(name, expr, zone, function(due, missed)
    skynet.sleep(100)
    self.log[#self.log + 1] = name .. " " .. os.date("!%H:%M:%S", due) .. " " .. missed
  end)
end
function M.bad(self) cron.add("bad", "* * * * *", "UTC", "text") end
function M.remove(self, name) return cron.remove(name) end
function M.next(self, name) return cron.next(name) end
function M.log(self) local log = table.concat(self.log, "; ") self.log = {} return log end
return M`
	dispatching = `
local skynet = require "skynet"
local M = (function() ` + table + ` end)()
local self = {}
skynet.start(function()
  M.start(self)
  skynet.dispatch("lua", function(_, _, cmd, ...) skynet.retpack(M[cmd](self, ...)) end)
end)`
)

func TestFunctionsOfScriptsRunAtTheirTimesAndMayWait(t *testing.T) {
	for name, text := range map[string]string{"a table of handlers": table, "a script that dispatches": dispatching} {
		t.Run(name, func(t *testing.T) {
			in(t, cron.Config{}, func(t *testing.T, r *rig) {
				a := r.service(text)
				for _, step := range []struct {
					at   time.Duration
					cmd  string
					args []any
					want string
				}{
					{0, "add", []any{"berlin", "30 1 * * *", "Europe/Berlin"}, "946686600"},
					{0, "add", []any{"quick", "*/20 * * * *"}, "946686000"},
					{0, "next", []any{"berlin"}, "946686600"},
					{0, "next", []any{"nothing"}, "nil"},
					{31 * time.Minute, "log", nil, `"quick 00:20:00 0; berlin 00:30:00 0"`},
					{31 * time.Minute, "next", []any{"berlin"}, "946773000 946686600"},
					{31 * time.Minute, "remove", []any{"quick"}, "true"},
					{31 * time.Minute, "remove", []any{"quick"}, "false"},
					{41 * time.Minute, "log", nil, `""`},
					{41 * time.Minute, "add", []any{"quick", "0 1 * * *"}, "946688400"},
					{61 * time.Minute, "log", nil, `"quick 01:00:00 0"`},
				} {
					r.until(start().Add(step.at))
					if got := r.call(a, step.cmd, step.args...); got != step.want {
						t.Errorf("%v: %s %v: got %s, want %s", step.at, step.cmd, step.args, got, step.want)
					}
				}
				r.set(start().Add(100 * time.Hour))
				pass(32 * time.Second)
				if got, want := r.call(a, "log"), `"berlin 00:30:00 3; quick 01:00:00 3"`; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

func TestScriptsHaveJobsOfTheirOwnWhichEndWithThem(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		a, b := r.service(table), r.service(table)
		for _, ref := range []actor.Ref{a, b} {
			if got := r.call(ref, "add", "job", "* * * * *"); strings.HasPrefix(got, "error") {
				t.Error(got)
			}
		}
		if got := r.call(a, "remove", "job"); got != "true" {
			t.Error(got)
		}
		if jobs := r.list(); len(jobs) != 1 || jobs[0].To != b {
			t.Errorf("got %+v", jobs)
		}
		r.sys.Stop(b, nil)
		synctest.Wait()
		if jobs := r.list(); len(jobs) != 0 {
			t.Errorf("got %+v", jobs)
		}
	})
}

func TestErrorsOfScriptsNameTheJobAndTheField(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		a := r.service(table)
		r.call(a, "add", "job", "* * * * *")
		for _, c := range []struct {
			cmd  string
			args []any
			want string
		}{
			{"add", []any{"x", "61 * * * *"}, `cron: job "x": minute "61":`},
			{"add", []any{"x", "* * * * *", "Mars/Olympus"}, `zone "Mars/Olympus"`},
			{"add", []any{"job", "* * * * *"}, "cron.add: there is a job job already; cron.remove ends it"},
			{"add", []any{"x", "0 0 30 2 *"}, "never due"},
			{"add", []any{"x", 5}, `cron: job "x": a name, an expression and a zone are expected: `},
			{"add", []any{nil, "* * * * *"}, "a command and the name of a job are expected: "},
			{"bad", nil, "cron.add: a function is expected as argument 4, got string"},
		} {
			if got := r.call(a, c.cmd, c.args...); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, c.want) {
				t.Errorf("%s %v: got %s, want %s", c.cmd, c.args, got, c.want)
			}
		}
		for _, msg := range []lua.Message{lua.Command("steal", "x"), lua.Command("add", "x", "* * * * *", ""), lua.Command("add")} {
			if _, err := r.ask(msg); err == nil || !strings.HasPrefix(err.Error(), "cron: ") {
				t.Errorf("%v: got %v", msg, err)
			}
		}
		if r.sys.Stats().Failures != 0 {
			t.Error("the service panicked")
		}
	})
}

func TestAnErrorInAFunctionIsLoggedAndTheJobGoesOn(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		r.service(`
local cron = require "cron"
return { start = function() cron.add("job", "* * * * *", nil, function(due) error("failed at " .. due) end) end }`)
		pass(121 * time.Second)
		if r.log.Count("failed at 946684860") != 1 || r.log.Count("failed at 946684920") != 1 {
			t.Errorf("the log:\n%s", r.log)
		}
	})
}

func TestGoMayMakeAJobOfAMessageThatAScriptUnderstands(t *testing.T) {
	in(t, cron.Config{}, func(t *testing.T, r *rig) {
		a := r.service(`
local M, n = {}, 0
function M.bump(self, by) n = n + by end
function M.get(self) return n end
return M`)
		if err := r.sys.Register("counter", a); err != nil {
			t.Fatal(err)
		}
		r.add(cron.Add{Name: "bump", Expr: "* * * * *", Service: "counter", Msg: lua.Command("bump", 2)})
		pass(3*time.Minute + time.Second)
		if got := r.call(a, "get"); got != "6" {
			t.Error(got)
		}
	})
}
