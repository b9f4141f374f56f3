package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

func newPsCommand(l *look) *cobra.Command {
	var p pageFlags
	var sort string
	cmd := &cobra.Command{
		Use: "ps [PREFIX]", Short: "List the actors of a node, all or those whose name or kind (lua:SCRIPT) begins so", Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			v, err := p.values()
			if err != nil {
				return err
			}
			v.Set("sort", sort)
			if len(args) == 1 {
				v.Set("prefix", args[0])
			}
			return show(l, http.MethodGet, "/actors", v, nil, writeActors)
		},
	}
	p.define(cmd)
	cmd.Flags().StringVar(&sort, "sort", "id", "id, or waiting, processed or busy: the largest first")
	oneOf(cmd, "sort", "id", "waiting", "processed", "busy")
	return cmd
}

func writeActors(w io.Writer, p *admin.ActorPage) error {
	err := table(w, "ACTOR\tNAME\tKIND\tSTATE\tWAITING\tMOST\tPROCESSED\tBUSY", func(t io.Writer) {
		for i := range p.Actors {
			a := &p.Actors[i]
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%v\n", a.ID, dash(a.Name), dash(a.Kind), a.State, a.Waiting, a.MostWaiting, a.Processed, micros(a.BusyMicros))
		}
	})
	return errors.Join(err, writeMore(w, &p.Paged))
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

func newInfoCommand(l *look) *cobra.Command {
	return &cobra.Command{
		Use: "info ACTOR", Short: "Tell of one actor, by its name, its id or the script that no other one runs: of a script also its memory and the stacks of what waits in it", Args: positional(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			return show(l, http.MethodGet, actorPath(args[0], ""), url.Values{"over": {"500"}}, nil, writeInfo)
		},
	}
}

// actorPath is where the API has an actor, or something of it.
func actorPath(actor, of string) string { return "/actors/" + url.PathEscape(actor) + of }

func writeInfo(w io.Writer, d *admin.ActorDetail) error {
	if err := writeActors(w, &admin.ActorPage{Actors: []admin.Actor{d.Actor}}); err != nil {
		return err
	}
	if d.Memory > 0 {
		fmt.Fprintf(w, "memory of its VM: %d KiB\n", d.Memory>>10)
	}
	if r := d.Rates; r != nil {
		fmt.Fprintf(w, "now: %.0f messages/s, %v each, %.1f%% of a core\n", r.Messages, micros(r.Handler), 100*r.Busy)
	}
	if f := d.LastError; f != nil {
		fmt.Fprintf(w, "last error: %s %s: %s\n", f.Time.Format(time.RFC3339), dash(f.Message), dash(f.Error))
		writeText(w, f.Traceback)
	}
	writeStuck(w, &d.Stuck)
	return writeWaiting(w, d.Handlers)
}

func writeStuck(w io.Writer, s *admin.Stuck) {
	if s.Busy != "" {
		fmt.Fprintln(w, dash(s.Busy))
		writeText(w, luaFirst(s.LuaStack))
		writeText(w, s.Stack)
	}
}

// writeText writes lines, such as those of a stack, so that they can't steer the terminal.
func writeText(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintln(w, "  "+dash(strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    ")))
	}
}

func writeWaiting(w io.Writer, handlers []admin.Waiting) error {
	for _, h := range handlers {
		if _, err := fmt.Fprintf(w, "waiting: %s\n", dash(h.Name)); err != nil {
			return err
		}
		writeText(w, h.Stack)
	}
	return nil
}

func newKillCommand(l *look) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "kill ACTOR", Short: "End an actor after the message that it handles, and its children with it: nothing of it is saved", Args: positional(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			return show(l, http.MethodPost, actorPath(args[0], "/kill"), nil, admin.Reason{Reason: reason}, func(w io.Writer, k *admin.Killed) error {
				if k.Ended {
					_, err := fmt.Fprintf(w, "%s has ended\n", args[0])
					return err
				}
				_, err := fmt.Fprintf(w, "%s is told to end, after the message that it handles\n", args[0])
				writeStuck(w, &k.Stuck)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the log and those who watch it")
	return cmd
}

// newTreeCommand shows who has spawned whom: up to 1,000 actors, as the API lists at once.
func newTreeCommand(l *look) *cobra.Command {
	return &cobra.Command{
		Use: "tree", Short: "Show which actor has spawned which, of the 1,000 oldest", Args: positional(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return show(l, http.MethodGet, "/actors", url.Values{"limit": {strconv.Itoa(admin.MaxPage)}}, nil, writeTree)
		},
	}
}

func writeTree(w io.Writer, p *admin.ActorPage) error {
	children, known := map[string][]*admin.Actor{}, map[string]bool{}
	for i := range p.Actors {
		known[p.Actors[i].ID] = true
	}
	for i := range p.Actors {
		a := &p.Actors[i]
		parent := a.Parent
		if !known[parent] { // it is not listed, or has ended since
			parent = ""
		}
		children[parent] = append(children[parent], a)
	}
	var failed error
	var write func(of string, depth int)
	write = func(of string, depth int) {
		for _, a := range children[of] {
			_, err := fmt.Fprintf(w, "%s%s %s %s\n", strings.Repeat("  ", depth), a.ID, dash(a.Name), dash(a.Kind))
			failed = errors.Join(failed, err)
			write(a.ID, depth+1)
		}
	}
	write("", 0)
	if more := p.Total - len(p.Actors); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	return failed
}
