package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/services/admin"
)

// peersOf are nodes of one process; those without a server don't answer.
type peersOf map[string]*admin.Server

func (p peersOf) Names() []string {
	names := []string{}
	for name := range p {
		names = append(names, name)
	}
	return names
}

func (p peersOf) Ask(ctx context.Context, node string, r *admin.Passed) (*admin.PassedAnswer, error) {
	switch node {
	case "mute":
		<-ctx.Done()
		return nil, ctx.Err()
	case "dead":
		return nil, errors.New("it is dead")
	}
	return p[node].Answer(ctx, "n", r), nil
}

// twoNodes are scenes that know each other, as n and b, and others that do not answer.
func twoNodes(t *testing.T, others ...string) (n, b *scene) {
	t.Helper()
	peers := peersOf{}
	n, b = newScene(t), newScene(t)
	for name, one := range map[string]*scene{"n": n, "b": b} {
		one.server = guardedServer(t)
		one.server.Version.Node, peers[name] = name, one.server
		one.server.API = &admin.API{System: one.sys, Sessions: one.clients, Log: one.lines, Peers: peers, Directory: knows{}}
		t.Cleanup(one.server.Close)
		one.listen(one.server)
	}
	for _, name := range others {
		peers[name] = nil
	}
	return n, b
}

func TestAnotherNodeIsAskedByItsName(t *testing.T) {
	n, b := twoNodes(t)
	spec := idle()
	spec.Name = "shop"
	b.spawn(spec)
	var d admin.ActorDetail
	if code := n.call(viewToken, http.MethodGet, "/actors/shop?node=b", "", &d); code != http.StatusOK || d.Name != "shop" {
		t.Errorf("%d %+v", code, d)
	}
	if code := n.call(viewToken, http.MethodGet, "/actors/shop?node=n", "", nil); code != http.StatusNotFound {
		t.Errorf("it is here, too: %d", code)
	}
	var f admin.CallError
	for path, want := range map[string]int{
		"/actors/nobody?node=b": 404, "/actors/shop?node=c": 404, "/actors?limit=0&node=b": 400, "/actors?node=b&node=n": 400, "/openapi.json?node=b": 400,
		"/sessions?uid=x%26limit=0&node=b": 200, "/log?node=b": 403,
	} {
		if code := n.call(viewToken, http.MethodGet, path, "", &f); code != want {
			t.Errorf("%s: %d %+v", path, code, f)
		}
	}
	if n.call(viewToken, http.MethodGet, "/actors/shop?node=c", "", &f); !strings.Contains(f.Message, "found b, n") {
		t.Errorf("a node that nobody knows: %+v", f)
	}
	id := b.script("bench", benchScript)
	var a admin.CallAnswer
	if code := n.call(operateToken, http.MethodPost, "/actors/"+id+"/call?node=b", `{"args":["add",1,2]}`, &a); code != http.StatusOK || a.Text != "3" {
		t.Errorf("%d %+v", code, a)
	}
}

func TestAChangeOnAnotherNodeIsAuditedThereWithWhoHasAskedHere(t *testing.T) {
	n, b := twoNodes(t)
	if code := n.call(viewToken, http.MethodPost, "/sessions/5/kick?node=b", `{}`, nil); code != http.StatusForbidden {
		t.Errorf("by a viewer: %d", code)
	}
	if code := n.call(operateToken, http.MethodPost, "/sessions/5/kick?node=b", `{"reason":"cheats"}`, nil); code != http.StatusOK || <-b.clients.kicked != "kicked: cheats" {
		t.Errorf("%d", code)
	}
	if e := entries(t, b.server.Audit); len(e) != 1 || e[0].Who != "ci" || e[0].Node != "b" || e[0].Role != "operate" || !strings.HasSuffix(e[0].From, " by n") || !strings.HasPrefix(e[0].From, "127.0.0.1:") {
		t.Errorf("there: %+v", e)
	}
	if e := entries(t, n.server.Audit); len(e) != 1 || e[0].Outcome != admin.Refused {
		t.Errorf("here: %+v", e)
	}
	for _, p := range []admin.Passed{
		{Method: "POST", Path: "/sessions/5/kick", Body: json.RawMessage(`{}`), Role: "view", Who: "x"},
		{Method: "GET", Path: "/actors", Role: "root"},
		{Method: "GET", Path: "/actors"},
		{Method: "GET", Path: "/../../metrics", Role: "admin"},
		{Method: "GET", Path: "/actors", Query: "node=n", Role: "admin"},
		{Method: "DELETE", Path: "/actors/1", Role: "admin"},
		{Path: "%zz", Role: "admin"},
	} {
		if a := b.server.Answer(t.Context(), "n", &p); a.Status == http.StatusOK || !json.Valid(a.Body) {
			t.Errorf("%+v: %d %s", p, a.Status, a.Body)
		}
	}
	if len(b.clients.kicked) > 0 {
		t.Error("somebody was kicked")
	}
}

func TestEachNodeAnswersOrIsNamedWithin3s(t *testing.T) {
	inFakeTime(t, testEachNodeAnswersOrIsNamed)
}

func testEachNodeAnswersOrIsNamed(t *testing.T) {
	n, b := twoNodes(t, "mute", "dead")
	spec := idle()
	spec.Kind = "crowd"
	b.spawn(spec)
	var all admin.ByNode
	begun := time.Now()
	code := n.call(viewToken, http.MethodGet, "/actors?prefix=crowd&node=*", "", &all)
	if took := time.Since(begun); code != http.StatusOK || len(all.Nodes) != 4 || took > 3*time.Second {
		t.Fatalf("%d after %v: %+v", code, took, all)
	}
	for i, want := range []string{"b", "dead", "mute", "n"} {
		a := &all.Nodes[i]
		var p admin.ActorPage
		if a.Node != want {
			t.Errorf("%s: %+v", want, a)
		}
		switch want {
		case "dead", "mute":
			if a.Answer != nil || a.Error == nil || a.Error.Code != "busy" || !strings.Contains(a.Error.Message, "node "+want+" does not answer") {
				t.Errorf("%s: %+v", want, a.Error)
			}
		default:
			if err := json.Unmarshal(a.Answer, &p); err != nil || (p.Total == 1) != (want == "b") {
				t.Errorf("%s: %s", want, a.Answer)
			}
		}
	}
	var f admin.CallError
	if code := n.call(viewToken, http.MethodGet, "/actors?node=dead", "", &f); code != http.StatusGatewayTimeout || f.Message != "node dead does not answer: it is dead" {
		t.Errorf("%d %+v", code, f)
	}
}

func TestAStuckActorOfAnotherNodeIsToldOfWithin3s(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		n, b := twoNodes(t)
		id := b.stuckScript()
		begun := time.Now()
		var d admin.ActorDetail
		if code := n.call(viewToken, http.MethodGet, "/actors/"+id+"?node=b", "", &d); code != http.StatusOK || !strings.Contains(d.Busy, "busy in one handler since") || time.Since(begun) > 3*time.Second {
			t.Errorf("%d after %v: %+v", code, time.Since(begun), d)
		}
	})
}
