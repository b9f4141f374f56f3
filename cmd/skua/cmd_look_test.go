package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skua-go/skua/services/admin"
)

// look runs a command that asks the node's admin API.
func (r *running) look(args ...string) (code int, out, failed string) {
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), append(args, "--admin", r.addrs["admin"]), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// found runs such a command with --json and reads its answer into what into points to.
func (r *running) found(into any, args ...string) {
	r.t.Helper()
	code, out, failed := r.look(append(args, "--json")...)
	if code != exitDone {
		r.t.Fatalf("%v: %d: %s", args, code, failed)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		r.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// idlerMain starts a service that waits for ever in a handler of its own.
const idlerMain = `
local skynet = require "skynet"
skynet.start(function() skynet.uniqueservice("idler") end)
`

const idler = `
local skynet = require "skynet"
require "skynet.manager"
skynet.start(function()
  skynet.fork(function() skynet.wait() end)
  skynet.register ".idler"
end)
`

func idlerProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"scripts/main.lua": idlerMain, "scripts/idler.lua": idler, configFile: "name = \"game\"\n[store]\nautosave = \"7s\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAnOperatorSeesAndEndsTheActorsOfANode(t *testing.T) {
	r := start(t, idlerProject(t))
	var p admin.ActorPage
	r.found(&p, "ps", "lua:idler")
	if len(p.Actors) != 1 || p.Actors[0].Kind != "lua:idler" {
		t.Fatalf("%+v", p)
	}
	var d admin.ActorDetail
	r.found(&d, "info", p.Actors[0].ID)
	if d.Memory < 1000 || len(d.Handlers) != 1 || !strings.Contains(d.Handlers[0].Stack, "idler.lua") || d.Busy != "" {
		t.Errorf("info: %+v", d)
	}
	for _, args := range [][]string{{"ps"}, {"tree"}, {"info", "store"}, {"top", "--rounds", "1", "--every", "100ms"}} {
		if code, out, failed := r.look(args...); code != exitDone || !strings.Contains(out, "store") {
			t.Errorf("%v: %d %s%s", args, code, out, failed)
		}
	}
	id := p.Actors[0].ID
	for _, name := range []string{"lua:idler", "idler:0" + id, ":0" + id} { // as lists, the log and the console write it
		if r.found(&d, "info", name); d.ID != id {
			t.Errorf("%s is %+v", name, d)
		}
	}
	for _, own := range []string{"store", "launcher"} {
		if code, _, failed := r.look("kill", own); code != exitFailed || !strings.Contains(failed, "one of the node's own services") {
			t.Errorf("kill %s: %d %s", own, code, failed)
		}
	}
	if code, out, failed := r.look("kill", "idler", "--reason", "no use"); code != exitDone {
		t.Errorf("kill: %d %s%s", code, out, failed)
	}
	await(t, "the idler ends", func() bool {
		r.found(&p, "ps", "lua:idler")
		return len(p.Actors) == 0
	})
	if code, _, failed := r.look("info", "idler"); code != exitFailed || !strings.Contains(failed, "no actor is called") {
		t.Errorf("info of nobody: %d %s", code, failed)
	}
	var audit admin.AuditPage
	r.found(&audit, "audit")
	if len(audit.Entries) != 3 || audit.Entries[0].Action != "kill" || audit.Entries[0].Who != "loopback" || audit.Entries[0].Detail != "no use" || audit.Entries[1].Outcome != admin.Failed {
		t.Errorf("audit: %+v", audit)
	}
	for _, args := range [][]string{{"sessions"}, {"dead"}, {"audit"}} {
		if code, out, failed := r.look(args...); code != exitDone || out == "" {
			t.Errorf("%v: %d %s%s", args, code, out, failed)
		}
	}
	if code, _, failed := r.look("kick", "77"); code != exitFailed || !strings.Contains(failed, "no session 77") {
		t.Errorf("kick of nobody: %d %s", code, failed)
	}
	if code, _, _ := r.look("ps", "--limit", "0"); code != exitUsage {
		t.Errorf("ps --limit 0: %d", code)
	}
}

func TestTheCommandsTakeATokenAndTellOfARoleThatIsTooSmall(t *testing.T) {
	t.Setenv("VIEW_TOKEN", "a token of somebody who looks")
	dir := idlerProject(t)
	f, err := os.OpenFile(filepath.Join(dir, configFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("[admin.tokens]\ngrafana = \"env:VIEW_TOKEN\"\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r := start(t, dir)
	if code, _, failed := r.look("ps"); code != exitFailed || !strings.Contains(failed, "token") {
		t.Errorf("without a token: %d %s", code, failed)
	}
	if code, out, failed := r.look("ps", "--token", "env:VIEW_TOKEN"); code != exitDone || !strings.Contains(out, "idler") {
		t.Errorf("with one: %d %s%s", code, out, failed)
	}
	if code, _, failed := r.look("kill", "idler", "--token", "env:VIEW_TOKEN"); code != exitFailed || !strings.Contains(failed, "the role operate is needed, grafana has view") {
		t.Errorf("kill by a viewer: %d %s", code, failed)
	}
}

func TestTheConfigurationIsShownWithoutItsSecrets(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Admin.Token, cfg.Admin.Tokens, cfg.Gate.MaxConnections = "hunter2", map[string]Secret{"ci": "hunter2"}, 77
	cfg.Gates, cfg.Grains = map[string]*NamedGateConfig{"world": {}}, map[string]*GrainConfig{"guild": {Role: "world"}}
	found := map[string]admin.Setting{}
	for _, s := range cfg.settings(map[string]string{"SKUA_ADMIN_TOKEN": "hunter2"}) {
		found[s.Key] = s
		if strings.Contains(s.Value, "hunter2") {
			t.Errorf("%+v", s)
		}
	}
	for key, source := range map[string]string{"admin.token": "environment", "admin.tokens": "file or flag", "gate.max_connections": "file or flag", "gate.heartbeat": "default", "gates.world.tcp": "file or flag", "grains.guild.role": "file or flag"} {
		if found[key].Source != source {
			t.Errorf("%s: %+v, expected %s", key, found[key], source)
		}
	}
	if found["gate.max_connections"].Value != "77" || found["gate.heartbeat"].Value != "10s" {
		t.Errorf("%+v %+v", found["gate.max_connections"], found["gate.heartbeat"])
	}
}
