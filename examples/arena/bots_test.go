package arena_test

import (
	"context"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skua-go/skua/examples/arena"
	"github.com/skua-go/skua/examples/arena/bot"
)

// targets puts the same number of clients on each transport of the node.
func (n *node) targets(cfg bot.Config, clients int) bot.Config {
	cfg.Transport, cfg.Addr, cfg.Clients = "tcp", n.Addr["tcp"], clients
	cfg.Also = []bot.Target{{Transport: "kcp", Addr: n.Addr["kcp"], Clients: clients}, {Transport: "ws", Addr: n.Addr["http"], Clients: clients}}
	return cfg
}

func TestBotsFindNothingWrongOverAnyTransport(t *testing.T) {
	n := newNode(t)
	report, err := bot.Run(t.Context(), n.targets(bot.Config{Duration: 5 * time.Minute, Steps: 20, Pause: 100 * time.Millisecond}, 12))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(report.Errors, report.Lost...) {
		t.Error(text)
	}
	if report.Clients != 36 || report.Requests < 36*20 || report.Answers != report.Requests || report.Pushes == 0 || report.Strangers != 0 {
		t.Errorf("%d clients, %d requests, %d answers, %d pushes, %d strangers", report.Clients, report.Requests, report.Answers, report.Pushes, report.Strangers)
	}
	t.Logf("%d requests, %d pushes, %+v", report.Requests, report.Pushes, report.Latency)

	// A node that is asked to stop loses nothing, not even what was not committed.
	n.Stop(syscall.SIGTERM)
	stopped := time.Now()
	n.Start()
	wrong, err := bot.Verify(t.Context(), n.targets(bot.Config{}, 12), report, stopped, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range wrong {
		t.Error(text)
	}
}

// TestWhatWasPromisedIsThereAfterAKill kills the node while bots play, and holds what they have afterwards against what they had been told.
func TestWhatWasPromisedIsThereAfterAKill(t *testing.T) {
	// What may be lost: what [store] autosave has not begun to save, and one flush, on a machine that is busy with other tests.
	const autosave, flush = 250 * time.Millisecond, 5 * time.Second
	t.Setenv("SKUA_STORE_AUTOSAVE", autosave.String())
	n := newNode(t)
	// The end of a connection over KCP shows only by silence, so the test ends the run once the node is dead.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type result struct {
		report *bot.Report
		err    error
	}
	played := make(chan result, 1)
	entered := make(chan struct{})
	cfg := n.targets(bot.Config{Duration: time.Minute, Pause: 100 * time.Millisecond, Entered: func(int) { close(entered) }}, 8)
	go func() {
		report, err := bot.Run(ctx, cfg)
		played <- result{report, err}
	}()
	<-entered
	<-time.After(autosave + flush + time.Second) // steps from before the loss window have to be durable
	killed := time.Now()
	n.Stop(syscall.SIGKILL)
	cancel()
	got := <-played
	if got.err != nil {
		t.Fatal(got.err)
	}
	report := got.report
	for _, text := range report.Errors {
		t.Error(text)
	}
	n.Start()
	cfg = n.targets(bot.Config{}, 8)
	wrong, err := bot.Verify(t.Context(), cfg, report, killed, autosave+flush)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range wrong {
		t.Error(text)
	}
	coins, steps := int64(0), 0
	for _, p := range report.Players {
		coins += p.Coins
		steps += len(p.Steps) - 1
	}
	if coins == 0 || steps < 100 {
		t.Errorf("%d coins and %d steps before the kill: the test has not tested much", coins, steps)
	}

	// Promises that were not kept are found.
	lied := report.Players[0]
	lied.Coins += 100
	lied.Saved = bot.Saved{N: lied.Steps[len(lied.Steps)-1].N + 1000, At: killed}
	lied.Steps = []bot.Step{{N: lied.Steps[0].N + 2000, At: killed.Add(-time.Minute)}}
	wrong, err = bot.Verify(t.Context(), cfg, &bot.Report{Players: []bot.PlayerReport{lied}}, killed, autosave+flush)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"coins, was answered", "were saved", "before the loss window", "before everything that is known"} {
		if !strings.Contains(strings.Join(wrong, "\n"), want) {
			t.Errorf("Verify does not say %q: %q", want, wrong)
		}
	}
}

// TestBotsNoticeAMapThatForgets gives them a map with a fault for each thing that they watch.
func TestBotsNoticeAMapThatForgets(t *testing.T) {
	text, err := fs.ReadFile(arena.Files(), "scripts/map.lua")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"a step is not told": {
			`tell(see, "move",`, `if p.n % 40 ~= 0 then tell(see, "move",`, "impossible push: move of",
		},
		"the one who comes into view is not told": {
			`gate.push(p.session, "enter", describe(q))`, ``, "impossible push",
		},
		"a leave is not told": {
			`tell(lost, "leave", { id = p.id })`, ``, "impossible push: enter of",
		},
		"a position is wrong": {
			`return x, y, p.n, coin and coin.kind`, `return x, p.n % 10 == 0 and y + 1 or y, p.n, coin and coin.kind`, "which no request asked for",
		},
	} {
		t.Run(name, func(t *testing.T) {
			broken := strings.Replace(string(text), c.old, c.new, 1)
			if strings.HasPrefix(c.new, "if ") {
				broken = strings.Replace(broken, "y = y, n = p.n })\n  tell(met", "y = y, n = p.n }) end\n  tell(met", 1)
			}
			if broken == string(text) {
				t.Fatal("the map has no such line any more")
			}
			n := newNode(t, "scripts/map.lua", broken, "scripts/world.lua", smallWorld)
			report, err := bot.Run(t.Context(), n.targets(bot.Config{Duration: 5 * time.Minute, Steps: 200, Pause: 50 * time.Millisecond, Settle: time.Second}, 4))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(report.Errors, "\n"), c.want) {
				t.Errorf("%d errors, none says %q: %.5q", report.ErrorCount, c.want, report.Errors)
			}
		})
	}
}
