package cron_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/cluster/topics"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/cluster"
	"github.com/skua-go/skua/services/cron"
)

// shared has jobs of the whole cluster, and one of each node.
const shared = `
local cron = require "cron"
local M = {}
function M.start(self) self.log = {} end
function M.add(self, n)
  for i = 1, n do
    cron.add("job" .. i, "* * * * *", "UTC", function(due, missed) self.log[#self.log + 1] = "job" .. i .. "@" .. os.date("!%H:%M", due) end, { once = true })
  end
  cron.add("own", "* * * * *", "UTC", function() self.own = (self.own or 0) + 1 end)
  return true
end
function M.log(self) return table.concat(self.log, " ") end
function M.own(self) return self.own or 0 end
return M`

// place is a node of a cluster with scripts that have a calendar.
type place struct {
	*clustertest.Node
	service actor.Ref
}

// places start nodes whose calendars go by one clock.
func places(t *testing.T, n int, now func() time.Time) (all []*place) {
	t.Helper()
	types, text := wire.NewTypes(), &logtest.Buffer{}
	lua.WireTypes(types)
	names.WireTypes(types)
	topics.WireTypes(types)
	log := slog.New(slog.NewTextHandler(text, nil))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", text)
		}
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range clustertest.Start(t, n, clustertest.Config{Types: types, Log: log}).Nodes {
		known, err := names.New(names.Config{Node: n.Node, Members: n.Members, System: n.System, Mesh: n.Mesh})
		must(err)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		leases, err := lease.Open(ctx, n.Node, n.Members, lease.Config{Log: log})
		cancel()
		must(err)
		t.Cleanup(func() {
			n.Leave() // what holds leases ends first
			must(leases.Close())
		})
		tops := topics.New(known, 0)
		script, err := cluster.Spec(cluster.Config{Members: n.Members, Mesh: n.Mesh, Names: known, Leases: leases, Topics: tops})
		must(err)
		rt, err := lua.NewRuntime(lua.Config{Scripts: fstest.MapFS{"main.lua": &fstest.MapFile{Data: []byte(shared)}}, Library: scripts.FS(), Log: log})
		must(err)
		for _, spec := range []actor.Spec{known.Spec(), tops.Spec(), script, cron.Spec(cron.Config{Now: now})} {
			n.Spawn(spec)
		}
		p := &place{Node: n, service: n.Spawn(rt.Spec("main", value.List{}))}
		_, err = n.System.Ask(context.Background(), p.service, lua.Ready{})
		must(err)
		all = append(all, p)
	}
	return all
}

// call gives the result of a command of a node's script as text.
func (p *place) call(t *testing.T, cmd string, args ...any) string {
	t.Helper()
	v, err := p.System.Ask(context.Background(), p.service, lua.Command(cmd, args...))
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := v.(value.List).At(0).Str(); ok {
		return text
	}
	return v.(value.List).At(0).String()
}

func TestAJobOfTheClusterRunsOnOneNodeEachTimeAndOthersOnEach(t *testing.T) {
	t.Parallel()
	const jobs, nodes = 20, 3
	var shows atomic.Int64 // a clock that stands until it is set
	begin := time.Date(2000, 1, 1, 12, 0, 59, 800_000_000, time.UTC)
	shows.Store(begin.UnixNano())
	all := places(t, nodes, func() time.Time { return time.Unix(0, shows.Load()) })
	for _, p := range all {
		p.call(t, "add", jobs)
	}
	var want []string
	for i := 1; i <= jobs; i++ {
		want = append(want, fmt.Sprintf("job%d@12:01", i))
	}
	shows.Store(begin.Add(time.Second).UnixNano()) // the timers have been set for 200 ms, again and again
	clustertest.Eventually(t, "the job of each node has run there", func() bool {
		return !slices.ContainsFunc(all, func(p *place) bool { return p.call(t, "own") != "1" })
	})
	slices.Sort(want)
	var ran []string
	clustertest.Eventually(t, "all jobs have run", func() bool {
		ran = nil
		for _, p := range all {
			ran = append(ran, strings.Fields(p.call(t, "log"))...)
		}
		return len(ran) >= len(want)
	})
	slices.Sort(ran)
	if !slices.Equal(ran, want) {
		t.Errorf("the nodes have run\n%q, want\n%q", ran, want)
	}
}
