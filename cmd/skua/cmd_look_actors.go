package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
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
	return cmd
}

func writeActors(w io.Writer, p *admin.ActorPage) error {
	err := table(w, "ACTOR\tNAME\tKIND\tSTATE\tWAITING\tMOST\tPROCESSED\tBUSY", func(t io.Writer) {
		for i := range p.Actors {
			a := &p.Actors[i]
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%v\n", a.ID, dash(a.Name), dash(a.Kind), a.State, a.Waiting, a.MostWaiting, a.Processed, micros(a.BusyMicros))
		}
	})
	if err == nil && p.Next != "" {
		_, err = fmt.Fprintf(w, "%d in all; go on with --cursor %s\n", p.Total, p.Next)
	}
	return err
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

func newInfoCommand(l *look) *cobra.Command {
	return &cobra.Command{
		Use: "info ACTOR", Short: "Tell of one actor, by its name or its id: of a script also its memory and the stacks of what waits in it", Args: positional(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			return show(l, http.MethodGet, "/actors/"+url.PathEscape(args[0]), nil, nil, func(w io.Writer, d *admin.ActorDetail) error {
				if err := writeActors(w, &admin.ActorPage{Actors: []admin.Actor{d.Actor}}); err != nil {
					return err
				}
				if d.Memory > 0 {
					fmt.Fprintf(w, "memory of its VM: %d KiB\n", d.Memory>>10)
				}
				if d.Busy != "" {
					fmt.Fprintf(w, "%s\n%s%s\n", d.Busy, luaFirst(d.LuaStack), d.Stack)
				}
				for _, h := range d.Handlers {
					fmt.Fprintf(w, "waiting: %s\n%s\n", h.Name, h.Stack)
				}
				return nil
			})
		},
	}
}

func newKillCommand(l *look) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "kill ACTOR", Short: "End an actor after the message that it handles, and its children with it: nothing of it is saved", Args: positional(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			return show(l, http.MethodPost, "/actors/"+url.PathEscape(args[0])+"/kill", nil, admin.Reason{Reason: reason}, func(w io.Writer, _ *admin.Nothing) error {
				_, err := fmt.Fprintf(w, "%s is told to end\n", args[0])
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

// topRows is how many actors `top` shows.
const topRows = 20

func newTopCommand(l *look) *cobra.Command {
	var every time.Duration
	var rounds int
	cmd := &cobra.Command{
		Use: "top", Short: "Show which actors handle most, again and again", Args: positional(cobra.NoArgs),
		Long: "Show which actors handle most, again and again until it is interrupted. Actors that have handled most since their start are looked at, up to 1,000 of them. With --json each round is a line.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond || rounds < 0 {
				return &usageError{errors.New("--every: expected at least 100ms; --rounds: expected 0 or more")}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return l.top(ctx, cmd.OutOrStdout(), every, rounds)
		},
	}
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "time between two looks")
	cmd.Flags().IntVar(&rounds, "rounds", 0, "how many times to show it; 0: until interrupted")
	return cmd
}

// topRow is an actor between two looks.
type topRow struct {
	admin.Actor
	Rate  float64 `json:"messages_per_second"`
	Share float64 `json:"busy_share"` // of one core
}

func (l *look) top(ctx context.Context, w io.Writer, every time.Duration, rounds int) error {
	c, err := l.at.open()
	if err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before map[string]admin.Actor
	var looked time.Time
	for shown := 0; ; {
		var p admin.ActorPage
		if err := c.ask(ctx, http.MethodGet, "/actors", url.Values{"limit": {strconv.Itoa(admin.MaxPage)}, "sort": {"busy"}}, nil, &p); err != nil {
			if ctx.Err() != nil {
				return nil // interrupted, which is how it ends
			}
			return err
		}
		now := time.Now()
		if before != nil {
			if err := l.writeTop(w, &p, topOf(&p, before, now.Sub(looked))); err != nil {
				return err
			}
			if shown++; shown == rounds {
				return nil
			}
		}
		before, looked = map[string]admin.Actor{}, now
		for _, a := range p.Actors {
			before[a.ID] = a
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// topOf are the rows to show, the busiest first.
func topOf(p *admin.ActorPage, before map[string]admin.Actor, passed time.Duration) []topRow {
	rows := make([]topRow, 0, len(p.Actors))
	for _, a := range p.Actors {
		was, ok := before[a.ID]
		if !ok && p.Total > len(p.Actors) {
			continue // it may have been there, among those that were not listed
		}
		rows = append(rows, topRow{
			Actor: a, Rate: float64(a.Processed-was.Processed) / passed.Seconds(), Share: micros(a.BusyMicros-was.BusyMicros).Seconds() / passed.Seconds(),
		})
	}
	slices.SortStableFunc(rows, func(a, b topRow) int { return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(b.Rate, a.Rate)) })
	return rows[:min(len(rows), topRows)]
}

func (l *look) writeTop(w io.Writer, p *admin.ActorPage, rows []topRow) error {
	if l.asJSON {
		return json.NewEncoder(w).Encode(rows)
	}
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		fmt.Fprint(w, "\x1b[H\x1b[2J")
	}
	fmt.Fprintf(w, "%d actors\n", p.Total)
	return table(w, "ACTOR\tNAME\tKIND\tWAITING\tMESSAGES/S\tBUSY", func(t io.Writer) {
		for i := range rows {
			r := &rows[i]
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.0f\t%.1f%%\n", r.ID, dash(r.Name), dash(r.Kind), r.Waiting, r.Rate, 100*r.Share)
		}
	})
}
