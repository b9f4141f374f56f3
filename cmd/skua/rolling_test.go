package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/examples/arena/bot"
	"github.com/skua-go/skua/internal/freeport"
)

// rollingProject has an agent that answers with what it was asked.
var rollingProject = map[string]string{
	"skua.toml":        "[gate]\nagent = \"agent\"\n\n[login]\nmethods = [\"password\"]\nregister = true\n",
	"scripts/main.lua": "require(\"skynet\").start(function() end)\n",
	"scripts/agent.lua": `local M = {}
function M.start(self, player) end
function M.connect(self, session) end
function M.disconnect(self, session, reason) end
M.client = {}
function M.client.echo(self, request) return request end
return M
`,
}

// Players are connected to three nodes that are the NATS cluster themselves, while each of these is drained, ends and is started again: no request fails, no session is lost, nobody logs in again.
func TestPlayersPlayOnThroughARollingRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes, twice")
	}
	players := 100
	if os.Getenv("SKUA_ACCEPTANCE") == "full" {
		players = 1000
	}
	bin, dir := buildProgram(t), t.TempDir()
	for name, text := range rollingProject {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SKUA_CLUSTER_SECRET", "known to the three nodes of this test only")
	routes, doors, joins := freeport.TCP(t, 3), freeport.TCP(t, 3), freeport.TCP(t, 3)
	names := []string{"a", "b", "c"}
	start := func(i int) *program {
		return startWith(t, []string{
			"SKUA_LISTEN_ROUTES=" + routes[i], "SKUA_CLUSTER_ROUTES=" + strings.Join(routes, ","), "SKUA_GATE_ADDRESSES=tcp://" + doors[i],
		}, bin, "run", dir, "--listen-kcp", "off", "--listen-http", "off", "--admin", "127.0.0.1:0", "--name", names[i], "--data", filepath.Join(dir, "data-"+names[i]), "--listen-cluster", joins[i], "--listen-tcp", doors[i])
	}
	nodes := []*program{start(0), start(1), start(2)} // all are needed before the first is ready
	awaitReady(t, nodes...)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	entered, done := make(chan struct{}), make(chan struct{})
	var report *bot.Report
	var failed error
	go func() {
		defer close(done)
		report, failed = bot.Run(ctx, bot.Config{
			Transport: "tcp", Addr: doors[0], Clients: players, Prefix: "rolling", Duration: 10 * time.Minute, Resume: true, History: 1,
			Load:    &bot.Load{Route: "echo", Body: `{"n":$n}`, Echo: true, Rate: 1},
			Entered: func(int) { close(entered) },
		})
	}()
	select {
	case <-entered:
	case <-done:
		t.Fatalf("the players are not in: %v", failed)
	}
	for i, n := range nodes {
		other := nodes[(i+1)%3]
		out, err := exec.CommandContext(t.Context(), bin, "cluster", "drain", names[i], "--admin", other.addrs["admin"], "--timeout", "60s").CombinedOutput()
		if err != nil {
			t.Fatalf("drain %s: %v\n%s", names[i], err, out)
		}
		n.read.Wait()
		if err := n.cmd.Wait(); err != nil {
			t.Errorf("%s has stopped with %v", names[i], err)
		}
		nodes[i] = start(i)
		awaitReady(t, nodes[i])
	}
	stop()
	<-done
	if failed != nil {
		t.Fatal(failed)
	}
	t.Logf("three nodes were started anew: %s, %d resumes, back p99 %v", summary(report), report.Resumes, report.Back.P99)
	if report.Failed() || report.Clients != players || report.Resumes < uint64(players) || report.Relogins > 0 {
		t.Errorf("%d clients, %d resumes, %d relogins, lost %q, errors %q", report.Clients, report.Resumes, report.Relogins, report.Lost, report.Errors)
	}
	for _, n := range nodes {
		n.stop()
	}
}
