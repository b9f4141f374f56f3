package gate_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/gate"
)

// witness sees what agents do, and knows what must never be.
type witness struct {
	mu         sync.Mutex
	alive      map[string]int   // agents by player
	attached   map[string]int64 // session by player
	wrong      []string
	starts     int
	gone       []string // reasons
	failStarts bool
}

func newWitness() *witness { return &witness{alive: map[string]int{}, attached: map[string]int64{}} }

func (w *witness) module() lua.Module {
	return lua.Module{Name: "witness", Open: func(_ *lua.Host, s vm.State) {
		s.NewTable(0, 5)
		for name, f := range map[string]func(uid string, session int64, s vm.State){
			"start": w.start, "stop": w.stop, "connect": w.connect, "disconnect": w.disconnect, "request": w.request,
		} {
			s.PushFunc(name, func(s vm.State) int {
				uid, _ := s.String(1)
				session, _ := s.Int(2)
				w.mu.Lock()
				defer w.mu.Unlock()
				f(uid, session, s)
				return 0
			})
			s.SetField(-2, name)
		}
	}}
}

func (w *witness) fault(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

func (w *witness) start(uid string, _ int64, s vm.State) {
	w.starts++
	if w.failStarts {
		s.Errorf("no luck today")
	}
	if w.alive[uid]++; w.alive[uid] > 1 {
		w.fault("%d agents of %s at a time", w.alive[uid], uid)
	}
}

func (w *witness) stop(uid string, _ int64, _ vm.State) { w.alive[uid]-- }

func (w *witness) connect(uid string, session int64, _ vm.State) {
	if old := w.attached[uid]; old != 0 {
		w.fault("%d is attached to %s while %d is", session, uid, old)
	}
	w.attached[uid] = session
}

func (w *witness) disconnect(uid string, session int64, s vm.State) {
	if w.attached[uid] != session {
		w.fault("%d leaves %s, but %d is attached", session, uid, w.attached[uid])
	}
	delete(w.attached, uid)
	why, _ := s.String(3)
	w.gone = append(w.gone, why)
}

func (w *witness) request(uid string, session int64, _ vm.State) {
	if w.attached[uid] != session {
		w.fault("a request of %d reaches %s while %d is attached", session, uid, w.attached[uid])
	}
}

func (w *witness) check(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, fault := range w.wrong {
		t.Error(fault)
	}
	for uid, n := range w.alive {
		if n != 0 {
			t.Errorf("%d agents of %s are left", n, uid)
		}
	}
}

func (w *witness) started() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.starts
}

// reasons is why sessions were gone, as their agents were told.
func (w *witness) reasons() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.gone)
}

// saver is an agent that counts in the store what it is asked, and takes its time to start and to save.
const saver = `
local skynet = require "skynet"
local store = require "store"
local gate = require "gate"
local witness = require "witness"
local M = { client = {} }
function M.start(self, player)
  self.uid = player.uid
  witness.start(self.uid)
  self.doc = store.claim("player", (self.uid:gsub(":", "-"))) or { n = 0 }
  skynet.sleep(0)
end
function M.connect(self, session) witness.connect(self.uid, session) self.session = session end
function M.disconnect(self, session, why) witness.disconnect(self.uid, session, why) end
function M.stop(self)
  skynet.sleep(1)
  store.commit("player", (self.uid:gsub(":", "-")), self.doc)
  witness.stop(self.uid)
end
function M.client.add(self, request, session)
  witness.request(self.uid, session)
  self.doc.n = self.doc.n + 1
  return { n = self.doc.n }
end
function M.client.wait(self, request, session) skynet.wait("ever") end
function M.client.mine(self, request, session) return { agent = skynet.self(), n = self.doc.n } end
function M.client.kick(self, request, session) gate.kick(session, "cheater", "we saw it") end
return M`

func watched(w *witness, cfg gate.Config) world {
	return world{scripts: map[string]string{"agent.lua": saver}, modules: []lua.Module{w.module()}, gate: cfg}
}

func TestAManyTimesReplacedPlayerNeverHasTwoAgentsOrTwoSessions(t *testing.T) {
	for _, c := range []struct {
		linger time.Duration
		shared bool
		stay   int64 // actors
	}{{0, false, 0}, {5 * time.Millisecond, false, 1}, {time.Hour, false, 1}, {0, true, 0}, {5 * time.Millisecond, true, 2}, {time.Hour, true, 2}} {
		t.Run(fmt.Sprintf("linger=%v,shared=%v", c.linger, c.shared), func(t *testing.T) {
			w := newWitness()
			n := start(t, watched(w, gate.Config{Login: gate.LoginGuest, Linger: c.linger, SharedVMs: c.shared}))
			before := n.actors()
			var acked sync.Map
			var all sync.WaitGroup
			for worker := range 20 {
				all.Go(func() {
					for round := range 15 {
						c, err := client.Dial(t.Context(), n.urls["tcp"], client.Options{})
						if err != nil {
							t.Error(err)
							return
						}
						play(t, c, &acked)
						if (worker+round)%3 != 0 {
							_ = c.Close()
							continue
						}
						go func() { // stays until it is replaced or the test ends
							<-c.Done()
							_ = c.Close()
						}()
					}
				})
			}
			all.Wait()
			last := n.enter("ann", client.Options{})
			var got struct{ N int }
			must(t, request(last, "mine", nil, &got))
			acked.Range(func(k, _ any) bool { // each number was given once, and none was lost between agents
				if k.(int) > got.N {
					t.Errorf("%v was acknowledged, %d is saved", k, got.N)
				}
				return true
			})
			n.stop()
			until(t, "all sessions have ended", func() bool { return n.actors() <= before+c.stay })
			ctx := t.Context()
			must(t, n.sys.Shutdown(ctx))
			w.check(t)
		})
	}
}

// play logs in and plays until it is replaced.
func play(t *testing.T, c *client.Client, acked *sync.Map) {
	if err := logIn(c, "Ann"); err != nil {
		if !replaced(err) {
			t.Errorf("login: %v", err)
		}
		return
	}
	for range 5 {
		var got struct{ N int }
		if err := request(c, "add", nil, &got); err != nil {
			if !replaced(err) {
				t.Errorf("add: %v", err)
			}
			return
		}
		if _, twice := acked.LoadOrStore(got.N, true); twice {
			t.Errorf("%d was given twice: an agent started with what another had not saved yet", got.N)
		}
	}
}

func replaced(err error) bool {
	var k *client.KickError
	return errors.As(err, &k) && k.Code == "replaced"
}

func TestRequestsOfAReplacedSessionComeBeforeItsEndOrNotAtAll(t *testing.T) {
	w := newWitness()
	n := start(t, watched(w, gate.Config{Login: gate.LoginGuest, Linger: time.Hour, MaxQueue: 1 << 20}))
	in := ask(1, "login", `{"name":"ann"}`)
	flood := bytes.Repeat(ask(2, "add", ""), 300)
	var readers sync.WaitGroup
	for range 150 {
		r := n.shaken()
		r.send(in)
		if m := r.answer(); m.Error {
			t.Fatalf("login: %s", m.Body)
		}
		readers.Go(func() { // which keeps the session busy until the next one replaces it
			r.send(flood)
			for {
				if p, err := r.read(); err != nil || p.Type == packet.Kick {
					_ = r.Close()
					return
				}
			}
		})
	}
	n.stop()
	readers.Wait()
	must(t, n.sys.Shutdown(t.Context()))
	w.check(t)
}

func TestANewerLoginReplacesTheOlderWhichIsToldWhy(t *testing.T) {
	w := newWitness()
	n := start(t, watched(w, gate.Config{Linger: time.Hour}))
	old := n.enter("ann", client.Options{})
	var before, after struct{ Agent int64 }
	must(t, request(old, "mine", nil, &before))
	newer := n.enter("ANN", client.Options{})
	if code := kickOf(t, old); code != "replaced" {
		t.Errorf("kicked with %s", code)
	}
	must(t, request(newer, "mine", nil, &after))
	if before != after {
		t.Errorf("the agent was %v and is %v", before, after)
	}
	if why := w.reasons(); !slices.Equal(why, []string{"replaced"}) {
		t.Errorf("the agent was told %q", why)
	}
}

func TestAnAgentThatLingersIsUsedAgainAndOneThatEndsSavesBeforeTheNext(t *testing.T) {
	w := newWitness()
	n := start(t, watched(w, gate.Config{Linger: time.Hour}))
	for i := range 3 {
		c := n.enter("ann", client.Options{})
		var got struct{ N int }
		must(t, request(c, "add", nil, &got))
		if got.N != i+1 {
			t.Errorf("add gives %d, want %d", got.N, i+1)
		}
		must(t, c.Close())
	}
	if w.started() != 1 {
		t.Errorf("%d agents were started, want 1", w.started())
	}

	w = newWitness()
	n = start(t, watched(w, gate.Config{}))
	before := n.actors()
	for i := range 3 {
		c := n.enter("ann", client.Options{})
		var got struct{ N int }
		must(t, request(c, "add", nil, &got))
		if got.N != i+1 {
			t.Errorf("add gives %d, want %d", got.N, i+1)
		}
		must(t, c.Close())
		// A login before the node has heard of the end would replace the session, which is another story.
		until(t, "the agent is told", func() bool { return len(w.reasons()) == i+1 })
	}
	n.quiet(before)
	w.check(t)
	if why := w.reasons(); !slices.Equal(why, []string{"left", "left", "left"}) {
		t.Errorf("the agents were told %q, want three that left", why)
	}
}

func TestAnAgentThatFailsToStartFailsTheLoginAndALaterOneWorks(t *testing.T) {
	w := newWitness()
	n := start(t, watched(w, gate.Config{}))
	before := n.actors()
	w.failStarts = true
	c := n.dial(client.Options{})
	if code := codeOf(logIn(c, "ann")); code != "internal" {
		t.Errorf("login: %s", code)
	}
	if !strings.Contains(n.log.String(), "no luck today") {
		t.Error("the log does not say why")
	}
	w.mu.Lock()
	w.failStarts = false
	w.mu.Unlock()
	must(t, logIn(c, "ann"))
	must(t, request(c, "add", nil, nil))
	must(t, c.Close())
	n.quiet(before)
}

func TestAClientThatLeavesInTheMiddleLeavesNothing(t *testing.T) {
	w := newWitness()
	n := start(t, watched(w, gate.Config{}))
	before := n.actors()
	for i := range 30 {
		r := n.shaken()
		r.send(ask(1, "login", fmt.Sprintf(`{"name":"p%d","password":"x"}`, i)))
		if i%3 == 0 {
			r.answer()
			r.send(ask(2, "add", ""), ask(3, "add", ""))
		}
		_ = r.Close()
	}
	n.quiet(before)
	w.check(t)
}

func TestAScriptKicksWithItsOwnReason(t *testing.T) {
	w := newWitness()
	n := start(t, watched(w, gate.Config{}))
	before := n.actors()
	c := n.enter("ann", client.Options{})
	_ = request(c, "kick", nil, nil)
	if code := kickOf(t, c); code != "cheater" {
		t.Errorf("kicked with %s", code)
	}
	n.quiet(before)
	if why := w.reasons(); !slices.Equal(why, []string{"cheater"}) {
		t.Errorf("the agent was told %q", why)
	}
}
