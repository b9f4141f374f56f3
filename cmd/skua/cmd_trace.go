package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

const traceHelp = `Has a node send the traces of a player's requests, of those for a route, or of a share of all to the collector at trace.endpoint: for five minutes, or as --for says.
Without an argument it tells what is traced; "off" ends what was switched on. The configured share, trace.sample, is not touched.

A trace that begins at this node goes on at all others that have a collector.`

const traceExample = `  skua trace player ann
  skua trace route shop.buy --for 30s
  skua trace share 1% --for 10m
  skua trace off`

func newTraceCommand(l *look) *cobra.Command {
	var within time.Duration
	cmd := &cobra.Command{
		Use: "trace [player UID | route ROUTE | share PERCENT% | off]", Short: "Trace a player, a route or a share of all requests for a while", Long: traceHelp, Example: traceExample,
		Args: positional(cobra.MaximumNArgs(2)),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return []string{"player", "route", "share", "off"}, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return show(l, http.MethodGet, "/traces", nil, nil, writeTraces)
			}
			if len(args) == 1 && args[0] == "off" {
				return show(l, http.MethodPost, "/traces/clear", nil, nil, func(w io.Writer, e *admin.Ended) error {
					_, err := fmt.Fprintf(w, "%d ended\n", e.Ended)
					return err
				})
			}
			o, err := traceOrder(args)
			if err != nil {
				return &usageError{err}
			}
			if cmd.Flags().Changed("for") {
				o.For = within.String()
			}
			return show(l, http.MethodPost, "/traces", nil, o, writeTraces)
		},
	}
	cmd.Flags().DurationVar(&within, "for", 5*time.Minute, "how long, 1s to 24h")
	return cmd
}

func traceOrder(args []string) (o admin.TraceOrder, err error) {
	const expected = "expected player UID, route ROUTE, share PERCENT% or off"
	if len(args) != 2 {
		return o, fmt.Errorf("found %q, %s", strings.Join(args, " "), expected)
	}
	switch what, which := args[0], args[1]; what {
	case "player":
		o.Player = which
	case "route":
		o.Route = which
	case "share":
		number, percent := strings.CutSuffix(which, "%")
		o.Share, err = strconv.ParseFloat(number, 64)
		if percent {
			o.Share /= 100
		}
		if err != nil || !(o.Share > 0 && o.Share <= 1) {
			return o, fmt.Errorf("share: found %q, expected more than 0%% and up to 100%%", which)
		}
	default:
		return o, fmt.Errorf("found %q, %s", what, expected)
	}
	return o, nil
}

func writeTraces(w io.Writer, t *admin.Traces) error {
	if _, err := fmt.Fprintf(w, "%.4g%% of all requests\n", t.Sample*100); err != nil {
		return err
	}
	for _, r := range t.Rules {
		what := fmt.Sprintf("share %.4g%%", r.Share*100)
		switch {
		case r.Player != "":
			what = "player " + dash(r.Player)
		case r.Route != "":
			what = "route " + dash(r.Route)
		}
		if _, err := fmt.Fprintf(w, "%s for %v more\n", what, max(time.Until(r.Until), 0).Round(time.Second)); err != nil {
			return err
		}
	}
	return nil
}
