package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

func newStuckCommand(l *look) *cobra.Command {
	return &cobra.Command{
		Use: "stuck", Short: "Name the handlers that do not return, and where they are", Args: positional(cobra.NoArgs),
		Long: "Names the actors that are in one handler for more than 5 s, with the stack in Lua and in Go. A script's can be ended with `skua signal`.",
		RunE: func(*cobra.Command, []string) error {
			return show(l, http.MethodGet, "/stuck", nil, nil, writeStuckActors)
		},
	}
}

func writeStuckActors(w io.Writer, all *[]admin.StuckActor) error {
	if len(*all) == 0 {
		_, err := fmt.Fprintln(w, "nobody is stuck")
		return err
	}
	for _, s := range *all {
		stack := s.LuaStack
		if stack == "" {
			stack = s.GoStack
		}
		if _, err := fmt.Fprintf(w, "%s %s %s: in one handler for %v, %d messages wait\n", s.ID, dash(s.Name), dash(s.Kind), time.Since(s.Since).Round(time.Second), s.Waiting); err != nil {
			return err
		}
		writeText(w, stack)
	}
	return nil
}

// luaFirst is the stack of a script before that of Go.
func luaFirst(stack string) string {
	if stack == "" {
		return ""
	}
	return stack + "\n"
}

func newSignalCommand(l *look) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "signal ACTOR", Short: "Interrupt the handler that a script is in for long; the service lives on", Args: positional(cobra.ExactArgs(1)),
		Long: "Ends the handler that a service of a script is in, with an error and a traceback where it is, also in a loop around pcall. Its state stays as it is, and it goes on with its next message.",
		RunE: func(_ *cobra.Command, args []string) error {
			return show(l, http.MethodPost, "/actors/"+url.PathEscape(args[0])+"/signal", nil, admin.Reason{Reason: reason}, func(w io.Writer, _ *admin.Nothing) error {
				_, err := fmt.Fprintf(w, "the handler of %s is interrupted\n", args[0])
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what the error says")
	return cmd
}

const profileHelp = `Watches a service of a script while it works, and writes in which functions it spends its time, for go tool pprof and whatever else reads that, a flame graph for example:

  skua profile shop --seconds 30 -o shop.pprof
  go tool pprof -http : shop.pprof

Time in which it waits or is idle does not count. Where agents share a VM the profile is of all of them. It costs the service some percent meanwhile.`

// maxProfileSize bounds what is read of a profile.
const maxProfileSize = 256 << 20

func newProfileCommand(l *look) *cobra.Command {
	l.here = true
	var seconds int
	var file string
	cmd := &cobra.Command{
		Use: "profile ACTOR", Short: "Watch in which Lua functions a service spends its time", Long: profileHelp, Args: positional(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if seconds < 1 || seconds > 300 {
				return &usageError{fmt.Errorf("--seconds: found %d, expected 1 to 300", seconds)}
			}
			c, err := l.at.open()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Duration(seconds)*time.Second+lookTimeout)
			defer cancel()
			resp, err := c.do(ctx, http.MethodGet, "/debug/pprof/lua?"+url.Values{"actor": {args[0]}, "seconds": {strconv.Itoa(seconds)}}.Encode(), nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(io.LimitReader(resp.Body, maxProfileSize))
			if err != nil {
				return fmt.Errorf("%s: %w", c.base, err)
			}
			if err := os.WriteFile(filepath.Clean(file), text, 0o600); err != nil {
				return err
			}
			if l.asJSON {
				return writeJSON(cmd.OutOrStdout(), map[string]any{"actor": args[0], "seconds": seconds, "file": file, "bytes": len(text)})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: go tool pprof -http : %s\n", file, file)
			return err
		},
	}
	cmd.Flags().IntVar(&seconds, "seconds", 10, "how long, 1 to 300")
	cmd.Flags().StringVarP(&file, "output", "o", "lua.pprof", "where to write it")
	return cmd
}
