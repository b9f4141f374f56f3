package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/skua-go/skua/examples/arena/bot"
)

func (p *program) bots(prefix string, each int) bot.Config {
	return bot.Config{
		Transport: "tcp", Addr: p.addrs["tcp"], Clients: each, Prefix: prefix,
		Also: []bot.Target{{Transport: "kcp", Addr: p.addrs["kcp"], Clients: each}, {Transport: "ws", Addr: p.addrs["http"], Clients: each}},
	}
}

// Fifty players over each transport play for ten seconds without one wrong answer or missing push. Then the node is killed while they play on. It comes
// back with everything that was acknowledged, and with no more than the loss window of the rest gone.
func TestPlayersAreStillThereAfterAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	// What may be lost of steps that nobody committed: store.autosave, and the batch that was under way, on a machine that is busy with other tests.
	const autosave, batch = 250 * time.Millisecond, 5 * time.Second
	t.Setenv("SKUA_STORE_AUTOSAVE", autosave.String())
	const each = 50
	bin, data := buildProgram(t), t.TempDir()
	p := startProgram(t, bin, "run", "--data", data)

	cfg := p.bots("story", each)
	cfg.Duration = 4 * time.Second
	report, err := bot.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("played: %s", summary(report))
	if report.Failed() || report.Strangers > 0 || report.Clients != 3*each {
		t.Fatalf("%d clients, %d strangers, lost %q, errors %q", report.Clients, report.Strangers, report.Lost, report.Errors)
	}

	before := p.metric(`skua_gate_requests_total{gate="main"}`)
	cfg.Duration = time.Minute
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	go func() {
		var err error
		report, err = bot.Run(ctx, cfg)
		done <- err
	}()
	// They log in again, 3 requests each at least, and then play for a while: longer than the loss window, or there would be nothing to lose.
	await(t, "everybody plays", func() bool { return p.metric(`skua_gate_requests_total{gate="main"}`) > before+3*each*10 })
	since := time.Now()
	await(t, "they play for a while", func() bool { return time.Since(since) > autosave+batch })
	killed := time.Now()
	p.kill()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if report.ErrorCount > 0 {
		t.Fatalf("errors beside the lost connections: %q", report.Errors)
	}
	if len(report.Lost) != 3*each {
		t.Fatalf("%d connections were lost, expected %d", len(report.Lost), 3*each)
	}

	p = startProgram(t, bin, "run", "--data", data)
	wrong, err := bot.Verify(t.Context(), p.bots("story", each), report, killed, autosave+batch)
	if err != nil {
		t.Fatal(err)
	}
	if len(wrong) > 0 {
		t.Fatalf("%d broken promises: %q", len(wrong), wrong)
	}
	t.Logf("after kill -9: %d players are back with every coin and save that was acknowledged, and with all steps older than %v", 3*each, autosave+batch)
	p.stop()
}

func summary(r *bot.Report) string {
	return fmt.Sprintf("%d clients, %d requests, %d pushes, %d errors, p50 %v, p99 %v", r.Clients, r.Requests, r.Pushes, r.ErrorCount, r.Latency.P50, r.Latency.P99)
}
