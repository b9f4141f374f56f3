package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/admin"
)

// clientsOf are sessions that are told what to be.
type clientsOf struct {
	page   admin.SessionPage
	kicked chan string
}

func (c *clientsOf) List(uid string, _ uint64, _ int) admin.SessionPage {
	if uid != "" && uid != "7" {
		return admin.SessionPage{Sessions: []admin.Session{}}
	}
	return c.page
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
	base    string
	clients *clientsOf
}

func newScene(t *testing.T) *scene {
	t.Helper()
	sys := actor.New(actor.Config{Node: "n", StuckAfter: 500 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := sys.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	c := &scene{t: t, sys: sys, server: guardedServer(t), clients: &clientsOf{kicked: make(chan string, 1), page: admin.SessionPage{
		Sessions: []admin.Session{{ID: 5, UID: "7", State: "present", Transport: "kcp", Address: "192.0.2.1:5"}}, Total: 1,
	}}}
	dead := new(admin.DeadLetters)
	c.spawn(dead.Spec())
	c.server.API = &admin.API{
		System: sys, Sessions: c.clients, Dead: dead, Nodes: func() []admin.Node { return []admin.Node{{Name: "n", State: "alive"}} },
		Store: func() (admin.Store, error) { return admin.Store{Pending: 3}, errors.New("the store is away") },
		Settings: func() []admin.Setting {
			return []admin.Setting{{Key: "admin.token", Value: "[secret]", Source: "default"}}
		},
	}
	c.base = listening(t, c.server)
	return c
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
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
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
	spec.Name = "victim"
	victim := c.spawn(spec)
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
			asked := strings.TrimPrefix(strings.ReplaceAll(path, "{id}", "5"), "/api/v1")
			switch {
			case strings.HasSuffix(path, "/kill"):
				asked = "/actors/victim/kill"
			case strings.HasSuffix(path, "/quarantine") && strings.Contains(path, "{id}"):
				asked = fmt.Sprintf("/actors/%x/quarantine", c.spawn(idle()).ID())
			case strings.HasSuffix(path, "/release"):
				held := c.spawn(idle())
				if err := c.sys.Quarantine(held, nil); err != nil {
					t.Fatal(err)
				}
				asked = fmt.Sprintf("/actors/%x/release", held.ID())
			case strings.Contains(path, "/actors/{id}"):
				asked = strings.TrimPrefix(strings.ReplaceAll(path, "{id}", "shop"), "/api/v1")
			}
			var answer any
			code := c.call("the token of the admin", method, asked, "{}", &answer)
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
		"/actors/nobody": 404, "/actors/ffff": 404, "/actors/..%2f..%2fversion": 404, "/actors/%00": 404, "/actors/fffffffffffffffffffff": 404,
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

func TestAStuckScriptIsToldOfAndNotWaitedFor(t *testing.T) {
	c := newScene(t)
	spec, release := idle(), make(chan struct{})
	spec.Kind = lua.KindPrefix + "stuck"
	spec.New = func() actor.Actor { return actor.Func(func(*actor.Context, any) { <-release }) }
	defer close(release)
	ref := c.spawn(spec)
	c.sys.Send(ref, "begin")
	var d admin.ActorDetail
	for d.Stack == "" { // the monitor has looked twice by then, or will have
		if code := c.call(viewToken, http.MethodGet, "/actors/"+c.idOf("lua:stuck"), "", &d); code != http.StatusOK || d.Busy == "" {
			t.Fatalf("%d %+v", code, d)
		}
	}
	if !strings.Contains(d.Busy, "since") || !strings.Contains(d.Stack, "TestAStuckScript") {
		t.Errorf("%+v", d)
	}
}

func (c *scene) idOf(kind string) string {
	c.t.Helper()
	var p admin.ActorPage
	if code := c.call(viewToken, http.MethodGet, "/actors?prefix="+kind, "", &p); code != http.StatusOK || len(p.Actors) != 1 {
		c.t.Fatalf("%d %+v", code, p)
	}
	return p.Actors[0].ID
}
