package login_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// scripted is a node with scripts.
func scripted(t *testing.T, cfg login.Config, files map[string]string) *node {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	log := &logtest.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	rt, err := lua.NewRuntime(lua.Config{Scripts: tree, Library: scripts.FS(), Log: logger, Budget: patience})
	must(t, err)
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	must(t, err)
	n := &node{t: t, sys: actor.New(actor.Config{Log: logger, CallTimeout: patience}), db: &database{Backend: db}, log: log}
	for _, spec := range []actor.Spec{store.Spec(store.Config{Backend: n.db}), rt.Launcher(), login.Spec(cfg)} {
		_, err := n.sys.Spawn(spec)
		must(t, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, n.sys.Shutdown(ctx))
		must(t, db.Close())
	})
	return n
}

const admin = `
local login = require "login"
local M = {}
local function show(v, err)
  if type(v) == "table" then
    local parts = {}
    for _, k in ipairs { "uid", "name", "reason", "since", "ends", "msg" } do if v[k] ~= nil then parts[#parts + 1] = k .. "=" .. v[k] end end
    return table.concat(parts, " ")
  end
  if err then return "refused " .. err.code end
  return tostring(v)
end
function M.run(self, name, ...) return show(login[name](...)) end
function M.issue(self, ...) return login.issue(...) end
return M`

func (n *node) script(name string) actor.Ref {
	n.t.Helper()
	launcher, _ := n.sys.Lookup(lua.LauncherName)
	v, err := n.sys.Ask(context.Background(), launcher, lua.Launch{Script: name})
	must(n.t, err)
	return v.(actor.Ref)
}

func (n *node) run(ref actor.Ref, args ...any) string {
	n.t.Helper()
	v, err := n.sys.Ask(context.Background(), ref, lua.Command("run", args...))
	if err != nil {
		return "error " + err.Error()
	}
	s, _ := v.(value.List).At(0).Str()
	return s
}

func TestScriptsDecideWhoMayComeIn(t *testing.T) {
	now := newClock()
	n := scripted(t, tokens(now), map[string]string{"admin.lua": admin})
	ann := n.token("ann")
	s := n.script("admin")
	const noon = 1893456000
	for i, step := range []struct {
		want string
		call []any
	}{
		{"nil", []any{"banned", ann.UID}},
		{"true", []any{"ban", ann.UID, map[string]any{"reason": "cheating", "seconds": 60}}},
		{fmt.Sprintf("reason=cheating since=%d ends=%d", noon, noon+60), []any{"banned", ann.UID}},
		{"true", []any{"unban", ann.UID}},
		{"false", []any{"unban", ann.UID}},
		{"true", []any{"ban", ann.UID}},
		{fmt.Sprintf("reason= since=%d", noon), []any{"banned", ann.UID}},
		{"true", []any{"unban", ann.UID}},
		{"true", []any{"ban", int64(9007199254740993)}},
		{fmt.Sprintf("reason= since=%d", noon), []any{"banned", "9007199254740993"}},
		{"uid=" + ann.UID + " name=ann", []any{"check", ann.Token}},
		{"true", []any{"revoke_token", ann.Token}},
		{"refused revoked", []any{"check", ann.Token}},
		{"refused bad_token", []any{"check", "x"}},
		{"refused bad_token", []any{"revoke_token", "x"}},
		{"true", []any{"revoke", ann.UID}},
		{"uid=guest:bob name=Bob", []any{"link", "guest:bob", "Bob", "secret"}},
		{"refused denied", []any{"link", "guest:eve", "BOB", "secret"}},
		{"refused bad_name", []any{"link", "guest:eve", "b b", "secret"}},
		{"nil", []any{"maintenance"}},
		{"nil", []any{"maintenance", map[string]any{"msg": "soon back", "seconds": 60, "except": []any{"x", int64(7)}}}},
		{fmt.Sprintf("ends=%d msg=soon back", noon+60), []any{"maintenance"}},
		{"nil", []any{"maintenance", false}},
		{"nil", []any{"maintenance"}},
	} {
		if got := n.run(s, step.call...); got != step.want {
			t.Errorf("step %d, %v: %q, want %q", i, step.call, got, step.want)
		}
	}
	if acc, err := n.login("bob", "secret"); err != nil || acc.UID != "guest:bob" || acc.New {
		t.Errorf("the linked account: %+v, %v", acc, err)
	}
	for _, call := range [][]any{
		{"ban"},
		{"ban", 1.5},
		{"ban", ""},
		{"ban", "x", map[string]any{"seconds": -1}},
		{"ban", "x", map[string]any{"seconds": "soon"}},
		{"ban", "x", map[string]any{"reason": strings.Repeat("r", 1000)}},
		{"banned"},
		{"revoke_token"},
		{"maintenance", "on"},
		{"maintenance", map[string]any{"except": []any{true}}},
		{"issue", "x", strings.Repeat("n", 65)},
	} {
		if got := n.run(s, call...); !strings.HasPrefix(got, "error ") {
			t.Errorf("%v: %q", call, got)
		}
	}
	v, err := n.sys.Ask(context.Background(), s, lua.Command("issue", "42", "Zoe", 30))
	must(t, err)
	text, _ := v.(value.List).At(0).Str()
	ends, _ := v.(value.List).At(1).Int()
	if acc, err := n.enter("token", text); err != nil || acc.UID != "42" || acc.Name != "Zoe" || ends != noon+30 {
		t.Errorf("%+v, %v, %d", acc, err, ends)
	}
}

const hooked = `
local skynet = require "skynet"
local M = {}
function M.login(self, request, address)
  if request.ticket == "slow" then skynet.sleep(100000) end
  if request.ticket == "raise" then error("a defect") end
  if request.ticket == "table" then return { uid = "t1", name = "Tim", new = true } end
  if request.ticket == "big" then return 9007199254740993 end
  if request.ticket == "address" then return address end
  if request.ticket == "bad" then return { uid = true } end
  if request.ticket == "float" then return 1.5 end
  if request.ticket == "code" then return nil, { code = "too_young", msg = "come back at 12" } end
  if request.ticket == "long" then return nil, { code = ("c"):rep(1000), msg = ("m"):rep(10000) } end
  if request.ticket == "end" then skynet.exit() end
  return nil, "no ticket"
end
return M`

func TestAScriptDecidesALogin(t *testing.T) {
	cfg := login.Config{Methods: []login.Method{login.MethodHook}, Hook: "hook", HookTimeout: 3 * time.Second, TokenKeys: keys(1)}
	must(t, cfg.Check())
	n := scripted(t, cfg, map[string]string{"hook.lua": hooked})
	for _, test := range []struct {
		ticket    string
		uid, name string
		want      login.Code
	}{
		{"table", "t1", "Tim", ""},
		{"big", "9007199254740993", "", ""},
		{"address", "192.0.2.1", "", ""},
		{"none", "", "", login.Denied},
		{"code", "", "", "too_young"},
		{"bad", "", "", login.Unavailable},
		{"float", "", "", login.Unavailable},
		{"raise", "", "", login.Unavailable},
		{"slow", "", "", login.Unavailable},
		{"end", "", "", login.Unavailable},
		{"table", "t1", "Tim", ""}, // it is started again
	} {
		acc, err := n.enter("ticket", test.ticket)
		if acc.UID != test.uid || acc.Name != test.name || code(err) != test.want || (err == nil) != (acc.Token != "") {
			t.Errorf("%s: %+v, %v", test.ticket, acc, err)
		}
	}
	if _, err := n.enter("ticket", "long"); len(err.Error()) > 700 {
		t.Errorf("the refusal has %d bytes", len(err.Error()))
	}
	if !strings.Contains(n.log.String(), "a defect") {
		t.Error("the log does not say why")
	}
	if acc, err := n.enter("ticket", "table"); err != nil || !acc.New {
		t.Errorf("%+v, %v", acc, err)
	}
}

func TestLoginsThatAHookHoldsUpAreBounded(t *testing.T) {
	n := scripted(t, login.Config{Methods: []login.Method{login.MethodHook}, Hook: "hook", HookTimeout: 5 * time.Second, Queue: 3}, map[string]string{"hook.lua": hooked})
	_, err := n.enter("ticket", "table")
	must(t, err)
	var all sync.WaitGroup
	codes := make(chan login.Code, 10)
	for range 10 {
		all.Go(func() {
			_, err := n.enter("ticket", "slow")
			codes <- code(err)
		})
	}
	all.Wait()
	close(codes)
	count := map[login.Code]int{}
	for c := range codes {
		count[c]++
	}
	if count[login.Busy] != 7 || count[login.Unavailable] != 3 {
		t.Errorf("%v", count)
	}
}

func TestADeviceIsItsSecret(t *testing.T) {
	cfg := login.Config{Methods: []login.Method{login.MethodDevice, login.MethodPassword}, Register: true, TokenKeys: keys(1), MaxAttempts: 3, Wait: time.Hour}
	n := start(t, cheap(cfg))
	secret, other := strings.Repeat("s", 32), strings.Repeat("o", 32)
	first, err := n.enter("device", "phone-0001", "secret", secret)
	if err != nil || !first.New || first.UID == "" || first.Token == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := n.enter("device", "phone-0001", "secret", secret)
	if err != nil || again.New || again.UID != first.UID {
		t.Errorf("%+v, %v", again, err)
	}
	second, err := n.enter("device", "phone-0002", "secret", secret)
	if err != nil || second.UID == first.UID {
		t.Errorf("%+v, %v", second, err)
	}
	for _, pairs := range [][]string{
		{"device", "phone-0001"},
		{"device", "phone-0001", "secret", ""},
		{"device", "phone-0001", "secret", secret[:31]},
		{"device", "short", "secret", secret},
		{"device", strings.Repeat("d", 129), "secret", secret},
		{"device", "phone-0001", "secret", strings.Repeat("s", 129)},
		{"device", "phone-\xff\xfe\xfd", "secret", secret},
	} {
		n.refused(login.BadRequest, pairs...)
	}
	for range 3 {
		n.refused(login.Denied, "device", "phone-0001", "secret", other)
	}
	n.refused(login.TooMany, "device", "phone-0001", "secret", secret)
	kept := n.kept() + n.log.String()
	doc, err := n.db.Load(t.Context(), "device", "x")
	if err == nil || strings.Contains(kept+doc.Body.String(), secret) {
		t.Error("the secret is kept somewhere")
	}
	cfg.Register = false
	n = start(t, cheap(cfg))
	n.refused(login.Denied, "device", "phone-0001", "secret", secret)
}

func TestFiftyFirstLoginsOfADeviceMakeOneAccount(t *testing.T) {
	n := start(t, login.Config{Methods: []login.Method{login.MethodDevice}, Register: true})
	var all sync.WaitGroup
	uids := make(chan string, 50)
	for range 50 {
		all.Go(func() {
			acc, err := n.enter("device", "phone-0001", "secret", strings.Repeat("s", 32))
			if err != nil {
				t.Error(err)
			}
			uids <- acc.UID
		})
	}
	all.Wait()
	close(uids)
	first := <-uids
	for uid := range uids {
		if uid != first {
			t.Errorf("%s and %s", first, uid)
		}
	}
	if acc, err := n.enter("device", "phone-0001", "secret", strings.Repeat("s", 32)); err != nil || acc.UID != first || acc.New {
		t.Errorf("%+v, %v; want %s", acc, err, first)
	}
}

func TestAccountsThatAnAddressMayMakeAreBounded(t *testing.T) {
	n := start(t, cheap(login.Config{Methods: []login.Method{login.MethodDevice, login.MethodPassword}, Register: true, NewPerAddress: 3}))
	n.want("", "a", "x")
	n.want("", "b", "x")
	_, err := n.enter("device", "phone-0001", "secret", strings.Repeat("s", 32))
	must(t, err)
	n.want(login.TooMany, "c", "x")
	n.refused(login.TooMany, "device", "phone-0002", "secret", strings.Repeat("s", 32))
	n.want("", "a", "x")
	if _, err := n.loginFrom(away, "c", "x"); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
}

func TestTheFieldsOfALoginTellItsWay(t *testing.T) {
	cfg := cheap(login.Config{
		Methods: []login.Method{login.MethodPassword, login.MethodDevice, login.MethodGuest}, Register: true, TokenKeys: keys(1),
	})
	n := start(t, cfg)
	first, err := n.enter("name", "ann", "password", "x")
	must(t, err)
	for _, test := range []struct {
		pairs []string
		uid   string
		want  login.Code
	}{
		{[]string{"name", "ann"}, "guest:ann", ""},
		{[]string{"name", "ann", "password", "x", "method", "guest"}, "guest:ann", ""},
		{[]string{"token", first.Token, "name", "bob"}, first.UID, ""},
		{[]string{"name", "ann", "method", "password"}, "", login.BadRequest},
		{[]string{"method", "jwt", "jwt", "x"}, "", login.BadRequest},
		{[]string{"method", "none"}, "", login.BadRequest},
		{[]string{"method", "token"}, "", login.BadRequest},
		{[]string{}, "", login.BadRequest},
	} {
		acc, err := n.enter(test.pairs...)
		if acc.UID != test.uid || code(err) != test.want {
			t.Errorf("%q: %+v, %v", test.pairs, acc, err)
		}
	}
	for _, b := range []any{nil, 7, "x", []any{1}, map[string]any{"name": 7, "password": true}, map[string]any{"token": []any{}}, map[string]any{"method": 7}} {
		if _, err := n.ask(login.Request{Body: value.Of(b).At(0), Addr: home}); code(err) != login.BadRequest {
			t.Errorf("%v: %v", b, err)
		}
	}
}
