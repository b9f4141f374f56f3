package admin_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/admin"
)

// clientsOf are sessions that are told what to be.
type clientsOf struct {
	all    []admin.Session
	kicked chan string
}

func (c *clientsOf) List(uid string, _ uint64, _ int) ([]admin.Session, int) {
	if uid != "" && uid != "7" {
		return nil, 0
	}
	return c.all, len(c.all)
}

func (c *clientsOf) Kick(id uint64, code, reason string) bool {
	if id != 5 {
		return false
	}
	c.kicked <- code + ": " + reason
	return true
}

// scene is a server with all that an API can have, in front of real actors.
type scene struct {
	t       *testing.T
	sys     *actor.System
	server  *admin.Server
	client  *http.Client
	clients *clientsOf
	lines   *admin.LogTail
}

func newScene(t *testing.T) *scene {
	t.Helper()
	lines := new(admin.LogTail)
	log, _ := logtest.New(t)
	sys := actor.New(actor.Config{Node: "n", StuckAfter: 500 * time.Millisecond, Log: slog.New(lines.Handler(log.Handler()))})
	t.Cleanup(func() {
		if err := sys.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	c := &scene{t: t, sys: sys, lines: lines, server: guardedServer(t), clients: &clientsOf{
		kicked: make(chan string, 1), all: []admin.Session{{ID: 5, UID: "7", State: "present", Transport: "kcp", Address: "192.0.2.1:5"}},
	}}
	dead := new(admin.DeadLetters)
	c.spawn(dead.Spec())
	c.server.API = &admin.API{
		System: sys, Sessions: c.clients, Dead: dead, Nodes: func() []admin.Node { return []admin.Node{{Name: "n", State: "alive"}} },
		Store: func() (admin.Store, error) { return admin.Store{Pending: 3}, errors.New("the store is away") },
		Settings: func() []admin.Setting {
			return []admin.Setting{{Key: "admin.token", Value: "[secret]", Source: "default"}}
		},
		Log: c.lines, Directory: knows{},
	}
	c.listen(c.server)
	t.Cleanup(c.server.Close)
	return c
}

// knows is a directory that knows one of each.
type knows struct{}

func (knows) Grains(_ context.Context, kind, after string, _ int) ([]admin.Grain, int, error) {
	if after != "" || kind != "" && kind != "room" {
		return nil, 1, nil
	}
	return []admin.Grain{{Kind: "room", ID: "lobby", Epoch: 7, Actor: "a", State: "active"}}, 1, nil
}

func (knows) Names(string, int) ([]admin.Name, int) {
	return []admin.Name{{Name: "chat", Instances: []admin.Instance{{Node: "n", Actor: "b", Weight: 1}}, Total: 1}}, 1
}

func (knows) Leases(string, int) ([]admin.Lease, int) {
	return []admin.Lease{{Key: "arena", Node: "n", Epoch: 3, Since: time.Unix(0, 0).UTC()}}, 1
}

// script starts a service of a script, and returns its id.
func (c *scene) script(name, text string) string {
	c.t.Helper()
	rt, err := lua.NewRuntime(lua.Config{Scripts: fstest.MapFS{name + ".lua": {Data: []byte(text)}}, Library: scripts.FS(), Log: c.sys.Log(), Engine: lua54.New()})
	if err != nil {
		c.t.Fatal(err)
	}
	if _, ok := c.sys.Lookup(lua.LauncherName); !ok {
		c.spawn(rt.Launcher())
	}
	ref := c.spawn(rt.Spec(name, value.List{}))
	if _, err := c.sys.Ask(c.t.Context(), ref, lua.Ready{}); err != nil {
		c.t.Fatal(err)
	}
	return admin.ActorID(ref)
}

func (c *scene) spawn(spec actor.Spec) actor.Ref {
	c.t.Helper()
	ref, err := c.sys.Spawn(spec)
	if err != nil {
		c.t.Fatal(err)
	}
	return ref
}

// call asks with a token, and reads the answer into what into points to.
func (c *scene) call(bearer, method, path, body string, into any) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://localhost/api/v1"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			c.t.Fatalf("%s %s: %d %s: %v", method, path, resp.StatusCode, text, err)
		}
	}
	return resp.StatusCode
}

func (c *scene) document() *openapi3.T {
	c.t.Helper()
	var raw json.RawMessage
	if code := c.call(viewToken, http.MethodGet, "/openapi.json", "", &raw); code != http.StatusOK {
		c.t.Fatalf("%d %s", code, raw)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := doc.Validate(c.t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		c.t.Fatal(err)
	}
	return doc
}

func idle() actor.Spec {
	return actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) {}) }}
}

func TestTheDocumentIsValidAndItsAnswersAreWhatIsAnswered(t *testing.T) {
	c := newScene(t)
	spec := idle()
	spec.Name = "shop"
	c.spawn(spec)
	victim := c.spawn(idle())
	bench := c.script("bench", benchScript)
	gone := c.spawn(idle())
	c.sys.Kill(gone, nil)
	<-c.sys.Ended(gone)
	c.sys.Send(gone, "lost")
	doc := c.document()
	if doc.OpenAPI != "3.1.0" || doc.Paths.Len() < 10 {
		t.Errorf("OpenAPI %s with %d paths", doc.OpenAPI, doc.Paths.Len())
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			asked, of := strings.CutPrefix(path, "/api/v1/actors/{id}")
			switch {
			case !of:
				asked = strings.TrimPrefix(strings.ReplaceAll(path, "{id}", "5"), "/api/v1")
			case asked == "/kill":
				asked = "/actors/" + admin.ActorID(victim) + asked
			case asked == "/quarantine":
				asked = "/actors/" + admin.ActorID(c.spawn(idle())) + asked
			case asked == "/release":
				held := c.spawn(idle())
				if err := c.sys.Quarantine(held, nil); err != nil {
					t.Fatal(err)
				}
				asked = "/actors/" + admin.ActorID(held) + asked
			default:
				asked = "/actors/" + bench + asked
			}
			body := map[string]string{"call": `{"args":["add",1,2]}`, "start": `{"script":"bench"}`, "inject": `{"source":"print(1)"}`}[op.OperationID]
			var answer any
			code := c.call("the token of the admin", method, asked, cmp.Or(body, "{}"), &answer)
			schema := op.Responses.Status(http.StatusOK)
			if code != http.StatusOK {
				schema = op.Responses.Default()
			}
			if err := schema.Value.Content["application/json"].Schema.Value.VisitJSON(answer, openapi3.EnableJSONSchema2020()); err != nil {
				t.Errorf("%s %s: %d %v: %v", method, path, code, answer, err)
			}
			if (code != http.StatusOK) != (path == "/api/v1/store") {
				t.Errorf("%s %s: %d %v", method, path, code, answer)
			}
		}
	}
	<-c.sys.Ended(victim)
}

func TestActorsAreListedPageByPage(t *testing.T) {
	c := newScene(t)
	spec := idle()
	spec.Kind = "crowd"
	for range 25 {
		c.spawn(spec)
	}
	seen, cursor, pages := map[string]bool{}, "", 0
	for {
		var p admin.ActorPage
		if code := c.call(viewToken, http.MethodGet, "/actors?prefix=crowd&limit=10&cursor="+cursor, "", &p); code != http.StatusOK || p.Total != 25 {
			t.Fatalf("%d %+v", code, p)
		}
		for _, a := range p.Actors {
			if seen[a.ID] || a.Kind != "crowd" || a.State != "alive" {
				t.Errorf("%+v", a)
			}
			seen[a.ID] = true
		}
		pages++
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if len(seen) != 25 || pages != 3 {
		t.Errorf("%d actors on %d pages", len(seen), pages)
	}
}

func TestWhatNobodyExpectsIsRefused(t *testing.T) {
	c := newScene(t)
	for _, path := range []string{
		"/actors?limit=0", "/actors?limit=1001", "/actors?limit=x", "/actors?prefx=a", "/actors?limit=1&limit=2", "/actors?sort=name", "/actors?cursor=zz", "/actors?sort=busy&cursor=5",
		"/audit?before=yesterday", "/sessions?cursor=x", "/actors?%zz",
	} {
		var f admin.CallError
		if code := c.call(operateToken, http.MethodGet, path, "", &f); code != http.StatusBadRequest || f.Code != "bad_request" {
			t.Errorf("%s: %d %+v", path, code, f)
		}
	}
	for path, want := range map[string]int{
		"/actors/nobody": 404, "/actors/ffff": 404, "/actors/..%2f..%2fversion": 400, "/actors/%2e%2e/config": 400, "/actors/%00": 404, "/actors/fffffffffffffffffffff": 404,
	} {
		if code := c.call(viewToken, http.MethodGet, path, "", nil); code != want {
			t.Errorf("%s: %d", path, code)
		}
	}
	for _, body := range []string{"x", `{"reasons":"x"}`, `{} {}`, `{"reason":5}`, `{"reason":"` + strings.Repeat("x", 70_000) + `"}`} {
		if code := c.call(operateToken, http.MethodPost, "/sessions/5/kick", body, nil); code != http.StatusBadRequest {
			t.Errorf("%.20s: %d", body, code)
		}
	}
	if len(c.clients.kicked) > 0 {
		t.Error("somebody was kicked")
	}
	var p admin.AuditPage
	if code := c.call(operateToken, http.MethodGet, "/audit?limit=2", "", &p); code != http.StatusOK || len(p.Entries) != 2 {
		t.Fatalf("%d %+v", code, p)
	}
	for _, e := range p.Entries {
		if e.Outcome != admin.Refused || e.Who != "grafana" || e.Detail != "path" || !strings.Contains(e.Target, "..") {
			t.Errorf("a path that leads elsewhere: %+v", e)
		}
	}
}

func TestAKickIsForOperatorsAndIsAudited(t *testing.T) {
	c := newScene(t)
	var f admin.CallError
	if code := c.call(viewToken, http.MethodPost, "/sessions/5/kick", `{"reason":"cheats"}`, &f); code != http.StatusForbidden || f.Code != "no_role" {
		t.Errorf("view: %d %+v", code, f)
	}
	if code := c.call(operateToken, http.MethodPost, "/sessions/6/kick", `{}`, nil); code != http.StatusNotFound {
		t.Errorf("nobody: %d", code)
	}
	if code := c.call(operateToken, http.MethodPost, "/sessions/5/kick", `{"reason":"cheats"}`, nil); code != http.StatusOK {
		t.Errorf("operate: %d", code)
	}
	if got := <-c.clients.kicked; got != "kicked: cheats" {
		t.Error(got)
	}
	var p admin.AuditPage
	if code := c.call(operateToken, http.MethodGet, "/audit?limit=3", "", &p); code != http.StatusOK || len(p.Entries) != 3 {
		t.Fatalf("%d %+v", code, p)
	}
	for i, want := range []string{admin.Done, admin.Failed, admin.Refused} {
		if e := p.Entries[i]; e.Outcome != want || i == 0 && (e.Who != "ci" || e.Action != "kick" || e.Target != "5" || e.Detail != "cheats") {
			t.Errorf("%+v", e)
		}
	}
	if code := c.call(viewToken, http.MethodGet, "/audit", "", nil); code != http.StatusForbidden {
		t.Errorf("the audit log for a viewer: %d", code)
	}
}
