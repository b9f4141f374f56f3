package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/reload"
)

// pollEvery is how often a change that goes on is asked for.
const pollEvery = 200 * time.Millisecond

func newReloadCommand(l *look) *cobra.Command {
	l.here = true
	var o admin.ReloadOrder
	var canaryTime time.Duration
	cmd := &cobra.Command{
		Use: "reload", Short: "Have all nodes run the scripts in the folder of the node that is asked, or none", Args: positional(cobra.NoArgs),
		Long: `Have all nodes of the cluster run the scripts that lie in the folder of the node that is asked. They are checked first, as skua check does, and
compiled on all nodes; then every live service and agent goes over between two messages, with its state. If anything fails on any node, all go back, and
the error names file:line.

With --canary some try it first: a share of the VMs of each script that changes ("5%"), the services of a script ("service shop"), the agents of some
players ("player 7,12"), or a node ("node a"); "service=shop" works, too. When they have handled enough messages, and neither fail more often nor take
longer than the old version, all others follow when the time is over; else they are brought back, and the reason is told. skua rollback ends it.

Exit codes: 0 done, 1 nothing has changed, 2 wrong use.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := canaryFlags(&o, canaryTime, cmd.Flags().Changed("canary-time")); err != nil {
				return err
			}
			return l.change(cmd.Context(), "/reload", o)
		},
	}
	cmd.Flags().StringVar(&o.Canary, "canary", "", `who tries it first: "5%", "service NAME", "player ID,ID" or "node NAME"`)
	cmd.Flags().DurationVar(&canaryTime, "canary-time", 0, "for how long they are watched (default reload.canary_time of the node)")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only tell what would be done")
	cmd.Flags().BoolVar(&o.Test, "test", false, "run the project's *_test.lua files first, on the node, in a process of its own")
	cmd.Flags().StringVar(&o.Label, "label", "", "what the version is called in the history")
	return cmd
}

// canaryFlags checks what the flags say, so that a wrong one is wrong use.
func canaryFlags(o *admin.ReloadOrder, wanted time.Duration, given bool) error {
	if o.Canary != "" {
		if _, err := reload.ParseGroup(o.Canary); err != nil {
			return &usageError{err}
		}
	}
	if !given {
		return nil
	}
	if o.Canary == "" {
		return &usageError{errors.New("--canary-time: there is no --canary")}
	}
	if wanted < reload.MinCanaryTime || wanted > reload.MaxCanaryTime {
		return &usageError{fmt.Errorf("--canary-time: found %v, expected %v to %v", wanted, reload.MinCanaryTime, reload.MaxCanaryTime)}
	}
	o.CanaryTime = wanted.Milliseconds()
	return nil
}

func newRollbackCommand(l *look) *cobra.Command {
	l.here = true
	var o admin.RollbackOrder
	cmd := &cobra.Command{
		Use: "rollback [VERSION]", Short: "Have all nodes run the version before the current one, or another one that is kept; or end a canary", Args: positional(cobra.MaximumNArgs(1)),
		ValidArgsFunction: l.completes((*look).versions),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.ID = args[0]
			}
			return l.change(cmd.Context(), "/rollback", o)
		},
	}
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only tell what would be done")
	cmd.Flags().StringVar(&o.Label, "label", "", "why, for the history")
	return cmd
}

// change orders a change of versions, follows it to its end, and tells what came of it.
func (l *look) change(ctx context.Context, path string, order any) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := l.at.open()
	if err != nil {
		return err
	}
	last := &reload.Change{}
	if err := c.ask(ctx, http.MethodPost, path, nil, order, last); err != nil {
		return err
	}
	told, tries := 0, false
	for number := last.Number; last.State == reload.Running; {
		told = l.tellStuck(last, told)
		tries = l.tellCanary(last, tries)
		select {
		case <-ctx.Done():
			return errors.New("interrupted; the node goes on with it: `skua versions` tells what came of it")
		case <-time.After(pollEvery):
		}
		last = &reload.Change{}
		if err := c.ask(ctx, http.MethodGet, "/reload", nil, nil, last); err != nil {
			return fmt.Errorf("the node goes on with it, but does not tell: %w", err)
		}
		if last.Number != number {
			return errors.New("it has ended, and another change has begun: `skua versions` tells what came of it")
		}
	}
	l.tellStuck(last, told)
	if l.asJSON {
		enc := json.NewEncoder(l.cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		err = enc.Encode(last)
	} else {
		writeChange(l.cmd.OutOrStdout(), last)
	}
	if last.State == reload.Undone && path == "/rollback" && last.Canary != nil && last.Canary.EndedBy != "" {
		return err // which is what was asked for
	}
	if last.State == reload.Undone {
		fmt.Fprintf(l.cmd.ErrOrStderr(), "skua: nothing has changed:\n%s\n", cleanLines(last.Error))
		return errSilent
	}
	return err
}

// tellStuck names those who keep the others waiting, as soon as they are known.
func (l *look) tellStuck(c *reload.Change, told int) int {
	for _, s := range c.Stuck[min(told, len(c.Stuck)):] {
		fmt.Fprintf(l.cmd.ErrOrStderr(), "waiting for %s, which does not come to the end of a handler:\n%s\n", dash(s.Actor), inset(s.Stack))
	}
	return max(told, len(c.Stuck))
}

// tellCanary says once that a canary goes on, for whoever waits for its end.
func (l *look) tellCanary(c *reload.Change, told bool) bool {
	if told || c.Canary == nil || c.Canary.Until.IsZero() {
		return told
	}
	fmt.Fprintf(l.cmd.ErrOrStderr(), "%s runs in %d VMs (%s) until %s, then in all if it is not worse; `skua rollback` ends it\n", c.To, c.Canary.VMs, dash(c.Canary.Group), c.Canary.Until.Local().Format(time.TimeOnly))
	return true
}

// cleanLines is a text of several lines, without what would steer the terminal.
func cleanLines(text string) string {
	safe := make([]string, 0, strings.Count(text, "\n")+1)
	for line := range strings.Lines(strings.ReplaceAll(text, "\t", "    ")) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			line = dash(line)
		}
		safe = append(safe, line)
	}
	return strings.Join(safe, "\n")
}

func inset(text string) string {
	return "    " + strings.ReplaceAll(cleanLines(strings.TrimSpace(text)), "\n", "\n    ")
}

func writeChange(w io.Writer, c *reload.Change) {
	if p := c.Plan; p != nil {
		writePlan(w, p)
	}
	if c.Canary != nil && c.Canary.Outcome != "" {
		writeCanary(w, c.Canary)
	}
	switch {
	case c.Canary != nil && c.Canary.EndedBy != "":
		fmt.Fprintf(w, "the canary is ended, and all run the version before it\n")
	case c.State == reload.Undone:
	case c.From == c.To:
		fmt.Fprintf(w, "version %s runs already: nothing to change\n", c.To)
	case c.DryRun:
		fmt.Fprintf(w, "%s would be replaced by %s; nothing has changed\n", c.From, c.To)
	default:
		writeApplied(w, c)
	}
}

func writeCanary(w io.Writer, c *reload.Canary) {
	fmt.Fprintf(w, "canary %s, %d VMs: %s\n", dash(c.Group), c.VMs, dash(c.Outcome))
	for i := range c.Handlers {
		h := &c.Handlers[i]
		fmt.Fprintf(w, "  %s: new %s, old %s\n", dash(h.Script), handlersDid(&h.New), handlersDid(&h.Old))
	}
}

func handlersDid(d *reload.Tally) string {
	return fmt.Sprintf("%d messages, %d failed, p99 %v", d.Handled, d.Failed, time.Duration(d.P99)*time.Microsecond)
}

func writePlan(w io.Writer, p *reload.Plan) {
	for _, f := range p.Files {
		fmt.Fprintf(w, "%-8s %s  +%d -%d\n", f.Change, dash(f.File), f.Added, f.Removed)
	}
	for _, list := range []struct {
		name  string
		lines []string
	}{
		{"new functions", p.New},
		{"changed functions", p.Changed},
		{"functions that are gone", p.Gone},
		{"state that is added", p.State},
		{"values that follow the source", p.Values},
		{"warnings", p.Warnings},
	} {
		if len(list.lines) > 0 {
			fmt.Fprintf(w, "%s:\n", list.name)
		}
		for _, line := range list.lines {
			fmt.Fprintf(w, "  %s\n", dash(line))
		}
	}
	for _, n := range p.Nodes {
		for _, a := range n.Actors {
			fmt.Fprintf(w, "%s: %d of %s\n", n.Node, a.Actors, dash(a.Script))
		}
		for _, name := range n.Tables {
			fmt.Fprintf(w, "%s: shared data %s\n", n.Node, dash(name))
		}
	}
}

func writeApplied(w io.Writer, c *reload.Change) {
	waiting := 0
	for i := range c.Nodes {
		n := &c.Nodes[i]
		waiting += n.Waiting
		for _, text := range n.Kept {
			fmt.Fprintf(w, "%s: keeps its code: %s\n", n.Node, dash(text))
		}
		for _, text := range n.Conflicts {
			fmt.Fprintf(w, "%s: stays as the game has it: %s\n", n.Node, dash(text))
		}
	}
	fmt.Fprintf(w, "version %s runs in %d VMs on %d nodes, after %v (before: %s)\n", c.To, c.VMs(), len(c.Nodes), time.Duration(c.Took)*time.Millisecond, c.From)
	if waiting > 0 {
		fmt.Fprintf(w, "%d handlers that wait go on with the code that they have begun with: `skua versions` lists them\n", waiting)
	}
}

func newVersionsCommand(l *look) *cobra.Command {
	l.here = true
	limit, diff := 20, ""
	cmd := &cobra.Command{
		Use: "versions", Short: "List which version of the scripts runs where, who still runs old code, and the history", Args: positional(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if diff != "" {
				return show(l, http.MethodGet, "/versions/"+url.PathEscape(diff), nil, nil, writeDiff)
			}
			p := pageFlags{limit: limit}
			v, err := p.values()
			if err != nil {
				return err
			}
			return show(l, http.MethodGet, "/versions", v, nil, writeVersions)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many entries of the history to list")
	cmd.Flags().StringVar(&diff, "diff", "", "show what this version has changed instead")
	return cmd
}

func writeDiff(w io.Writer, d *admin.VersionDiff) error {
	for _, f := range d.Files {
		fmt.Fprintln(w, cleanLines(f.Diff))
	}
	return nil
}

func writeVersions(w io.Writer, v *reload.Versions) error {
	fmt.Fprintf(w, "the cluster runs %s\n\n", dash(v.Current))
	if err := table(w, "NODE\tSCRIPT\tVERSION\tACTORS", func(t io.Writer) {
		for i := range v.Nodes {
			n := &v.Nodes[i]
			for _, a := range n.Actors {
				fmt.Fprintf(t, "%s\t%s\t%s\t%d\n", n.Node, dash(a.Script), dash(a.Version), a.Actors)
			}
		}
	}); err != nil {
		return err
	}
	for i := range v.Nodes {
		writeOld(w, &v.Nodes[i])
	}
	fmt.Fprintln(w)
	return table(w, "TIME\tACTION\tOUTCOME\tVERSION\tBEFORE\tWHO\tNODE\tLABEL\tFILES, AND WHY NOT", func(t io.Writer) {
		for i := range v.History {
			e := &v.History[i]
			files := make([]string, 0, len(e.Files))
			for _, f := range e.Files[:min(len(e.Files), 3)] {
				files = append(files, fmt.Sprintf("%s +%d -%d", f.File, f.Added, f.Removed))
			}
			if more := len(e.Files) + e.More - len(files); more > 0 {
				files = append(files, fmt.Sprintf("%d more", more))
			}
			outcome := e.Outcome
			if e.Canary != "" {
				outcome += ", canary " + e.Canary
			}
			what := strings.Join(files, ", ")
			if e.Error != "" { // the last of the columns, as none is wider
				what = strings.TrimPrefix(what+": "+firstLine(e.Error), ": ")
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Time.Local().Format(time.DateTime), e.Action, dash(outcome), e.ID, dash(e.From), dash(e.Who), dash(e.Node), dash(e.Label), dash(what))
		}
	})
}

// firstLine is that of an error, which may be long.
func firstLine(text string) string {
	line, _, more := strings.Cut(text, "\n")
	if more {
		line += " ..."
	}
	return line
}

func writeOld(w io.Writer, n *reload.Runs) {
	if n.Error != "" {
		fmt.Fprintf(w, "%s does not tell: %s\n", n.Node, dash(n.Error))
	}
	if c := n.Canary; c != nil {
		fmt.Fprintf(w, "%s: canary: %s since %s: `skua rollback` ends it\n", n.Node, dash(c.Version+" for "+c.Group), c.Since.Local().Format(time.TimeOnly))
	}
	if c := n.Change; c != nil {
		what := "is prepared for " + c.Version + ", and runs what it did"
		if c.Applied {
			what = "goes over, or has gone, to " + c.Version
		}
		fmt.Fprintf(w, "%s %s: it is not decided yet, since %s\n", n.Node, dash(what), c.Since.Local().Format(time.TimeOnly))
	}
	if n.Behind != "" {
		fmt.Fprintf(w, "%s runs %s, and not the version of the cluster: %s\n", n.Node, n.Version, dash(n.Behind))
	}
	for i := range n.Old {
		o := &n.Old[i]
		fmt.Fprintf(w, "%s: %s (%s): %s\n", n.Node, dash(o.Actor), dash(o.Version), dash(o.Why))
		for _, s := range o.Stacks {
			fmt.Fprintln(w, inset(s))
		}
	}
	if n.OldMore > 0 {
		fmt.Fprintf(w, "%s: and %d more\n", n.Node, n.OldMore)
	}
}
