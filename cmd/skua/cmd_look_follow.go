package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

// follow asks again and again for what is new, until the context ends, or once.
func follow[T any](l *look, path string, values url.Values, again bool, write func(w io.Writer, page *T) (next string, goOn bool, err error)) error {
	if l.node == everyNode {
		return &usageError{errors.New("--node: expected one node: what several tell at once has no order")}
	}
	ctx, stop := signal.NotifyContext(l.cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := l.at.open()
	if err != nil {
		return err
	}
	w := l.cmd.OutOrStdout()
	for {
		all, err := askNodes[T](ctx, l, c, http.MethodGet, path, values, nil)
		if ctx.Err() != nil {
			return nil // interrupted, which is how it ends
		}
		if err != nil {
			return err
		}
		next, goOn, err := write(w, all[0].Answer)
		if err != nil || !again || !goOn {
			return err
		}
		values.Set("cursor", next)
		values.Set("wait", "2000")
	}
}

// timeOfDay is how lines that are followed have their time.
const timeOfDay = "15:04:05.000"

func newTailCommand(l *look) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "tail ACTOR", Short: "Show the messages of an actor as they come", Args: positional(cobra.ExactArgs(1)),
		Long: `Show the messages of an actor as they come, until it is interrupted or the actor ends. Of more than 200 in a second the others are counted only. Looking is audited, as
what players say may be in them. With --json each message is a line.`,
		RunE: func(_ *cobra.Command, args []string) error {
			values := url.Values{"limit": {strconv.Itoa(admin.MaxPage)}, "wait": {"2000"}}
			return follow(l, actorPath(args[0], "/tail"), values, !once, func(w io.Writer, p *admin.TailPage) (string, bool, error) {
				for i := range p.Messages {
					if err := l.writeMessage(w, &p.Messages[i]); err != nil {
						return "", false, err
					}
				}
				told := l.cmd.ErrOrStderr()
				if p.Skipped > 0 {
					fmt.Fprintf(told, "%d more are not shown\n", p.Skipped)
				}
				writeStuck(told, &p.Stuck)
				if p.Ended {
					fmt.Fprintf(told, "%s has ended\n", args[0])
				}
				return p.Next, !p.Ended, nil
			})
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end with the first messages, or after 2 s without any")
	return cmd
}

func (l *look) writeMessage(w io.Writer, m *admin.TailMessage) error {
	if l.asJSON {
		return json.NewEncoder(w).Encode(m)
	}
	kind := "send"
	if m.Request {
		kind = "call"
	}
	_, err := fmt.Fprintf(w, "%s %s %s %s %s\n", m.Time.Local().Format(timeOfDay), kind, dash(m.From), dash(m.Type), dash(m.Content))
	return err
}

func newLogCommand(l *look) *cobra.Command {
	var again bool
	var limit int
	filter := map[string]*string{}
	cmd := &cobra.Command{
		Use: "log", Short: "Show the newest lines of a node's log, and with -f those that come", Args: positional(cobra.NoArgs),
		Long: "Show the newest lines of a node's log, and with -f those that come. The node keeps 2,000 lines: whoever reads too slowly is told how many were missed. With --json each is a line of JSON.",
		RunE: func(*cobra.Command, []string) error {
			if limit < 1 || limit > admin.MaxPage {
				return &usageError{fmt.Errorf("--lines: found %d, expected 1 to %d", limit, admin.MaxPage)}
			}
			values := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, text := range filter {
				if *text != "" {
					values.Set(name, *text)
				}
			}
			return follow(l, "/log", values, again, func(w io.Writer, p *admin.LogPage) (string, bool, error) {
				if p.Missed > 0 {
					fmt.Fprintf(l.cmd.ErrOrStderr(), "%d lines were missed\n", p.Missed)
				}
				for i := range p.Lines {
					if err := l.writeLogLine(w, &p.Lines[i]); err != nil {
						return "", false, err
					}
				}
				values.Set("limit", strconv.Itoa(admin.MaxPage)) // of those that come
				return p.Next, true, nil
			})
		},
	}
	cmd.Flags().BoolVarP(&again, "follow", "f", false, "go on with lines as they come")
	cmd.Flags().IntVarP(&limit, "lines", "n", 50, "how many of those that are there to show, up to "+strconv.Itoa(admin.MaxPage))
	for name, usage := range map[string]string{
		"level": "only this level and above: debug, info, warn or error", "actor": "only lines of an actor, by its name or address, or of a script", "contains": "only lines with this text",
	} {
		filter[name] = new(string)
		cmd.Flags().StringVar(filter[name], name, "", usage)
	}
	oneOf(cmd, "level", "debug", "info", "warn", "error")
	addLogLevel(cmd, l.at.ext)
	return cmd
}

func (l *look) writeLogLine(w io.Writer, line *admin.LogLine) error {
	if l.asJSON {
		return json.NewEncoder(w).Encode(line)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", line.Time.Local().Format(timeOfDay), line.Level, dash(line.Message))
	stacks := ""
	for _, key := range slices.Sorted(maps.Keys(line.Attrs)) {
		text := line.Attrs[key]
		switch {
		case key == "stack" || key == "traceback":
			stacks += text + "\n"
			continue
		case text == "" || strings.ContainsAny(text, " \""):
			text = strconv.Quote(text)
		}
		fmt.Fprintf(&b, " %s=%s", dash(key), dash(text))
	}
	_, err := fmt.Fprintln(w, b.String())
	writeText(w, stacks)
	return err
}
