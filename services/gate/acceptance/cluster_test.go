package acceptance_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	actorwire "github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/netlab/labtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/gate"
)

// anywhere is the same door as that at addr, of any gate.
func (w *torture) anywhere(addr string) string {
	w.knife.mu.Lock()
	at := w.knife.rnd.IntN(len(w.gates))
	w.knife.mu.Unlock()
	for _, g := range w.gates {
		for transport, is := range g.addrs {
			if is == addr {
				return w.gates[at].addrs[transport]
			}
		}
	}
	return addr
}

// agentsRole is the role of the nodes with agents, where only some have them.
const agentsRole = "world"

// roamed runs gates on three nodes of a cluster, and tortures clients who come back to any of them when they are cut. The nodes talk by the loopback interface: what the link does, it does to clients.
// With a script, its agents have the sessions.
func roamed(t *testing.T, o *oracle, cfg gate.Config, script string) {
	t.Helper()
	clients, length := sized(30, 150), sized(4*time.Second, time.Minute)
	luck := seed(t)
	lab := labtest.Open(t, rough, luck)
	types := actorwire.NewTypes()
	gate.WireTypes(types)
	lua.WireTypes(types)
	var logs [3]logtest.Buffer
	c := clustertest.Start(t, len(logs), clustertest.Config{
		Types: types, Lease: patience,
		// Nobody dies here, however busy the machine is.
		Members: func(i int) cluster.MembersConfig {
			m := cluster.MembersConfig{Beat: 100 * time.Millisecond, Suspect: patience / 2, Dead: patience, Roles: []string{"gate"}}
			if i > 0 {
				m.Roles = append(m.Roles, agentsRole)
			}
			return m
		},
		System: func(i int, cfg *actor.Config) {
			cfg.Log, cfg.CallTimeout = slog.New(slog.NewTextHandler(&logs[i], nil)), patience
		},
	})
	var nodes []*node
	for i, member := range c.Nodes {
		cfg.Others = &gate.Others{Members: member.Members, Mesh: member.Mesh, Keys: [][]byte{[]byte("0123456789abcdef0123456789abcdef")}}
		if script != "" {
			cfg.Others.AgentRole = agentsRole
		}
		n := startOn(t, member.System, &logs[i], lab.Listen().String(), cfg, script, []lua.Module{o.module()}, tortured...)
		member.Metrics.MustRegister(n.metrics)
		nodes = append(nodes, n)
	}
	w := newTorture(t, o, lab, luck, nodes...)
	w.moves = func() (all int) {
		for _, member := range c.Nodes {
			all += int(member.Metric("skua_gate_moves_total")) / 2 // each is counted where it began, and where it ended
		}
		return all
	}
	w.run(t, lab, clients, length, luck)
}

// The torture of one gate, with three. The handlers are in Go, and go along with the session.
func TestSessionsThatRoamOverGatesSurviveTortureExactlyOnceAndInOrder(t *testing.T) {
	t.Parallel()
	if !labtest.Isolated(t) {
		return
	}
	o := &oracle{sessions: map[[2]int]*record{}}
	roamed(t, o, o.config(), "")
}

// The same with agents, which stay where they are: on one of two nodes, while their clients are at any of three.
func TestSessionsOfAgentsThatRoamOverGatesSurviveTortureExactlyOnceAndInOrder(t *testing.T) {
	t.Parallel()
	if !labtest.Isolated(t) {
		return
	}
	o := &oracle{sessions: map[[2]int]*record{}}
	cfg := o.config()
	cfg.Handle, cfg.OnSession, cfg.PackData, cfg.UnpackData = nil, nil, nil, nil
	roamed(t, o, cfg, tracer)
}

// tracer is an agent that tells the oracle of all that happens to its session.
const tracer = `
local skynet = require "skynet"
local gate = require "gate"
local oracle = require "oracle"
local M = { client = {} }
local function push(self, n)
  for _ = 1, n do gate.push(self.session, "news", { e = self.e, k = oracle.push(self.c, self.e) }) end
end
function M.start(self, player) end
function M.connect(self, session) self.session = session end
function M.disconnect(self, session, why)
  self.gone = true
  if self.c then oracle.ended(self.c, self.e, why) end
end
function M.away(self) if self.c then oracle.away(self.c, self.e) end end
function M.back(self) if self.c then oracle.back(self.c, self.e) end end
local function handle(self, q)
  if not self.c then
    self.c, self.e = q.c, q.e
    skynet.fork(function()
      while not self.gone do
        skynet.sleep(math.random(1, 30))
        push(self, self.gone and 0 or oracle.spontaneous())
      end
    end)
  end
  oracle.asked(self.c, self.e, q.c, q.e, q.n)
  push(self, q.p or 0)
  local answer = { n = q.n, k = oracle.pushed(self.c, self.e) }
  if q.d then skynet.sleep(q.d // 10) end
  return answer
end
M.client["do"] = handle
M.client.note = handle
return M`

// module is the oracle, as agents ask it: of a session, by the client's number and that of the session.
func (o *oracle) module() lua.Module {
	return lua.Module{Name: "oracle", Open: func(_ *lua.Host, s vm.State) {
		s.NewTable(0, 7)
		s.PushFunc("spontaneous", func(s vm.State) int {
			n := int64(0)
			if !o.calm.Load() {
				n = time.Now().UnixNano() / 1000 % 4
			}
			s.PushInt(n)
			return 1
		})
		s.SetField(-2, "spontaneous")
		for name, f := range map[string]func(r *record, s vm.State) int{
			"asked": func(r *record, s vm.State) int {
				r.asked(o, question{Client: number(s, 3), Epoch: number(s, 4), Number: number(s, 5)})
				return 0
			},
			"push":   func(r *record, s vm.State) int { r.pushed.here++; s.PushInt(int64(r.pushed.here)); return 1 },
			"pushed": func(r *record, s vm.State) int { s.PushInt(int64(r.pushed.here)); return 1 },
			"away":   func(r *record, _ vm.State) int { r.away++; return 0 },
			"back":   func(r *record, _ vm.State) int { r.back++; return 0 },
			"ended":  func(r *record, s vm.State) int { r.ended, _ = s.String(3); return 0 },
		} {
			s.PushFunc(name, func(s vm.State) int {
				r := o.record(number(s, 1), number(s, 2))
				r.mu.Lock()
				defer r.mu.Unlock()
				return f(r, s)
			})
			s.SetField(-2, name)
		}
	}}
}

func number(s vm.State, i int) int {
	n, _ := s.Int(i)
	return int(n)
}
