package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

// lookTimeout is how long a node may take to answer: more than an actor may that it asks.
const lookTimeout = 10 * time.Second

// look is a command that asks a node's admin API.
type look struct {
	at     adminPlace
	asJSON bool
	node   string // which is asked; "" is the one at at, * all
	here   bool   // it is for the node that --admin says, or for the whole cluster
	cmd    *cobra.Command
}

// everyNode is the node of a command that is for all.
const everyNode = "*"

// newLookCommands are those by which operators see into a node and touch what is in it.
func newLookCommands(ext extension) []*cobra.Command {
	makers := []func(l *look) *cobra.Command{
		newPsCommand, newTopCommand, newTreeCommand, newInfoCommand, newTaskCommand, newSessionsCommand, newKickCommand, newDeadCommand, newKillCommand, newCallCommand, newStartCommand, newInjectCommand,
		newTailCommand, newLogCommand, newGrainsCommand, newNamesCommand, newLeasesCommand, newAuditCommand, newReloadCommand, newRollbackCommand, newVersionsCommand,
		newTraceCommand, newStuckCommand, newSignalCommand, newProfileCommand, newQuarantineCommand, newReleaseCommand,
	}
	all := make([]*cobra.Command, 0, len(makers))
	for _, make := range makers {
		l := &look{at: adminPlace{ext: ext}}
		l.cmd = make(l)
		l.define()
		if strings.Contains(l.cmd.Use, " ACTOR") {
			l.cmd.ValidArgsFunction = l.completes((*look).actors)
		}
		all = append(all, l.cmd)
	}
	return all
}

// define gives the command the flags that all of these have.
func (l *look) define() {
	l.at.define(l.cmd.Flags())
	l.cmd.Flags().BoolVar(&l.asJSON, "json", false, "write JSON")
	if l.here {
		return
	}
	l.cmd.Flags().StringVar(&l.node, "node", "", "node of the cluster that is asked, by its name, over the one that --admin says; * for each of them")
	l.completesFlag("node", (*look).nodes)
}

// ask reads the answer of the API into what into points to.
func (c *adminClient) ask(ctx context.Context, method, path string, values url.Values, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	path = "/api/v1" + path
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	resp, err := c.do(ctx, method, path, text)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: the answer is not a node's: %w", c.base, err)
	}
	return nil
}

// answered is what one node has answered.
type answered[T any] struct {
	Node   string           `json:"node"`
	Answer *T               `json:"answer,omitempty"`
	Error  *admin.CallError `json:"error,omitempty"`
}

// askNodes asks the node that is meant, or all.
func askNodes[T any](ctx context.Context, l *look, c *adminClient, method, path string, values url.Values, body any) ([]answered[T], error) {
	if l.node != "" {
		more := url.Values{"node": {l.node}}
		maps.Copy(more, values)
		values = more
	}
	if l.node != everyNode {
		answer := new(T)
		err := c.ask(ctx, method, path, values, body, answer)
		return []answered[T]{{Node: l.node, Answer: answer}}, err
	}
	var all struct {
		Nodes []answered[T] `json:"nodes"`
	}
	err := c.ask(ctx, method, path, values, body, &all)
	return all.Nodes, err
}

// show asks, and writes the answer as JSON or with write. Nodes that have not answered are named.
func show[T any](l *look, method, path string, values url.Values, body any, write func(w io.Writer, answer *T) error) error {
	c, err := l.at.open()
	if err != nil {
		return err
	}
	all, err := askNodes[T](l.cmd.Context(), l, c, method, path, values, body)
	if err != nil {
		return err
	}
	w := l.cmd.OutOrStdout()
	switch {
	case l.asJSON && l.node == everyNode:
		if err := writeJSON(w, map[string]any{"nodes": all}); err != nil {
			return err
		}
	case l.asJSON:
		return writeJSON(w, all[0].Answer)
	case l.node != everyNode:
		return write(w, all[0].Answer)
	default:
		for i := range all {
			if a := &all[i]; a.Answer != nil {
				fmt.Fprintf(w, "node %s:\n", a.Node)
				if err := write(w, a.Answer); err != nil {
					return err
				}
			}
		}
	}
	return failedNodes(all)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// failedNodes is an error if some have not answered, with why.
func failedNodes[T any](all []answered[T]) error {
	var failed []error
	for i := range all {
		if e := all[i].Error; e != nil {
			failed = append(failed, fmt.Errorf("node %s: %w", all[i].Node, e))
		}
	}
	return errors.Join(failed...)
}

// table writes aligned columns.
func table(w io.Writer, head string, rows func(t io.Writer)) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, head)
	rows(t)
	return t.Flush()
}

// pageFlags are those of lists.
type pageFlags struct {
	limit  int
	cursor string
}

func (p *pageFlags) define(cmd *cobra.Command) {
	cmd.Flags().IntVar(&p.limit, "limit", 100, "how many to list, up to "+strconv.Itoa(admin.MaxPage))
	cmd.Flags().StringVar(&p.cursor, "cursor", "", "where to go on, as the page before has said")
}

func (p *pageFlags) values() (url.Values, error) {
	if p.limit < 1 || p.limit > admin.MaxPage {
		return nil, &usageError{fmt.Errorf("--limit: found %d, expected 1 to %d", p.limit, admin.MaxPage)}
	}
	v := url.Values{"limit": {strconv.Itoa(p.limit)}}
	if p.cursor != "" {
		v.Set("cursor", p.cursor)
	}
	return v, nil
}

func newSessionsCommand(l *look) *cobra.Command {
	var p pageFlags
	var uid string
	cmd := &cobra.Command{
		Use: "sessions", Short: "List the clients of a node", Args: positional(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v, err := p.values()
			if err != nil {
				return err
			}
			if uid != "" {
				v.Set("uid", uid)
			}
			return show(l, http.MethodGet, "/sessions", v, nil, writeSessions)
		},
	}
	p.define(cmd)
	cmd.Flags().StringVar(&uid, "uid", "", "only those of this user")
	return cmd
}

func writeSessions(w io.Writer, p *admin.SessionPage) error {
	err := table(w, "SESSION\tUSER\tSTATE\tTRANSPORT\tADDRESS\tUP\tRTT\tRESENT\tBACKLOG\tUNACKED\tIN\tOUT", func(t io.Writer) {
		for i := range p.Sessions {
			s := &p.Sessions[i]
			up := "-"
			if s.Since != nil {
				up = time.Since(*s.Since).Round(time.Second).String()
			}
			rtt, resent := "-", "-"
			if s.Sent > 0 {
				rtt, resent = micros(s.RTT).String(), fmt.Sprintf("%.1f%%", 100*s.Loss)
			}
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", s.ID, dash(s.UID), s.State, dash(s.Transport), dash(s.Address), up, rtt, resent, s.Backlog, s.Unacked, s.BytesIn, s.BytesOut)
		}
	})
	return errors.Join(err, writeMore(w, &p.Paged))
}

// writeMore says how to go on if there is more.
func writeMore(w io.Writer, p *admin.Paged) error {
	if p.Next == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "%d in all; go on with --cursor %s\n", p.Total, dash(p.Next))
	return err
}

// dash is a text for a column: what scripts and clients have chosen must not steer the terminal.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func newKickCommand(l *look) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "kick SESSION", Short: "End a client's session, with a reason that it reads", Args: positional(cobra.ExactArgs(1)), ValidArgsFunction: l.completes((*look).sessions),
		RunE: func(_ *cobra.Command, args []string) error {
			return show(l, http.MethodPost, "/sessions/"+url.PathEscape(args[0])+"/kick", nil, admin.Reason{Reason: reason}, func(w io.Writer, _ *admin.Nothing) error {
				_, err := fmt.Fprintf(w, "session %s is kicked\n", args[0])
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "what its client reads")
	return cmd
}

func newDeadCommand(l *look) *cobra.Command {
	p := pageFlags{}
	cmd := &cobra.Command{
		Use: "dead", Short: "List the last messages that could not be delivered", Args: positional(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v, err := p.values()
			if err != nil {
				return err
			}
			return show(l, http.MethodGet, "/dead", v, nil, func(w io.Writer, d *admin.DeadPage) error {
				if err := table(w, "TIME\tTO\tFROM\tMESSAGE\tREASON", func(t io.Writer) {
					for _, m := range d.Letters {
						fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", m.Time.Format(time.RFC3339), m.To, dash(m.From), m.Type, m.Reason)
					}
				}); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w, "%d since the start\n", d.Total)
				return err
			})
		},
	}
	cmd.Flags().IntVar(&p.limit, "limit", 100, "how many to list, up to "+strconv.Itoa(admin.MaxPage))
	return cmd
}

func newAuditCommand(l *look) *cobra.Command {
	p := pageFlags{}
	var strangers bool
	cmd := &cobra.Command{
		Use: "audit", Short: "List what operators have changed on a node, and what they were refused", Args: positional(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v, err := p.values()
			if err != nil {
				return err
			}
			if strangers {
				v.Set("log", "strangers")
			}
			return show(l, http.MethodGet, "/audit", v, nil, writeAudit)
		},
	}
	cmd.Flags().IntVar(&p.limit, "limit", 100, "how many to list, up to "+strconv.Itoa(admin.MaxPage))
	cmd.Flags().BoolVar(&strangers, "strangers", false, "list requests without a good token instead")
	return cmd
}

func writeAudit(w io.Writer, p *admin.AuditPage) error {
	return table(w, "TIME\tWHO\tROLE\tACTION\tTARGET\tOUTCOME\tDETAIL", func(t io.Writer) {
		for i := range p.Entries {
			e := &p.Entries[i]
			detail := e.Detail
			if e.Error != "" {
				detail = e.Error
			}
			if e.More > 0 {
				detail += fmt.Sprintf(" (and %d more before)", e.More)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Time.Format(time.RFC3339), dash(e.Who), dash(e.Role), e.Action, dash(e.Target), e.Outcome, dash(detail))
		}
	})
}
