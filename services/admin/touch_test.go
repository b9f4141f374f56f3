package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/admin"
)

// benchScript answers calls of each kind, and waits in a handler of its own.
const benchScript = `
local skynet = require "skynet"
local debug = require "skynet.debug"
local M = {}
function M.add(a, b) return a + b end
function M.echo(...) return ... end
function M.fail() error("no such sword") end
function M.wait() skynet.wait() end
function M.spin() while true do end end
skynet.start(function()
  debug.reg_debugcmd("RUN", function(source, name, ...)
    if source == "bad" then return skynet.retpack(false, name .. ":1: bad") end
    skynet.retpack(true, source .. " ran with " .. tostring((...)))
  end)
  skynet.info_func(function(what) return { what = what, players = 3 } end)
  skynet.dispatch("lua", function(_, _, cmd, ...) skynet.retpack(M[cmd](...)) end)
  skynet.fork(function() skynet.wait("here") end)
end)
`

func (c *scene) ask(id, body string) (a admin.CallAnswer) {
	c.t.Helper()
	if code := c.call(operateToken, http.MethodPost, "/actors/"+id+"/call", body, &a); code != http.StatusOK {
		c.t.Fatalf("%s: %d", body, code)
	}
	return a
}

func TestAServiceIsCalledWithValuesOfLuaAndOfJSON(t *testing.T) {
	c := newScene(t)
	id := c.script("bench", benchScript)
	for body, want := range map[string]string{
		`{"args":["add",9007199254740993,1]}`:                        "9007199254740994",
		`{"lua":"'add', 9223372036854775807, -1"}`:                   "9223372036854775806",
		`{"lua":"'echo', nil, true, 'a\\nb\\xff', {1, {x = -2.5}}"}`: `nil, true, "a\nb\xff", {1, {x = -2.5}}`,
		`{"args":["echo",{"list":[1,null,"é"]},1e300]}`:              `{list = {1, nil, "é"}}, 1e+300`,
		`{"lua":"'echo', {['a b'] = 1}, {[3] = 'x'}"}`:               `{["a b"] = 1}, {[3] = "x"}`,
		`{"lua":"'echo' -- no more"}`:                                "",
		`{"type":"debug","args":["INFO","x"]}`:                       `{players = 3, what = "x"}`,
		`{"lua":"'echo', 1/0"}`:                                      "error",
		`{"lua":"'echo', os.exit()"}`:                                "error",
		`{"lua":"'echo') error('x'"}`:                                "error",
		`{"lua":"1","args":[1]}`:                                     "error",
		`{"type":"socket"}`:                                          "error",
		`{"type":"text","args":[1]}`:                                 "error",
		`{"args":[1e400]}`:                                           "error",
	} {
		if want == "error" {
			var f admin.CallError
			if code := c.call(operateToken, http.MethodPost, "/actors/"+id+"/call", body, &f); code != http.StatusBadRequest {
				t.Errorf("%s: %d %+v", body, code, f)
			}
			continue
		}
		got := c.ask(id, body).Text
		if fields := strings.Split(strings.Trim(got, "{}"), ", "); strings.HasPrefix(want, "{players") { // in any order
			slices.Sort(fields)
			got = "{" + strings.Join(fields, ", ") + "}"
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", body, got, want)
		}
	}
	var raw struct {
		Values json.RawMessage `json:"values"`
	}
	if c.call(operateToken, http.MethodPost, "/actors/"+id+"/call", `{"args":["echo",{"a":[1,2]},9007199254740993]}`, &raw); string(raw.Values) != `[{"a":[1,2]},9007199254740993]` {
		t.Errorf("as JSON: %s", raw.Values)
	}
}

func TestAScriptThatOneActorRunsIsItsName(t *testing.T) {
	c := newScene(t)
	first := c.script("cafe", benchScript) // which might be an id, too
	var d admin.ActorDetail
	if code := c.call(viewToken, http.MethodGet, "/actors/cafe", "", &d); code != http.StatusOK || d.ID != first {
		t.Errorf("the only one that runs it: %d, %s, expected %s", code, d.ID, first)
	}
	c.script("cafe", benchScript)
	var f admin.CallError
	if code := c.call(viewToken, http.MethodGet, "/actors/cafe", "", &f); code != http.StatusConflict || !strings.Contains(f.Message, `2 actors run the script "cafe"`) {
		t.Errorf("of two: %d %+v", code, f)
	}
	if code := c.call(viewToken, http.MethodGet, "/actors/tea", "", &f); code != http.StatusNotFound || !strings.Contains(f.Message, "none runs a script of this name") {
		t.Errorf("of none: %d %+v", code, f)
	}
}

func TestWhatAScriptRaisesIsToldWithItsTraceback(t *testing.T) {
	c := newScene(t)
	id := c.script("bench", benchScript)
	var f admin.CallError
	if code := c.call(operateToken, http.MethodPost, "/actors/"+id+"/call", `{"args":["fail"]}`, &f); code != http.StatusInternalServerError || !strings.Contains(f.Message, "bench.lua:7: no such sword") || !strings.Contains(f.Message, "traceback") {
		t.Errorf("%d %+v", code, f)
	}
	for path, body := range map[string]string{"/actors/" + id + "/call": `{"args":["add",1,2]}`, "/actors/" + id + "/inject": `{"source":"x"}`, "/services": `{"script":"bench"}`} {
		if code := c.call(viewToken, http.MethodPost, path, body, &f); code != http.StatusForbidden || f.Code != "no_role" {
			t.Errorf("%s by a viewer: %d %+v", path, code, f)
		}
	}
	c.ask(id, `{"args":["add",1,2]}`)
	e := entries(t, c.server.Audit)
	if len(e) != 5 || e[0].Action != "call" || e[0].Detail != "lua add" || e[0].Outcome != admin.Done || e[4].Outcome != admin.Failed || e[1].Outcome != admin.Refused {
		t.Errorf("audit: %+v", e)
	}
}

func TestCodeIsInjectedByAdminsOnly(t *testing.T) {
	c := newScene(t)
	id := c.script("bench", benchScript)
	path := "/actors/" + id + "/inject"
	if code := c.call(operateToken, http.MethodPost, path, `{"source":"x"}`, nil); code != http.StatusForbidden {
		t.Errorf("by an operator: %d", code)
	}
	var done admin.Injected
	if code := c.call("the token of the admin", http.MethodPost, path, `{"source":"x","args":[5]}`, &done); code != http.StatusOK || done.Output != "x ran with 5" {
		t.Errorf("%d %+v", code, done)
	}
	var f admin.CallError
	if code := c.call("the token of the admin", http.MethodPost, path, `{"source":"bad","name":"fix.lua"}`, &f); code != http.StatusInternalServerError || f.Message != "fix.lua:1: bad" {
		t.Errorf("%d %+v", code, f)
	}
	if e := entries(t, c.server.Audit)[0]; e.Action != "inject" || !strings.HasPrefix(e.Detail, "fix.lua sha256:") || e.Outcome != admin.Failed {
		t.Errorf("audit: %+v", e)
	}
}

func TestAServiceIsStarted(t *testing.T) {
	c := newScene(t)
	c.script("bench", benchScript)
	var l admin.Launched
	if code := c.call(operateToken, http.MethodPost, "/services", `{"script":"bench"}`, &l); code != http.StatusOK {
		t.Fatal(code)
	}
	if got := c.ask(l.ID, `{"args":["add",1,2]}`).Text; got != "3" {
		t.Errorf("it answers %s", got)
	}
	var f admin.CallError
	if code := c.call(operateToken, http.MethodPost, "/services", `{"script":"nobody"}`, &f); code == http.StatusOK || !strings.Contains(f.Message, "nobody") {
		t.Errorf("%d %+v", code, f)
	}
}

func TestAnActorsLastErrorIsTold(t *testing.T) {
	c := newScene(t)
	spec := idle()
	spec.Name, spec.New = "shop", func() actor.Actor {
		return actor.Func(func(_ *actor.Context, msg any) { panic(msg) })
	}
	ref := c.spawn(spec)
	var d admin.ActorDetail
	c.sys.Send(ref, "out of swords")
	for d.LastError == nil {
		if code := c.call(viewToken, http.MethodGet, "/actors/shop", "", &d); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	if e := d.LastError; e.Error != "out of swords" || e.Message != "handler failed" || !strings.Contains(e.Traceback, "TestAnActorsLastErrorIsTold") || e.Time.IsZero() {
		t.Errorf("%+v", e)
	}
}

// stuckScript is the id of an actor that takes itself for a script and does not come back from its handler. It is for tests in fake time.
func (c *scene) stuckScript() (id string) {
	c.t.Helper()
	spec, release := idle(), make(chan struct{})
	spec.Kind = lua.KindPrefix + "stuck"
	spec.New = func() actor.Actor { return actor.Func(func(*actor.Context, any) { <-release }) }
	c.t.Cleanup(func() { close(release) })
	ref := c.spawn(spec)
	c.sys.Send(ref, "begin")
	until(c.t, "seen by two looks of the monitor", func() bool { _, _, known := c.sys.Stuck(ref); return known })
	return admin.ActorID(ref)
}

func TestEachRouteAndVerbAnswersWithin3sForAStuckActorAndSaysSo(t *testing.T) {
	inFakeTime(t, testEachRouteAnswersForAStuckActor)
}

func testEachRouteAnswersForAStuckActor(t *testing.T) {
	c := newScene(t)
	id := c.stuckScript()
	bodies := map[string]string{"call": `{"args":["x"]}`, "inject": `{"source":"x"}`}
	last := []string{"/quarantine", "/release", "/kill"} // one after the other
	var asked sync.WaitGroup
	verbs := 0
	for path, item := range c.document().Paths.Map() {
		of, is := strings.CutPrefix(path, "/api/v1/actors/{id}")
		for method, op := range item.Operations() {
			if is && !slices.Contains(last, of) {
				verbs++
				asked.Go(func() { c.stuckAnswer(id, method, of, bodies[op.OperationID]) })
			}
		}
	}
	asked.Wait()
	if verbs < 5 {
		t.Errorf("only %d routes were tried", verbs)
	}
	for _, of := range last {
		c.stuckAnswer(id, http.MethodPost, of, "{}")
	}
}

// whereabouts are of scripts of which one comes to a step, and says where it is; all others are in Go for long.
type whereabouts struct {
	admin.Scripts
	says string
}

func (w whereabouts) Where(ctx context.Context, _ *actor.System, of actor.Ref) (string, error) {
	if admin.ActorID(of) == w.says {
		return "stack traceback: shop.lua:7", nil
	}
	<-ctx.Done()
	return "", lua.ErrNotRunning
}

func TestOfManyWhoAreStuckEachIsToldOfWithin3s(t *testing.T) {
	inFakeTime(t, testOfManyWhoAreStuckEachIsToldOf)
}

func testOfManyWhoAreStuckEachIsToldOf(t *testing.T) {
	c := newScene(t)
	const many = 20
	id := ""
	for range many {
		id = c.stuckScript()
	}
	server := guardedServer(t)
	server.API = &admin.API{System: c.sys, Scripts: whereabouts{says: id}}
	t.Cleanup(server.Close)
	c.listen(server)
	until(t, "told of all by the monitor", func() bool { return len(c.sys.StuckActors()) == many })
	var all []admin.StuckActor
	begun := time.Now()
	if code := c.call(viewToken, http.MethodGet, "/stuck", "", &all); code != http.StatusOK || time.Since(begun) > 3*time.Second || len(all) != many {
		t.Fatalf("%d after %v: %d of %d", code, time.Since(begun), len(all), many)
	}
	for i := range all {
		if is := all[i].LuaStack != ""; is != (all[i].ID == id) || all[i].GoStack == "" {
			t.Errorf("%+v", all[i])
		}
	}
}

// stuckAnswer expects that a route tells of the stuck actor in time.
func (c *scene) stuckAnswer(id, method, of, body string) {
	begun := time.Now()
	if strings.HasSuffix(of, "/tail") {
		of += "?wait=100"
	}
	var answer map[string]any
	code := c.call("the token of the admin", method, "/actors/"+id+of, body, &answer)
	took := time.Since(begun)
	text, err := json.Marshal(answer)
	if err != nil || took > 3*time.Second || !strings.Contains(string(text), "busy in one handler since") {
		c.t.Errorf("%s %s: %d after %v: %s", method, of, code, took, text)
	}
}

func TestTheRatesOfAnActorAreMeasured(t *testing.T) {
	inFakeTime(t, testTheRatesOfAnActor)
}

func testTheRatesOfAnActor(t *testing.T) {
	c := newScene(t)
	spec, done := idle(), make(chan struct{})
	spec.Name = "shop"
	ref := c.spawn(spec)
	var sending sync.WaitGroup
	defer sending.Wait()
	defer close(done)
	sending.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.sys.Send(ref, 1)
			case <-done:
				return
			}
		}
	})
	var d admin.ActorDetail
	if code := c.call(viewToken, http.MethodGet, "/actors/shop?over=500", "", &d); code != http.StatusOK || d.Rates == nil || d.Rates.Messages < 990 || d.Rates.Messages > 1010 || d.Rates.Busy > 1 {
		t.Errorf("%d %+v", code, d.Rates)
	}
	d = admin.ActorDetail{}
	if code := c.call(viewToken, http.MethodGet, "/actors/shop", "", &d); code != http.StatusOK || d.Rates != nil {
		t.Errorf("without being asked: %d %+v", code, d.Rates)
	}
}

func TestWhatHandlersWaitForIsShown(t *testing.T) {
	c := newScene(t)
	id := c.script("bench", benchScript)
	var tasks admin.Tasks
	if code := c.call(viewToken, http.MethodGet, "/actors/"+id+"/tasks", "", &tasks); code != http.StatusOK || len(tasks.Handlers) != 1 || !strings.Contains(tasks.Handlers[0].Stack, "bench.lua") {
		t.Errorf("%d %+v", code, tasks)
	}
	spec := idle()
	spec.Name = "shop"
	c.spawn(spec)
	var f admin.CallError
	if code := c.call(viewToken, http.MethodGet, "/actors/shop/tasks", "", &f); code != http.StatusBadRequest || !strings.Contains(f.Message, "is no service of a script") {
		t.Errorf("%d %+v", code, f)
	}
}
