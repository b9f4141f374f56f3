package lua_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

// agentText is a script of some 300 lines, whose state is a table of some 40.
func agentText(version int) string {
	var b strings.Builder
	b.WriteString("local skynet = require \"skynet\"\nlocal total, log = 0, {}\nlocal rules = { base = 10, crit = 2 }\nlocal M = {}\n")
	fmt.Fprintf(&b, "function M.version(self) return %d end\n", version)
	b.WriteString("function M.start(self) self.items = {} for i = 1, 40 do self.items[i] = { id = i, count = i * 2, on = function() return i end } end end\n")
	for i := range 60 {
		fmt.Fprintf(&b, "function M.handler%d(self, n)\n  total = total + n\n  log[1] = n\n  return rules.base * n + %d\nend\n", i, i*version)
	}
	b.WriteString("return M\n")
	return b.String()
}

func benchRuntime(b *testing.B, engine vm.Engine, v *reload.Version) (*actor.System, *lua.Runtime) {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	rt, err := lua.NewRuntime(lua.Config{Scripts: fstest.MapFS{}, Library: scripts.FS(), Log: log, Engine: engine})
	if err != nil {
		b.Fatal(err)
	}
	rt.Use(v)
	sys := actor.New(actor.Config{Log: log})
	b.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
	})
	if _, err := sys.Spawn(rt.Launcher()); err != nil {
		b.Fatal(err)
	}
	return sys, rt
}

// BenchmarkReload tells how long a VM takes to go over to another version: one with one agent, and one that 256 agents share, also where each has a hook called, so that all
// that the VM has is remembered until the last of them has returned. Of that is the time of the last piece, in which nothing else of the VM runs.
func BenchmarkReload(b *testing.B) {
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		b.Fatal(err)
	}
	for _, engine := range []vm.Engine{lua54.New(), second} {
		for name, hook := range map[string]string{"": "", "-hooks": "function M.on_upgrade(self) self.up = true end M.on_downgrade = M.on_upgrade\n"} {
			for _, agents := range []int{1, 256} {
				b.Run(fmt.Sprintf("%s/%d%s", engine.Name(), agents, name), func(b *testing.B) { benchReload(b, engine, agents, hook) })
			}
		}
	}
}

func benchReload(b *testing.B, engine vm.Engine, agents int, hook string) {
	b.Helper()
	with := func(text string) string { return strings.Replace(text, "return M", hook+"return M", 1) }
	one := reload.NewVersion(map[string]string{"agent.lua": with(agentText(1))})
	two := reload.NewVersion(map[string]string{"agent.lua": with(agentText(2))})
	sys, _ := benchRuntime(b, engine, one)
	launcher, _ := sys.Lookup(lua.LauncherName)
	var ref actor.Ref
	for range agents {
		v, err := sys.Ask(context.Background(), launcher, lua.Launch{Script: "agent", Shared: agents > 1})
		if err != nil {
			b.Fatal(err)
		}
		ref = v.(actor.Ref)
	}
	up, err := reload.Prepare(engine, one, two, reload.Options{})
	if err != nil {
		b.Fatal(err)
	}
	down, err := reload.Prepare(engine, two, one, reload.Options{Down: true})
	if err != nil {
		b.Fatal(err)
	}
	updates := [2]*reload.Update{up, down}
	var took time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		v, err := sys.Ask(context.Background(), ref, lua.Upgrade{Update: updates[i%2]})
		if err != nil {
			b.Fatal(err)
		}
		took += v.(reload.Report).Took
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs-last/VM")
}

// BenchmarkPrepare tells how long a node takes to make an update of a script of 300 lines.
func BenchmarkPrepare(b *testing.B) {
	engine := lua54.New()
	one := reload.NewVersion(map[string]string{"agent.lua": agentText(1)})
	two := reload.NewVersion(map[string]string{"agent.lua": agentText(2)})
	for range b.N {
		if _, err := reload.Prepare(engine, one, two, reload.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
