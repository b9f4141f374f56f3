package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/examples/arena/bot"
)

const botHelp = `Logs clients in to a node that runs the arena, lets them walk, chat and save, and checks every answer and every push: answers belong to their
requests and come in order, players in view are seen step by step, and in the end each sees exactly who is near.

For any other project, --request asks one route over and over, and --expect-echo or --expect checks the answers. "$n" in --body becomes a number
that no other request has, so that an echo shows whose answer it is.

One process holds as many clients as it may open files (ulimit -n), less a hundred; --processes shares the clients out over several, and puts their reports together.
Clients of 127.0.0.1 then come from a 127.x address for each process; elsewhere --source names local addresses (one has 28,000 ports for each door).

While it runs, a terminal shows how it goes, second by second; otherwise there is a line every ten seconds. Both go to standard error. Ctrl-C ends the run with a
report of what was seen.

--check compares the report with a threshold, METRIC OP VALUE with one of < <= > >= ==: p50 p90 p99 max are the latencies of requests; with connect., login. or back.
before them, those of connecting, logging in and coming back after a lost connection; clients requests answers pushes resumes errors lost
requests_per_s pushes_per_s are numbers.

Exit code 1 on any error, lost connections included, and when a check fails.`

const botExample = `  skua bot --clients 50
  skua bot --transport kcp --addr 127.0.0.1:7000 --clients 200 --duration 1m --json
  skua bot --transport tcp=50,kcp=50 --clients 20000 --processes 2 --ramp 500/s --request echo --body '{"n":$n}' --rate 1 --expect-echo
  skua bot --clients 200 --cut 10s --check 'p99<50ms' --check 'resumes>0'`

func newBotCommand() *cobra.Command {
	f := &botFlags{}
	cmd := &cobra.Command{
		Use:     "bot",
		Short:   "Play with headless clients: load, soak, checks",
		Long:    botHelp,
		Example: botExample,
		Args:    positional(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if f.worker {
				return runBotWorker(ctx, cmd.InOrStdin(), cmd.OutOrStdout())
			}
			return f.run(ctx, cmd)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *botFlags) run(ctx context.Context, cmd *cobra.Command) error {
	plan, err := f.plan()
	if err != nil {
		return &usageError{err}
	}
	checks, err := f.parseChecks()
	if err != nil {
		return &usageError{err}
	}
	view := newBotView(cmd.ErrOrStderr())
	var report *bot.Report
	if f.Processes > 1 {
		report, err = runBotProcesses(ctx, plan, f.Processes, view)
	} else {
		report, err = runBots(ctx, plan, view.show, view.entered)
	}
	view.end()
	if errors.Is(err, bot.ErrConfig) {
		return err
	}
	if err != nil {
		// Nobody played, and that is the result: whoever reads the line of JSON gets one in any case.
		report = nobodyPlayed(err)
	}
	if f.json {
		err = printBotJSON(cmd.OutOrStdout(), report)
	} else {
		printBotReport(cmd.OutOrStdout(), report)
		err = nil
	}
	if err != nil {
		return err
	}
	failed := report.Failed() || report.Clients < f.Clients
	const shown = 20
	texts := slices.Concat(report.Errors, report.Lost)
	for _, text := range texts[:min(len(texts), shown)] {
		fmt.Fprintln(cmd.ErrOrStderr(), "skua bot:", text)
	}
	if more := report.ErrorCount + len(report.Lost) - shown; more > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "skua bot: and %d more errors\n", more)
	}
	for _, c := range checks {
		if text := c.Failed(report); text != "" {
			fmt.Fprintln(cmd.ErrOrStderr(), "skua bot:", text)
			failed = true
		}
	}
	if failed {
		return errSilent
	}
	return nil
}

// runBots plays a plan in this process.
func runBots(ctx context.Context, plan botPlan, progress func(bot.Snapshot), entered func(int)) (*bot.Report, error) {
	cfg, err := plan.config()
	if err != nil {
		return nil, err
	}
	cfg.Progress, cfg.Entered = progress, entered
	return bot.Run(ctx, cfg)
}

// printBotJSON writes the line that scripts read: the first six keys stay as they are.
func printBotJSON(w io.Writer, r *bot.Report) error {
	type latency struct {
		P50 float64 `json:"p50_ms"`
		P90 float64 `json:"p90_ms"`
		P99 float64 `json:"p99_ms"`
		Max float64 `json:"max_ms"`
	}
	of := func(l bot.Latency) latency { return latency{ms(l.P50), ms(l.P90), ms(l.P99), ms(l.Max)} }
	kinds := r.Kinds
	if kinds == nil {
		kinds = map[string]int{}
	}
	line, err := json.Marshal(struct {
		Clients  int            `json:"clients"`
		Requests uint64         `json:"requests"`
		Pushes   uint64         `json:"pushes"`
		Errors   int            `json:"errors"`
		P50      float64        `json:"p50_ms"`
		P99      float64        `json:"p99_ms"`
		P90      float64        `json:"p90_ms"`
		Max      float64        `json:"max_ms"`
		Seconds  float64        `json:"seconds"`
		PerSec   float64        `json:"requests_per_s"`
		PushSec  float64        `json:"pushes_per_s"`
		Lost     int            `json:"lost"`
		Resumes  uint64         `json:"resumes"`
		Relogins uint64         `json:"relogins"`
		Kinds    map[string]int `json:"errors_by_kind"`
		Connect  latency        `json:"connect"`
		Login    latency        `json:"login"`
		Back     latency        `json:"back"`
	}{
		r.Clients, r.Requests, r.Pushes, r.ErrorCount + len(r.Lost), ms(r.Latency.P50), ms(r.Latency.P99), ms(r.Latency.P90), ms(r.Latency.Max),
		r.Played.Seconds(), rate(r.Requests, r.Played), rate(r.Pushes, r.Played), len(r.Lost), r.Resumes, r.Relogins, kinds, of(r.Connect), of(r.Login), of(r.Back),
	})
	if err != nil {
		return fmt.Errorf("bot: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", line)
	return err
}

func printBotReport(w io.Writer, r *bot.Report) {
	fmt.Fprintf(w, "%d clients played for %v\n", r.Clients, r.Played.Round(10*time.Millisecond))
	fmt.Fprintf(w, "requests  %8d  %8.0f/s\n", r.Requests, rate(r.Requests, r.Played))
	fmt.Fprintf(w, "pushes    %8d  %8.0f/s\n", r.Pushes, rate(r.Pushes, r.Played))
	printLatency(w, "latency", r.Latency)
	printLatency(w, "connect", r.Connect)
	printLatency(w, "login", r.Login)
	if r.Resumes+r.Relogins > 0 {
		fmt.Fprintf(w, "resumes   %8d\n", r.Resumes)
		fmt.Fprintf(w, "relogins  %8d\n", r.Relogins)
		printLatency(w, "back", r.Back)
	}
	fmt.Fprintf(w, "errors    %8d\n", r.ErrorCount+len(r.Lost))
	for _, kind := range sortedKeys(r.Kinds) {
		fmt.Fprintf(w, "  %-22s %d\n", kind, r.Kinds[kind])
	}
}

func printLatency(w io.Writer, name string, l bot.Latency) {
	if l == (bot.Latency{}) {
		return
	}
	fmt.Fprintf(w, "%-9s p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n", name, ms(l.P50), ms(l.P90), ms(l.P99), ms(l.Max))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func rate(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
