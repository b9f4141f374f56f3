package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

const quarantineHelp = `Lists the actors in quarantine: they handle nothing, their messages are kept (up to 10,000), and those who ask them wait until their deadlines. With an ACTOR it puts that one there. What a service of
a script has to do to come there by itself says lua.over_limit. skua release lets one go on; skua kill ends it.`

func newQuarantineCommand(l *look) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "quarantine [ACTOR]", Short: "List the actors in quarantine, or put one there", Long: quarantineHelp, Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return show(l, http.MethodGet, "/quarantine", nil, nil, writeQuarantine)
			}
			return show(l, http.MethodPost, "/actors/"+url.PathEscape(args[0])+"/quarantine", nil, admin.Reason{Reason: reason}, func(w io.Writer, stuck *admin.Stuck) error {
				writeStuck(w, stuck)
				_, err := fmt.Fprintf(w, "%s is in quarantine\n", args[0])
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the log and whoever looks")
	return cmd
}

func writeQuarantine(w io.Writer, all *[]admin.Aside) error {
	return table(w, "ACTOR\tNAME\tKIND\tFOR\tWAITING\tOLDEST\tREASON", func(t io.Writer) {
		for _, a := range *all {
			oldest := "-"
			if len(a.First) > 0 {
				oldest = dash(a.First[0].Type)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%v\t%d\t%s\t%s\n", a.ID, dash(a.Name), dash(a.Kind), time.Since(a.Since).Round(time.Second), a.Waiting, oldest, dash(a.Reason))
		}
	})
}

func newReleaseCommand(l *look) *cobra.Command {
	return &cobra.Command{
		Use: "release ACTOR", Short: "Let an actor in quarantine go on", Args: positional(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			return show(l, http.MethodPost, "/actors/"+url.PathEscape(args[0])+"/release", nil, admin.Reason{}, func(w io.Writer, stuck *admin.Stuck) error {
				writeStuck(w, stuck)
				_, err := fmt.Fprintf(w, "%s goes on\n", args[0])
				return err
			})
		},
	}
}
