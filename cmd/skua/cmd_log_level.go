package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

const levelHelp = `Tells from which level on the lines of a node's log are written, or changes that: for a component (gate=debug), or for all that have no level of their own (warn). A component
is what lines say as part or kind, the name of an actor, or lua:SCRIPT; gate is for gate.session as well. "default" has the configured level hold again.`

const levelExample = `  skua log level
  skua log level gate=debug --for 10m
  skua log level lua:shop=debug
  skua log level gate=default`

// addLogLevel adds the command that changes levels.
func addLogLevel(parent *cobra.Command, ext extension) {
	l := &look{at: adminPlace{ext: ext}}
	var within time.Duration
	l.cmd = &cobra.Command{
		Use: "level [COMPONENT=LEVEL | LEVEL]", Short: "Show or change the levels of the log", Long: levelHelp, Example: levelExample, Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return show(l, http.MethodGet, "/log/levels", nil, nil, writeLevels)
			}
			component, level, named := strings.Cut(args[0], "=")
			if !named {
				component, level = "", args[0]
			} else if component == "" {
				return &usageError{errors.New("expected COMPONENT=LEVEL, such as gate=debug, or a LEVEL for all others")}
			}
			o := admin.LevelOrder{Component: component, Level: level}
			if cmd.Flags().Changed("for") {
				o.For = within.String()
			}
			return show(l, http.MethodPost, "/log/levels", nil, o, writeLevels)
		},
	}
	l.define()
	l.cmd.Flags().DurationVar(&within, "for", 0, "how long, 1s to 24h, after which the configured level holds again; else until the node ends")
	parent.AddCommand(l.cmd)
}

func writeLevels(w io.Writer, levels *[]admin.LogLevel) error {
	return table(w, "COMPONENT\tLEVEL\tFOR", func(t io.Writer) {
		for _, l := range *levels {
			component, until := dash(l.Component), "-"
			if l.Component == "" {
				component = "(all others)"
			}
			if l.Until != nil {
				until = max(time.Until(*l.Until), 0).Round(time.Second).String()
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", component, l.Level, until)
		}
	})
}
