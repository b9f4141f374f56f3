package admin_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/services/admin"
)

func TestMessagesAreShownAsTheyComeAndLookingIsAudited(t *testing.T) {
	t.Parallel()
	c := newScene(t)
	id := c.script("bench", benchScript)
	path := "/actors/" + id + "/tail?wait=2000"
	var p admin.TailPage
	if code := c.call(operateToken, http.MethodGet, "/actors/"+id+"/tail", "", &p); code != http.StatusOK || len(p.Messages) != 0 {
		t.Fatalf("%d %+v", code, p)
	}
	c.ask(id, `{"args":["add",1,2]}`)
	c.ask(id, `{"args":["echo",{"x":"`+strings.Repeat("y", 5000)+`"}]}`)
	var found []admin.TailMessage
	for len(found) < 2 {
		if code := c.call(operateToken, http.MethodGet, path+"&cursor="+p.Next, "", &p); code != http.StatusOK {
			t.Fatal(code)
		}
		found = append(found, p.Messages...)
	}
	if m := found[0]; m.Type != "lua add" || m.Content != `"add", 1, 2` || !m.Request || m.Time.IsZero() {
		t.Errorf("%+v", m)
	}
	if m := found[1]; len(m.Content) > 1100 || !strings.HasPrefix(m.Content, `"echo", {x = "yyy`) {
		t.Errorf("%d bytes: %.80s", len(m.Content), m.Content)
	}
	if code := c.call(viewToken, http.MethodGet, path, "", nil); code != http.StatusForbidden {
		t.Errorf("by a viewer: %d", code)
	}
	looks := 0
	for _, e := range entries(t, c.server.Audit) {
		if e.Action == "tail" && e.Who == "ci" && e.Outcome == admin.Begun {
			looks++
		}
	}
	if looks != 1 {
		t.Errorf("%d entries of one look", looks)
	}
}

func TestOfAFloodSomeMessagesAreShownAndTheOthersCounted(t *testing.T) {
	inFakeTime(t, testOfAFlood)
}

func testOfAFlood(t *testing.T) {
	c := newScene(t)
	spec := idle()
	spec.Name = "shop"
	ref := c.spawn(spec)
	cursor, shown, skipped := "", 0, 0
	read := func() (more bool) {
		var p admin.TailPage
		if code := c.call(operateToken, http.MethodGet, "/actors/shop/tail?limit=1000&wait=300&cursor="+cursor, "", &p); code != http.StatusOK {
			t.Fatal(code)
		}
		cursor, shown, skipped = p.Next, shown+len(p.Messages), skipped+int(p.Skipped)
		return len(p.Messages) > 0
	}
	read() // which begins to look
	const sent = 5000
	for range sent {
		c.sys.Send(ref, 1)
	}
	for read() {
	}
	if shown != 200 || skipped != 0 {
		t.Errorf("%d of %d in one second were shown, and %d counted", shown, sent, skipped)
	}
	// Those behind the last one that is shown are told with the next one.
	<-time.After(time.Second)
	c.sys.Send(ref, 1)
	if read(); shown != 201 || skipped != sent-200 {
		t.Errorf("a second later %d were shown, and %d counted", shown, skipped)
	}
	c.sys.Kill(ref, nil)
	<-c.sys.Ended(ref)
	if code := c.call(operateToken, http.MethodGet, "/actors/shop/tail", "", nil); code != http.StatusNotFound {
		t.Errorf("of one that has ended: %d", code)
	}
}

func TestOnlySoManyActorsAreLookedAt(t *testing.T) {
	c := newScene(t)
	codes := map[int]int{}
	for range 20 {
		codes[c.call(operateToken, http.MethodGet, "/actors/"+admin.ActorID(c.spawn(idle()))+"/tail", "", nil)]++
	}
	if codes[http.StatusOK] != 16 || codes[http.StatusGatewayTimeout] != 4 {
		t.Errorf("%v", codes)
	}
}

// logged are the messages of a page.
func (c *scene) logged(query string) (lines []string, p admin.LogPage) {
	c.t.Helper()
	if code := c.call(operateToken, http.MethodGet, "/log"+query, "", &p); code != http.StatusOK {
		c.t.Fatalf("%s: %d", query, code)
	}
	for _, l := range p.Lines {
		lines = append(lines, l.Message)
	}
	return lines, p
}

func TestTheLogIsReadAndFollowed(t *testing.T) {
	inFakeTime(t, testTheLogIsReadAndFollowed)
}

func testTheLogIsReadAndFollowed(t *testing.T) {
	c := newScene(t)
	log := c.sys.Log()
	log.Info("one", "actor", "shop")
	log.With("part", "gate").WithGroup("g").Warn("two", slog.Group("in", "n", 5), "error", errors.New("out of swords"), "p", panicker{})
	log.Debug("below the level")
	_, p := c.logged("")
	if len(p.Lines) != 2 || p.Lines[0].Message != "one" || p.Lines[1].Level != "WARN" {
		t.Fatalf("%+v", p)
	}
	if a := p.Lines[1].Attrs; a["part"] != "gate" || a["g.in.n"] != "5" || a["g.error"] != "out of swords" || !strings.Contains(a["g.p"], "PANIC") {
		t.Errorf("%v", a)
	}
	for query, want := range map[string]string{"?level=warn": "two", "?actor=shop": "one", "?contains=swords": "two", "?limit=1": "two", "?contains=nothing": ""} {
		if got, _ := c.logged(query); strings.Join(got, " ") != want {
			t.Errorf("%s: %v", query, got)
		}
	}
	waits := make(chan []string, 1)
	go func() {
		defer close(waits) // also if it fails
		got, _ := c.logged("?wait=2000&contains=three&cursor=" + p.Next)
		waits <- got
	}()
	synctest.Wait()
	log.Info("another")
	log.Info("three")
	if got := <-waits; len(got) != 1 || got[0] != "three" {
		t.Errorf("followed: %v", got)
	}
	for i := range 2500 {
		log.Info(strconv.Itoa(i))
	}
	if _, late := c.logged("?limit=10&cursor=" + p.Next); late.Missed != 502 || late.Lines[0].Message != "500" || len(late.Lines) != 10 {
		t.Errorf("a slow reader: %d missed, %d lines from %q", late.Missed, len(late.Lines), late.Lines[0].Message)
	}
	if code := c.call(viewToken, http.MethodGet, "/log", "", nil); code != http.StatusForbidden {
		t.Errorf("for a viewer: %d", code)
	}
}

type panicker struct{}

func (panicker) String() string { panic("no") }
