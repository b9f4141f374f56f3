package gate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/documents"
	"github.com/skua-go/skua/services/store/sqlite"
)

// keeperAgent counts, and keeps the count in the database.
const keeperAgent = `
local store = require "store"
local M = { client = {} }
function M.start(self, player) self.uid = player.uid; self.doc = store.claim("player", player.uid) or { n = 0 } end
function M.connect(self) end
function M.disconnect(self) end
function M.client.count(self)
  self.doc.n = self.doc.n + 1
  store.commit("player", self.uid, self.doc)
  return { n = self.doc.n }
end
return M`

// reach is how one node gets to the database, until it is killed.
type reach struct {
	store.Backend
	cut atomic.Bool
}

func (r *reach) Apply(ctx context.Context, writes []store.Write) ([]error, error) {
	if r.cut.Load() {
		return nil, &store.UnavailableError{Op: "reach it", Err: errors.New("the process is dead")}
	}
	return r.Backend.Apply(ctx, writes)
}

// accounts are the login services of some nodes, and the database that these share.
type accounts struct {
	reaches []*reach
	metrics []*prometheus.Registry
}

func (a *accounts) open(t *testing.T, nodes int) extras {
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	for range nodes {
		a.reaches, a.metrics = append(a.reaches, &reach{Backend: db}), append(a.metrics, prometheus.NewRegistry())
	}
	return extras{agent: keeperAgent, modules: []lua.Module{documents.New(documents.Config{}).Module()}, services: func(i int, n *gated) {
		cfg := login.Config{Register: true, Memory: 64, Passes: 1, Metrics: login.NewMetrics(), TokenKeys: [][]byte{[]byte("0123456789abcdef0123456789abcdef")}}
		a.metrics[i].MustRegister(cfg.Metrics)
		n.Spawn(store.Spec(store.Config{Backend: a.reaches[i]}))
		n.Spawn(login.Spec(cfg))
	}}
}

// logins are how many have got in that way, on all nodes.
func (a *accounts) logins(t *testing.T, method string) (n float64) {
	for _, r := range a.metrics {
		families, err := r.Gather()
		must(t, err)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if l := m.GetLabel(); f.GetName() == "skua_login_attempts_total" && l[0].GetValue() == method && l[1].GetValue() == "ok" {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// A process that is killed says nothing: its players find out by themselves, and are in at other gates, as who they were and with what was kept, without a password.
func TestPlayersOfAKilledGateAreInAgainAtOthersWithoutAPassword(t *testing.T) {
	t.Parallel()
	const players, nodes = 50, 3
	var a accounts
	c := meetWith(t, nodes, nil, func(_ int, cfg *gate.Config) { cfg.ResumeWindow = patience }, a.open(t, nodes))
	type player struct {
		*client.Client
		mu     sync.Mutex
		events []client.EventKind
	}
	all := make([]*player, players)
	each := func(do func(i int, p *player) error) {
		var wait sync.WaitGroup
		for i := range all {
			wait.Go(func() {
				if err := do(i, all[i]); err != nil {
					t.Errorf("player %d: %v", i, err)
				}
			})
		}
		wait.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	count := func(p *player, want int) error {
		var got struct{ N int }
		if err := request(p.Client, "count", nil, &got); err != nil || got.N != want {
			return fmt.Errorf("counted %d, want %d: %w", got.N, want, err)
		}
		return nil
	}
	each(func(i int, _ *player) error {
		p := &player{}
		all[i] = p
		var err error
		p.Client, err = client.Dial(t.Context(), c.nodes[0].url, client.Options{GiveUp: patience, RequestTimeout: patience, OnEvent: func(e client.Event) {
			p.mu.Lock()
			p.events = append(p.events, e.Kind)
			p.mu.Unlock()
		}})
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = p.Close() })
		return errors.Join(request(p.Client, "login", map[string]string{"name": fmt.Sprintf("p%d", i), "password": "x"}, nil), count(p, 1), count(p, 2))
	})

	a.reaches[0].cut.Store(true)
	c.nodes[0].door.kill()
	c.nodes[0].stop()
	c.nodes[0].Kill()
	each(func(_ int, p *player) error {
		if err := request(p.Client, "count", nil, nil); err != nil && !errors.Is(err, client.ErrSessionLost) { // it was made when the session was lost, or behind that
			return err
		}
		return nil
	})
	each(func(_ int, p *player) error {
		var got struct{ N int }
		err := request(p.Client, "count", nil, &got)
		if err != nil || got.N != 3 && got.N != 4 {
			return fmt.Errorf("counted %d, want 3 or 4: %w", got.N, err)
		}
		return nil
	})
	until(t, "all have heard what has happened", func() bool {
		return !slices.ContainsFunc(all, func(p *player) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return !slices.Equal(p.events, []client.EventKind{client.Away, client.Lost, client.LoggedIn})
		})
	})
	if password, token := a.logins(t, "password"), a.logins(t, "token"); password != players || token != players {
		t.Errorf("%v logins by password and %v by token, want %d each", password, token, players)
	}
	if one, two := c.nodes[1].gate.Sessions().Count(), c.nodes[2].gate.Sessions().Count(); one+two != players || one == 0 || two == 0 {
		t.Errorf("%d and %d sessions, want %d on both", one, two, players)
	}
}
