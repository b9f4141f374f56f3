package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/examples/arena/bot"
)

// botFlags are what `skua bot` is told.
type botFlags struct {
	bot.Config
	json bool
}

func newBotCommand() *cobra.Command {
	f := &botFlags{}
	cmd := &cobra.Command{
		Use:   "bot",
		Short: "Play the arena with headless clients: load and soak",
		Long: `Logs clients in to a node that runs the arena, lets them walk, chat and save, and checks every answer and every push: answers belong to their
requests and come in order, players in view are seen step by step, and in the end each sees exactly who is near.

Exit code 1 on any error, lost connections included.`,
		Example: `  skua bot --clients 50
  skua bot --transport kcp --addr 127.0.0.1:7000 --clients 200 --duration 1m --json`,
		Args: positional(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Transport, "transport", "tcp", "`tcp`, kcp or ws")
	flags.StringVar(&f.Addr, "addr", "", "`HOST:PORT` of the node (default 127.0.0.1:7000, for ws 127.0.0.1:7080)")
	flags.IntVar(&f.Clients, "clients", 10, "how many")
	flags.DurationVar(&f.Duration, "duration", 10*time.Second, "how long all play, from when the last is in")
	flags.BoolVar(&f.json, "json", false, "print one line of JSON")
	flags.StringVar(&f.Prefix, "prefix", "bot", "beginning of the players' names")
	flags.StringVar(&f.Password, "password", "skua-bot-password", "of all players")
	flags.Uint64Var(&f.Seed, "seed", 0, "makes the steps the same again")
	flags.IntVar(&f.Pipeline, "pipeline", 4, "steps in flight a client")
	flags.DurationVar(&f.Pause, "pause", 250*time.Millisecond, "longest time between two bursts of steps; 0: none")
	flags.DurationVar(&f.Timeout, "timeout", 10*time.Second, "how long a request may take")
	return cmd
}

func (f *botFlags) run(cmd *cobra.Command) error {
	switch {
	case f.Transport != "tcp" && f.Transport != "kcp" && f.Transport != "ws":
		return &usageError{fmt.Errorf("--transport %q: tcp, kcp or ws is expected", f.Transport)}
	case f.Clients < 1:
		return &usageError{fmt.Errorf("--clients %d: at least 1 is expected", f.Clients)}
	case f.Duration <= 0:
		return &usageError{fmt.Errorf("--duration %v: more than 0 is expected", f.Duration)}
	case f.Pipeline < 1:
		return &usageError{fmt.Errorf("--pipeline %d: at least 1 is expected", f.Pipeline)}
	}
	if f.Addr == "" {
		defaults := DefaultConfig().Listen
		f.Addr = map[string]string{"tcp": defaults.TCP, "kcp": defaults.KCP, "ws": defaults.HTTP}[f.Transport]
	}
	if f.Pause == 0 {
		f.Pause = -1 // none; the zero Config means the default
	}
	f.Entered = func(clients int) { fmt.Fprintf(cmd.ErrOrStderr(), "skua bot: %d clients are in\n", clients) }
	report, err := bot.Run(cmd.Context(), f.Config)
	if errors.Is(err, bot.ErrConfig) {
		return err
	}
	if err != nil {
		// Nobody played, and that is the result: whoever reads the line of JSON gets one in any case.
		report = &bot.Report{Errors: []string{strings.TrimPrefix(err.Error(), "bot: ")}, ErrorCount: 1}
	}
	if f.json {
		if err := printBotJSON(cmd.OutOrStdout(), report); err != nil {
			return err
		}
	} else {
		printBotReport(cmd.OutOrStdout(), report)
	}
	for _, text := range append(report.Errors, report.Lost...) {
		fmt.Fprintln(cmd.ErrOrStderr(), "skua bot:", text)
	}
	if more := report.ErrorCount - len(report.Errors); more > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "skua bot: and %d more errors\n", more)
	}
	if report.Failed() || report.Clients < f.Clients {
		return errSilent
	}
	return nil
}

// printBotJSON writes the line that scripts read: the first six keys stay as they are.
func printBotJSON(w io.Writer, r *bot.Report) error {
	line, err := json.Marshal(struct {
		Clients  int     `json:"clients"`
		Requests uint64  `json:"requests"`
		Pushes   uint64  `json:"pushes"`
		Errors   int     `json:"errors"`
		P50      float64 `json:"p50_ms"`
		P99      float64 `json:"p99_ms"`
		P90      float64 `json:"p90_ms"`
		Max      float64 `json:"max_ms"`
		Seconds  float64 `json:"seconds"`
		PerSec   float64 `json:"requests_per_s"`
		PushSec  float64 `json:"pushes_per_s"`
		Lost     int     `json:"lost"`
	}{
		r.Clients, r.Requests, r.Pushes, r.ErrorCount + len(r.Lost), ms(r.Latency.P50), ms(r.Latency.P99), ms(r.Latency.P90), ms(r.Latency.Max),
		r.Played.Seconds(), rate(r.Requests, r.Played), rate(r.Pushes, r.Played), len(r.Lost),
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
	fmt.Fprintf(w, "latency   p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n",
		ms(r.Latency.P50), ms(r.Latency.P90), ms(r.Latency.P99), ms(r.Latency.Max))
	fmt.Fprintf(w, "errors    %8d\n", r.ErrorCount+len(r.Lost))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func rate(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
