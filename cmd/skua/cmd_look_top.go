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
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

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
	Node string `json:"node,omitempty"`
	admin.Actor
	Rate  float64 `json:"messages_per_second"`
	Share float64 `json:"busy_share"` // of one core
}

// topLook is what was seen at once.
type topLook struct {
	at    time.Time
	nodes []answered[admin.ActorPage]
}

func (l *look) top(ctx context.Context, w io.Writer, every time.Duration, rounds int) error {
	c, err := l.at.open()
	if err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before *topLook
	for shown := 0; ; {
		found, err := askNodes[admin.ActorPage](ctx, l, c, http.MethodGet, "/actors", url.Values{"limit": {strconv.Itoa(admin.MaxPage)}, "sort": {"busy"}}, nil)
		if ctx.Err() != nil {
			return nil // interrupted, which is how it ends
		}
		if err != nil {
			return err
		}
		now := &topLook{time.Now(), found}
		if before != nil {
			if err := l.writeTop(w, now, now.since(before)); err != nil {
				return err
			}
			if shown++; shown == rounds {
				return nil
			}
		}
		before = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// since are the rows to show, the busiest first.
func (l *topLook) since(before *topLook) []topRow {
	type key struct{ node, id string }
	was := map[key]admin.Actor{}
	looked := map[string]bool{}
	for _, n := range before.nodes {
		if n.Answer != nil {
			looked[n.Node] = true
			for _, a := range n.Answer.Actors {
				was[key{n.Node, a.ID}] = a
			}
		}
	}
	passed := l.at.Sub(before.at)
	var rows []topRow
	for _, n := range l.nodes {
		if n.Answer == nil || !looked[n.Node] {
			continue
		}
		for _, a := range n.Answer.Actors {
			former, ok := was[key{n.Node, a.ID}]
			if !ok && n.Answer.Total > len(n.Answer.Actors) {
				continue // it may have been there, among those that were not listed
			}
			rows = append(rows, topRow{
				Node: n.Node, Actor: a, Rate: float64(a.Processed-former.Processed) / passed.Seconds(), Share: micros(a.BusyMicros-former.BusyMicros).Seconds() / passed.Seconds(),
			})
		}
	}
	slices.SortStableFunc(rows, func(a, b topRow) int { return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(b.Rate, a.Rate)) })
	return rows[:min(len(rows), topRows)]
}

func (l *look) writeTop(w io.Writer, found *topLook, rows []topRow) error {
	if l.asJSON {
		return json.NewEncoder(w).Encode(rows)
	}
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		fmt.Fprint(w, "\x1b[H\x1b[2J")
	}
	total := 0
	for _, n := range found.nodes {
		if n.Answer != nil {
			total += n.Answer.Total
		}
	}
	fmt.Fprintf(w, "%d actors\n", total)
	if err := failedNodes(found.nodes); err != nil {
		fmt.Fprintln(w, dash(err.Error()))
	}
	head := "ACTOR\tNAME\tKIND\tWAITING\tMESSAGES/S\tBUSY"
	if l.node == everyNode {
		head = "NODE\t" + head
	}
	return table(w, head, func(t io.Writer) {
		for i := range rows {
			r := &rows[i]
			if l.node == everyNode {
				fmt.Fprintf(t, "%s\t", r.Node)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.0f\t%.1f%%\n", r.ID, dash(r.Name), dash(r.Kind), r.Waiting, r.Rate, 100*r.Share)
		}
	})
}
