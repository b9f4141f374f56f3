package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/internal/ferrettest"
)

const outageAgent = `
local store = require "store"
local M = { client = {} }

function M.start(self, player)
  self.id = player.uid
  self.doc = store.claim("player", self.id) or { saved = 0, committed = 0 }
end

function M.client.save(self, request)
  self.doc.saved = request.n
  store.save("player", self.id, self.doc)
  return { n = request.n }
end

function M.client.commit(self, request)
  self.doc.committed = request.n
  local ok, err = pcall(store.commit, "player", self.id, self.doc)
  if not ok then return nil, { code = "unsaved", msg = tostring(err) } end
  return { n = request.n }
end

function M.client.read(self) return self.doc end

return M
`

// FerretDB hangs on commands of some 100 updates, so a batch has 50 here; and it gets one connection, since its updates are not atomic.
const outageConfig = `
name = "outage"
[gate]
agent = "agent"
linger = "0s"
[login]
hash_memory = 65536
hash_time = 1
[store]
mongo = %q
autosave = "200ms"
flush_batch = 50
`

// The database dies while people play. They play on, the operator sees it, and when it is back everything is there, also after a restart of the node.
func TestPlayersPlayOnWhileTheDatabaseIsKilled(t *testing.T) {
	db := ferrettest.Start(t)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "skua.toml"), fmt.Sprintf(outageConfig, db.URI()+"&serverSelectionTimeoutMS=4000&connectTimeoutMS=4000"))
	put(t, filepath.Join(dir, "scripts", "main.lua"), "return {}\n")
	put(t, filepath.Join(dir, "scripts", "agent.lua"), outageAgent)
	binary := buildProgram(t)
	n := startProgram(t, binary, "run", dir)

	var players []*gamer
	for i := range 5 {
		players = append(players, n.login(fmt.Sprint("player", i)))
	}
	leaver := n.login("leaver")
	over := make(chan struct{})
	var playing sync.WaitGroup
	for _, p := range players {
		playing.Go(func() { p.play(over) })
	}
	stop := sync.OnceFunc(func() { close(over); playing.Wait() })
	defer stop()
	each := func(what string, ok func(s score) bool) {
		t.Helper()
		for _, p := range players {
			await(t, p.name+" "+what, func() bool { return ok(p.look()) })
		}
	}
	each("commits", func(s score) bool { return s.durable > 0 })

	db.Kill()
	await(t, "the log tells of the outage", func() bool { return strings.Contains(n.log(), "database unavailable") })
	await(t, "the gauge tells of the outage", func() bool { return n.metric("skua_store_database_down") == 1 })
	retries := n.metric("skua_store_retries_total")
	await(t, "the store tries again", func() bool { return n.metric("skua_store_retries_total") > retries })
	for _, p := range players {
		p.mark() // the outage is known from here on
	}
	each("plays on", func(s score) bool { return s.saves >= 20 && s.unsaved >= 20 })
	for _, p := range players {
		// A machine that stands still for a while makes one of them slow, and waiting for the database all commits.
		if s := p.look(); s.slow > 2 || s.done > 0 {
			t.Errorf("%s: %d requests took longer than %v while the database was away, up to %v, and %d commits were acknowledged", p.name, s.slow, slowly, s.slowest, s.done)
		}
	}
	t.Logf("database away: %d saves answered and %d commits refused, the slowest after %v", players[0].look().saves, players[0].look().unsaved, players[0].look().slowest)
	if _, err := n.tryLogin("latecomer"); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a login without a database got %v", err)
	}

	left := leaver.leaveDuringOutage()

	db.Restart(t)
	await(t, "the log tells that the database is back", func() bool { return strings.Contains(n.log(), "database is back") })
	await(t, "the gauge tells that the database is back", func() bool { return n.metric("skua_store_database_down") == 0 })
	for _, p := range players {
		p.mark()
	}
	each("commits again", func(s score) bool { return s.done > 0 })
	stop()

	want := map[string]playerDoc{leaver.name: left}
	for i, p := range players {
		want[p.name] = p.finish(1_000_000 + i)
	}
	for name, doc := range want {
		n.holds(name, doc)
	}
	n.stop()
	n = startProgram(t, binary, "run", dir)
	for name, doc := range want {
		n.holds(name, doc)
	}
	n.stop()
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *program) tryLogin(name string) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	c, err := client.Dial(ctx, "tcp://"+p.addrs["tcp"], client.Options{})
	if err != nil {
		return nil, err
	}
	p.t.Cleanup(func() { _ = c.Close() })
	err = c.Request(ctx, "login", map[string]string{"name": name, "password": "secret"}, nil)
	return c, err
}

func (p *program) login(name string) *gamer {
	p.t.Helper()
	c, err := p.tryLogin(name)
	if err != nil {
		p.t.Fatalf("login of %s: %v", name, err)
	}
	return &gamer{t: p.t, c: c, name: name}
}

// holds fails unless a new login sees this.
func (p *program) holds(name string, want playerDoc) {
	p.t.Helper()
	g := p.login(name)
	var got playerDoc
	if err := g.c.Request(p.t.Context(), "read", nil, &got); err != nil || got != want {
		p.t.Errorf("%s has %+v (%v), want %+v", name, got, err, want)
	}
	_ = g.c.Close()
}

// playerDoc is what the agent keeps.
type playerDoc struct{ Saved, Committed int }

// gamer is a client that plays.
type gamer struct {
	t    *testing.T
	c    *client.Client
	name string

	mu    sync.Mutex
	score score
}

// slowly is less than the timeouts of the database and of calls.
const slowly = 3 * time.Second

type score struct {
	n       int // of the last request
	durable int // the last n that was acknowledged as durable

	// Since the last mark, of requests begun since.
	saves, done, unsaved int
	slow                 int // that took longer than slowly
	slowest              time.Duration
	marks                int
}

func (g *gamer) look() score {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.score
}

func (g *gamer) mark() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.score = score{n: g.score.n, durable: g.score.durable, marks: g.score.marks + 1}
}

// play saves and commits in turn until it is over.
func (g *gamer) play(over <-chan struct{}) {
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-over:
			return
		case <-pace.C:
		}
		route := "save"
		if g.look().n%2 == 1 {
			route = "commit"
		}
		if !g.request(route) {
			return
		}
	}
}

// request hands in the next number and books the answer.
func (g *gamer) request(route string) bool {
	g.mu.Lock()
	g.score.n++
	n, marks := g.score.n, g.score.marks
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	began := time.Now()
	err := g.c.Request(ctx, route, map[string]int{"n": n}, nil)
	took := time.Since(began)
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.score
	var refused *client.Error
	if err != nil && (route != "commit" || !errors.As(err, &refused) || refused.Code != "unsaved") {
		g.t.Errorf("%s: %s %d: %v after %v", g.name, route, n, err, took)
		return false
	}
	if err == nil && route == "commit" {
		s.durable = n
	}
	if marks != s.marks {
		return true
	}
	s.slowest = max(s.slowest, took)
	if took > slowly {
		s.slow++
	}
	switch {
	case route == "save":
		s.saves++
	case err == nil:
		s.done++
	default:
		s.unsaved++
		if !strings.Contains(refused.Msg, "store: unavailable: commit player/") {
			g.t.Errorf("%s: a commit was refused with %q", g.name, refused.Msg)
		}
	}
	return true
}

// finish makes a last change that is not committed, leaves, and tells what the document must be.
func (g *gamer) finish(n int) playerDoc {
	g.t.Helper()
	var now playerDoc
	if err := g.c.Request(g.t.Context(), "read", nil, &now); err != nil {
		g.t.Fatal(err)
	}
	if s := g.look(); max(now.Saved, now.Committed) != s.n || now.Committed < s.durable {
		g.t.Errorf("%s: the agent has %+v after %+v", g.name, now, s)
	}
	if err := g.c.Request(g.t.Context(), "save", map[string]int{"n": n}, nil); err != nil {
		g.t.Fatal(err)
	}
	_ = g.c.Close()
	return playerDoc{Saved: n, Committed: now.Committed}
}

// leaveDuringOutage changes what nobody changes again, so that only what the store has kept can bring it into the database.
func (g *gamer) leaveDuringOutage() playerDoc {
	g.t.Helper()
	if err := g.c.Request(g.t.Context(), "save", map[string]int{"n": 77}, nil); err != nil {
		g.t.Error(err)
	}
	var refused *client.Error
	if err := g.c.Request(g.t.Context(), "commit", map[string]int{"n": 78}, nil); !errors.As(err, &refused) || refused.Code != "unsaved" {
		g.t.Errorf("a commit without a database got %v", err)
	}
	_ = g.c.Close()
	return playerDoc{Saved: 77, Committed: 78}
}
